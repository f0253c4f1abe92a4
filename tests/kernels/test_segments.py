"""Reductions over packed segments are those of each segment alone."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cenote.kernels.segments import (
    masked_logsumexp,
    segment_ids,
    segment_logsumexp,
    segment_max,
    segment_sum,
    unpacked,
    wide,
)

lengths_of_segments = st.lists(st.integers(0, 5), max_size=8)


def drawn(lengths: list[int]) -> tuple[Tensor, Tensor]:
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    generator = torch.Generator().manual_seed(len(lengths))
    return torch.randn(sum(lengths), 3, generator=generator, dtype=torch.float64), offsets


@settings(deadline=None)
@given(lengths_of_segments)
def test_every_token_knows_its_row(lengths: list[int]) -> None:
    _, offsets = drawn(lengths)
    assert segment_ids(offsets).tolist() == [row for row, length in enumerate(lengths) for _ in range(length)]


@settings(deadline=None)
@given(lengths_of_segments)
def test_a_sum_is_of_each_segment_alone(lengths: list[int]) -> None:
    x, offsets = drawn(lengths)
    expected = [part.sum(0) for part in x.split(lengths)] if lengths else []
    torch.testing.assert_close(segment_sum(x, offsets), torch.stack(expected) if expected else x.new_zeros(0, 3))


@settings(deadline=None)
@given(lengths_of_segments)
def test_a_maximum_is_of_each_segment_alone_and_zero_for_an_empty_one(lengths: list[int]) -> None:
    x, offsets = drawn(lengths)
    expected = [part.amax(0) if len(part) else x.new_zeros(3) for part in x.split(lengths)] if lengths else []
    assert torch.equal(segment_max(x, offsets), torch.stack(expected) if expected else x.new_zeros(0, 3))


def test_a_maximum_below_zero_is_not_lifted_to_it() -> None:
    x = torch.tensor([[-4.0], [-2.0], [-7.0]])
    assert segment_max(x, torch.tensor([0, 2, 2, 3])).flatten().tolist() == [-2, 0, -7]


@pytest.mark.parametrize("reduce", [segment_sum, segment_max, segment_logsumexp])
def test_the_gradient_is_the_derivative_with_empty_segments_between(reduce: object) -> None:
    x, offsets = drawn([2, 0, 3, 1, 0])
    assert torch.autograd.gradcheck(lambda x: reduce(x, offsets), x.requires_grad_())  # type: ignore[operator]


def test_places_that_share_the_maximum_share_the_gradient() -> None:
    x = torch.tensor([[1.0], [1.0], [0.0]], requires_grad=True)
    segment_max(x, torch.tensor([0, 3])).sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [0.5, 0.5, 0]


@pytest.mark.parametrize(
    ("dtype", "widened"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_only_half_types_are_widened(dtype: torch.dtype, widened: torch.dtype) -> None:
    assert wide(torch.ones(2, dtype=dtype)).dtype == widened


@settings(deadline=None)
@given(lengths_of_segments)
def test_a_logarithm_of_summed_powers_is_of_each_segment_alone_and_zero_for_an_empty_one(lengths: list[int]) -> None:
    x, offsets = drawn(lengths)
    expected = [part.logsumexp(0) if len(part) else x.new_zeros(3) for part in x.split(lengths)] if lengths else []
    alone = torch.stack(expected) if expected else x.new_zeros(0, 3)
    torch.testing.assert_close(segment_logsumexp(x, offsets), alone)
    padded, mask = unpacked(x, offsets)
    torch.testing.assert_close(masked_logsumexp(padded.masked_fill(~mask[:, :, None], torch.nan), mask), alone)


def test_powers_beyond_what_a_float_holds_are_summed() -> None:
    x = torch.tensor([[1e4], [1e4 - 1], [-1e4]])
    expected = torch.tensor([[1e4 + math.log1p(math.exp(-1))], [-1e4]])
    torch.testing.assert_close(segment_logsumexp(x, torch.tensor([0, 2, 3])), expected)
    mask = torch.tensor([[True, True], [True, False]])
    torch.testing.assert_close(masked_logsumexp(x[torch.tensor([[0, 1], [2, 2]])], mask), expected)
