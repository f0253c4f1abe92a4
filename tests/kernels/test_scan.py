"""A scan finds what scoring every row and sorting finds, for every form of codes, however the work is cut."""

import itertools
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cenote.arrays import Hits
from cenote.compress import BF16, Binary, Codec, Float8, Float16, Float32, Int8
from cenote.kernels.scan import Part, Queries
from cenote.kernels.topk import TopK

CODECS: dict[str, Codec] = {
    "float32": Float32(),
    "bf16": BF16(),
    "float16": Float16(),
    "e4m3": Float8("e4m3"),
    "e5m2": Float8("e5m2"),
    "int8": Int8(),
    "binary": Binary(),
}
every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
quick = settings(max_examples=25, deadline=None)
Matrix = NDArray[np.float32]


def eighths(rows: int, dim: int, seed: int = 0) -> Matrix:
    """Whole eighths in [-1, 1]: every float codec holds them exactly and their products add up without rounding."""
    return np.random.default_rng(seed).integers(-8, 9, (rows, dim)).astype(np.float32) / 8


def form(codec: Codec, queries: Matrix) -> Queries:
    made = codec.kernel(queries, queries.shape[1])
    assert made is not None
    return made


def cut(codes: dict[str, NDArray[Any]], places: list[int]) -> list[Part]:
    edges = [0, *sorted(places), len(codes["codes"])]
    return [{name: array[a:b] for name, array in codes.items()} for a, b in itertools.pairwise(edges)]


def by_sorting(codec: Codec, queries: Matrix, codes: dict[str, Any], k: int, keep: NDArray[np.bool_] | None) -> Hits:
    top = TopK(len(queries), k)
    top.push(codec.scorer(queries, queries.shape[1])(codes), 0, keep)
    return top.hits()


def assert_equal(found: Hits, expected: Hits) -> None:
    assert np.array_equal(found.ids, expected.ids)
    assert np.array_equal(found.scores, expected.scores)
    assert np.array_equal(found.counts, expected.counts)


@every_codec
@quick
@given(
    rows=st.integers(1, 250),
    dim=st.sampled_from([1, 3, 8, 31, 64, 100, 129]),
    queries=st.sampled_from([1, 2, 8, 9, 16, 17, 33, 64, 65, 80, 130]),
    k=st.integers(1, 300),
    piece=st.sampled_from([1, 5, 16, 100, 1000]),
    threads=st.sampled_from(["1", "3"]),
    kept=st.sampled_from([None, 0.0, 0.05, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_it_finds_what_sorting_every_score_finds(
    codec: Codec, rows: int, dim: int, queries: int, k: int, piece: int, threads: str, kept: float | None, seed: int
) -> None:
    x, asked = eighths(rows, dim, seed), eighths(queries, dim, seed + 1)
    generator = np.random.default_rng(seed)
    keep = None if kept is None else generator.random(rows) < kept
    codes = codec.encode(x)
    parts = cut(codes, generator.integers(0, rows + 1, 2).tolist())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", threads)
        found = form(codec, asked).best(parts, k, keep, piece)
    assert_equal(found, by_sorting(codec, asked, codes, k, keep))


@every_codec
@quick
@given(
    rows=st.integers(1, 60),
    dim=st.sampled_from([1, 5, 64, 100]),
    chosen=st.integers(0, 40),
    seed=st.integers(0, 99),
)
def test_chosen_rows_have_the_scores_of_all_rows(codec: Codec, rows: int, dim: int, chosen: int, seed: int) -> None:
    x, asked = eighths(rows, dim, seed), eighths(5, dim, seed + 1)
    codes = codec.encode(x)
    ids = np.random.default_rng(seed).integers(-2, rows + 2, (5, chosen))
    every = codec.scorer(asked, dim)(codes)
    there = (ids >= 0) & (ids < rows)
    expected = np.where(there, np.take_along_axis(every, np.where(there, ids, 0), 1), np.float32(7))
    found = np.full(ids.shape, 7, np.float32)
    form(codec, asked).scores(codes, ids, found)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("word", ["int8", "binary"])
@pytest.mark.parametrize("queries", [1, 8, 9, 40, 70])
def test_scores_of_whole_numbers_are_the_same_bits_as_the_plain_products(word: str, queries: int) -> None:
    codec, generator = CODECS[word], np.random.default_rng(0)
    x, asked = (generator.normal(size=(n, 200)).astype(np.float32) for n in (400, queries))
    codes = codec.encode(x)
    assert_equal(form(codec, asked).best([codes], 400), by_sorting(codec, asked, codes, 400, None))


def test_the_greatest_whole_numbers_do_not_overflow() -> None:
    codec = Int8()
    x = np.tile(np.array([[1.0, -1.0]], np.float32), (3, 2048))
    for queries in (1, 20):
        found = form(codec, x[:1].repeat(queries, 0)).best([codec.encode(x)], 3)
        assert np.allclose(found.scores, 4096)


@pytest.mark.parametrize("queries", [1, 9, 40])
def test_bits_of_the_longest_rows_are_all_counted(queries: int) -> None:
    codec, asked = CODECS["binary"], np.random.default_rng(0).normal(size=(queries, 20_001)).astype(np.float32)
    codes = codec.encode(np.concatenate([-asked, asked, np.roll(asked, 1, axis=1)]))
    assert_equal(form(codec, asked).best([codes], 30), by_sorting(codec, asked, codes, 30, None))


@pytest.mark.parametrize("word", ["float32", "bf16", "float16", "e4m3", "e5m2"])
@pytest.mark.parametrize("queries", [1, 40])
def test_float_scores_are_within_rounding_of_exact_ones(word: str, queries: int) -> None:
    codec, generator = CODECS[word], np.random.default_rng(0)
    x, asked = (generator.normal(size=(n, 200)).astype(np.float32) for n in (300, queries))
    x, asked = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, asked))
    codes = codec.encode(x)
    exact = asked.astype(np.float64) @ codec.decode(codes, 200).astype(np.float64).T
    found = form(codec, asked).best([codes], 300)
    assert (np.abs(np.take_along_axis(exact, found.ids, 1) - found.scores) <= 1e-6).all()


@pytest.mark.parametrize("word", ["bf16", "float16", "e4m3", "e5m2"])
def test_every_code_is_widened_to_the_number_it_stands_for(word: str) -> None:
    codec = CODECS[word]
    codes = np.arange(1 << (16 if word in ("bf16", "float16") else 8))
    codes = codes.astype(np.uint16 if len(codes) > 256 else np.uint8).reshape(-1, 1)
    stored = {"codes": codes.view(np.float16) if word == "float16" else codes}
    values = codec.decode(stored, 1)
    stored = {"codes": stored["codes"][np.isfinite(values[:, 0])]}
    expected = values[np.isfinite(values)]
    for queries in (1, 20):
        ids = np.tile(np.arange(len(expected)), (queries, 1))
        scores = np.zeros(ids.shape, np.float32)
        form(codec, np.ones((queries, 1), np.float32)).scores(stored, ids, scores)
        assert np.array_equal(scores, np.tile(expected, (queries, 1)))
        found = form(codec, np.ones((queries, 1), np.float32)).best([stored], 50)
        assert np.array_equal(found.scores, np.tile(-np.sort(-expected)[:50], (queries, 1)))


def test_minus_zero_equals_zero() -> None:
    x = np.array([[0.0], [-0.0], [0.0], [-0.0]], np.float32)
    for queries in (1, 20):
        found = form(Float32(), np.ones((queries, 1), np.float32)).best([{"codes": x}], 4)
        assert found.ids.tolist() == [[0, 1, 2, 3]] * queries


def test_scores_that_are_no_numbers_come_last() -> None:
    # the sums of the last row are infinite both ways before they are added up
    x = np.array([[3e38, 3e38], [1, 1], [-3e38, -3e38], [3e38, -3e38]] + [[0, 0]] * 60, np.float32)
    found = form(Float32(), np.array([[3e38, 3e38]], np.float32)).best([{"codes": x}], 64)
    assert found.ids[0].tolist() == [0, 1, *range(4, 64), 2, 3]
    assert np.isnan(found.scores[0, -1])
    assert found.counts.tolist() == [64]


OTHER_PROCESSORS = """
import sys
import numpy as np
from cenote.compress import BF16, Binary, Float8, Float16, Float32, Int8
from cenote.kernels import simd
from cenote.kernels.topk import TopK
assert not simd.has_vnni()
codecs = [Float16(), Float8(), Int8()] if "generic" in sys.argv else [Float32(), BF16(), Int8(), Binary()]
generator = np.random.default_rng(0)
x, queries = (generator.integers(-8, 9, (n, 70)).astype(np.float32) / 8 for n in (60, 20))
for codec in codecs:
    codes = codec.encode(x)
    for asked in (queries, queries[:2]):
        top = TopK(len(asked), 12)
        top.push(codec.scorer(asked, 70)(codes), 0)
        found, expected = codec.kernel(asked, 70).best([codes], 12), top.hits()
        assert np.array_equal(found.ids, expected.ids), codec
        assert np.array_equal(found.scores, expected.scores), codec
"""


@pytest.mark.parametrize(("name", "features"), [("haswell", "+avx2,+fma,+f16c,+popcnt"), ("generic", "")])
def test_processors_without_the_instructions_find_the_same(name: str, features: str) -> None:
    if not os.uname().machine.startswith("x86"):
        pytest.skip("the processors named are x86")
    plain = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESSORS, name],
        env={**os.environ, **plain},
        timeout=280,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
