"""The ragged attention kernel is softmax(q k' + what is added by distance) v of every row and head by itself."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cenote.kernels import threads
from cenote.kernels.attention import Added, attend, computes

TYPES = [torch.float32, torch.bfloat16]
ROWS = st.lists(st.integers(0, 70), min_size=1, max_size=6).filter(any)
HEADS = st.sampled_from([(1, 32), (3, 32), (2, 64), (1, 96), (1, 128), (1, 160)])


@pytest.fixture(params=TYPES, ids=str)
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    found: torch.dtype = request.param
    if not computes(str(found).removeprefix("torch."), 32):
        pytest.skip(f"this CPU has no vectors for {found}")
    return found


def borders(lengths: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def drawn(lengths: list[int], heads: int, width: int, dtype: torch.dtype, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.randn(sum(lengths), 3 * heads * width, generator=generator) * scale).to(dtype)


def brute_force(qkv: Tensor, lengths: list[int], heads: int) -> Tensor:
    out = []
    for row in qkv.double().split(lengths):
        q, k, v = row.unflatten(1, (3, heads, -1)).unbind(1)
        weights = torch.einsum("ihd,jhd->hij", q, k).div(q.shape[2] ** 0.5).softmax(2)
        out.append(torch.einsum("hij,jhd->ihd", weights, v).flatten(1))
    return torch.cat(out)


def assert_near(found: Tensor, expected: Tensor) -> None:
    # bf16 rounds the weights and the result to 8 bits each
    near = 2**-7 if found.dtype == torch.bfloat16 else 2e-5
    torch.testing.assert_close(found.double(), expected, rtol=near, atol=near)


@settings(max_examples=60, deadline=None)
@given(lengths=ROWS, shape=HEADS, seed=st.integers(0, 99))
def test_it_is_the_softmax_of_each_row_by_brute_force(lengths: list[int], shape: tuple[int, int], seed: int) -> None:
    heads, width = shape
    for dtype in TYPES:
        if computes(str(dtype).removeprefix("torch."), width):
            qkv = drawn(lengths, heads, width, dtype, seed)
            assert_near(attend(qkv, borders(lengths), heads), brute_force(qkv, lengths, heads))


@pytest.mark.parametrize("length", [1, 2, 3, 15, 16, 17, 47, 48, 49, 63, 64, 65, 112, 113, 512, 1000])
def test_it_is_right_at_the_edges_of_its_blocks(length: int, dtype: torch.dtype) -> None:
    qkv = drawn([length], 2, 32, dtype)
    assert_near(attend(qkv, borders([length]), 2), brute_force(qkv, [length], 2))


def test_a_row_never_sees_another(dtype: torch.dtype) -> None:
    lengths = [5, 33, 1, 18]
    qkv = drawn(lengths, 2, 64, dtype)
    alone = torch.cat([attend(row, borders([len(row)]), 2) for row in qkv.split(lengths)])
    assert torch.equal(attend(qkv, borders(lengths), 2), alone)
    for row, part in enumerate(qkv.split(lengths)):
        others = torch.full_like(qkv, float("nan"))
        first = sum(lengths[:row])
        others[first : first + len(part)] = part
        found = attend(others, borders(lengths), 2)[first : first + len(part)]
        assert torch.equal(found, alone[first : first + len(part)])


def test_a_head_never_sees_another(dtype: torch.dtype) -> None:
    qkv = drawn([21], 3, 32, dtype)
    parts = qkv.unflatten(1, (3, 3, 32))
    alone = [attend(parts[:, :, head].flatten(1).contiguous(), borders([21]), 1) for head in range(3)]
    assert torch.equal(attend(qkv, borders([21]), 3), torch.cat(alone, 1))


def test_one_token_gives_its_value(dtype: torch.dtype) -> None:
    qkv = drawn([1, 1, 1], 2, 32, dtype)
    torch.testing.assert_close(attend(qkv, borders([1, 1, 1]), 2), qkv[:, 128:])


def test_rows_without_tokens_have_no_result(dtype: torch.dtype) -> None:
    qkv = drawn([7], 2, 32, dtype)
    assert torch.equal(attend(qkv, borders([0, 7, 0]), 2), attend(qkv, borders([7]), 2))
    assert attend(qkv[:0], borders([0, 0]), 2).shape == (0, 64)
    assert attend(qkv[:0], borders([]), 2).shape == (0, 64)


def test_great_scores_neither_overflow_nor_lose_the_greatest(dtype: torch.dtype) -> None:
    qkv = drawn([40], 1, 32, dtype, scale=40.0)
    found = attend(qkv, borders([40]), 1)
    assert found.isfinite().all()
    expected = brute_force(qkv, [40], 1)
    assert (found.double() - expected).abs().max() < 2**-7 * 40 * 4


def test_what_is_not_a_number_stays_inside_its_row(dtype: torch.dtype) -> None:
    qkv = drawn([4, 6], 2, 32, dtype)
    qkv[1] = float("nan")
    found = attend(qkv, borders([4, 6]), 2)
    assert found[:4].isnan().all()
    assert found[4:].isfinite().all()


def test_any_number_of_threads_gives_the_same(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = [int(n) for n in np.random.default_rng(0).integers(0, 50, 40)]
    qkv = drawn(lengths, 4, 32, dtype)
    found = []
    for count in ("1", "3", "16"):
        monkeypatch.setenv("OMP_NUM_THREADS", count)
        assert threads.count() == int(count)
        found.append(attend(qkv, borders(lengths), 4))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_it_reads_a_matrix_with_gaps_too(dtype: torch.dtype) -> None:
    wide = drawn([9], 4, 32, dtype)
    assert torch.equal(attend(wide[:, ::2], borders([9]), 2), attend(wide[:, ::2].contiguous(), borders([9]), 2))


@settings(max_examples=40, deadline=None)
@given(
    lengths=ROWS,
    shape=st.sampled_from([(1, 1, 32), (4, 2, 32), (6, 2, 64), (4, 1, 96)]),
    before=st.one_of(st.none(), st.integers(0, 40)),
    after=st.one_of(st.none(), st.integers(0, 40)),
    biased=st.booleans(),
    seed=st.integers(0, 99),
)
def test_shared_keys_windows_and_biases_are_what_brute_force_gives(
    lengths: list[int], shape: tuple[int, int, int], before: int | None, after: int | None, biased: bool, seed: int
) -> None:
    heads, groups, width = shape
    distance = torch.arange(-70, 71)
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(heads if biased else 1, 141, generator=generator) * biased
    table[
        :, (distance < -(99 if before is None else before)) | (distance > (99 if after is None else after))
    ] = -torch.inf
    for dtype in TYPES:
        if computes(str(dtype).removeprefix("torch."), width):
            qkv = torch.randn(sum(lengths), (heads + 2 * groups) * width, generator=generator).to(dtype)
            found = attend(
                qkv,
                borders(lengths),
                heads,
                key_heads=groups,
                scale=0.3,
                added=Added(table.numpy(), before, after),
            )
            out = []
            for row in qkv.double().split(lengths):
                q, k, v = row.unflatten(1, (-1, width)).split([heads, groups, groups], 1)
                k, v = (x.repeat_interleave(heads // groups, 1) for x in (k, v))
                apart = torch.arange(len(row))[None, :] - torch.arange(len(row))[:, None]
                scores = torch.einsum("ihd,jhd->hij", q, k) * 0.3 + table[:, apart + 70].double()
                out.append(torch.einsum("hij,jhd->ihd", scores.softmax(2), v).flatten(1))
            assert_near(found, torch.cat(out))


def test_what_is_not_seen_has_no_part_at_all(dtype: torch.dtype) -> None:
    qkv = drawn([50], 2, 32, dtype)
    causal = np.where(np.arange(-49, 50) > 0, -np.inf, 0).astype(np.float32)[None]
    changed = qkv.clone()
    changed[30:] = 1e4
    found = [attend(x, borders([50]), 2, added=Added(causal, None, 0)) for x in (qkv, changed)]
    assert torch.equal(found[0][:30], found[1][:30])
    assert not torch.equal(found[0][30:], found[1][30:])


def test_a_table_that_is_too_short_is_refused(dtype: torch.dtype) -> None:
    with pytest.raises(ValueError, match="reaches 3 tokens far, but a row has 9"):
        attend(drawn([9], 2, 32, dtype), borders([9]), 2, added=Added(np.zeros((1, 7), np.float32)))


def test_a_width_that_does_not_fill_a_vector_is_left_to_others() -> None:
    assert not computes("float32", 24)
    assert not computes("bfloat16", 33)
