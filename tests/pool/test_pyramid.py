"""Pyramids equal torch's adaptive pools, row by row whatever the lengths and sizes, and serve regions of a map."""

import json
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from cenote import registry
from cenote.pool import Pyramid, SpatialPyramid
from cenote.pool.spatial_pyramid import nearest_scale

X = torch.randn(4, 9, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
MASK = torch.rand(4, 9, generator=torch.Generator().manual_seed(2)) < 0.6
MAP = torch.randn(2, 3, 7, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
ADAPTIVE = {
    "max": (F.adaptive_max_pool1d, F.adaptive_max_pool2d),
    "mean": (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d),
}
every_kind = pytest.mark.parametrize("kind", list(ADAPTIVE))


@every_kind
@settings(max_examples=25, deadline=None)
@given(tokens=st.integers(1, 12), levels=st.lists(st.integers(1, 7), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_parts_of_a_row_are_those_of_torch_in_both_forms(kind: str, tokens: int, levels: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(3, tokens, 2, generator=generator, dtype=torch.float64)
    mask = torch.rand(3, tokens, generator=generator) < 0.7
    mask[:2, 0] = True
    pooler = Pyramid(levels, kind=kind)  # type: ignore[arg-type]
    for row, kept, found in zip(x, mask, pooler(x, mask), strict=True):
        if kept.any():
            wanted = [ADAPTIVE[kind][0](row[kept].T[None], n)[0].T.flatten() for n in levels]
            torch.testing.assert_close(found, torch.cat(wanted))
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), mask.sum(1).cumsum(0)])
    torch.testing.assert_close(pooler.forward_packed(x[mask], offsets), pooler(x, mask))


def test_one_part_is_the_pool_of_all_and_a_part_a_token_the_tokens() -> None:
    torch.testing.assert_close(Pyramid([1], kind="mean")(X), X.mean(1))
    torch.testing.assert_close(Pyramid(9)(X), X.flatten(1))


def test_a_row_shorter_than_a_level_repeats_its_tokens() -> None:
    assert Pyramid([4])(torch.tensor([[[1.0], [2.0]]])).tolist() == [[1, 1, 2, 2]]


@every_kind
@pytest.mark.parametrize("levels", [(6, 3, 2, 1), (4, 3, 2, 1), (4, 2, 1), (1,)])
def test_parts_of_a_map_are_those_of_torch(kind: str, levels: tuple[int, ...]) -> None:
    pool = SpatialPyramid(levels, kind=kind)  # type: ignore[arg-type]
    wanted = torch.cat([ADAPTIVE[kind][1](MAP, n).flatten(1) for n in levels], 1)
    assert torch.equal(pool(MAP), wanted)
    assert wanted.shape[1] == pool.out_dim(3)


def test_there_are_as_many_parts_as_the_paper_counts() -> None:
    assert [SpatialPyramid(levels).out_dim(1) for levels in ((6, 3, 2, 1), (4, 3, 2, 1), (4, 2, 1))] == [50, 30, 21]


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (5, 5), (13, 13), (17, 4)])
def test_the_vector_is_as_long_for_every_size_and_has_no_empty_part(size: tuple[int, int]) -> None:
    out = SpatialPyramid()(torch.randn(2, 3, *size))
    assert out.shape == (2, 150)
    assert out.isfinite().all()


def test_a_map_of_one_cell_a_part_is_itself() -> None:
    assert torch.equal(SpatialPyramid([5])(MAP[:, :, :5, :5]), MAP[:, :, :5, :5].flatten(1))


@every_kind
def test_maps_of_their_own_sizes_are_pooled_as_alone_and_the_rest_is_never_read(kind: str) -> None:
    sizes = torch.tensor([[4, 9], [7, 2]])
    spoilt = MAP.clone()
    spoilt[0, :, 4:], spoilt[0, :, :, 9:], spoilt[1, :, :, 2:] = torch.nan, torch.nan, torch.nan
    spoilt.requires_grad_()
    pool = SpatialPyramid((3, 2, 1), kind=kind)  # type: ignore[arg-type]
    out = pool(spoilt, sizes)
    alone = torch.cat([pool(MAP[:1, :, :4, :9]), pool(MAP[1:, :, :7, :2])])
    assert torch.equal(out, alone)
    assert torch.autograd.grad(out.sum(), spoilt)[0].isfinite().all()


@every_kind
def test_a_mirrored_map_has_its_parts_mirrored(kind: str) -> None:
    pool = SpatialPyramid([4], kind=kind)  # type: ignore[arg-type]
    parts, mirrored = (pool(x).view(2, 3, 4, 4) for x in (MAP, MAP.flip(-1)))
    torch.testing.assert_close(mirrored, parts.flip(-1))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6])
@every_kind
def test_windows_of_thirteen_cells_are_the_adaptive_parts(kind: str, n: int) -> None:
    x = torch.randn(1, 2, 13, 13)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        by_window = SpatialPyramid([n], kind=kind, rule="window")(x)  # type: ignore[arg-type]
    torch.testing.assert_close(by_window, SpatialPyramid([n], kind=kind)(x))  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "n", "reached"), [(10, 6, 7), (10, 4, 9), (7, 4, 5)])
def test_windows_that_leave_out_the_border_are_warned_of(size: int, n: int, reached: int) -> None:
    x = torch.zeros(1, 1, size, size, requires_grad=True)
    with pytest.warns(UserWarning, match=f"{n} x {n} windows do not reach the border"):
        out = SpatialPyramid([n], kind="mean", rule="window")(x)
    assert out.shape == (1, n * n)
    read = torch.autograd.grad(out.sum(), x)[0][0, 0].sum(1) != 0
    assert read.tolist() == [True] * reached + [False] * (size - reached)


def test_the_gradient_of_a_maximum_goes_to_its_cell() -> None:
    x = MAP.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(SpatialPyramid([1])(x).sum(), x)
    assert torch.equal(gradient != 0, x == x.amax((2, 3), keepdim=True))


def test_regions_are_the_cells_that_look_inside_the_box() -> None:
    feature = torch.arange(1.0, 71).view(1, 7, 10)
    boxes = torch.tensor([[16.0, 16.0, 96.0, 64.0], [1, 1, 160, 112], [17, 17, 31, 31], [500, 500, 600, 600]])
    pool = SpatialPyramid([1])
    # cells 2..5 by 2..3; 1..9 by 1..6; none inside, so one; beyond the map, so its last
    greatest = [feature[0, 2, 4], feature[0, 5, 8], feature[0, 1, 1], feature[0, 6, 9]]
    assert pool.regions(feature, boxes, 16).flatten().tolist() == [one.item() for one in greatest]
    levels = SpatialPyramid((3, 1))
    torch.testing.assert_close(levels.regions(feature, boxes[:1], 16), levels(feature[None, :, 1:3, 1:5]))
    assert pool.regions(feature, boxes[:0], 16).shape == (0, 1)


def test_the_scale_that_brings_a_box_nearest_to_its_target() -> None:
    boxes = torch.tensor([[0, 0, 224, 224], [0, 0, 100, 100], [0, 0, 1000, 200]])
    assert nearest_scale(boxes, (0.5, 1.0, 2.0)).tolist() == [1, 2, 0]
    with pytest.raises(ValueError, match="scales must be"):
        nearest_scale(boxes, ())


def test_half_types_are_pooled_in_fp32() -> None:
    x = torch.full((1, 1, 100, 100), 1.0, dtype=torch.bfloat16)
    assert SpatialPyramid([1], kind="mean")(x).item() == 1


def test_a_configuration_builds_it_again() -> None:
    config = json.loads(json.dumps(registry.config(SpatialPyramid((3, 1), kind="mean"))))
    again = registry.build(config)
    assert torch.equal(again(MAP), SpatialPyramid((3, 1), kind="mean")(MAP))


@pytest.mark.parametrize("kind", [Pyramid, SpatialPyramid])
@pytest.mark.parametrize("levels", [(), (0,), (3, -1), 0, "4 2 1", (1.5,)])
def test_levels_have_parts(kind: type, levels: object) -> None:
    with pytest.raises(ValueError, match="levels must be"):
        kind(levels)
    with pytest.raises(ValueError, match="kind must be max or mean"):
        kind((1,), kind="sum")


def test_what_cannot_be_cut_is_refused() -> None:
    pool = SpatialPyramid()
    for shape in ((2, 3, 0, 4), (2, 3, 4)):
        with pytest.raises(ValueError, match="x must have shape"):
            pool(torch.zeros(shape))
    with pytest.raises(TypeError, match="x must hold floats"):
        pool(MAP.long())
    with pytest.raises(ValueError, match="height and width of each"):
        pool(MAP, torch.ones(3, 2))
    with pytest.raises(ValueError, match="at least 1 and at most"):
        pool(MAP, torch.tensor([[1, 1], [8, 1]]))
    with pytest.raises(ValueError, match="rule must be adaptive or window"):
        SpatialPyramid(rule="fixed")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has no 8 windows on each axis"):
        SpatialPyramid([8], rule="window")(MAP)


@pytest.mark.parametrize(
    ("boxes", "stride", "message"),
    [
        (torch.tensor([[1, 1, 9, 9], [5, 5, 5, 9]]), 2, r"boxes \[1\] have no area"),
        (torch.tensor([[1, 1, 9, 9]]), 0, "stride must be at least 1"),
        (torch.tensor([1, 1, 9, 9]), 2, "boxes \\(number, 4\\) were expected"),
    ],
)
def test_boxes_have_area(boxes: torch.Tensor, stride: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpatialPyramid().regions(MAP[0], boxes, stride)
