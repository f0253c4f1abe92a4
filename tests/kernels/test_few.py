"""Few rows are scored with the bits of the compiled kernels, and found in the same order, without loading them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cenote.arrays import Hits
from cenote.compress import BF16, Binary, Codec, Float8, Float16, Float32, Int8
from cenote.index.flat import Flat
from cenote.kernels import few

CODECS = {
    "float32": Float32,
    "bf16": BF16,
    "float16": Float16,
    "e4m3": Float8,
    "e5m2": lambda: Float8("e5m2"),
    "fitted": lambda: Float8(scale="fitted"),
    "int8": Int8,
    "dim": lambda: Int8("dim"),
    "binary": Binary,
}
every_codec = pytest.mark.parametrize("codec", CODECS)
needs_lanes = pytest.mark.skipif(not few.lanes(), reason="the vectors of this processor are not known without numba")


def unit(rows: int, dim: int, seed: int) -> NDArray[np.float32]:
    x = np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.float32(1e-6))
    return x


def made(codec: str, x: NDArray[np.float32]) -> Codec:
    fresh: Codec = CODECS[codec]()
    fresh.fit(x)
    return fresh


def bits(x: NDArray[np.float32]) -> list[Any]:
    """The bits of numbers, of which zeros have no sign."""
    return (x + np.float32(0)).view(np.int32).tolist()


@needs_lanes
@every_codec
@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 40),
    dim=st.sampled_from([1, 2, 7, 8, 9, 16, 31, 33, 64, 100, 384]),
    queries=st.integers(1, 8),
    size=st.sampled_from([1.0, 1e-20, 3e-23, 1e19]),
    seed=st.integers(0, 99),
)
def test_scores_have_the_bits_of_the_kernels(
    codec: str, rows: int, dim: int, queries: int, size: float, seed: int
) -> None:
    x, asked = unit(rows, dim, seed), unit(queries, dim, seed + 1) * np.float32(size)
    coder = made(codec, x)
    codes, kernel = coder.encode(x), coder.kernel(asked, dim)
    assert kernel is not None
    expected = np.empty((queries, rows), np.float32)
    kernel.scores(codes, np.tile(np.arange(rows), (queries, 1)), expected)
    assert bits(coder.few(asked, dim)(codes)) == bits(expected)


def test_a_sum_is_rounded_once() -> None:
    # 2^-24 is half of the last place of 1: alone it is lost, and with the least thing more it is not
    a, b = np.array([2.0**-12, 2.0**-12 * (1 + 2.0**-23)]), np.array([2.0**-12])
    found = few._fused(a, b, np.ones(2, np.float32))
    assert found.tolist() == [1.0, 1 + 2.0**-23]


@needs_lanes
@every_codec
@pytest.mark.parametrize("kept", [None, 0.0, 0.5])
def test_an_index_finds_the_same_with_and_without_kernels(
    monkeypatch: pytest.MonkeyPatch, codec: str, kept: float | None
) -> None:
    rng = np.random.default_rng(0)
    # every third row comes twice, and twelve are zeros: equal scores, lowest row first
    x = unit(60, 40, 0)
    x = np.concatenate([x, x[::3], np.zeros((12, 40), np.float32)])[rng.permutation(92)]
    keep = None if kept is None else rng.random(92) < kept
    index, asked = Flat.build(x, codec=made(codec, x)), unit(5, 40, 1)
    ids = rng.integers(-1, 92, (5, 30))

    def answers(without: bool) -> tuple[Hits, Hits, list[Any]]:
        monkeypatch.setattr(few, "quicker", lambda queries, products: without)
        return index.search(asked, 7, keep=keep), index.search(asked, 200, keep=keep), index.score(asked, ids).tolist()

    for found, expected in zip(answers(True), answers(False), strict=True):
        if isinstance(found, Hits) and isinstance(expected, Hits):
            assert np.array_equal(found.ids, expected.ids)
            assert bits(found.scores) == bits(expected.scores)
            assert np.array_equal(found.counts, expected.counts)
        else:
            assert found == expected


def test_an_index_that_is_searched_often_loads_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_without = []
    monkeypatch.setattr(few, "quicker", lambda queries, products: asked_without.append(queries) or True)
    monkeypatch.setattr(few, "lanes", lambda: 8)
    index = Flat.build(unit(4, 8, 0))
    for _ in range(few.SEARCHES + 3):
        index.search(unit(1, 8, 1), 1)
    assert len(asked_without) == few.SEARCHES


def test_much_to_score_is_left_to_the_kernels() -> None:
    code = "import sys, torch\nfrom cenote.kernels import few\nfew.lanes = lambda: 8\n"
    code += "print(few.quicker(1, few.MOST_PRODUCTS), few.quicker(1, few.MOST_PRODUCTS + 1), few.quicker(9, 9))\n"
    code += "import cenote.kernels.scan\nprint(few.quicker(1, 1))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "False", "False", "False"]


OTHER_REGISTERS = """
import sys
import numpy as np
from cenote.kernels import few, simd
width = int(sys.argv[1])
simd.lanes = few.lanes = lambda: width
from cenote.compress import Float32
generator = np.random.default_rng(0)
for dim in (5, 33, 100):
    x, queries = (generator.standard_normal((n, dim)).astype(np.float32) for n in (50, 3))
    found = np.zeros((3, 50), np.float32)
    Float32().kernel(queries, dim).scores({"codes": x}, np.tile(np.arange(50), (3, 1)), found)
    assert np.array_equal(few.products(queries, x), found), dim
"""


@pytest.mark.skipif(few.lanes() not in (8, 16), reason="a product and its sum must be one instruction")
@pytest.mark.parametrize("lanes", ["4", "8", "16"])
def test_registers_of_other_widths_give_their_own_bits(tmp_path: Path, lanes: str) -> None:
    # what is compiled for a width that is not the machine's must not be found again
    ran = subprocess.run(
        [sys.executable, "-c", OTHER_REGISTERS, lanes],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ran.returncode == 0, ran.stderr
