"""The pieces that claims about pooling are checked with, on small made-up data."""

import csv
import gzip
import io
import os
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from cenote.claims import (
    adaptive_attention_pooling_vs_noise as adaptive,
)
from cenote.claims import (
    attsets_faset,
    class_token_kd_speaker,
    deepsets_lp_le_width,
    ggem,
    gnp_learned_l_p_pooling,
    locating,
    midam_stochastic_pooling,
    recurrent_pooling_mined_paraphrases,
    softpool,
)
from cenote.claims.digits import Digits, cluttered, digits
from cenote.claims.training import Frozen
from cenote.pool.gwap import GWAP
from cenote.pool.gwap_classes import GWAPClasses
from cenote.pool.le import LE
from cenote.pool.lp import LP
from cenote.pool.max import Max
from cenote.pool.mean import Mean
from cenote.pool.simpool import SimPool


def _made_up(count: int, seed: int = 0) -> Digits:
    generator = torch.Generator().manual_seed(seed)
    return Digits(torch.rand(count, 28, 28, generator=generator), torch.arange(count) % 10)


def _data() -> Path:
    data = Path(os.environ.get("CENOTE_DATA", ""))
    if not (data / "mnist-t10k").is_dir():
        pytest.skip("CENOTE_DATA does not say where the data is")
    return data


def test_parts_of_the_digits_share_none_and_a_seed_draws_the_same_again() -> None:
    parts = digits(_data(), 300, 200, 100)
    assert [len(part) for part in parts] == [300, 200, 100]
    rows = torch.cat([part.images.flatten(1) for part in parts])
    assert len(rows.unique(dim=0)) == 600
    assert rows.min() >= 0
    assert rows.max() == 1
    again = digits(_data(), 300, 200, 100)
    assert all(torch.equal(a.images, b.images) for a, b in zip(parts, again, strict=True))


def test_more_digits_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="of 10000; ask for fewer"):
        digits(_data(), 9000, 1000, 1)


def test_clutter_never_covers_the_digit() -> None:
    source = _made_up(6)
    canvas, ink = cluttered(source, side=40, pieces=20)
    for image, picture, inside in zip(source.images, canvas[:, 0], ink, strict=True):
        assert torch.equal(picture[inside], image[image > 0.3])
        assert (picture > 0).sum() > inside.sum()


def test_a_view_is_a_crop_of_its_own_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attsets_faset, "NOISE", 0.0)
    source = _made_up(3)
    seen = attsets_faset.views(source, 5, seed=0).view(3, 5, 16, 16)
    for image, crops in zip(source.images, seen, strict=True):
        possible = image.unfold(0, 16, 1).unfold(1, 16, 1).reshape(-1, 16, 16)
        assert all((possible == crop).all((1, 2)).any() for crop in crops)


@pytest.mark.parametrize("apart", [False, True])
def test_a_network_of_views_is_asked_with_every_number_of_them(apart: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attsets_faset, "STEPS", 4)
    make = partial(attsets_faset.AttSets, attsets_faset.WIDTH)
    found = attsets_faset.trial((_made_up(30), _made_up(20, 1), _made_up(10, 2)), make, apart, 0, 1e-2)
    assert found.units is not None
    assert len(found.units) == 10 * len(attsets_faset.ASKED)
    assert set(np.unique(found.units)) <= {0, 1}


def test_placements_average_to_the_area_under_the_curve() -> None:
    random = np.random.default_rng(0)
    found, labels = random.integers(6, size=60).astype(float), random.integers(2, size=60)
    pairs = [(a > b) + (a == b) / 2 for a, b in product(found[labels == 1], found[labels == 0])]
    assert midam_stochastic_pooling.placements(found, labels).mean() == pytest.approx(np.mean(pairs))


def test_a_bag_is_positive_where_it_holds_a_nine() -> None:
    source = Digits((torch.arange(100) % 10)[:, None, None].expand(100, 28, 28) / 9.0, torch.arange(100) % 10)
    made = midam_stochastic_pooling.bags(source, 20, seed=0)
    nines = ((made.x[:, :, 0] > 0.95) & made.mask).sum(1)
    assert torch.equal(nines > 0, made.labels == 1)
    assert nines.max() <= 2
    assert made.mask.sum(1).min() >= midam_stochastic_pooling.SIZES[0]


@pytest.mark.parametrize("gamma", [0.5, 1.0, None])
def test_bags_are_learned_from_draws_and_whole(gamma: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(midam_stochastic_pooling, "STEPS", 10)
    parts = [midam_stochastic_pooling.bags(_made_up(100), 20, seed) for seed in range(3)]
    found = midam_stochastic_pooling.trial(parts, gamma, 0, 1e-2)
    assert found.units is not None
    assert 0 <= found.units.min() <= found.test <= found.units.max() <= 1


def test_the_tasks_of_sets_are_what_they_are_called() -> None:
    sets = gnp_learned_l_p_pooling.drawn([torch.rand(40, 3), torch.rand(50, 3)], 8, (3, 10), 2.0, seed=0)
    rows = [sets.x[a:b] for a, b in zip(sets.offsets[:-1], sets.offsets[1:], strict=True)]
    brute = {
        "sum": [row.sum(0) for row in rows],
        "mean": [row.mean(0) for row in rows],
        "maximum": [row.max(0).values for row in rows],
        "minimum": [row.min(0).values for row in rows],
    }
    assert brute.keys() == gnp_learned_l_p_pooling.TASKS.keys()
    for name, wanted in brute.items():
        torch.testing.assert_close(gnp_learned_l_p_pooling.TASKS[name](*sets), torch.stack(wanted))
    taken = gnp_learned_l_p_pooling.taken(sets, torch.tensor([5, 2]))
    assert torch.equal(taken.x, torch.cat([rows[5], rows[2]]))


@pytest.mark.parametrize("name", [*gnp_learned_l_p_pooling.POOLINGS])
def test_every_pooling_of_sets_trains(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gnp_learned_l_p_pooling, "STEPS", 5)
    part = gnp_learned_l_p_pooling.drawn([torch.rand(40, 3)], 30, (3, 10), 1.0, seed=0)
    found = gnp_learned_l_p_pooling.trial((part, part, part), "sum", name, 0, 1e-2)
    assert found.test == found.dev <= 0


def test_likeness_is_one_for_the_same_picture_and_falls_with_noise() -> None:
    images = torch.rand(4, 1, 28, 28)
    near, far = (images + size * torch.randn(images.shape) for size in (0.05, 0.5))
    assert softpool.likeness(images, images) == pytest.approx(np.ones(4))
    assert (softpool.likeness(images, near) > softpool.likeness(images, far)).all()


def test_the_error_rate_is_zero_where_pairs_are_apart_and_a_half_where_they_are_random() -> None:
    labels = torch.arange(8).repeat(20)
    apart = torch.nn.functional.one_hot(labels).float()
    assert class_token_kd_speaker.equal_error_rate(apart, labels) == 0
    noise = torch.randn(160, 64, generator=torch.Generator().manual_seed(0))
    assert class_token_kd_speaker.equal_error_rate(noise, labels) == pytest.approx(0.5, abs=0.05)


def test_a_higher_tone_lies_in_a_higher_band() -> None:
    times = np.arange(8000) / 8000
    noise = 0.01 * np.random.default_rng(0).normal(size=8000)
    # each band is normed over time, so a tone shows where it begins
    peaks = []
    for pitch in (300, 900, 2500):
        bands = class_token_kd_speaker.mel_bands(noise + (times > 0.5) * np.sin(2 * np.pi * pitch * times))
        rise = bands[-10:].mean(0) - bands[:10].mean(0)
        peaks.append(int((rise * (rise > 1.9)).argmax()))
    assert peaks == sorted(set(peaks))


@pytest.mark.parametrize("method", class_token_kd_speaker.METHODS)
def test_padding_changes_no_embedding_of_speech(method: str) -> None:
    torch.manual_seed(0)
    model = class_token_kd_speaker.Verifier(method).eval()
    x, mask = torch.randn(2, 9, 24), torch.ones(2, 9, dtype=torch.bool)
    longer = torch.cat([x, torch.randn(2, 4, 24)], 1), torch.cat([mask, ~mask[:, :4]], 1)
    torch.testing.assert_close(model.embed(x, mask), model.embed(*longer), atol=1e-5, rtol=1e-5)


def test_a_search_finds_the_set_that_single_coordinates_cannot_tell_apart() -> None:
    sets = torch.tensor([[[0.0, 0.0], [1.0, 1.0]]], dtype=torch.float64)
    start = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]], dtype=torch.float64) + 0.01
    powers = deepsets_lp_le_width.Powers(2, 2)
    assert deepsets_lp_le_width.collisions(powers, sets, start).all()
    assert not deepsets_lp_le_width.collisions(LP(2, 2, "full"), sets, start).any()


def test_the_same_set_in_another_order_is_no_collision() -> None:
    sets = torch.rand(3, 4, 2, dtype=torch.float64)
    assert not deepsets_lp_le_width.collisions(LE(2, 20), sets, sets.flip(1)).any()


def test_growth_finds_the_powers_of_a_law() -> None:
    cells = [(n, d) for n in (2, 3, 5) for d in (1, 2, 4)]
    widths = np.array([7 * n**1.5 * d**2 for n, d in cells])
    assert deepsets_lp_le_width.growth(widths, cells) == pytest.approx([1.5, 2])


def test_overlap_is_one_over_the_ink_itself_and_zero_beside_it() -> None:
    ink = torch.zeros(1, 10, 10, dtype=torch.bool)
    ink[0, 2:4, 3:6] = True
    assert locating.overlap(ink.float(), ink).item() == 1
    assert locating.overlap(ink.float().flip(2), ink & (torch.arange(10) > 5)).item() == 0
    assert locating.overlap((ink | ink.flip(1)).float(), ink).item() == 0.5


@pytest.mark.parametrize(
    "make",
    [
        lambda: locating.Pooled(GWAP(32), weighted=True),
        lambda: locating.Pooled(SimPool(32, gamma=2.0), weighted=True),
        lambda: locating.Pooled(Mean(), weighted=False),
        lambda: locating.Pooled(Max(), weighted=False),
        lambda: locating.OfClasses(GWAPClasses(32, 10)),
    ],
)
def test_every_head_gives_logits_and_a_map(make: object) -> None:
    torch.manual_seed(0)
    logits, maps = make()(torch.randn(3, 32, 10, 10))  # type: ignore[operator]
    assert logits.shape == (3, 10)
    assert maps.shape == (3, 10, 10)
    assert maps.flatten(1).std(1).isfinite().all()


def test_the_map_of_a_mean_adds_up_to_the_logit_of_its_class() -> None:
    torch.manual_seed(0)
    head = locating.Pooled(Mean(), weighted=False)
    logits, maps = head(torch.randn(3, 32, 10, 10))
    best = logits.max(1)
    torch.testing.assert_close(maps.mean((1, 2)) + head.classify.bias[best.indices], best.values)


def test_the_answer_is_the_mean_of_the_nearest_and_never_the_first() -> None:
    source = torch.randn(200, 16)
    for k in (1, 5, 31):
        sets = adaptive.drawn(source, 4, k, seed=0)
        for x, wanted in zip(sets.x, sets.wanted, strict=True):
            order = sorted(range(1, 32), key=lambda row: float((x[row] - x[0]).norm()))
            torch.testing.assert_close(wanted, x[order[:k]].mean(0))


def test_components_are_uncorrelated_and_all_parts_share_them() -> None:
    parts = (_made_up(300), _made_up(300), _made_up(5, 1))
    first, second, _ = adaptive.components(parts)
    assert torch.equal(first, second)
    covariance = torch.cov(first.T)
    assert (covariance - covariance.diag().diag()).abs().max() < 1e-4
    assert first.square().mean() == pytest.approx(1, abs=1e-4)


def test_a_classifier_of_frozen_states_learns() -> None:
    lengths = torch.arange(60) % 5 + 1
    kinds = torch.arange(60) % 3
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(int(lengths.sum()), 384, generator=generator)
    x[torch.arange(len(x)), kinds.repeat_interleave(lengths)] += 5
    part = Frozen(x, torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])), kinds
    found = ggem.trial([part, part, part], ggem.POOLINGS["GGeM"], 0, 1e-2)
    assert found.test == 1


def _sheet(place: Path, rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    raw = text.getvalue().encode()
    place.write_bytes(gzip.compress(raw) if place.suffix == ".gz" else raw)


def test_pairs_that_share_a_translation_are_mined_once_without_what_is_held_out(tmp_path: Path) -> None:
    _sheet(tmp_path / "stsb-en-train.csv", [["A dog runs", "A dog is running", "5"], ["A cat", "One cat", "5"]])
    for language in recurrent_pooling_mined_paraphrases.LANGUAGES:
        _sheet(tmp_path / f"stsb-{language}-train.csv.gz", [["x", "X", "5"], ["y", "y", "5"]])
    mine = recurrent_pooling_mined_paraphrases.paraphrases
    assert mine(tmp_path, set()) == [("A dog is running", "A dog runs"), ("A cat", "One cat")]
    assert mine(tmp_path, {"One cat"}) == [("A dog is running", "A dog runs")]


def test_spearman_is_scipys() -> None:
    random = np.random.default_rng(0)
    a, b = random.integers(9, size=50).astype(float), random.normal(size=50)
    assert recurrent_pooling_mined_paraphrases.spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
