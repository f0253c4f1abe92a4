"""The pieces that claims about pooling tokens are checked with, on small made-up data."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from cenote.claims import dcnn_dynamic_k_max as dcnn
from cenote.claims import generalized_sum_pooling as gsp
from cenote.claims import nv_embed_latent_attention as nv_embed
from cenote.claims import recurrent_pooling_mined_paraphrases as recurrent
from cenote.claims.locating import Pictures
from cenote.claims.training import Frozen, frozen, over_units, resampled


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


def test_the_batch_adds_the_positives_of_others_as_negatives() -> None:
    unit = torch.nn.functional.normalize(torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0)), dim=2)
    anchors, positives, negatives = unit[0], unit[1], unit[2].expand(5, 5, 8)[:, :2]
    for batch in (False, True):
        wanted = 0.0
        for row in range(5):
            right = float(torch.exp(nv_embed.SCALE * anchors[row] @ positives[row]))
            rivals = [*negatives[row], *(positives[other] for other in range(5) if batch and other != row)]
            wrong = sum(float(torch.exp(nv_embed.SCALE * anchors[row] @ one)) for one in rivals)
            wanted -= np.log(right / (right + wrong)) / 5
        assert float(nv_embed.contrast(anchors, positives, negatives, batch=batch)) == pytest.approx(wanted, rel=1e-4)


def test_hard_negatives_are_the_nearest_of_other_intents() -> None:
    x, labels = torch.randn(60, 384), torch.arange(60) % 4
    part = nv_embed._with_hard(x, labels)
    assert (labels[part.hard] != labels[:, None]).all()
    unit = torch.nn.functional.normalize(x, dim=1)
    for row in range(60):
        others = [one for one in range(60) if labels[one] != labels[row]]
        left = sorted(others, key=lambda one: float(-unit[row] @ unit[one]))
        assert set(left[: nv_embed.NEAREST]) == set(part.hard[row].tolist())


@pytest.mark.parametrize("batch", [False, True])
def test_a_map_learns_to_leave_out_loud_channels_that_say_nothing(batch: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nv_embed, "STEPS", 30)
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 5
    parts = []
    for _ in range(3):
        x = torch.randn(200, 384, generator=generator)
        x[:, 10:14] *= 30
        x[torch.arange(200), labels] += 8
        parts.append(nv_embed._with_hard(x, labels))
    before = nv_embed.trial(parts, batch, 0, 1e-9).test  # a rate that moves nothing
    assert nv_embed.trial(parts, batch, 0, 3e-2).test > before + 0.1


@pytest.mark.parametrize("name", [*nv_embed.POOLINGS])
def test_every_pooling_is_tuned_on_pairs(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    offsets = torch.arange(0, 121, 3)
    first, second = (Frozen(torch.randn(120, 384, generator=generator), offsets) for _ in range(2))
    pairs = recurrent.Pairs(first, second, np.arange(40.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recurrent, "STEPS", 3)
        found = recurrent.trial([pairs] * 3, nv_embed.POOLINGS[name], 0, 1e-3)
    assert found.units is not None
    assert found.test == pytest.approx(recurrent.spearman(found.units, pairs.gold))
    assert np.abs(found.units).max() <= 1 + 1e-6


def test_resamples_of_a_mean_are_those_of_the_differences() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(1, 1, (3, 80)), random.normal(0, 1, (3, 80))
    value, low, high = resampled(first, second, lambda units, rows: float(units[rows].mean()))
    wanted = over_units((first - second).mean(0))
    assert value == pytest.approx(wanted[0])
    assert (low, high) == pytest.approx(wanted[1:], abs=0.05)


def _data() -> Path:
    data = Path(os.environ.get("CENOTE_DATA", ""))
    if not (data / "stsb").is_dir():
        pytest.skip("CENOTE_DATA does not say where the data is")
    return data


def test_the_check_of_generalised_sums_runs_from_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _data()
    for name, value in {"PARTS": (300, 100, 100), "RATES": (1e-2,), "SEEDS": 2, "STEPS": 4}.items():
        monkeypatch.setattr(gsp, name, value)
    found = gsp.check(data)
    train, dev, test = gsp.pictures(data, 0)
    assert set(train.labels.tolist()) == set(dev.labels.tolist()) == set(test.labels.tolist()) == set(range(5))
    assert len(found.figures) == 2 * (3 + 6)
    assert all(one.low is not None and one.low <= one.value <= (one.high or 0) for one in found.figures)


def test_the_check_of_latent_attention_runs_from_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    data, texts = _data(), [f"A {word} runs." for word in ("dog", "cat", "man", "horse", "girl", "car")]
    pairs = recurrent.Pairs(frozen(texts), frozen(texts[::-1]), np.arange(6.0))
    monkeypatch.setattr(nv_embed, "resampled", partial(resampled, resamples=10))
    monkeypatch.setattr(nv_embed, "paraphrases", lambda data: [pairs] * 3)
    for name, value in {"RATES": {"pairs": (1e-3,), "intents": (1e-3,)}, "SEEDS": 2, "STEPS": 4}.items():
        monkeypatch.setattr(nv_embed, name, value)
    monkeypatch.setattr(nv_embed, "INTENTS", (80, 30, 30))
    monkeypatch.setattr(recurrent, "STEPS", 3)
    found = nv_embed.check(data)
    assert len(found.figures) == 3 + 4 + 2 + 2
    assert all(one.low is not None and one.low <= one.value <= (one.high or 0) for one in found.figures[-4:])
