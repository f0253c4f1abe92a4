"""Poolers made of poolers, and poolers put over layers, maps, windows and time."""

import json

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote import registry
from cenote.errors import UnknownWord
from cenote.pool import (
    Chain,
    Cls,
    Concat,
    Last,
    Max,
    Mean,
    Mix,
    OverLayers,
    OverSpace,
    OverTime,
    Pooler,
    SoftPool,
    Windows,
)

X = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MASK = torch.tensor([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0], [0, 1, 1, 1, 1]], dtype=torch.bool)
OFFSETS = torch.tensor([0, 3, 3, 7])
LAYERS = torch.randn(3, 6, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
PARTS = (Mean(), Max(), Cls())
OF_TOKENS: list[Pooler] = [
    Concat(PARTS),
    Mix(PARTS).double(),
    Mix(PARTS, [2.0, -1.0, 0.5]),
    Chain(["mean"]),
    Chain([Concat(PARTS), "max"]),
    Concat([Mix(["mean", "max"], [0.5, 0.5]), Chain([Concat(PARTS), "mean"])]),
]
OF_LAYERS = [
    OverLayers("mean"),
    OverLayers("max", "cls"),
    OverLayers("last", None),
    OverLayers(Concat(["mean", "cls"]), "softpool", last=2),
]
every_adapter = pytest.mark.parametrize("pooler", OF_TOKENS, ids=lambda pooler: type(pooler).__name__)
over_layers = pytest.mark.parametrize("pooler", OF_LAYERS, ids=range(4))


@every_adapter
def test_packed_tokens_get_the_same_answer(pooler: Pooler) -> None:
    torch.testing.assert_close(pooler.forward_packed(X[MASK], OFFSETS), pooler(X, MASK))
    assert pooler(X, MASK).shape == (3, pooler.out_dim(4))


@every_adapter
@pytest.mark.parametrize("filler", [torch.nan, torch.inf, -1e30])
def test_what_the_mask_leaves_out_is_never_read(pooler: Pooler, filler: float) -> None:
    spoilt = X.masked_fill(~MASK[:, :, None], filler).requires_grad_()
    out = pooler(spoilt, MASK)
    assert torch.equal(out, pooler(X, MASK))
    assert (out[1] == 0).all()
    (gradient,) = torch.autograd.grad(out.square().sum(), spoilt)
    assert gradient.isfinite().all()
    assert (gradient[~MASK] == 0).all()


@pytest.mark.parametrize("pooler", [*OF_TOKENS, *OF_LAYERS])
def test_a_configuration_builds_it_again(pooler: Pooler) -> None:
    again = registry.build(json.loads(json.dumps(registry.config(pooler)))).double()
    again.load_state_dict(pooler.state_dict())
    x = LAYERS if pooler.reads_layers else X
    assert torch.equal(again(x, MASK), pooler(x, MASK))


@pytest.mark.parametrize("pooler", [*OF_TOKENS, *OF_LAYERS])
def test_torch_compiles_it_whole(pooler: Pooler) -> None:
    torch._dynamo.reset()
    x = LAYERS if pooler.reads_layers else X
    # an eager mean of whole rows may add in another order than the graph does
    torch.testing.assert_close(torch.compile(pooler, backend="eager", fullgraph=True)(x, MASK), pooler(x, MASK))


def test_concat_is_its_parts_side_by_side() -> None:
    assert Concat(PARTS).out_dim(4) == 12
    assert torch.equal(Concat(PARTS)(X, MASK), torch.cat([part(X, MASK) for part in PARTS], dim=1))


def test_concat_of_half_types_is_reduced_in_fp32() -> None:
    x = torch.full((1, 4000, 4), 1.0, dtype=torch.bfloat16)
    assert (Concat(PARTS)(x) == 1).all()


def test_concat_of_a_concat_is_one_row_of_parts() -> None:
    nested = Concat([Mean(), Concat([Max(), Cls()])])
    assert torch.equal(nested(X, MASK), Concat(PARTS)(X, MASK))


def test_concat_of_words_is_concat_of_their_poolers() -> None:
    assert torch.equal(Concat(["mean", {"word": "max"}, "cls"])(X, MASK), Concat(PARTS)(X, MASK))


def test_a_mix_begins_even_and_learns_its_shares() -> None:
    pooler = Mix(PARTS).double()
    torch.testing.assert_close(pooler(X, MASK), sum(part(X, MASK) for part in PARTS) / 3)
    assert pooler.logits is not None
    pooler(X, MASK).square().sum().backward()
    assert (pooler.logits.grad != 0).all()
    nn.init.constant_(pooler.logits[:1], 50.0)
    torch.testing.assert_close(pooler(X, MASK), Mean()(X, MASK))


def test_a_mix_of_given_shares_is_their_sum() -> None:
    pooler = Mix(PARTS, [2.0, -1.0, 0.5])
    torch.testing.assert_close(pooler(X, MASK), 2 * Mean()(X, MASK) - Max()(X, MASK) + Cls()(X, MASK) / 2)
    assert not list(pooler.parameters())


def test_a_chain_pools_the_vectors_of_the_one_before() -> None:
    vectors = torch.stack([part(X, MASK) for part in PARTS], dim=1)
    assert torch.equal(Chain([Concat(PARTS), "max"])(X, MASK), vectors.amax(1))
    assert torch.equal(Chain([Concat(PARTS), "last"])(X, MASK), Cls()(X, MASK))


def test_layers_are_pooled_after_their_tokens() -> None:
    means = torch.stack([Mean()(layer, MASK) for layer in LAYERS.unbind(1)], dim=1)
    torch.testing.assert_close(OverLayers("max")(LAYERS, MASK), means.amax(1))
    torch.testing.assert_close(OverLayers("mean", last=4)(LAYERS, MASK), means[:, -4:].mean(1))
    torch.testing.assert_close(OverLayers("cls", "max")(LAYERS, MASK), Max()(LAYERS[:, 0], MASK))


def test_without_an_inner_pooler_all_tokens_of_all_layers_are_pooled() -> None:
    torch.testing.assert_close(OverLayers("max", None)(LAYERS, MASK), Max()(LAYERS.amax(1), MASK))
    torch.testing.assert_close(OverLayers("last", None)(LAYERS, MASK), Last()(LAYERS[:, -1], MASK))


@over_layers
def test_packed_layers_get_the_same_answer(pooler: OverLayers) -> None:
    packed = torch.stack([layer[MASK] for layer in LAYERS.unbind(1)])
    torch.testing.assert_close(pooler.forward_packed(packed, OFFSETS), pooler(LAYERS, MASK))


@over_layers
def test_padding_of_layers_is_never_read(pooler: OverLayers) -> None:
    spoilt = LAYERS.masked_fill(~MASK[:, None, :, None], torch.nan).requires_grad_()
    out = pooler(spoilt, MASK)
    assert torch.equal(out, pooler(LAYERS, MASK))
    assert torch.autograd.grad(out.square().sum(), spoilt)[0].isfinite().all()


@pytest.mark.parametrize("word", ["mean", "max", "softpool"])
def test_a_map_is_pooled_as_its_cells_in_a_row(word: str) -> None:
    pictures = torch.randn(2, 4, 3, 5, dtype=torch.float64)
    mask = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(0)) < 0.5
    pooler = registry.make(word, ("pool",))
    assert torch.equal(OverSpace(word)(pictures, mask), pooler(pictures.flatten(2).mT, mask.flatten(1)))
    assert torch.equal(OverSpace(word)(pictures[..., None]), OverSpace(word)(pictures))


def test_weights_over_space_are_maps() -> None:
    mask = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(0)) < 0.5
    _, maps = OverSpace("mean")(torch.randn(2, 4, 3, 5), mask, return_weights=True)
    torch.testing.assert_close(maps, mask / mask.sum((1, 2), keepdim=True).float())


def test_frames_behind_the_length_are_not_heard() -> None:
    lengths = torch.tensor([2, 0, 5])
    spoilt = X.masked_fill((torch.arange(5) >= lengths[:, None])[:, :, None], torch.nan)
    wanted = torch.stack([X[0, :2].mean(0), torch.zeros(4), X[2].mean(0)])
    torch.testing.assert_close(OverTime("mean")(spoilt, lengths), wanted)
    torch.testing.assert_close(OverTime("mean")(X), X.mean(1))


GEOMETRIES = [
    {"kernel": 2},
    {"kernel": 3, "stride": 2, "padding": 1},
    {"kernel": 3, "stride": 1, "padding": 1},
    {"kernel": 3, "stride": 2, "ceil_mode": True},
    {"kernel": 4, "stride": 3, "padding": 2, "ceil_mode": True},
]
PLAIN = {"mean": [F.avg_pool1d, F.avg_pool2d, F.avg_pool3d], "max": [F.max_pool1d, F.max_pool2d, F.max_pool3d]}


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("word", ["mean", "max"])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_windows_lie_as_in_torch(axes: int, word: str, geometry: dict[str, int]) -> None:
    x = torch.randn(2, 3, *(7, 6, 9)[:axes], dtype=torch.float64)
    given = {"kernel_size": geometry["kernel"], **{k: v for k, v in geometry.items() if k != "kernel"}}
    if word == "mean":
        given["count_include_pad"] = False
    ours = Windows(word, **geometry)(x)  # type: ignore[arg-type]
    torch.testing.assert_close(ours, PLAIN[word][axes - 1](x, **given))


def test_windows_may_be_of_another_size_on_each_axis() -> None:
    x = torch.randn(2, 3, 7, 6)
    windows = Windows("max", (2, 3), (1, 2), (1, 0))
    assert torch.equal(windows(x), F.max_pool2d(x, (2, 3), (1, 2), (1, 0)))


def test_windows_of_a_pooler_that_mixes_channels_are_pooled_one_by_one() -> None:
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64)
    out = Windows(Concat([SoftPool(), "last"]), 2)(x)
    assert out.shape == (2, 6, 2, 2)
    for i in range(2):
        for j in range(2):
            cells = x[:, :, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
            torch.testing.assert_close(
                out[:, :, i, j], torch.cat([SoftPool()(cells.flatten(2).mT), cells[..., -1, -1]], 1)
            )


def test_the_gradient_of_windows_is_the_derivative() -> None:
    x = torch.randn(1, 2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Windows("softpool", 3, 2, 1, ceil_mode=True), x)


@pytest.mark.parametrize("adapter", [OverSpace("mean"), OverTime("max"), Windows("mean", (2, 2), 1)])
def test_what_is_over_maps_and_time_has_a_configuration_too(adapter: nn.Module) -> None:
    config = json.loads(json.dumps(registry.config(adapter)))
    again = registry.build(config)
    x = torch.randn(2, 3, 4) if isinstance(adapter, OverTime) else torch.randn(2, 3, 4, 5)
    assert torch.equal(again(x), adapter(x))


@pytest.mark.parametrize("kind", [Concat, Mix, Chain])
def test_nothing_is_no_pooler(kind: type) -> None:
    with pytest.raises(ValueError, match="poolers must hold at least one"):
        kind([])


def test_what_is_no_pooler_is_refused() -> None:
    with pytest.raises(UnknownWord, match="nearest: `mean`"):
        Concat(["meen"])
    with pytest.raises(TypeError, match="its word or its configuration was expected, not Linear"):
        Concat([nn.Linear(2, 2)])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="OverLayers reads several layers"):
        Concat(["mean", OverLayers("mean")])
    with pytest.raises(ValueError, match="OverLayers reads several layers"):
        OverLayers(OverLayers("mean"))


def test_poolers_made_for_another_width_are_refused() -> None:
    wide = {"word": "attsets", "dim": 8}
    for kind in (Concat, Mix, Chain):
        with pytest.raises(ValueError, match=f"tokens of width 4 but this {kind.__name__} was made with dim=8"):
            kind(["mean", wide])(X.float())
        with pytest.raises(ValueError, match=r"made for tokens of widths \[4, 8\]"):
            kind([{"word": "attsets", "dim": 4}, wide])
    with pytest.raises(ValueError, match="tokens of width 4 but this AttSets was made with dim=8"):
        OverLayers(wide)(LAYERS.float())
    assert OverLayers(wide, Concat(["mean", "max"]))(LAYERS.float(), MASK).shape == (3, 8)


@pytest.mark.parametrize("alone", ["mean", {"word": "mean"}])
def test_a_word_alone_is_no_list_of_poolers(alone: object) -> None:
    with pytest.raises(ValueError, match="put it into a list"):
        Concat(alone)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"pooler": "mean"}, {"word": 3}, {}])
def test_a_configuration_names_its_word(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="needs the key `word`"):
        Concat(["mean", given])


def test_tokens_of_no_width_are_no_vectors_for_a_chain() -> None:
    with pytest.raises(ValueError, match="no number of vectors of width 0"):
        Chain(["mean", "max"])(X[..., :0])


def test_windows_of_maps_without_channels_have_none() -> None:
    assert Windows("mean", 2)(torch.zeros(1, 0, 4, 6)).shape == (1, 0, 2, 3)


def test_widths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"widths \[4, 8\]"):
        Mix(["mean", Concat(["mean", "max"])])(X, MASK)
    with pytest.raises(ValueError, match="shares has 1 numbers for 2 poolers"):
        Mix(["mean", "max"], [1.0])
    with pytest.raises(ValueError, match="is given width 3, no number of vectors of width 4"):
        Chain([Mean(), Narrow(), Mean()])(X, MASK)


class Narrow(Mean):
    """Gives three channels of whatever it reads."""

    def out_dim(self, dim: int) -> int:
        return 3

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().padded(x, mask)[:, :3]


@pytest.mark.parametrize("last", [0, -1])
def test_some_layers_are_read(last: int) -> None:
    with pytest.raises(ValueError, match="last must be at least 1"):
        OverLayers("mean", last=last)


def test_no_more_layers_are_read_than_there_are() -> None:
    with pytest.raises(ValueError, match="last is 7, but x has 6 layers"):
        OverLayers("mean", last=7)(LAYERS, MASK)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kernel": 0}, "kernel must be at least 1"),
        ({"kernel": 2, "stride": 0}, "stride must be at least 1"),
        ({"kernel": 2, "padding": 2}, "padding must be between 0 and half the kernel"),
        ({"kernel": 2, "padding": -1}, "padding must be between 0 and half the kernel"),
        ({"kernel": 9}, "kernel 9 is larger than the map"),
        ({"kernel": (2, 2, 2)}, "has 3 numbers where one for each of 2 axes"),
    ],
)
def test_windows_that_cannot_be_are_refused(given: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Windows("mean", **given)(torch.zeros(1, 1, 4, 4))  # type: ignore[arg-type]


def test_maps_have_space_and_rows_have_lengths() -> None:
    with pytest.raises(ValueError, match="x must have shape"):
        OverSpace("mean")(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="pass one boolean for each cell"):
        OverSpace("mean")(torch.zeros(2, 3, 4, 5), torch.ones(2, 5, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="x must have shape"):
        Windows("mean", 2)(torch.zeros(2, 3))
    with pytest.raises(TypeError, match="lengths must be integers"):
        OverTime("mean")(X, torch.ones(3))
    with pytest.raises(ValueError, match="pass one for each"):
        OverTime("mean")(X, torch.ones(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="between 0 and 5"):
        OverTime("mean")(X, torch.tensor([1, 2, 6]))


def test_a_part_that_would_not_be_asked_about_empty_rows_is_refused() -> None:
    part = Mean(empty="error")
    for around in (lambda: Concat([part, "max"]), lambda: OverLayers(part), lambda: OverLayers("max", part)):
        with pytest.raises(ValueError, match="give it to the pooler around it"):
            around()
