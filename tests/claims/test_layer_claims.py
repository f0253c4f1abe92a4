"""The pieces that claims about layers and windows are checked with: baselines, cuts of the data, and tiny runs."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ir_measures import Qrel as Judgement
from ir_measures import ScoredDoc, nDCG
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional as F

from cenote.claims import (
    adapool_adaunpool,
    downsampling,
    maxpoolbert,
    mixed_gated_tree_pooling,
    spatial_pyramid_pooling,
)
from cenote.claims import multi_layers_trainable_pooling as multi
from cenote.claims.digits import Digits
from cenote.claims.training import Frozen, Runs, frozen, over_units
from cenote.encode.encoder import Encoder
from cenote.kernels.segments import unpacked
from cenote.pool.cls import Cls
from cenote.pool.mean import Mean
from cenote.pool.multi_layer import MultiLayer

TEXTS = ["a dog runs over the grass", "cats", "the green house on the hill is for sale"]


def _made_up(count: int, seed: int = 0) -> Digits:
    generator = torch.Generator().manual_seed(seed)
    return Digits(torch.rand(count, 28, 28, generator=generator), torch.arange(count) % 10)


def _data(folder: str) -> Path:
    data = Path(os.environ.get("CENOTE_DATA", ""))
    if not (data / folder).is_dir():
        pytest.skip("CENOTE_DATA does not say where the data is")
    return data


@pytest.fixture(scope="module")
def layers() -> nn.ModuleList:
    return maxpoolbert.upper_layers()


def test_tuning_begins_at_the_model_as_it_is(layers: nn.ModuleList) -> None:
    lower, last = (frozen(TEXTS, layer=layer) for layer in (maxpoolbert.FROZEN, -1))
    model = maxpoolbert.Tuned(layers, Cls(), 2).eval()
    with torch.inference_mode():
        found = model.states(*unpacked(lower.x, lower.offsets))[:, -1]
    mask = unpacked(last.x, last.offsets)[1]
    torch.testing.assert_close(found[mask], last.x, atol=1e-4, rtol=1e-4)


def test_what_is_tuned_is_a_copy(layers: nn.ModuleList) -> None:
    before = layers[0].output.dense.weight.clone()
    model = maxpoolbert.Tuned(layers, Cls(), 2)
    with torch.no_grad():
        model.layers[0].output.dense.weight.zero_()
    assert torch.equal(layers[0].output.dense.weight, before)


@pytest.mark.parametrize("name", maxpoolbert.POOLINGS)
def test_every_way_to_a_sentence_learns(name: str, layers: nn.ModuleList, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maxpoolbert, "STEPS", 8)
    texts = [f"{noun} number {number}" for number in range(4) for noun in ("dogs", "prices")]
    part = maxpoolbert.Part(frozen(texts, layer=maxpoolbert.FROZEN), torch.arange(8) % 2)
    found = maxpoolbert.trial([part, part, part], layers, maxpoolbert.POOLINGS[name], 0, 1e-3)
    assert found.test > 0.9


def test_examples_are_short_and_as_many_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maxpoolbert, "SIZES", (60, 20, 20))
    for task in maxpoolbert.TASKS:
        parts = maxpoolbert.examples(_data(task), task)
        assert [len(part.kinds) for part in parts] == [60, 20, 20]
        # a word is rarely more than a few tokens, so that a long sentence would show
        assert all(int(part.states.offsets.diff().max()) <= 4 * maxpoolbert.WORDS for part in parts)
        assert {*parts[2].kinds.tolist()} <= {*parts[0].kinds.tolist()}


def test_means_of_layers_are_all_that_queries_over_layers_read() -> None:
    torch.manual_seed(0)
    pooler = MultiLayer(multi.WIDTH, multi.LAYERS, 4, ff_mult=1)
    encoder = Encoder("minilm", dtype="fp32")
    texts = multi.encoded(encoder, TEXTS)
    torch.testing.assert_close(texts.last.pooled(Mean()), texts.means[:, -1])
    for states in encoder.states(TEXTS, layers=range(1, multi.LAYERS + 1)):
        x = torch.stack([states.layers[layer] for layer in range(1, multi.LAYERS + 1)])
        wanted = pooler.forward_packed(x, states.offsets)
        found = multi.vectors(pooler, texts, torch.from_numpy(states.rows))
        torch.testing.assert_close(found, F.normalize(wanted, dim=1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", multi.POOLINGS)
def test_vectors_of_all_texts_stand_in_the_order_of_the_texts(name: str) -> None:
    torch.manual_seed(0)
    lengths = torch.arange(250) % 7 + 1
    states = Frozen(torch.randn(int(lengths.sum()), multi.WIDTH), F.pad(lengths.cumsum(0), (1, 0)))
    texts = multi.Texts(states, torch.randn(250, multi.LAYERS, multi.WIDTH))
    pooling = multi.POOLINGS[name]().eval()
    some = torch.tensor([249, 0, 100])
    torch.testing.assert_close(multi.vectors(pooling, texts)[some], multi.vectors(pooling, texts, some))


def test_shares_of_a_correlation_add_up_to_it_and_tell_how_sure_it_is() -> None:
    random = np.random.default_rng(0)
    gold = random.integers(6, size=400).astype(float)
    found = gold + random.normal(scale=2, size=400)
    shares = multi.correlated(found, gold)
    assert shares.mean() == pytest.approx(spearmanr(found, gold).statistic)
    drawn = [spearmanr(found[rows], gold[rows]).statistic for rows in random.integers(400, size=(500, 400))]
    _, low, high = over_units(shares)
    assert high - low == pytest.approx(np.subtract(*np.quantile(drawn, [0.975, 0.025])), rel=0.2)


def test_ndcg_is_that_of_ir_measures() -> None:
    random = np.random.default_rng(0)
    found, gains = random.normal(size=(5, 40)), random.integers(3, size=(5, 40)) * (random.random((5, 40)) < 0.2)
    gains[:, 0] = 1
    judged = [Judgement(str(q), str(d), int(grade)) for (q, d), grade in np.ndenumerate(gains) if grade]
    ranked = [ScoredDoc(str(q), str(d), float(score)) for (q, d), score in np.ndenumerate(found)]
    wanted = {one.query_id: one.value for one in (nDCG @ 10).iter_calc(judged, ranked)}
    ours = multi.ndcg(torch.tensor(found), torch.tensor(gains).float())
    assert ours == pytest.approx([wanted[str(q)] for q in range(5)])


def test_captions_keep_every_judged_document_of_their_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multi, "QUERIES", 2)
    monkeypatch.setattr(multi, "DOCUMENTS", 4)
    with gzip.open(tmp_path / "corpus.jsonl.gz", "wt") as lines:
        lines.writelines(json.dumps({"_id": f"d{n}", "text": f"document {n}"}) + "\n" for n in range(9))
    (tmp_path / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": f"q{n}", "text": f"query {n}"}) + "\n" for n in range(3))
    )
    (tmp_path / "qrels").mkdir()
    rows = [("q0", "d1", 2), ("q0", "d2", 0), ("q1", "d3", 1), ("q2", "d4", 0)]
    (tmp_path / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"{q}\t{d}\t{grade}\n" for q, d, grade in rows)
    )
    queries, documents, gains = multi.captions(tmp_path)
    assert sorted(queries) == ["query 0", "query 1"], "a query without an answer cannot be scored"
    assert {"document 1", "document 2", "document 3"} < set(documents)
    assert len(documents) == 4
    assert gains[queries.index("query 0"), documents.index("document 1")] == 2
    assert gains.sum() == 3


@pytest.mark.parametrize("poolings", [mixed_gated_tree_pooling.POOLINGS, adapool_adaunpool.TELLING])
def test_networks_of_one_seed_begin_with_the_same_filters(poolings: dict[str, list[Callable[[], nn.Module]]]) -> None:
    first, *others = (
        [part.weight for part in downsampling.network(makers, 3).modules() if isinstance(part, nn.Conv2d | nn.Linear)]
        for makers in poolings.values()
    )
    assert len(first) == 3
    assert all(torch.equal(a, b) for each in others for a, b in zip(first, each, strict=True))


@pytest.mark.parametrize("poolings", [mixed_gated_tree_pooling.POOLINGS, adapool_adaunpool.TELLING])
def test_every_pooling_of_windows_tells_digits(
    poolings: dict[str, list[Callable[[], nn.Module]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downsampling, "STEPS", 2)
    for makers in poolings.values():
        found = downsampling.trial((_made_up(20), _made_up(20, 1), _made_up(30, 2)), makers, 0, 1e-2)
        assert found.units is not None
        assert len(found.units) == 60
        assert found.test == found.units[:30].mean()


def test_a_fall_is_what_is_lost_where_digits_are_turned_and_moved() -> None:
    units = np.array([[1.0, 1.0, 0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 1.0, 0.0, 0.0, 1.0]])
    upright, fall = downsampling.halves(Runs(0.1, units[:, :3].mean(1), units))
    assert upright.scores.tolist() == units[:, :3].mean(1).tolist()
    assert fall.scores == pytest.approx([0, -1 / 3])
    assert fall.units is not None
    assert fall.units.tolist() == [[0, -1, 1], [-1, 0, 0]]


def test_a_displaced_digit_is_the_same_ink_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downsampling, "DEGREES", 0.0)
    images = torch.zeros(30, 28, 28)
    images[:, 10:15, 12:20] = torch.rand(30, 5, 8)
    moved = downsampling.displaced(Digits(images, torch.zeros(30).long())).images
    shifts = []
    for before, after in zip(images, moved, strict=True):
        ways = [(down, right) for down in range(-3, 4) for right in range(-3, 4)]
        fits = [way for way in ways if torch.allclose(before.roll(way, (0, 1)), after, atol=1e-4)]
        assert len(fits) == 1
        shifts += fits
    assert len(set(shifts)) > 10


def test_a_turned_digit_keeps_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downsampling, "PIXELS", 0)
    disc = ((torch.arange(28) - 13.5).square()[:, None] + (torch.arange(28) - 13.5).square() < 64).float()
    turned = downsampling.displaced(Digits(disc.expand(20, 28, 28), torch.zeros(20).long())).images
    # a disc about the middle is a disc however it is turned, up to its rim
    assert (turned - disc).abs().mean() < 0.02


@pytest.mark.parametrize("method", adapool_adaunpool.CLEANING)
def test_every_cleaner_takes_noise_away(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapool_adaunpool, "STEPS", 20)
    image = _made_up(1).images.round().expand(12, 28, 28).contiguous()
    part = Digits(image, torch.zeros(12).long())
    found = adapool_adaunpool.cleaned((part, part, part), method, 0, 1e-2)
    nothing = adapool_adaunpool.psnr(torch.zeros(12, 1, 28, 28), image[:, None]).mean()
    assert found.test > nothing + 1


def test_psnr_is_ten_times_the_logarithm_of_the_error() -> None:
    white = torch.ones(2, 1, 4, 4)
    assert adapool_adaunpool.psnr(white - torch.tensor([0.1, 0.01]).view(2, 1, 1, 1), white) == pytest.approx([20, 40])


def test_a_picture_lies_in_its_scene_where_its_corner_says() -> None:
    x = torch.rand(200, 1, 20, 20)
    made = spatial_pyramid_pooling.scenes(x)
    assert made.shape == (2, 1, 200, 200)
    near = spatial_pyramid_pooling.corners(200)
    exact = ((near + 10) // 20) * 20
    assert (near - exact).abs().max() == spatial_pyramid_pooling.JITTER
    for number, (scene, corner) in enumerate(zip(made, exact, strict=True)):
        assert torch.equal(spatial_pyramid_pooling.cut(scene, corner), x[100 * number : 100 * number + 100])


def test_a_region_reads_the_cells_of_its_own_picture() -> None:
    torch.manual_seed(0)
    model = spatial_pyramid_pooling.Network((10,)).eval()
    model.map = nn.MaxPool2d(2)  # a map whose cells look at nothing else
    model.classify = nn.Identity()
    scene = torch.rand(1, 200, 200)
    near = torch.tensor([[0, 0], [40, 20], [180, 180]])
    found = model.regions(scene, spatial_pyramid_pooling.boxed(near))
    torch.testing.assert_close(found, model(spatial_pyramid_pooling.cut(scene, near)))


@pytest.mark.parametrize("name", spatial_pyramid_pooling.METHODS)
def test_every_pyramid_classifies_pictures_and_regions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spatial_pyramid_pooling, "STEPS", 4)
    part = spatial_pyramid_pooling.Pictures(torch.rand(100, 1, 20, 20), torch.arange(100) % 10)
    found = spatial_pyramid_pooling.trial([part] * 3, *spatial_pyramid_pooling.METHODS[name], 0, 1e-3)
    assert found.units is not None
    assert len(found.units) == 300
    assert found.test == found.units[:100].mean()
