"""Poolers made of poolers."""

import pytest
import torch

from cenote.pool import Cls, Max, Mean
from cenote.pool.adapters import Concat

X = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0], [0, 1, 1, 1, 1]], dtype=torch.bool)
PARTS = (Mean(), Max(), Cls())


def test_concat_is_its_parts_side_by_side() -> None:
    both = Concat(PARTS)
    assert both.out_dim(4) == 12
    assert torch.equal(both(X, MASK), torch.cat([part(X, MASK) for part in PARTS], dim=1))


def test_concat_gives_packed_tokens_the_same_answer() -> None:
    offsets = torch.tensor([0, 3, 3, 7])
    torch.testing.assert_close(Concat(PARTS).forward_packed(X[MASK], offsets), Concat(PARTS)(X, MASK))


def test_concat_of_half_types_is_reduced_in_fp32() -> None:
    x = torch.full((1, 4000, 4), 1.0, dtype=torch.bfloat16)
    assert (Concat(PARTS)(x) == 1).all()


def test_concat_of_a_concat_is_one_row_of_parts() -> None:
    nested = Concat([Mean(), Concat([Max(), Cls()])])
    assert torch.equal(nested(X, MASK), Concat(PARTS)(X, MASK))


def test_concat_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="poolers must hold at least one"):
        Concat([])
