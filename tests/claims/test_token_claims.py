"""The pieces that claims about pooling tokens are checked with, on small made-up data."""

import numpy as np
import pytest
import torch

from cenote.claims import dcnn_dynamic_k_max as dcnn
from cenote.claims import generalized_sum_pooling as gsp
from cenote.claims.locating import Pictures


def _sentences() -> tuple[int, list[dcnn.Sentences]]:
    texts = [f"is {word} good" for word in ("this", "it") * 20] + [
        f"{word} was bad today" for word in ("it", "we") * 20
    ]
    names = ["up"] * 40 + ["down"] * 40
    return dcnn.numbered([[texts, names]] * 3)


def test_words_seen_once_and_never_share_a_number_and_padding_has_none() -> None:
    size, (train, test) = dcnn.numbered([[["a b", "A b c"], ["x", "y"]], [["a d", "c"], ["y", "x"]]])
    assert size == 4  # padding, the unknown, a and b
    assert train.words[:, :2].tolist() == [train.words[0, :2].tolist()] * 2
    assert train.words[1, 2] == test.words[0, 1] == test.words[1, 0] == 1
    assert torch.equal(test.mask, torch.tensor([[True, True], [True, False]]))
    assert test.labels.tolist() == [1, 0]


@pytest.mark.parametrize("name", [*dcnn.NETWORKS])
def test_padding_changes_no_logit(name: str) -> None:
    torch.manual_seed(0)
    model = dcnn.NETWORKS[name](9, 3).eval()
    words = torch.tensor([[3, 4, 5, 0, 0, 0], [2, 3, 4, 5, 6, 7]])
    whole = model(words, words > 0)
    torch.testing.assert_close(model(words[:1, :3], words[:1, :3] > 0), whole[:1])


def test_order_is_nothing_to_a_bag_of_words_and_something_to_the_others() -> None:
    torch.manual_seed(0)
    words = torch.tensor([[3, 4, 5, 6, 7]])
    for name, make in dcnn.NETWORKS.items():
        model = make(9, 3).eval()
        same = torch.allclose(model(words, words > 0), model(words.flip(1), words > 0), atol=1e-6)
        assert same == (name == "bag of words")


@pytest.mark.parametrize("name", [*dcnn.NETWORKS])
def test_every_network_learns_words_that_decide(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dcnn, "STEPS", 40)
    size, parts = _sentences()
    assert dcnn.trial(size, parts, name, 0, 3e-2).test == 1


def test_precision_is_that_of_a_loop_over_ranks() -> None:
    random = np.random.default_rng(0)
    labels = torch.from_numpy(random.integers(3, size=30))
    unit = torch.nn.functional.normalize(torch.from_numpy(random.normal(size=(30, 4))), dim=1)
    wanted = []
    for row in range(30):
        others = sorted((other for other in range(30) if other != row), key=lambda one: -float(unit[row] @ unit[one]))
        hits = [bool(labels[other] == labels[row]) for other in others]
        most = sum(hits)
        wanted.append(sum(hits[at] * sum(hits[: at + 1]) / (at + 1) for at in range(most)) / most)
    assert gsp.precisions(unit, labels) == pytest.approx(wanted)


def test_halves_are_equal_and_share_no_class() -> None:
    labels = torch.arange(60) % 5
    for seed in range(5):
        order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
        first, second = labels[gsp.halves(labels, order)].chunk(2)
        assert set(first.tolist()) == set(order[:2].tolist())
        assert set(second.tolist()) == set(order[2:].tolist())
        assert len(first) == len(second)


@pytest.mark.parametrize("method", gsp.METHODS)
def test_an_embedder_finds_pictures_of_classes_it_has_not_seen(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gsp, "STEPS", 30)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(100) % 5
    seen = torch.rand(100, 1, 20, 20, generator=generator) / 4
    unseen = seen.clone()
    for row, label in enumerate(labels.tolist()):
        seen[row, :, : 2 * label + 2] += 1  # rows of light, and columns for what is asked
        unseen[row, :, :, : 4 * label + 2] += 1
    ink = torch.zeros(100, 40, 40, dtype=torch.bool)
    part = Pictures(seen, labels, ink)
    found = gsp.trial([part, part, Pictures(unseen, labels, ink)], method, 0, 1e-2)
    assert found.dev > 0.8
    assert found.test > 0.4
