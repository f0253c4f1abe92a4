"""A chain: the stages of a recipe built, fitted, and joined from documents to an index.

    document --passages--> spans     texts --vectors--> (n, dim) --build--> index     folders --open--> index

For cosine models vectors have unit length after the pooling and again after every transform.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cenote import registry
from cenote.arrays import Float32
from cenote.compress.base import Codec, Fitted, Role, Transform
from cenote.compress.normalize import unit
from cenote.data.base import Chunker, Document, Span
from cenote.errors import RecipeError
from cenote.recipe.grammar import Stage
from cenote.recipe.grid import parse
from cenote.recipe.payloads import row_of
from cenote.recipe.recipe import Recipe

if TYPE_CHECKING:
    from cenote.encode.cache import Encodings
    from cenote.encode.encoder import Encoder
    from cenote.index.base import Index
    from cenote.index.rerank import Rerank

Progress = Callable[[int], None]


class Chain:
    """One leg of a recipe, built. Nothing heavy is loaded until it is needed: opening an index needs no encoder.

    recipe: a recipe without choices. encoder: use this one, where the recipe's is loaded already.
    cache: where encodings are kept; the default is the user's cache, shared by index, compare and reindex.

    Raises RecipeError for what cannot be read, typed or built.
    """

    def __init__(
        self,
        recipe: str | Recipe,
        *,
        encoder: Encoder | None = None,
        device: str | None = None,
        cache: Encodings | None = None,
    ) -> None:
        self.recipe = parse(recipe)
        self._text = str(self.recipe)
        self._device, self._given_encoder, self._given_cache = device, encoder, cache
        self._expected: dict[str, Any] | None = None
        if self.recipe.fuse is not None:
            self._unbuilt(self.recipe.fuse)
        self._stages = [(stage, row_of(stage, self._text)) for stage in self.recipe.steps]
        for stage, row in self._stages:
            if not row.built:
                self._unbuilt(stage)
        made = {i: self._make(i) for i, (_, row) in enumerate(self._stages) if row.kind not in ("encoder", "pool")}
        self._made: dict[int, Any] = made
        self.transforms: list[Transform] = [made[i] for i in self._of_kind("transform")]
        self.codec: Codec = self._one("codec") or registry.make("float32", ("codec",))
        self.reranks: list[Rerank] = [made[i] for i in self._of_kind("rerank")]
        self.encode_seconds = 0.0

    def _unbuilt(self, stage: Stage) -> None:
        reason = f"`{stage.word}` is known but not built in this version"
        raise RecipeError(reason, self._text, *self._place(stage))

    def _place(self, stage: Stage) -> tuple[int, int]:
        # the chain speaks of its canonical text, which may be spaced otherwise than what the stage was read from
        start = self._text.find(str(stage))
        return start, start + len(str(stage))

    def _of_kind(self, kind: str) -> list[int]:
        return [i for i, (_, row) in enumerate(self._stages) if row.kind == kind]

    def _one(self, kind: str) -> Any:
        found = self._of_kind(kind)
        return self._made[found[0]] if found else None

    def _make(self, i: int) -> Any:
        stage, row = self._stages[i]
        try:
            given = registry.arguments(row, stage.values, dict(stage.keys))
            made = row.load()
            return partial(made.build, **given) if row.kind == "engine" else made(**given)
        except (ValueError, TypeError) as error:
            raise RecipeError(str(error), self._text, *self._place(stage)) from None

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder, loaded on first use.

        Raises RecipeError when its weights are not those the chain was saved with.
        """
        stage, row = self._stages[self._of_kind("encoder")[0]]
        encoder = self._given_encoder
        if encoder is None:
            keys = registry.arguments(row, stage.values, dict(stage.keys))
            encoder = row.load()(stage.word, device=self._device, **keys)
        if self._expected is not None and encoder.sha256 != self._expected["sha256"]:
            was, now = self._expected["sha256"][:12], encoder.sha256[:12]
            reason = f"the weights of `{stage}` are not those this was made with (sha256 {now}… now, {was}… then)"
            raise RecipeError(f"{reason}; put the old weights back or reindex", self._text, *self._place(stage))
        return encoder

    @property
    def loaded_encoder(self) -> Encoder | None:
        """The encoder where it has been used, None where nothing needed it yet."""
        return self.__dict__.get("encoder")

    def described_encoder(self) -> dict[str, Any]:
        """Return reference, sha256 and type of the encoder, which is not loaded where the chain was saved."""
        if self._expected is not None:
            return {name: self._expected[name] for name in ("reference", "sha256", "dtype")}
        return {"reference": self.encoder.reference(), "sha256": self.encoder.sha256, "dtype": self.encoder.dtype}

    @cached_property
    def cache(self) -> Encodings:
        """Where encodings are kept."""
        from cenote.encode.cache import Encodings

        return self._given_cache if self._given_cache is not None else Encodings()

    @cached_property
    def chunker(self) -> Chunker | None:
        """The chunker, told how the encoder counts tokens; None where a document is one passage."""
        chunker: Chunker | None = self._one("chunker")
        if chunker is not None and chunker.needs_tokens:
            encoder = self.encoder
            try:
                chunker.bind(encoder.token_spans, encoder.max_length, encoder.overhead("document"))
            except ValueError as error:
                raise RecipeError(str(error), self._text, *self._place(self._stages[0][0])) from None
        return chunker

    @property
    def pool(self) -> str | None:
        """The word of the pooler, None for the model's own."""
        found = self._of_kind("pool")
        return self._stages[found[0]][0].word if found else None

    @property
    def _fits(self) -> list[Fitted]:
        return [*self.transforms, self.codec, *(rerank.made for rerank in self.reranks)]

    @property
    def needs_fit(self) -> bool:
        """Whether some stage learns from documents."""
        return any(stage.needs_fit for stage in self._fits)

    @property
    def fitted(self) -> bool:
        """Whether every stage that learns has learnt."""
        return all(stage.fitted for stage in self._fits)

    @property
    def dim(self) -> int:
        """Dimensions of the vectors that are indexed."""
        dim = self.encoder.dim
        for transform in self.transforms:
            dim = transform.out_dim(dim)
        return dim

    def passages(self, document: Document) -> list[Span]:
        """Return the passages of a document: the whole of it without a chunker."""
        return self.passages_of([document])[0]

    def passages_of(self, documents: Sequence[Document]) -> list[list[Span]]:
        """Return the passages of many documents; their tokens are counted together."""
        if self.chunker is None:
            return [[Span(0, len(document.text))] for document in documents]
        return self.chunker.split_many(documents)

    def _pooled(self, texts: Sequence[str], role: Role, progress: Progress | None) -> Float32:
        if role == "query":
            # questions are few, and a search that is timed must encode its own
            x: Float32 = self.encoder.encode(list(texts), role, pool=self.pool, progress=progress)
        else:
            arrays, seconds = self.cache.encode(self.encoder, [self.pool], texts, role, progress=progress)
            self.encode_seconds += seconds
            x = arrays[0]
        return unit(x) if self.encoder.similarity == "cosine" else x

    def _transformed(self, transform: Transform, x: Float32, role: Role) -> Float32:
        x = transform.apply(x, role)
        return unit(x) if self.encoder.similarity == "cosine" else x

    def fit(self, texts: Sequence[str], seed: int = 0, progress: Progress | None = None) -> None:
        """Fit every stage that learns, in order, on a sample of passages.

        Raises RecipeError where the sample is too small for a stage.
        """
        if not self.needs_fit:
            return
        spent, read = self.encode_seconds, replace(self.encoder.report)
        x = self._pooled(texts, "document", progress)
        # the sample is encoded with the other documents, and counted there
        self.encode_seconds, self.encoder.report = spent, read
        for i in self._of_kind("transform"):
            transform: Transform = self._made[i]
            if transform.needs_fit:
                try:
                    transform.fit(x, seed)
                except ValueError as error:
                    raise RecipeError(str(error), self._text, *self._place(self._stages[i][0])) from None
            x = self._transformed(transform, x, "document")
        for codec in (self.codec, *(rerank.made for rerank in self.reranks)):
            codec.fit(x, seed)

    def vectors(self, texts: Sequence[str], role: Role, progress: Progress | None = None) -> Float32:
        """Encode texts and apply every transform: float32 (n, dim), row i from text i.

        Raises RecipeError when a stage is not fitted.
        """
        if not self.fitted:
            raise RecipeError(
                "a stage of this recipe learns from documents and has not; make a collection with it first"
            )
        x = self._pooled(texts, role, progress)
        for transform in self.transforms:
            x = self._transformed(transform, x, role)
        return x

    def build(self, vectors: Float32) -> Index:
        """Index vectors (n, dim) with the recipe's codec, engine and reranks."""
        engine = self._one("engine") or registry.find("flat").load().build
        index: Index = engine(vectors, codec=self.codec, rerank=self.reranks or None)
        return index

    def open(self, folders: Sequence[str | Path]) -> Index:
        """Open saved folders as one index."""
        from cenote.index import open_index

        index: Index = open_index(folders)
        return index

    def save(self, folder: str | Path) -> None:
        """Write every stage under `folder/<n>/`: config.json, and model.safetensors where it learnt something."""
        from safetensors.numpy import save_file

        for n, (stage, row) in enumerate(self._stages):
            place = Path(folder) / str(n)
            place.mkdir(parents=True, exist_ok=True)
            (place / "config.json").write_text(json.dumps(self._config(n, stage, row), indent=1, sort_keys=True) + "\n")
            learner = self._learner(n)
            if learner is not None and (arrays := learner.state()):
                save_file(
                    {key: np.ascontiguousarray(value) for key, value in arrays.items()}, place / "model.safetensors"
                )

    def _config(self, n: int, stage: Stage, row: registry.Row) -> dict[str, Any]:
        base = {"kind": row.kind, "stage": str(stage)}
        if row.kind == "encoder":
            return base | self.described_encoder()
        if row.kind in ("pool", "engine"):
            return base | {"config": {"word": stage.word} | registry.arguments(row, stage.values, dict(stage.keys))}
        return base | {"config": registry.config(self._made[n])}

    def _learner(self, n: int) -> Fitted | None:
        kind = self._stages[n][1].kind
        if kind == "rerank":
            made: Codec = self._made[n].made
            return made
        return self._made[n] if kind in ("transform", "codec") else None

    @classmethod
    def load(
        cls, recipe: str | Recipe, folder: str | Path, *, device: str | None = None, cache: Encodings | None = None
    ) -> Chain:
        """Rebuild a chain from what `save` wrote; the encoder is loaded, and its weights compared, on first use.

        Raises RecipeError when the folder holds another recipe's stages.
        """
        chain = cls(recipe, device=device, cache=cache)
        chain.restore(folder)
        return chain

    def restore(self, folder: str | Path) -> None:
        """Take back what `save` wrote; as `load`, for a chain that is made already."""
        from safetensors.numpy import load_file

        for n, (stage, row) in enumerate(self._stages):
            place = Path(folder) / str(n)
            stored = json.loads((place / "config.json").read_text())
            if stored["stage"] != str(stage):
                raise RecipeError(f"{place} holds `{stored['stage']}` where `{stage}` is expected", self._text)
            if row.kind == "encoder":
                self._expected = stored
            elif (learner := self._learner(n)) is not None and (place / "model.safetensors").exists():
                learner.restore(load_file(place / "model.safetensors"))
