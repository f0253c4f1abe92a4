"""LP and LE tell sets apart: unions add up, powers are undone, and no two sets of a whole grid meet."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cenote.pool.element_sum import ElementSum
from cenote.pool.le import LE
from cenote.pool.lp import LP, full_directions, power_sums_decode, width_bounds

MAPS = [LP(3, 4, "full"), LP(3, 4, 7), LE(3, 20)]
every_map = pytest.mark.parametrize("pooler", MAPS, ids=["lp full", "lp", "le"])


def multisets(side: int, dim: int, size: int) -> Tensor:
    """All multisets of `size` points of a grid, (number, size, dim) in [-1, 1]."""
    points = torch.cartesian_prod(*[torch.linspace(-1, 1, side, dtype=torch.float64)] * dim).view(-1, dim)
    return points[torch.tensor(list(itertools.combinations_with_replacement(range(len(points)), size)))]


def meetings(vectors: Tensor) -> int:
    """How many pairs of rows are the same within 1e-9: of such, a random projection is the same too."""
    direction = torch.randn(vectors.shape[1], generator=torch.Generator().manual_seed(0), dtype=vectors.dtype)
    order = (vectors @ (direction / direction.norm())).argsort()
    return sum(int(((vectors[order[step:]] - vectors[order[:-step]]).abs().amax(1) < 1e-9).sum()) for step in (1, 2, 3))


@every_map
def test_a_union_is_a_sum(pooler: ElementSum) -> None:
    x = torch.rand(5, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one, other = torch.tensor([True, True, False, False]).expand(5, 4), torch.tensor([False, False, True, True])
    parts = pooler(x, one) + pooler(x, other.expand(5, 4))
    torch.testing.assert_close(pooler(x), parts, rtol=1e-14, atol=1e-14)


def test_powers_and_exponentials_are_what_the_equations_say() -> None:
    x = torch.rand(2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lp, le = LP(3, 4, 7), LE(3, 20)
    numbers = x @ lp.directions.T
    powers = torch.stack([numbers**j for j in (1, 2, 3, 4)], -1).sum(1)
    torch.testing.assert_close(lp(x), powers.flatten(1))
    torch.testing.assert_close(le(x), (x @ le.directions.T).exp().sum(1))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8))
def test_the_sums_of_powers_give_the_numbers_back(numbers: list[float]) -> None:
    # equal numbers are a multiple root, which no arithmetic of 16 digits finds to more than a root of its precision
    numbers = sorted({round(4 * number) / 4 for number in numbers})
    pooler = LP(1, len(numbers), 1)
    sums = pooler(torch.tensor(numbers, dtype=torch.float64)[None, :, None])[0].numpy()
    undone = sums / pooler.directions.item() ** np.arange(1, len(numbers) + 1)
    np.testing.assert_allclose(power_sums_decode(undone), numbers, atol=1e-6)


def test_coordinates_that_are_swapped_between_tokens_are_seen_by_the_couplings_only() -> None:
    straight, crossed = torch.tensor([[[0.0, 0], [1, 1]]]), torch.tensor([[[0.0, 1], [1, 0]]])
    pooler = LP(2, 2, "full")
    found = (pooler(straight) - pooler(crossed))[0].view(-1, 2).abs().amax(1)
    assert (found[:2] < 1e-7).all(), "the axes alone cannot"
    assert found.max() > 0.1


@pytest.mark.parametrize(("side", "dim", "size"), [(4, 2, 4), (2, 4, 3), (9, 1, 5)])
def test_no_two_sets_of_a_grid_meet(side: int, dim: int, size: int) -> None:
    sets = multisets(side, dim, size)
    for pooler in (LP(dim, size, "full"), LE(dim, width_bounds(size, dim)["le_upper"])):
        vectors = pooler(sets) / sets.shape[1]
        assert meetings(vectors) == 0


def test_sums_of_the_axes_alone_do_meet() -> None:
    sets = multisets(4, 2, 3)
    pooler = LP(2, 3, 2)
    pooler.directions.copy_(torch.eye(2))
    assert meetings(pooler(sets)) > 0


def test_small_sets_are_told_from_large_ones() -> None:
    sets = [multisets(4, 2, size) for size in (1, 2, 3)]
    pooler = LP(2, 3, "full")
    assert meetings(torch.cat([pooler(each) for each in sets])) == 0


@pytest.mark.parametrize(("size", "dim"), [(2, 2), (3, 2), (4, 3), (8, 4)])
def test_the_construction_has_the_width_that_is_promised(size: int, dim: int) -> None:
    bounds = width_bounds(size, dim)
    assert bounds == {"lp_lower": size * (dim + 1), "lp_upper": size**5 * dim**2, "le_upper": size**4 * dim**2}
    pooler = LP(dim, size, "full")
    width = size * full_directions(size, dim)
    assert pooler.out_dim(dim) == width == pooler(torch.zeros(1, 1, dim)).shape[1]
    assert bounds["lp_lower"] <= width <= bounds["lp_upper"]
    assert len(torch.unique(pooler.directions, dim=0)) == full_directions(size, dim)


@every_map
def test_fitting_maps_the_range_of_the_data_and_a_state_dict_carries_it(pooler: ElementSum) -> None:
    pooler = type(pooler)(3, 20)  # type: ignore[call-arg]
    x = torch.tensor([[5.0, -1, 7], [9, 3, 7]], dtype=torch.float64)
    unit = torch.tensor([[-1.0, -1, 0], [1, 1, 0]], dtype=torch.float64)
    expected = pooler(unit[None])
    pooler.fit(x)
    torch.testing.assert_close(pooler(x[None]), expected)
    again = type(pooler)(3, 20)  # type: ignore[call-arg]
    again.load_state_dict(pooler.state_dict())
    torch.testing.assert_close(again(x[None]), expected)
    with pytest.warns(UserWarning, match="outside the range it was fitted to"):
        again(2 * x[None])


def test_no_direction_makes_a_number_beyond_what_its_powers_can_carry() -> None:
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1], dtype=torch.float64)] * 5)
    assert (corners @ LP(5, 2, "full").directions.T).abs().max() <= 1 + 1e-12
    assert (corners @ LE(5, 500).directions.T).abs().max() <= 4 + 1e-12


def test_the_seed_decides_the_directions() -> None:
    assert torch.equal(LE(4, 9, seed=3).directions, LE(4, 9, seed=3).directions)
    assert not torch.equal(LP(4, 2, 9, seed=3).directions, LP(4, 2, 9, seed=4).directions)


def test_sets_beyond_what_is_promised_are_refused_and_taken_where_nothing_is() -> None:
    x = torch.rand(2, 5, 3)
    for pool in (lambda p: p(x), lambda p: p.forward_packed(x.flatten(0, 1), torch.tensor([0, 5, 10]))):
        with pytest.raises(ValueError, match="sets of 5 tokens are not told apart by max_size=4"):
            pool(LP(3, 4, "full"))
        assert pool(LP(3, 4, 7)).shape == (2, 28)
    assert LP(3, 4, "full").guaranteed
    assert not LP(3, 4, 7).guaranteed


def test_bad_arguments_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"directions to the power 16 are \d+ values; pass a number of anchors"):
        LP(16, 16, "full")
    for wrong in ((0, 4, 1), (3, 0, 1), (3, 4, 0)):
        with pytest.raises(ValueError, match="must be at least 1"):
            LP(*wrong)
    with pytest.raises(ValueError, match="anchors must be full or a number, not 'some'"):
        LP(3, 4, "some")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dim and width must be at least 1"):
        LE(3, 0)
    with pytest.raises(ValueError, match="size and dim must be at least 1"):
        width_bounds(0, 3)
    with pytest.raises(ValueError, match=r"sums must have shape \(numbers,\)"):
        power_sums_decode(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="tokens of width 3, at least one"):
        LE(3, 4).fit(torch.zeros(0, 3))
    with pytest.raises(ValueError, match="not finite"):
        LE(3, 4).fit(torch.tensor([[0, 1, torch.nan]]))
