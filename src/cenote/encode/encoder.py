"""Encoder: texts to states to vectors, without computing a padding token.

    texts --tokens--> packed batches --model--> states --pool--> (n, d) --heads--> --normalise--> vectors

Texts are read in windows; inside one, equal texts are computed once and the rest sorted by length, so that a batch
holds a budget of tokens, not a number of texts. On a CPU every thread computes batches of its own, while the next
window is tokenised. Row i of every result is input i.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from copy import copy
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from cenote import registry
from cenote.arrays import Float32, Int64
from cenote.encode import source
from cenote.encode.bar import bar
from cenote.encode.batches import batches
from cenote.encode.device import resolved, usable
from cenote.encode.overflow import Overflow
from cenote.encode.routes import Role
from cenote.encode.states import States
from cenote.encode.tokens import Tokens
from cenote.encode.windows import windows
from cenote.encode.workers import in_order
from cenote.kernels import threads
from cenote.pool.base import Pooler

Pool: TypeAlias = str | Pooler | None
Progress: TypeAlias = Callable[[int], None]

_TOKENS = {"cpu": 2048}
"""Tokens of a batch by default: few enough for a thread's caches on a CPU."""
_MORE_TOKENS = 65_536
"""The same elsewhere: enough to fill an accelerator."""
_OVERFLOWS = ("report", "error")
_PROMPTS = {"query": ("query",), "document": ("document", "passage", "corpus")}


class Encoder:
    """A model that turns texts into vectors.

    model: a packaged word (`minilm`, `wordllama`), a sentence-transformers or transformers folder, or a hub id.
    device: a torch device; the default is the accelerator where there is one. dtype: the type of the computation;
    `auto` is bf16 where the machine multiplies it natively, fp32 elsewhere. overflow: `report` counts tokens beyond
    the window in `report`, `error` refuses them. max_length: a smaller window, special tokens included. prompts:
    {name: text put before every text}, beside or in place of the model's own; prompt_name: the one used for both roles.
    truncate_dim: keep the first dimensions only. revision, local_files_only: of the hub. trust_remote_code: run code
    that comes with a model. batch_tokens: tokens of a batch at most, unless one text alone has more.
    Raises ValueError for a model that cannot be found or read and for options out of range.
    """

    def __init__(
        self,
        model: str = "minilm",
        *,
        device: str | None = None,
        dtype: Literal["auto", "bf16", "fp32"] = "auto",
        overflow: Literal["report", "error"] = "report",
        max_length: int | None = None,
        prompts: dict[str, str] | None = None,
        prompt_name: str | None = None,
        truncate_dim: int | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        trust_remote_code: bool = False,
        batch_tokens: int | None = None,
    ) -> None:
        for name, value, known in (("dtype", dtype, ("auto", "bf16", "fp32")), ("overflow", overflow, _OVERFLOWS)):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")
        if batch_tokens is not None and batch_tokens < 1:
            raise ValueError(f"batch_tokens must be at least 1, not {batch_tokens}")
        self._device = usable(device)
        self.dtype: str = resolved(dtype, self._device) if model != "wordllama" else "fp32"
        self.parts = source.load(
            model,
            self._device,
            torch.bfloat16 if self.dtype == "bf16" else torch.float32,
            revision=revision,
            local_files_only=local_files_only,
            trust_remote_code=trust_remote_code,
        )
        self.name, self.overflow = model, overflow
        self.batch_tokens = batch_tokens or _TOKENS.get(self._device.type, _MORE_TOKENS)
        self.sha256, self.similarity, self.pooling = self.parts.sha256, self.parts.similarity, self.parts.pooling
        self.prompts, self.prompt_name = {**self.parts.prompts, **(prompts or {})}, prompt_name
        if prompt_name is not None and prompt_name not in self.prompts:
            raise ValueError(f"prompt_name must be one of {', '.join(self.prompts) or 'none'}, not {prompt_name!r}")
        self.max_length = self._window(max_length)
        self.truncate_dim = self._width(truncate_dim)
        self._hub = {"revision": revision, "local_files_only": local_files_only, "trust_remote_code": trust_remote_code}
        self._given: dict[str, Any] = {"prompts": prompts, "prompt_name": prompt_name, "max_length": max_length}
        self.report = Overflow()

    def _window(self, asked: int | None) -> int | None:
        window = self.parts.window
        if asked is None:
            return window
        if asked <= self.parts.tokenizer.overhead:
            raise ValueError(f"max_length is {asked}, and {self.parts.tokenizer.overhead} are special tokens already")
        if window is not None and asked > window:
            raise ValueError(f"max_length is {asked}, but {self.name} reads at most {window} tokens")
        return asked

    def _width(self, asked: int | None) -> int | None:
        if asked is not None and not 1 <= asked <= self.parts.dim:
            raise ValueError(f"truncate_dim must lie between 1 and {self.parts.dim}, not {asked}")
        return asked

    @property
    def computed_by(self) -> str:
        """What computes the states, in words: the packed path and its kernels, or transformers as it is."""
        return self.parts.model.computed_by

    @property
    def dim(self) -> int:
        """Dimensions of the model's own vectors."""
        return self.truncate_dim or self.parts.dim

    @property
    def token_dim(self) -> int:
        """Dimensions of the states of tokens."""
        return self.parts.model.dim

    @property
    def depth(self) -> int:
        """Number of the last layer; layer 0 is the embedding output."""
        return self.parts.model.depth

    def width(self, pool: Pool = None) -> int:
        """Return the dimensions of the vectors that a pooling gives."""
        return self._dim_of(None if pool is None else self.pooler(pool))

    def of(self, role: Role) -> Encoder:
        """Return what encodes the texts of a role: this encoder, unless the model has other modules for queries."""
        if role not in _PROMPTS:
            raise ValueError(f"role must be query or document, not {role!r}")
        if role == "document" or self.parts.query is None:
            return self
        made, asked, given = copy(self), self.parts.query, self._given["max_length"]
        made.parts, made.pooling = asked, asked.pooling
        made.max_length = made._window(given and min(given, asked.window or given))
        return made

    def prompt(self, role: Role = "document") -> str:
        """Return what is put before every text of a role."""
        if self.prompt_name is not None:
            return self.prompts[self.prompt_name]
        names = [name for name in (*_PROMPTS[role], self.parts.prompt_name) if name in self.prompts]
        return self.prompts[names[0]] if names else ""

    def overhead(self, role: Role = "document") -> int:
        """Return the tokens of the window that are not the text's: specials and prompt."""
        prompt, tokenizer = self.prompt(role), self.of(role).parts.tokenizer
        return tokenizer.overhead + (len(tokenizer.spans([prompt])[0]) if prompt else 0)

    def token_spans(self, texts: list[str]) -> list[Int64]:
        """Return int64 (n, 2) of each text: the characters of its tokens, without specials or prompt, uncut."""
        return self.parts.tokenizer.spans(texts)

    def lengths(self, texts: list[str], role: Role = "document") -> Int64:
        """Return int64 (n): the tokens of each text as it is read, specials and prompt counted, uncut."""
        prompt = self.prompt(role)
        return self.of(role).parts.tokenizer.lengths([prompt + text for text in texts])

    def fingerprint(self, role: Role) -> dict[str, Any]:
        """Return everything that decides a vector beside the text and the pooling."""
        by = self.of(role)
        return {
            "sha256": self.sha256,
            "dtype": self.dtype,
            "device": self._device.type,
            "max_length": by.max_length,
            "prompt": self.prompt(role),
            "truncate_dim": self.truncate_dim,
            "tokenizer": by.parts.tokenizer.fingerprint,
            "modules": by.parts.described,
        }

    def reference(self) -> dict[str, Any]:
        """Return what `Encoder(**reference)` needs to make this encoder again, on whatever device is there."""
        options = {**self._given, **self._hub, "truncate_dim": self.truncate_dim, "overflow": self.overflow}
        defaults = {p.name: p.default for p in registry.parameters(Encoder)}
        changed = {key: value for key, value in options.items() if value != defaults[key]}
        return {"model": self.name, "dtype": self.dtype, **changed}

    def states(
        self, texts: Iterable[str], role: Role = "document", layers: Collection[int] | None = None
    ) -> Iterator[States]:
        """Yield the states of every text once, in batches; `rows` of a batch says which texts it holds.

        layers: which to keep, 0 the embedding output, -1 the last; default the last.
        Raises TypeError for what is no text, ValueError for a layer the model has not, and for a text beyond the window
        under overflow="error".
        """
        by = self.of(role)
        wanted = by._layers(layers)
        tasks = (
            partial(by._batch, rows, tokens, wanted, len(self.prompt(role)), first)
            for first, window in windows(texts)
            for rows, tokens in by._batches(window, role, range(first, first + len(window)))
        )
        yield from in_order(tasks, concurrent=by.parts.model.concurrent)

    def _layers(self, layers: Collection[int] | None) -> tuple[int, ...]:
        asked = (-1,) if layers is None else layers
        found = [layer + self.depth + 1 if layer < 0 else layer for layer in asked]
        if not found or min(found) < 0 or max(found) > self.depth:
            raise ValueError(f"layers must lie between 0 and {self.depth}, not {list(asked)}")
        return tuple(sorted(set(found)))

    def _batches(
        self,
        texts: list[str],
        role: Role,
        numbers: Sequence[int],
        times: Collection[int] | None = None,
        texts_at_once: int | None = None,
    ) -> Iterator[tuple[list[int], list[Tokens]]]:
        """Yield (rows, tokens) of distinct texts, longest first. numbers: where each stands; times: how often."""
        prompt, overhead = self.prompt(role), self.overhead(role)
        tokens = self.parts.tokenizer.encode([prompt + text for text in texts], self.max_length)
        self._check_window(tokens, numbers)
        for one, often in zip(tokens, times or [1] * len(tokens), strict=True):
            self.report.count(len(one), one.cut, often, overhead=overhead)
        share = 2 * threads.count() if self.parts.model.concurrent else 1
        for batch in batches([len(one) for one in tokens], self.batch_tokens, texts_at_once, share):
            yield batch, [tokens[row] for row in batch]

    def _check_window(self, tokens: list[Tokens], numbers: Sequence[int]) -> None:
        row = next((row for row, one in enumerate(tokens) if one.cut), None)
        if row is not None and self.overflow == "error":
            reason = f"text {numbers[row]} is {tokens[row].cut} tokens longer than the window of {self.max_length}"
            raise ValueError(f"{reason}; cut it into passages, or use overflow=report")

    def _batch(self, rows: list[int], chosen: list[Tokens], layers: tuple[int, ...], prompt: int, first: int) -> States:
        lengths = [len(one) for one in chosen]
        ids = torch.from_numpy(np.concatenate([one.ids for one in chosen])).to(self._device)
        nothing = {layer: torch.zeros(0, self.token_dim, device=self._device) for layer in layers}
        states = self.parts.model(ids, lengths, layers) if len(ids) else nothing
        return States.of(
            states, chosen, np.array(rows, np.int64) + first, prompt, include_prompt=self.parts.include_prompt
        )

    def encode(
        self,
        texts: str | Iterable[str],
        role: Role = "document",
        pool: Pool | Sequence[Pool] = None,
        *,
        batch_size: int | None = None,
        normalize_embeddings: bool | None = None,
        show_progress: bool = False,
        progress: Progress | None = None,
    ) -> Any:
        """Encode texts: float32 (n, d), row i from text i; (d,) for a single string.

        pool: a word, a `Pooler`, or None for the model's own pooling and heads; a list of these gives a list of
        arrays from one pass. batch_size: texts computed together at most, where the tokens of a batch are not to decide
        alone. normalize_embeddings: unit length or not; by default the model's own vectors are what its
        folder says, and other poolings have unit length where the model compares by cosine. progress is called with
        the number of texts done since the last call; show_progress draws a bar on stderr. A text without a token of its
        own, such as "", gets the vector of the special tokens, zeros where there are none, and is counted in `report`.

        Raises TypeError for what is no text, ValueError for a text beyond the window under overflow="error" and for
        vectors that are not finite.
        """
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        one = isinstance(texts, str)
        given = [texts] if isinstance(texts, str) else list(texts)
        several = isinstance(pool, Sequence) and not isinstance(pool, str)
        pools = list(pool) if isinstance(pool, Sequence) and not isinstance(pool, str) else [pool]
        poolers = [None if each is None else self.pooler(each) for each in pools]
        out = [np.zeros((len(given), self._dim_of(each)), np.float32) for each in poolers]
        by = self.of(role)
        tasks = by._vector_tasks(given, role, poolers, normalize_embeddings, batch_size)
        with bar(len(given), show_progress) as drawn:
            for places, vectors in in_order(tasks, concurrent=by.parts.model.concurrent):
                for x, part in zip(out, vectors, strict=True):
                    x[places] = part
                drawn(len(places))
                if progress is not None:
                    progress(len(places))
        for x in out:
            _check_finite(x, self.name)
        found = [x[0] for x in out] if one else out
        return found if several else found[0]

    def encode_query(self, texts: str | Iterable[str], **options: Any) -> Any:
        """Encode as queries: `encode` with the query prompt."""
        return self.encode(texts, "query", **options)

    def encode_document(self, texts: str | Iterable[str], **options: Any) -> Any:
        """Encode as documents: `encode` with the document prompt."""
        return self.encode(texts, "document", **options)

    def save(self, folder: str | Path, *, pool: Pool = None, **options: Any) -> None:
        """Write a folder that sentence-transformers and `Encoder` open; see `cenote.encode.saving.save`."""
        from cenote.encode.saving import save

        save(self, folder, None if pool is None else self.pooler(pool), **options)

    def pooler(self, pool: Pool) -> Pooler:
        """Return what a pool names, on the encoder's device; the model's own pooling for None.

        Raises UnknownWord, TypeError for what is no pooler, ValueError where it gives queries another width than
        documents.
        """
        if pool is None:
            return self.pooling
        pooler = registry.make(pool, ("pool",)) if isinstance(pool, str) else pool
        if not isinstance(pooler, Pooler):
            raise TypeError(f"pool must be a word, a Pooler or None, not {type(pool).__name__}")
        if (asked := self.parts.query) is not None and asked.model.dim != self.token_dim:
            widths = f"queries of {asked.model.dim} dimensions and documents of {self.token_dim}"
            raise ValueError(f"{self.name} has states of {widths}; only its own pooling makes vectors of one width")
        return pooler.to(self._device)

    def layers_read_by(self, pooler: Pooler) -> tuple[int, ...]:
        """Return the layers that a pooler reads, ascending."""
        if pooler.reads == "all":
            return tuple(range(1, self.depth + 1)) or (0,)
        return self._layers((-1,) if isinstance(pooler.reads, str) else pooler.reads)

    def _dim_of(self, pooler: Pooler | None) -> int:
        full = self.parts.dim if pooler is None else pooler.out_dim(self.token_dim)
        return min(full, self.truncate_dim or full)

    def _vector_tasks(
        self,
        texts: list[str],
        role: Role,
        poolers: list[Pooler | None],
        normalise: bool | None,
        texts_at_once: int | None,
    ) -> Iterator[Callable[[], tuple[Int64, list[Float32]]]]:
        """Yield what gives (places (n,), vectors (n, d) a pooler), one batch of texts each."""
        for first, window in windows(texts):
            times = Counter(window)
            number = {text: i for i, text in enumerate(times)}
            of = np.array([number[text] for text in window])
            # the places of equal texts lie together, those of the first text first
            places = np.split(first + np.argsort(of, kind="stable"), np.cumsum(list(times.values()))[:-1])
            numbers = [int(place[0]) for place in places]
            for rows, tokens in self._batches(list(times), role, numbers, times.values(), texts_at_once):
                where = [places[row] for row in rows]
                yield partial(self._batch_vectors, rows, tokens, where, len(self.prompt(role)), poolers, normalise)

    def _batch_vectors(
        self,
        rows: list[int],
        tokens: list[Tokens],
        places: list[Int64],
        prompt: int,
        poolers: list[Pooler | None],
        normalise: bool | None,
    ) -> tuple[Int64, list[Float32]]:
        wanted = [self.layers_read_by(self.pooling if pooler is None else pooler) for pooler in poolers]
        states = self._batch(rows, tokens, tuple(sorted({*chain(*wanted)})), prompt, 0)
        times = [len(place) for place in places]
        found = []
        for pooler, layers in zip(poolers, wanted, strict=True):
            read = [states.kept(layer) for layer in layers]
            stacked = (self.pooling if pooler is None else pooler).reads_layers
            x = torch.stack([x for x, _ in read]) if stacked else read[0][0]
            found.append(self.pooled(x, read[0][1], pooler, normalise))
        return np.concatenate(places), [np.repeat(vectors, times, axis=0) for vectors in found]

    @torch.inference_mode()
    def pooled(self, x: Tensor, offsets: Tensor, pooler: Pooler | None, normalise: bool | None = None) -> Float32:
        """Return vectors (B, d) of packed states (M, D), or (L, M, D); by the model's own pooling and heads for None.

        normalise: as `encode` takes it.
        """
        # pooled vectors are few: they are kept in fp32 from here, whatever the tokens were computed in
        pooled = (self.pooling if pooler is None else pooler).forward_packed(x.float(), offsets)
        for module in self.parts.behind(own=pooler is None, first=self.truncate_dim, normalise=normalise):
            pooled = module(pooled)
        return np.asarray(pooled.cpu().numpy(), np.float32)


def _check_finite(x: Float32, name: str) -> None:
    if not np.isfinite(x.sum(dtype=np.float64)):
        bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
        if len(bad):
            raise ValueError(f"{name} gave a vector that is not finite for text {int(bad[0])}; try dtype=fp32")
