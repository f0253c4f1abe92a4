"""The parser and the relations that the claim about pooling mentions is checked with."""

import itertools
import os
import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from cenote.claims import dependency_based_pooling_relation_extraction as relations
from cenote.claims import parsing_words as parsing
from cenote.claims.training import resampled

nx = pytest.importorskip("networkx")


def _data() -> Path:
    data = Path(os.environ.get("CENOTE_DATA", ""))
    if not (data / "semeval2010-task8").is_dir():
        pytest.skip("CENOTE_DATA does not say where the data is")
    return data


def test_the_tree_is_the_greatest_that_networkx_spans() -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([7, 1, 4, 2])
    mask = torch.arange(7) < lengths[:, None]
    log = torch.randn(4, 7, 8, generator=generator)
    log = log.masked_fill(~torch.nn.functional.pad(mask, (0, 1), value=True)[:, None], -torch.inf).log_softmax(2)
    found = parsing.trees(log, mask)
    assert torch.equal(found > -2, mask)
    for row, length in enumerate(lengths.tolist()):
        graph = nx.Graph()
        graph.add_nodes_from(range(length))
        for i, j in itertools.combinations(range(length), 2):
            graph.add_edge(i, j, weight=float(log[row, i, j].logaddexp(log[row, j, i])))
        wanted = {frozenset(edge) for edge in nx.maximum_spanning_tree(graph).edges}
        heads = found[row, :length].tolist()
        assert {frozenset((word, head)) for word, head in enumerate(heads) if head >= 0} == wanted
        assert heads.count(-1) == 1
        assert heads.index(-1) == int(log[row, :length, -1].argmax())


def test_attachment_counts_edges_and_not_their_direction() -> None:
    wanted = torch.tensor([[-1, 0, 1, 1], [1, -1, -2, -2]])
    assert parsing.attached(wanted, wanted) == 1
    assert parsing.attached(torch.tensor([[1, 2, -1, 1], [-1, 0, -2, -2]]), wanted) == 1
    assert parsing.attached(torch.tensor([[-1, 0, 0, 0], [1, -1, -2, -2]]), wanted) == 0.5


def test_a_parser_learns_that_words_hang_from_the_one_before() -> None:
    generator = torch.Generator().manual_seed(0)
    places = torch.randn(6, parsing.WIDTH, generator=generator)
    x = places + torch.randn(200, 6, parsing.WIDTH, generator=generator) / 4
    mask = torch.arange(6) < torch.randint(2, 7, (200, 1), generator=generator)
    heads = (torch.arange(6) - 1).expand(200, 6).masked_fill(~mask, -2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsing, "STEPS", 40)
        model = parsing.trained(x, mask, heads)
    assert parsing.attached(parsing.trees(model(x, mask), mask), heads) > 0.99


def test_tokens_belong_to_the_words_that_they_spell() -> None:
    sentences = [["Unbelievable", "aeroplanes", ",", "again"], ["a", "b"]]
    states = parsing.worded(sentences, (0, 6))
    first = states.words[: int(states.offsets[1])].tolist()
    assert first[0] == first[-1] == -1
    assert first[1:-1] == sorted(first[1:-1])
    assert set(first) == {-1, 0, 1, 2, 3}
    assert first.count(1) > 1
    assert states.words[int(states.offsets[1]) :].tolist() == [-1, 0, 1, -1]
    x, mask = parsing.of_words(states, 6)
    assert mask.tolist() == [[True] * 4, [True, True, False, False]]
    own = states.layers[6][: int(states.offsets[1])][torch.tensor(first) == 1]
    torch.testing.assert_close(x[0, 1], own.mean(0))


def test_the_treebank_gives_every_word_a_head() -> None:
    sentences, heads = parsing.treebank(_data(), "dev", 50)
    assert len(sentences) == 50
    for words, row in zip(sentences, heads.tolist(), strict=True):
        assert all(-1 <= head < len(words) for head in row[: len(words)])
        assert set(row[len(words) :]) <= {-2}


def test_relations_of_train_and_dev_are_apart_and_mentions_are_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relations, "PARTS", (50, 40, 30))
    parts = relations.relations(_data())
    assert [len(part.sentences) for part in parts] == [50, 40, 30]
    assert not {" ".join(one) for one in parts[0].sentences} & {" ".join(one) for one in parts[1].sentences}
    for part in parts:
        for words, spans in zip(part.sentences, part.spans.tolist(), strict=True):
            assert all(0 <= first < behind <= len(words) for first, behind in spans)


def test_f1_is_sklearns_where_relations_have_no_direction_and_a_wrong_direction_is_a_miss() -> None:
    known = ["A", "B", "C", relations.OTHER]
    draw = np.random.default_rng(0)
    found, gold = draw.integers(4, size=(2, 200))
    wanted = f1_score(gold, found, labels=[0, 1, 2], average="macro")
    assert relations.f1(found, gold, known) == pytest.approx(wanted)
    both = ["A(e1,e2)", "A(e2,e1)"]
    assert relations.f1(np.array([0, 1]), np.array([0, 1]), both) == 1
    assert relations.f1(np.array([1, 1]), np.array([0, 1]), both) == 0.5


@pytest.mark.parametrize("name", [*relations.POOLINGS])
def test_every_pooling_of_mentions_trains(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relations, "STEPS", 30)
    draw = random.Random(0)
    labels = torch.tensor([draw.randrange(3) for _ in range(60)])
    words = torch.tensor([-1, 0, 1, 2, 3, -1] * 60)
    x = torch.randn(360, 384, generator=torch.Generator().manual_seed(0))
    x[1::6] += 3 * torch.nn.functional.one_hot(labels, 384)
    states = parsing.Worded({0: x}, torch.arange(61) * 6, words)
    rows = [{"token": list("abcd"), "subj_start": 0, "subj_end": 0, "obj_start": 2, "obj_end": 2, "relation": "A"}] * 60
    heads = torch.tensor([[-1, 0, 1, 1]] * 60)
    features = relations.pooled(relations.POOLINGS[name], states, relations.Relations(rows), heads, 0)
    found = relations.trial([features] * 3, [labels] * 3, ["A", "B", "C"], 0, 1e-2)
    assert found.test > 0.9


def test_the_check_of_relations_runs_from_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _data()
    small = {"PARTS": (60, 30, 40), "TREES": (40, 20), "RATES": (1e-2,), "SEEDS": 2, "STEPS": 5}
    for name, value in small.items():
        monkeypatch.setattr(relations, name, value)
    monkeypatch.setattr(parsing, "STEPS", 5)
    monkeypatch.setattr(relations, "resampled", partial(resampled, resamples=10))
    found = relations.check(data)
    assert found.seeds == 2
    assert len(found.figures) == 1 + 2 * (5 + 12)
    assert all(one.low is not None for one in found.figures[1:])
