"""How far a codec may move a number, and what it does with the numbers at its edges."""

import itertools
import tracemalloc
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from cenote.compress import BF16, Binary, Codec, Float8, Float16, Float32, Int8

floats = st.floats(-(2.0**100), 2.0**100, width=32)
rows_of_floats = arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=floats)
quick = settings(max_examples=100, deadline=None)


def there_and_back(codec: Codec, x: NDArray[np.float32]) -> NDArray[np.float32]:
    return codec.decode(codec.encode(x), x.shape[1])


def column(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)[:, None]


# -- float32, float16, bf16


@quick
@given(rows_of_floats)
def test_float32_is_exact(x: NDArray[np.float32]) -> None:
    assert np.array_equal(there_and_back(Float32(), x).view(np.uint32), x.view(np.uint32))


def test_bf16_and_float16_round_as_torch_does_on_every_upper_half() -> None:
    # every pattern of the upper 16 bits, with the lower half below, at and above the middle
    upper = np.arange(65536, dtype=np.uint32) << 16
    x = np.concatenate([(upper | low).view(np.float32) for low in (0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF)])
    for codec, dtype in ((BF16(), torch.bfloat16), (Float16(), torch.float16)):
        rounded = torch.from_numpy(x).to(dtype).float().numpy()
        holds = np.isfinite(rounded) & (np.abs(x) <= torch.finfo(dtype).max)
        got = there_and_back(codec, x[holds][:, None])[:, 0]
        assert np.array_equal(got.view(np.uint32), rounded[holds].view(np.uint32))


@pytest.mark.parametrize("sign", [1, -1])
def test_bf16_refuses_what_would_become_infinity(sign: int) -> None:
    greatest = torch.finfo(torch.bfloat16).max
    assert there_and_back(BF16(), column(sign * greatest)).item() == sign * greatest
    with pytest.raises(ValueError, match="bf16"):
        BF16().encode(column(1, sign * np.finfo(np.float32).max))


@pytest.mark.parametrize("sign", [1, -1])
def test_float16_refuses_what_would_become_infinity(sign: int) -> None:
    assert there_and_back(Float16(), column(sign * 65504)).item() == sign * 65504
    with pytest.raises(ValueError, match=r"beyond the ±65504 of float16; use bf16 or float32"):
        Float16().encode(column(1, sign * 65505))


# -- float8, against its definition

Format = Literal["e4m3", "e5m2"]
BITS = {"e4m3": (4, 3, 7), "e5m2": (5, 2, 15)}  # exponent, mantissa, bias
FORMATS = pytest.mark.parametrize("format", ["e4m3", "e5m2"])


def numbers(format: Format) -> dict[int, float]:
    """Every finite code and its number, from the definition of the format."""
    exponents, mantissas, bias = BITS[format]
    found = {}
    for sign, exponent, mantissa in itertools.product(range(2), range(2**exponents), range(2**mantissas)):
        last = exponent == 2**exponents - 1
        if last and (format == "e5m2" or mantissa == 2**mantissas - 1):
            continue  # infinity and NaN; e4m3 has no infinity and a single NaN
        fraction = mantissa / 2**mantissas
        size = (1 + fraction) * 2.0 ** (exponent - bias) if exponent else fraction * 2.0 ** (1 - bias)
        found[(sign << (exponents + mantissas)) | (exponent << mantissas) | mantissa] = -size if sign else size
    return found


def nearest(x: float, format: Format) -> float:
    """The number of the format nearest to x; of two equally near the one with the even code."""
    return min(numbers(format).items(), key=lambda item: (abs(item[1] - x), item[0] & 1))[1]


@FORMATS
def test_every_finite_code_of_float8_stands_for_its_number(format: Format) -> None:
    known = numbers(format)
    assert len(known) == {"e4m3": 254, "e5m2": 248}[format]
    decoded = Float8(format, "none").decode({"codes": np.array([list(known)], np.uint8)}, len(known))
    assert decoded[0].tolist() == list(known.values())


@FORMATS
def test_every_number_of_float8_comes_back_to_its_code(format: Format) -> None:
    known = numbers(format)
    encoded = Float8(format, "none").encode(np.array([list(known.values())], np.float32))["codes"]
    assert encoded[0].tolist() == list(known)


@FORMATS
def test_float8_rounds_the_middle_of_two_numbers_to_the_even_code(format: Format) -> None:
    known = sorted(value for value in numbers(format).values() if value >= 0 and not np.signbit(value))
    for low, high in itertools.pairwise(known):
        middle = np.float32((low + high) / 2)
        around = column(np.nextafter(middle, np.float32(0)), middle, np.nextafter(middle, np.float32(np.inf)))
        got = there_and_back(Float8(format, "none"), around)[:, 0].tolist()
        assert got == [low, nearest(float(middle), format), high]


@FORMATS
@quick
@given(x=st.floats(-400, 400, width=32))
def test_float8_rounds_to_the_nearest_number(format: Format, x: float) -> None:
    assert there_and_back(Float8(format, "none"), column(x)).item() == nearest(x, format)


@FORMATS
@quick
@given(x=st.floats(-1, 1, width=32))
def test_float8_of_unit_vectors_is_right_to_half_a_step(format: Format, x: float) -> None:
    relative = 2.0 ** -(BITS[format][1] + 1)
    smallest_normal = 2.0 ** (1 - BITS[format][2])
    factor = Float8(format).factor
    assert factor is not None
    bound = relative * max(abs(x), smallest_normal / factor)
    assert abs(there_and_back(Float8(format), column(x)).item() - x) <= bound


@FORMATS
def test_the_scale_of_unit_vectors_is_the_greatest_power_of_two_that_holds_them(format: Format) -> None:
    greatest = max(numbers(format).values())
    factor = Float8(format).factor
    assert factor is not None
    assert factor <= greatest < 2 * factor
    assert np.log2(factor).is_integer()


@FORMATS
@quick
@given(x=rows_of_floats)
@example(np.array([[1e-45, 0]], np.float32))
@example(np.array([[1e-38, -1e-40]], np.float32))
def test_a_fitted_scale_is_the_greatest_power_of_two_that_holds_the_sample(
    format: Format, x: NDArray[np.float32]
) -> None:
    codec = Float8(format, "fitted")
    codec.fit(x)
    decoded = there_and_back(codec, x)
    assert codec.clamped == 0
    assert codec.factor is not None
    greatest, most = max(numbers(format).values()), float(np.abs(x).max())
    assert most * codec.factor <= greatest
    assert most * codec.factor * 2 > greatest or codec.factor == 2.0**127 or most == 0
    smallest = 2.0 ** (1 - BITS[format][2]) / codec.factor
    bound = 2.0 ** -(BITS[format][1] + 1) * np.maximum(np.abs(x.astype(np.float64)), smallest)
    # below the subnormals of float32 nothing can be told apart
    assert (np.abs(decoded.astype(np.float64) - x) <= bound + 2.0**-150).all()


@FORMATS
def test_a_fitted_float8_clamps_and_counts_what_lies_beyond(format: Format) -> None:
    codec = Float8(format, "fitted")
    codec.fit(column(1.0))
    decoded = there_and_back(codec, column(1e6, -1e6, 3e38, 0.5))[:, 0].tolist()
    assert codec.factor is not None
    greatest = max(numbers(format).values()) / codec.factor
    assert decoded == [greatest, -greatest, greatest, 0.5]
    assert codec.clamped == 3


@FORMATS
@pytest.mark.parametrize("scale", ["unit", "none"])
@pytest.mark.parametrize("sign", [1, -1])
def test_float8_with_a_fixed_scale_refuses_what_lies_beyond(
    format: Format, scale: Literal["unit", "none"], sign: int
) -> None:
    codec = Float8(format, scale)
    assert codec.factor is not None
    limit = np.float32(max(numbers(format).values()) / codec.factor)
    assert there_and_back(codec, column(sign * limit)).item() == sign * limit
    with pytest.raises(ValueError, match="write `float8 scale=fitted`"):
        codec.encode(column(0, sign * np.nextafter(limit, np.float32(np.inf))))


@pytest.mark.parametrize(("argument", "value"), [("format", "e3m4"), ("scale", "auto")])
def test_float8_names_an_argument_it_does_not_know(argument: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{argument} must be .* not '{value}'"):
        Float8(**{argument: value})  # type: ignore[arg-type]


# -- int8


@quick
@given(rows_of_floats)
def test_int8_of_rows_is_right_to_half_a_step_of_the_row(x: NDArray[np.float32]) -> None:
    step = np.abs(x.astype(np.float64)).max(axis=1, keepdims=True) / 127
    # rows whose step is no normal float32 are zeros
    bound = np.where(step > 2 * np.finfo(np.float32).tiny, step / 2 * 1.0001, 128 * step)
    assert (np.abs(there_and_back(Int8(), x).astype(np.float64) - x) <= bound + 2.0**-140).all()


@quick
@given(rows_of_floats)
def test_the_greatest_entry_of_a_row_becomes_127(x: NDArray[np.float32]) -> None:
    codes = Int8().encode(x)["codes"].astype(int)
    greatest = np.abs(x).max(axis=1)
    assert (np.abs(codes).max(axis=1)[greatest > 1e-35] == 127).all()
    assert (codes[greatest == 0] == 0).all()


def test_int8_of_dimensions_clamps_what_lies_beyond_the_sample() -> None:
    codec = Int8("dim")
    codec.fit(np.array([[1, 10], [-2, 5]], np.float32))
    codes = codec.encode(np.array([[1, -10], [50, -50], [-3e38, 3e38]], np.float32))["codes"]
    assert codes.tolist() == [[64, -127], [127, -127], [-127, 127]]


def test_int8_of_a_column_without_values_gives_zeros() -> None:
    codec = Int8("dim")
    codec.fit(np.array([[0, 1], [0, -1]], np.float32))
    assert there_and_back(codec, np.array([[3, 1]], np.float32)).tolist() == [[0, 1]]


def test_int8_of_dimensions_refuses_another_width() -> None:
    codec = Int8("dim")
    codec.fit(np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match="4 dimensions where 3 are expected"):
        codec.encode(np.ones((2, 4), np.float32))


def test_int8_holds_one_copy_of_the_rows_while_it_rounds_them() -> None:
    x = np.random.default_rng(0).standard_normal((4096, 256)).astype(np.float32)
    tracemalloc.start()
    try:
        Int8().encode(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # the copy, and codes of a quarter of it
    assert peak < 1.4 * x.nbytes


def test_int8_names_an_argument_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="per must be row or dim, not 'block'"):
        Int8("block")  # type: ignore[arg-type]


@pytest.mark.parametrize("per", ["row", "dim"])
def test_int8_scores_are_the_same_bits_for_any_batch(per: Literal["row", "dim"]) -> None:
    generator = np.random.default_rng(0)
    x, queries = (generator.normal(size=(n, 384)).astype(np.float32) for n in (301, 7))
    codec = Int8(per)
    codec.fit(x)
    codes = codec.encode(x)
    whole = codec.scorer(queries, 384)(codes)
    for i, j in itertools.product(range(7), range(0, 301, 60)):
        block = {name: array[j : j + 60] for name, array in codes.items()}
        assert np.array_equal(codec.scorer(queries[i : i + 1], 384)(block)[0], whole[i, j : j + 60])


@pytest.mark.parametrize("per", ["row", "dim"])
def test_int8_scores_are_the_same_bits_for_any_number_of_threads(per: Literal["row", "dim"]) -> None:
    generator = np.random.default_rng(0)
    x, queries = (generator.normal(size=(n, 384)).astype(np.float32) for n in (2000, 50))
    codec = Int8(per)
    codec.fit(x)
    codes, before, found = codec.encode(x), torch.get_num_threads(), []
    try:
        for threads in (1, 4):
            torch.set_num_threads(threads)
            found.append(codec.scorer(queries, 384)(codes))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found[0], found[1])


# -- binary


@quick
@given(rows_of_floats)
def test_a_bit_is_set_above_zero_alone(x: NDArray[np.float32]) -> None:
    assert np.array_equal(there_and_back(Binary(), x), np.where(x > 0, 1, -1).astype(np.float32))


def test_zero_of_either_sign_is_no_set_bit() -> None:
    x = np.array([[0.0, -0.0, 1e-45, -1e-45, 1, -1, 0, 0, 5]], np.float32)
    assert Binary().encode(x)["codes"].tolist() == [[0b00010100, 0b1]]


@quick
@given(dim=st.integers(1, 70), seed=st.integers(0, 99))
def test_a_binary_score_is_the_product_of_the_signs(dim: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    x, queries = (generator.normal(size=(n, dim)).astype(np.float32) for n in (9, 3))
    signs, asked = np.where(x > 0, 1, -1), np.where(queries > 0, 1, -1)
    assert np.array_equal(Binary().scorer(queries, dim)(Binary().encode(x)), (asked @ signs.T).astype(np.float32))
