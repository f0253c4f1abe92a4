"""Poolers refuse what they cannot pool, in a sentence that names the argument."""

import pytest
import torch

from cenote.pool import Max, Mean

X = torch.ones(4, 7, 3)
OFFSETS = torch.tensor([0, 2, 5])


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64])
def test_tokens_must_be_floats(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match="x must hold floats"):
        Mean()(X.to(dtype))
    with pytest.raises(TypeError, match="x must hold floats"):
        Mean().forward_packed(X[0].to(dtype), torch.tensor([0, 7]))


@pytest.mark.parametrize("name", ["x", "mask", "offsets"])
def test_what_is_pooled_is_a_tensor(name: str) -> None:
    padded, packed = {"x": X, "mask": None}, {"x": X[0], "offsets": torch.tensor([0, X.shape[1]])}
    given = padded if name == "mask" else packed
    with pytest.raises(TypeError, match=f"{name} must be a torch tensor, not list"):
        (Mean() if given is padded else Mean().forward_packed)(**given | {name: [0, 1]})


@pytest.mark.parametrize("shape", [(7,), (7, 3), (1, 2, 4, 7, 3)])
def test_padded_tokens_have_three_axes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"x must have shape \(rows, tokens, width\)"):
        Mean()(torch.ones(shape))


def test_four_axes_are_met_with_the_adapter_to_use() -> None:
    with pytest.raises(ValueError, match="over_layers"):
        Mean()(torch.ones(2, 4, 7, 3))


@pytest.mark.parametrize("shape", [(7,), (4, 7, 3)])
def test_packed_tokens_have_two_axes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"x must have shape \(tokens, width\)"):
        Mean().forward_packed(torch.ones(shape), OFFSETS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64])
def test_a_mask_is_never_of_floats(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match="mask must be bool or integers 0 and 1"):
        Mean()(X, torch.ones(4, 7).to(dtype))


@pytest.mark.parametrize("odd", [2, -1])
def test_a_mask_of_integers_holds_zeros_and_ones(odd: int) -> None:
    mask = torch.ones(4, 7, dtype=torch.int64)
    mask[1, 2] = odd
    with pytest.raises(ValueError, match="mask must be bool or integers 0 and 1"):
        Mean()(X, mask)


@pytest.mark.parametrize("shape", [(4, 6), (3, 7), (7,), (4, 7, 1), (4, 7, 3)])
def test_a_mask_has_one_boolean_a_token(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="4 rows of 7 tokens; pass one boolean for each token"):
        Mean()(X, torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize("offsets", [[0, 2, 4], [1, 2, 5], [0, 2, 6], [0, 4, 2, 5], [0, -1, 5], [], [[0, 2, 5]]])
def test_offsets_cover_the_tokens_and_never_fall(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="offsets"):
        Mean().forward_packed(X[0, :5], torch.tensor(offsets, dtype=torch.int64))


@pytest.mark.parametrize(
    ("bounds", "dtype"),
    [([0, 4, 2, 5], torch.uint8), ([0, 100, -100, 5], torch.int8), ([0, 3 * 2**61, -3 * 2**61, 5], torch.int64)],
)
def test_offsets_whose_differences_are_beyond_their_type_are_refused(bounds: list[int], dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match="offsets fall"):
        Mean().forward_packed(X[0, :5], torch.tensor(bounds, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, torch.bool])
def test_offsets_are_whole_numbers(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match="offsets must be integers"):
        Mean().forward_packed(X[0, :5], OFFSETS.to(dtype))


def test_what_becomes_of_empty_rows_is_one_of_two_words() -> None:
    with pytest.raises(ValueError, match="empty must be zero or error, not 'nan'"):
        Mean(empty="nan")  # type: ignore[arg-type]


def test_a_pooler_without_weights_a_token_says_so() -> None:
    with pytest.raises(ValueError, match="Max has no one weight a token"):
        Max()(X, return_weights=True)
