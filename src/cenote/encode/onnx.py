"""ONNX: an encoder, whole, as a graph that onnxruntime computes without this library.

    input_ids, attention_mask int64 (B, N) --model--> states --pool--> (heads, maps) --> sentence_embedding (B, d)

The graph is traced on padded rows, of any number and length, in fp32, from transformers' own model of the same weights.
Before the folder is in its place, the graph's vectors are compared with the encoder's.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from cenote import registry
from cenote.arrays import Float32
from cenote.encode.heads import Unit
from cenote.encode.operators import in_onnx, translations
from cenote.encode.packaged import digest
from cenote.encode.packed import Packed
from cenote.encode.plain import PlainTransformer, quiet, transformer_of
from cenote.encode.routes import ROLES
from cenote.encode.static import StaticTable
from cenote.encode.tokens import Tokenizer
from cenote.encode.whole import whole
from cenote.errors import UnknownWord
from cenote.pool.base import Pooler

if TYPE_CHECKING:
    from cenote.encode.encoder import Encoder, Pool
    from cenote.encode.routes import Role
    from cenote.encode.saving import Affine

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_INPUTS, _OUTPUT = ("input_ids", "attention_mask"), "sentence_embedding"
_OPSET = 18
"""What torch's exporter writes by itself, and every onnxruntime since 1.14 reads."""
_ANY = torch.export.Dim.DYNAMIC
_TOLERANCE = 1e-4
_COMPARED = ["one", "a few words, and 42", "a longer text that fills a batch up: " + "more of it, " * 40]
_ABOUT = """# A sentence encoder in ONNX

`model.onnx` takes `input_ids` and `attention_mask` (int64, texts by tokens) and gives `sentence_embedding`
(float32, texts by {dim}). `config.json` says what it was made of. In Python:

```python
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file("tokenizer.json")  # cuts to the window, and pads
session = onnxruntime.InferenceSession("model.onnx")

def embed(texts, prompt={prompt}):
    found = tokenizer.encode_batch([prompt + text for text in texts], add_special_tokens={specials})
    inputs = {{
        "input_ids": np.array([one.ids for one in found], np.int64),
        "attention_mask": np.array([one.attention_mask for one in found], np.int64),
    }}
    return session.run(["sentence_embedding"], inputs)[0]
```

{queries}Padding goes behind a text, never before it, and changes no vector. Vectors are compared by {similarity}.
"""

_TWO = """# A sentence encoder in ONNX

Queries and documents go through modules of their own: `query` and `document` hold a graph each, whose vectors are
compared with each other's.
"""


def export_onnx(
    encoder: Encoder,
    folder: str | Path,
    *,
    pool: Pool = None,
    maps: Sequence[Affine] = (),
    replace: bool = False,
) -> None:
    """Write model.onnx, tokenizer.json, config.json and README.md: a folder whole, or not at all.

    pool: a word, a `Pooler`, or None for the model's own pooling and heads. maps: of the vectors, in their order, as in
    `cenote.encode.saving.save`. replace: write over a folder that is there.

    Raises ValueError where the packages of the extra are missing, for a folder that is there, for models and poolings
    that no graph of these two inputs computes, and where its vectors are not the encoder's.
    """
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        raise ValueError(f'ONNX needs {" and ".join(missing)}; install it with: pip install "cenote[onnx]"')
    with whole(folder, replace=replace) as half, quiet():
        # on a CPU in fp32, wherever and in whatever type the caller computes
        same = type(encoder)(**{**encoder.reference(), "dtype": "fp32", "overflow": "report", "device": "cpu"})
        if same.parts.query is None:
            _export(same, half, ("document", "query"), pool, maps)
        else:
            (half / "README.md").write_text(_TWO, encoding="utf-8")
            for role in ROLES:
                (half / role).mkdir()
                _export(same.of(role), half / role, (role,), pool, maps)


def _export(encoder: Encoder, folder: Path, roles: Sequence[Role], pool: Pool, maps: Sequence[Affine]) -> None:
    """Write what computes the texts of some roles."""
    graph = _Graph(encoder, roles, copy.deepcopy(pool), maps)
    pooled = encoder.name if pool is None else f"{encoder.name} pooled by {type(encoder.pooler(pool)).__name__}"
    opset = _write(graph, folder / "model.onnx", pooled)
    assert isinstance(encoder.parts.tokenizer, Tokenizer)
    encoder.parts.tokenizer.save(folder / "tokenizer.json", encoder.max_length, graph.states.padding)
    _compare(encoder, folder, roles[0], pool, maps)
    _describe(encoder, folder, roles, pool, graph, opset)


class _Graph(nn.Module):
    """What `Encoder` computes of packed rows, of padded ones."""

    def __init__(self, encoder: Encoder, roles: Sequence[Role], pool: Pool, maps: Sequence[Affine]) -> None:
        super().__init__()
        parts, pooler, cosine = encoder.parts, encoder.pooler(pool), encoder.similarity == "cosine"
        if not parts.include_prompt and any(encoder.prompt(role) for role in roles):
            reason = "does not pool the tokens of its prompts, and a graph is not told how many they are"
            raise ValueError(f"{encoder.name} {reason}; make the encoder with empty prompts")
        layers = encoder.layers_read_by(pooler)
        self.states = _states(encoder, layers)
        self.pool, self.stacked = _traced_pooler(pooler.eval(), len(layers), encoder.token_dim), pooler.reads_layers
        # as a recipe does: the vectors of cosine models have length 1 before every map, and behind it
        behind = parts.behind(own=pool is None, first=encoder.truncate_dim, normalise=cosine if maps else None)
        for weight, bias in maps:
            behind += [_affine(weight, bias), *([Unit()] if cosine else [])]
        self.behind, self.dim = nn.Sequential(*behind), len(maps[-1][1]) if maps else encoder.width(pool)
        self.normalised = bool(behind) and isinstance(behind[-1], Unit)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return (B, d)."""
        layers = self.states(input_ids, attention_mask)
        x = torch.stack(layers, dim=1) if self.stacked else layers[0]
        vectors: Tensor = self.behind(self.pool(x, attention_mask.bool()))
        return vectors


def _states(encoder: Encoder, layers: tuple[int, ...]) -> _Table | _Transformer:
    parts = encoder.parts
    if not isinstance(parts.tokenizer, Tokenizer):
        raise ValueError(f"{encoder.name} reads words by a vocabulary of its own, which no tokenizer.json holds")
    if isinstance(parts.model, StaticTable):
        return _Table(parts.model.table)
    if not isinstance(parts.model, Packed | PlainTransformer):
        raise ValueError(f"{encoder.name} is computed by {parts.model.computed_by}, which is not written as ONNX")
    trusted = bool(encoder.reference().get("trust_remote_code", False))
    return _Transformer(
        transformer_of(parts.place or parts.folder, torch.float32, trusted, attention="eager"), layers, encoder.depth
    )


class _Table(nn.Module):
    """Rows of a table; a number beyond it reads its last row."""

    padding = 0

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table, requires_grad=False)

    def forward(self, ids: Tensor, mask: Tensor) -> list[Tensor]:
        """Return the one layer (B, N, D)."""
        return [self.table[ids.clamp(0, len(self.table) - 1)]]


class _Transformer(nn.Module):
    """A model of transformers."""

    def __init__(self, model: Any, layers: tuple[int, ...], depth: int) -> None:
        super().__init__()
        self.model, self.layers, self.depth = model, layers, depth
        model.config.use_cache = False
        self.padding: int = model.config.pad_token_id or 0

    def forward(self, ids: Tensor, mask: Tensor) -> list[Tensor]:
        """Return the layers (B, N, D) that are read."""
        every = self.layers != (self.depth,)
        out = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=every)
        return [out.last_hidden_state if i == self.depth else out.hidden_states[i] for i in self.layers]


def _affine(weight: Float32, bias: Float32) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0])
    made.load_state_dict({"weight": torch.from_numpy(weight).float(), "bias": torch.from_numpy(bias).float()})
    return made


def _traced_pooler(pooler: Pooler, layers: int, dim: int) -> nn.Module:
    """Return a pooler as the operations that it does on x (B, N, D) or (B, L, N, D) and a mask (B, N)."""
    shape = (2, layers, 7, dim) if pooler.reads_layers else (2, 7, dim)
    mask = torch.arange(7) < torch.tensor([[7], [5]])
    axes = ({0: _ANY, len(shape) - 2: _ANY}, {0: _ANY, 1: _ANY})
    with _refusing(f"the pooling {type(pooler).__name__}"):
        # strict: traced by its bytecode, so that the length of a tensor is a length and not a number
        given = in_onnx(copy.deepcopy(pooler))
        traced = torch.export.export(given, (torch.randn(shape), mask), dynamic_shapes=axes, strict=True)
    return traced.module(check_guards=False)


def _write(graph: _Graph, path: Path, name: str) -> int:
    """Write a graph, weights and all, and return its opset."""
    ids, mask = torch.ones(2, 7, dtype=torch.int64), torch.ones(2, 7, dtype=torch.int64)
    axes = {0: _ANY, 1: _ANY}
    with _refusing(name):
        traced = torch.export.export(graph, (ids, mask), dynamic_shapes=(axes, axes), strict=False)
        program = torch.onnx.export(
            traced,
            input_names=_INPUTS,
            output_names=(_OUTPUT,),
            dynamic_shapes=[{0: "texts", 1: "tokens"} for _ in _INPUTS],
            opset_version=_OPSET,
            dynamo=True,
            custom_translation_table=translations(),
            verbose=False,
        )
    assert program is not None
    program.save(path)
    return int(program.model.opset_imports[""])


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Make a ValueError of whatever torch's exporter, or the code that it traces, raises."""
    with _silent(), torch.no_grad():
        try:
            yield
        except Exception as error:
            cause = _cause(error)
            reason = f"{type(cause).__name__}: {' '.join(str(cause).split())[:200]}"
            raise ValueError(f"{what} cannot be written as ONNX ({reason}); Encoder.save needs no graph") from error


def _cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what the exporter and its optimiser say of their own insides to themselves."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _compare(encoder: Encoder, folder: Path, role: Role, pool: Pool, maps: Sequence[Affine]) -> None:
    """Raise ValueError where the graph's vectors of some texts, padded and alone, are not the encoder's."""
    import onnxruntime
    from tokenizers import Tokenizer as Fast

    fast, session = Fast.from_file(str(folder / "tokenizer.json")), onnxruntime.InferenceSession(folder / "model.onnx")
    specials, cosine = encoder.parts.tokenizer.specials, encoder.similarity == "cosine"
    expected = encoder.encode(_COMPARED, role, pool, normalize_embeddings=True if maps and cosine else None)
    for weight, bias in maps:
        expected = expected @ weight.T + bias
        if cosine:
            expected /= np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1e-12)
    prompt = encoder.prompt(role)
    for rows in ([0, 1, 2], [0], [2]):
        found = fast.encode_batch([prompt + _COMPARED[row] for row in rows], add_special_tokens=specials)
        ids, mask = ([getattr(one, name) for one in found] for name in ("ids", "attention_mask"))
        given = dict(zip(_INPUTS, (np.array(ids, np.int64), np.array(mask, np.int64)), strict=True))
        off = float(np.abs(session.run([_OUTPUT], given)[0] - expected[rows]).max())
        if not off <= _TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise ValueError(f"the graph of {encoder.name} gives vectors that are {off:.2g} off; it is not kept")


def _describe(encoder: Encoder, folder: Path, roles: Sequence[Role], pool: Pool, graph: _Graph, opset: int) -> None:
    specials, prompts = encoder.parts.tokenizer.specials, {role: encoder.prompt(role) for role in roles}
    axes, pooler = ["texts", "tokens"], encoder.pooler(pool)
    try:
        pooling = registry.config(pooler)
    except UnknownWord:  # the caller's own
        pooling = {"class": type(pooler).__qualname__}
    told = {
        "inputs": {name: {"type": "int64", "axes": axes} for name in _INPUTS},
        "outputs": {_OUTPUT: {"type": "float32", "axes": ["texts", graph.dim]}},
        "dim": graph.dim,
        "window": encoder.max_length,
        "add_special_tokens": specials,
        "prompts": prompts,
        "pooling": pooling,
        "normalised": graph.normalised,
        "similarity": encoder.similarity,
        "model": Path(encoder.name).name if Path(encoder.name).exists() else encoder.name,
        "weights_sha256": encoder.sha256,
        "onnx_sha256": digest(folder / "model.onnx"),
        "opset": opset,
    }
    (folder / "config.json").write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    prompt, *others = prompts.values()
    queries = f"Of queries, the prompt is `{others[0]!r}`. " if others not in ([], [prompt]) else ""
    about = _ABOUT.format(
        dim=graph.dim, prompt=repr(prompt), specials=specials, queries=queries, similarity=encoder.similarity
    )
    (folder / "README.md").write_text(about, encoding="utf-8")
