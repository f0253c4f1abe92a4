"""Retrieval measures against their definitions, and against a run file read by another program."""

import math
import random

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, RR, R, nDCG
from simple_systems import Sizes, Told, Words

from cenote.measure import Question, RetrievalTask, measure
from cenote.measure.run import RunWriter, trec_order

MEASURES = {"ndcg_at_10": nDCG @ 10, "mrr_at_10": RR @ 10, "recall_at_10": R @ 10, "recall_at_100": R @ 100, "map": AP}


def by_definition(order: list[str], grades: dict[str, int]) -> dict[str, float]:
    relevant = {document for document, grade in grades.items() if grade > 0}
    gain = [max(0, grades.get(document, 0)) for document in order]
    ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)
    dcg, best = (sum(g / math.log2(i + 2) for i, g in enumerate(part[:10])) for part in (gain, ideal))
    first = next((i for i, document in enumerate(order[:10]) if document in relevant), None)
    precisions = [
        sum(d in relevant for d in order[: i + 1]) / (i + 1) for i, document in enumerate(order) if document in relevant
    ]
    return {
        "ndcg_at_10": dcg / best,
        "mrr_at_10": 0.0 if first is None else 1 / (first + 1),
        "recall_at_10": len(relevant & set(order[:10])) / len(relevant),
        "recall_at_100": len(relevant & set(order[:100])) / len(relevant),
        "map": sum(precisions) / len(relevant),
    }


def a_test_set(seed: int = 0, questions: int = 80) -> tuple[RetrievalTask, Told]:
    """Graded questions, rankings with many ties, some of nothing at all."""
    rng = random.Random(seed)
    ids = [f"d{i}" for i in range(300)]
    asked, rankings = [], {}
    for i in range(questions):
        grades = {document: rng.choice([-1, 0, 1, 2, 3]) for document in rng.sample(ids, 20)} | {"d0": 1}
        asked.append(Question(f"q{i}", f"question {i}", grades))
        rankings[f"question {i}"] = [(d, rng.randrange(25) / 8) for d in rng.sample(ids, rng.choice([0, 5, 200]))]
    return RetrievalTask(asked), Told(rankings)


def test_every_measure_is_what_its_definition_says():
    task, system = a_test_set()
    records = task.score(system)
    assert records.units == tuple(task.units)
    for row, question in enumerate(task.questions.values()):
        order = [document for document, _ in trec_order(system.rankings[question.text])]
        for name, expected in by_definition(order, dict(question.grades)).items():
            assert records.values[name][row] == pytest.approx(expected, abs=1e-12), name


def test_a_run_that_was_written_measures_the_same_in_another_program(tmp_path):
    task, system = a_test_set(1)
    with RunWriter(tmp_path / "run") as writer:
        records = task.score(system, listener=writer)
    qrels = {q.id: dict(q.grades) for q in task.questions.values()}
    run = list(ir_measures.read_trec_run(str(tmp_path / "run")))
    read = {
        (found.query_id, found.measure): found.value for found in ir_measures.iter_calc(MEASURES.values(), qrels, run)
    }
    for name, wanted in MEASURES.items():
        values = [read.get((unit, wanted), 0.0) for unit in task.units]
        np.testing.assert_allclose(records.values[name], values, atol=1e-12)


def test_the_order_that_ties_arrive_in_changes_nothing():
    task, system = a_test_set(2)
    turned = Told({text: ranking[::-1] for text, ranking in system.rankings.items()})
    one, other = task.score(system), task.score(turned)
    assert all(np.array_equal(one.values[name], other.values[name]) for name in task.measures)


def test_a_run_has_six_columns_and_scores_that_fall(tmp_path):
    with RunWriter(tmp_path / "run", tag="a | b") as writer:
        writer("my question", [("a b.pdf", 1.0), ("b", 1.0), ("c", 1.0), ("d", 0.5)])
    rows = [line.split() for line in (tmp_path / "run").read_text().splitlines()]
    assert [row[:4] for row in rows[:2]] == [
        ["my%20question", "Q0", "a%20b.pdf", "1"],
        ["my%20question", "Q0", "b", "2"],
    ]
    scores = [np.float32(row[4]) for row in rows]
    assert all(len(row) == 6 for row in rows)
    assert np.all(np.diff(scores) < 0)
    assert scores == pytest.approx([1, 1, 1, 0.5], abs=1e-6)


def test_a_run_that_cannot_be_written_is_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="name another file"):
        RunWriter(tmp_path / "no" / "run")


def test_equal_scores_are_ordered_by_id_last_first():
    assert [id for id, _ in trec_order([("a", 1.0), ("c", 1.0), ("b", 2.0)])] == ["b", "c", "a"]


def test_measure_averages_over_the_judged_questions_and_gives_sizes(tmp_path):
    system = Words({"sea.txt": "salt water", "sky.txt": "blue air", "sun.txt": "hot light"})
    asked = [Question("1", "salt water", {"Sea": 1}), Question("2", "hot air", {"sky": 1, "sun.txt": 1})]
    seen: list[int] = []
    found = measure(system, RetrievalTask(asked, named=True), run_out=tmp_path / "run", progress=seen.append)
    assert found["ndcg_at_10"] == found["map"] == found["recall_at_10"] == 1.0
    assert (found["queries"], sum(seen)) == (2, 2)
    assert found["ms_per_query"] > 0
    assert found["bytes_per_document"] == Sizes().bytes_per_document
    assert found["disk_bytes_per_document"] == Sizes().disk_bytes_per_document
    assert len((tmp_path / "run").read_text().splitlines()) == 6


def test_a_task_without_any_answer_is_refused():
    with pytest.raises(ValueError, match="no question has a document that answers it"):
        RetrievalTask([Question("1", "why?", {"a": 0})])
