"""Encoding: 1,024 texts of mixed lengths with all-MiniLM-L6-v2.

The texts are docstrings of Python's own library, 16 to 240 tokens long. The ratio of a row is its whole time against
that of cenote, tokenising included. The *share* of cenote is the time of the bare matrix products against its whole
time: what any encoder must multiply, all tokens in batches of one shape, one thread a batch, and nothing else, which is
the most that this machine allows; they are timed behind every turn, in the same process. The *least cosine* is that of
all texts to what sentence-transformers computes in fp32. Types that this CPU does not multiply natively are left out.
"""

from __future__ import annotations

import ast
import random
import sysconfig
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import before
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


def products(dtype: str) -> Callable[[], dict[str, float]]:
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

    def turn() -> dict[str, float]:
        rows = [ROWS] * (tokens // ROWS) + [tokens % ROWS]
        began = time.perf_counter()
        list(in_order([lambda n=n: batch(n) for n in rows], concurrent=True))
        seconds = time.perf_counter() - began
        work = 2 * tokens * sum(a * b for a, b in shapes) * 6
        return {"_seconds": seconds, "GFLOP/s": work / seconds / 1e9}

    return turn


def cenote(dtype: str) -> Turn:
    from cenote import Encoder

    encoder, given = Encoder("minilm", device="cpu", dtype=dtype), texts()[0]
    whole, bare = _timed(lambda: encoder.encode(given)), products({"bf16": "bfloat16", "fp32": "float32"}[dtype])

    def turn() -> Mapping[str, float]:
        found, least = whole(), bare()
        return {**found, "share": least["_seconds"] / found["_seconds"], "products GFLOP/s": least["GFLOP/s"]}

    return turn


def cenote_before() -> Turn:
    """One text after another's length, padded, by transformers, as cenote did at first."""
    before.take()
    from cenote import Encoder

    encoder, given = Encoder("minilm", device="cpu", dtype="fp32"), texts()[0]
    return _timed(lambda: encoder.encode(given))


def sentence_transformers(dtype: str) -> Turn:
    model, given = _peer(model_kwargs={"dtype": dtype}), texts()[0]
    return _timed(lambda: model.encode(given))


def by_openvino(dtype: str) -> Turn:
    """Batches of 32 of like length, padded and pooled as sentence-transformers does, as many at once as it wants.

    The backend of sentence-transformers itself needs optimum-intel, which needs an older transformers than the others.
    """
    import openvino
    import torch
    from transformers import AutoModel, AutoTokenizer

    from cenote.encode.packaged import PACKAGED

    folder, given = str(PACKAGED["minilm"].find()), texts()[0]
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    example = {name: torch.ones(2, 7, dtype=torch.int64) for name in ("input_ids", "attention_mask", "token_type_ids")}
    hints = {"INFERENCE_PRECISION_HINT": dtype, "PERFORMANCE_HINT": "THROUGHPUT"}
    graph = openvino.Core().compile_model(openvino.convert_model(model, example_input=example), "CPU", hints)

    def encode() -> np.ndarray[Any, Any]:
        rows = tokenizer(given, truncation=True, max_length=MOST)["input_ids"]
        order, out = sorted(range(len(rows)), key=lambda row: -len(rows[row])), np.empty((len(rows), 384), np.float32)

        def pool(request: Any, batch: tuple[list[int], np.ndarray[Any, Any]]) -> None:
            numbers, mask = batch
            states, kept = request.get_output_tensor(0).data, mask[:, :, None].astype(np.float32)
            means = (states * kept).sum(axis=1) / kept.sum(axis=1)
            out[numbers] = means / np.linalg.norm(means, axis=1, keepdims=True)

        queue = openvino.AsyncInferQueue(graph)
        queue.set_callback(pool)
        for first in range(0, len(rows), 32):
            numbers = order[first : first + 32]
            lengths = np.array([len(rows[row]) for row in numbers])
            mask = np.arange(lengths.max()) < lengths[:, None]
            ids = np.zeros(mask.shape, np.int64)
            ids[mask] = np.concatenate([rows[row] for row in numbers])
            inputs = {"input_ids": ids, "attention_mask": mask.astype(np.int64), "token_type_ids": np.zeros_like(ids)}
            queue.start_async(inputs, (numbers, mask))
        queue.wait_all()
        return out

    return _timed(encode)


def _timed(encode: Any) -> Callable[[], dict[str, float]]:
    def turn() -> dict[str, float]:
        began, busy = time.perf_counter(), time.process_time()
        vectors = encode()
        found = {"_seconds": time.perf_counter() - began, "core seconds": time.process_time() - busy}
        return found | _told(vectors)

    return turn


def _note(dtype: str) -> str:
    from cenote import Encoder

    return f"cenote in {dtype}: {Encoder('minilm', device='cpu', dtype=dtype).computed_by}."


def contests() -> list[Contest]:
    import torch

    from cenote.encode.device import resolved

    peers = {
        "sentence-transformers, its default (fp32)": (sentence_transformers, "float32"),
        "openvino, batches of 32, fp32": (by_openvino, "f32"),
        f"cenote at {before.BEFORE}, fp32": (cenote_before,),
    }
    native = resolved("auto", torch.device("cpu")) == "bf16"
    halves = {
        "sentence-transformers, bf16": (sentence_transformers, "bfloat16"),
        "openvino, batches of 32, bf16": (by_openvino, "bf16"),
    }
    fields: dict[str, dict[str, tuple[Any, ...]]] = {"fp32": peers}
    if native:
        fields = {"bf16": {"cenote, fp32": (cenote, "fp32"), **peers, **halves}, "fp32": peers}
    return [
        Contest(
            title=f"{TEXTS:,} texts, {texts()[1]:,} tokens, in {dtype}",
            unit="texts",
            work=TEXTS,
            contestants={f"cenote, {dtype}": (cenote, dtype), **others},
            note=_note(dtype),
        )
        for dtype, others in fields.items()
    ]
