"""Encoding: 1,024 texts of mixed lengths with all-MiniLM-L6-v2.

The texts are docstrings of Python's own library, 16 to 240 tokens long. The first row is the bare matrix products: what
any encoder must multiply, all tokens in batches of one shape, one thread a batch, and nothing else. Its rate is the
most that this machine allows; the ratio of a row is its whole time, tokenising included, against that.
"""

from __future__ import annotations

import ast
import random
import sysconfig
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Contest, Turn

TEXTS, LEAST, MOST, ROWS = 1_024, 16, 240, 2_048


@cache
def texts() -> tuple[list[str], int]:
    """The texts, and their tokens."""
    from cenote.encode.packaged import PACKAGED
    from cenote.encode.tokens import Tokenizer

    found: set[str] = set()
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py")):
        if not {"site-packages", "test"} & set(path.parts):
            try:
                nodes = ast.walk(ast.parse(path.read_bytes()))
            except SyntaxError:  # examples of other versions of Python
                continue
            kinds = (ast.FunctionDef, ast.ClassDef, ast.Module)
            found.update(text for node in nodes if isinstance(node, kinds) and (text := ast.get_docstring(node)))
    known = sorted(found)
    lengths = Tokenizer.from_file(PACKAGED["minilm"].find() / "tokenizer.json").lengths(known).tolist()
    fitting = [(text, n) for text, n in zip(known, lengths, strict=True) if LEAST <= n <= MOST]
    chosen = random.Random(0).sample(fitting, TEXTS)
    return [text for text, _ in chosen], sum(n for _, n in chosen)


@cache
def _reference() -> np.ndarray[Any, Any]:
    return np.asarray(_peer().encode(texts()[0]))


def _peer(**options: Any) -> Any:
    from sentence_transformers import SentenceTransformer

    from cenote.encode.packaged import PACKAGED

    return SentenceTransformer(str(PACKAGED["minilm"].find()), device="cpu", **options)


def _told(vectors: Any) -> dict[str, float]:
    return {"least cosine": float((np.asarray(vectors, np.float32) * _reference()).sum(axis=1).min())}


def products(dtype: str) -> Turn:
    import torch

    from cenote.encode.products import Product
    from cenote.encode.workers import in_order

    kind, tokens = getattr(torch, dtype), texts()[1]
    shapes = ((1152, 384), (384, 384), (1536, 384), (384, 1536))
    layers = [[Product(torch.randn(shape).to(kind), None) for shape in shapes] for _ in range(6)]
    inputs = {width: torch.randn(ROWS, width).to(kind) for width in (384, 1536)}

    @torch.inference_mode()
    def batch(rows: int) -> None:
        for layer in layers:
            for product, (_, width) in zip(layer, shapes, strict=True):
                product(inputs[width][:rows])

    def turn() -> Mapping[str, float]:
        rows = [ROWS] * (tokens // ROWS) + [tokens % ROWS]
        began, busy = time.perf_counter(), time.process_time()
        list(in_order([lambda n=n: batch(n) for n in rows], concurrent=True))
        seconds, busy = time.perf_counter() - began, time.process_time() - busy
        work = 2 * tokens * sum(a * b for a, b in shapes) * 6
        return {"_seconds": seconds, "core seconds": busy, "GFLOP/s": work / seconds / 1e9}

    return turn


def cenote(dtype: str) -> Turn:
    from cenote import Encoder

    encoder, given = Encoder("minilm", device="cpu", dtype=dtype), texts()[0]
    return _timed(lambda: encoder.encode(given))


def sentence_transformers(dtype: str) -> Turn:
    model, given = _peer(model_kwargs={"dtype": dtype}), texts()[0]
    return _timed(lambda: model.encode(given))


def openvino() -> Turn:
    import optimum.intel  # noqa: F401

    model, given = _peer(backend="openvino", model_kwargs={"export": True}), texts()[0]
    return _timed(lambda: model.encode(given))


def _timed(encode: Any) -> Turn:
    def turn() -> Mapping[str, float]:
        began, busy = time.perf_counter(), time.process_time()
        vectors = encode()
        found = {"_seconds": time.perf_counter() - began, "core seconds": time.process_time() - busy}
        return found | _told(vectors)

    return turn


def _kernels(dtype: str) -> str:
    from cenote import Encoder

    return f"cenote in {dtype}: {Encoder('minilm', device='cpu', dtype=dtype).computed_by}."


def contests() -> list[Contest]:
    tokens = texts()[1]
    title = f"{TEXTS:,} texts, {tokens:,} tokens"
    return [
        Contest(
            title=f"{title}, in bf16",
            unit="texts",
            work=TEXTS,
            contestants={
                "matrix products alone, bf16": (products, "bfloat16"),
                "cenote, bf16": (cenote, "bf16"),
                "cenote, fp32": (cenote, "fp32"),
                "sentence-transformers, its default (fp32)": (sentence_transformers, "float32"),
                "sentence-transformers, bf16": (sentence_transformers, "bfloat16"),
                "sentence-transformers, openvino": (openvino,),
            },
            note=_kernels("bf16"),
        ),
        Contest(
            title=f"{title}, in fp32",
            unit="texts",
            work=TEXTS,
            contestants={
                "matrix products alone, fp32": (products, "float32"),
                "cenote, fp32": (cenote, "fp32"),
            },
            note=_kernels("fp32"),
        ),
    ]
