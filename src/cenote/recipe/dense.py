"""A dense leg: a model's token states pooled to vectors, transformed, put into codes and scanned.

    texts --encoder, pool--> (n, d) --transforms--> (n, dim) --codec, engine, reranks--> index

For cosine models vectors have unit length after the pooling and again after every transform.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from cenote import registry
from cenote.arrays import Float32, Int64
from cenote.compress.base import Codec, Fitted, Role, Transform
from cenote.compress.normalize import unit
from cenote.recipe.leg import Leg, Numbered, Progress, Setting

if TYPE_CHECKING:
    from cenote.data.base import TokenSpans
    from cenote.encode.encoder import Encoder, Pool
    from cenote.index.base import Index
    from cenote.index.rerank import Rerank
    from cenote.pool.base import Pooler
    from cenote.train.runs import Run


class DenseLeg(Leg):
    """One vector a text. Raises RecipeError for stages that cannot be made."""

    def __init__(self, stages: Sequence[Numbered], setting: Setting) -> None:
        super().__init__(stages, setting)
        self._expected: dict[str, Any] | None = None
        for one in stages:
            setting.check_built(one)
        made = {one.n: setting.made(one) for one in stages if one.row.kind not in ("encoder", "pool")}
        self._made: dict[int, Any] = made
        self.transforms: list[Transform] = [made[one.n] for one in self.of_kind("transform")]
        self.codec: Codec = self._one("codec") or registry.make("float32", ("codec",))
        self.reranks: list[Rerank] = [made[one.n] for one in self.of_kind("rerank")]
        self._run: Run | None = None
        if self.trainable is not None and registry.model_sizes(self.trainable.row):
            word = self.trainable.stage.word
            reason = f"`{word}` has weights to train: train it (cenote train, cenote compare --train) and name the run"
            raise setting.error(f"{reason}: {word}@runs/x", self.trainable.stage)

    def _one(self, kind: str) -> Any:
        found = self.of_kind(kind)
        return self._made[found[0].n] if found else None

    @property
    def trainable(self) -> Numbered | None:
        """The pooler that has weights and was not trained; None where there is none."""
        return next((one for one in self.of_kind("pool") if one.row.trained and one.stage.path is None), None)

    @cached_property
    def pool(self) -> Pool:
        """The word of the pooler, the pooler where it has arguments or weights, None for the model's own.

        Raises RecipeError for a run that is not there, is of another pooler, or of another encoder.
        """
        found = self.of_kind("pool")
        if not found:
            return None
        one = found[0]
        if one.stage.path is not None:
            return self._trained(one)
        if not (one.stage.values or one.stage.keys or registry.model_sizes(one.row)):
            self._check_layers(one)
            return one.stage.word
        return self.made_pooler(one)

    def _check_layers(self, one: Numbered) -> None:
        """Raise RecipeError for a pooler of layers where the model has none: a table of words."""
        if one.row.load().reads == "all" and self.encoder.depth == 0:
            model = self.of_kind("encoder")[0].stage
            reason = f"`{one.stage.word}` pools over the layers of a model, and {model} is a table without any"
            raise self.setting.error(f"{reason}; use another encoder", one.stage)

    def made_pooler(self, one: Numbered) -> Pooler:
        """Make a pooler with what is written behind its word and the sizes of the model.

        Raises RecipeError for what its class refuses, and for a pooler of layers where the model has none.
        """
        self._check_layers(one)
        sizes = {"dim": self.encoder.token_dim, "layers": self.encoder.depth}
        try:
            told = {name: sizes[name] for name in registry.model_sizes(one.row)}
            pooler: Pooler = one.row.load()(**one.arguments(), **told)
        except (ValueError, TypeError) as error:
            raise self.setting.error(error, one.stage) from None
        return pooler.eval()

    def _run_of(self, one: Numbered) -> Run:
        """What a trained pooler is named by, read on first use; of a leg that was saved, what was saved with it."""
        from cenote.train.runs import Run

        if self._run is None:
            try:
                self._run = Run.load(str(one.stage.path))
                if self._run.word != one.stage.word:
                    raise ValueError(f"{one.stage.path} is a run of `{self._run.word}`, not of `{one.stage.word}`")
            except (ValueError, TypeError) as error:
                raise self.setting.error(error, one.stage) from None
        return self._run

    def _trained(self, one: Numbered) -> Pooler:
        run = self._run_of(one)
        try:
            trained_on = run.told["encoder"]["sha256"]
            if trained_on != self.encoder.sha256:
                was, now = trained_on[:12], self.encoder.sha256[:12]
                raise ValueError(f"{one.stage.path} was trained on another encoder (sha256 {was}…, here {now}…)")
            return run.pooler()
        except (ValueError, TypeError) as error:
            raise self.setting.error(error, one.stage) from None

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder, loaded on first use.

        Raises RecipeError when its weights are not those the leg was saved with.
        """
        one = self.of_kind("encoder")[0]
        encoder = self.setting.encoder
        if encoder is None:
            encoder = one.row.load()(one.stage.word, device=self.setting.device, **one.arguments())
        if self._expected is not None and encoder.sha256 != self._expected["sha256"]:
            was, now = self._expected["sha256"][:12], encoder.sha256[:12]
            reason = f"the weights of `{one.stage}` are not those this was made with (sha256 {now}… now, {was}… then)"
            raise self.setting.error(f"{reason}; put the old weights back or reindex", one.stage)
        return encoder

    @property
    def dim(self) -> int:
        """Dimensions of the vectors that are indexed."""
        dim = self.encoder.width(self.pool)
        for transform in self.transforms:
            dim = transform.out_dim(dim)
        return dim

    def tokens(self) -> tuple[TokenSpans, int | None, int]:
        """Return how the model counts tokens; see `Leg.tokens`."""
        return self.encoder.token_spans, self.encoder.max_length, self.encoder.overhead("document")

    def learners(self) -> dict[int, Fitted]:
        """Return the transforms, the codec and the codecs of the reranks."""
        of = {one.n: self._made[one.n] for one in self.stages if one.row.kind in ("transform", "codec")}
        of |= {one.n: self._made[one.n].made for one in self.of_kind("rerank")}
        return of | {one.n: self._run_of(one) for one in self.of_kind("pool") if one.stage.path is not None}

    def fit(self, texts: Sequence[str], seed: int, progress: Progress | None = None) -> None:
        """Fit every stage that learns, each on what comes out of those before it; see `Leg.fit`."""
        spent, read = self.encode_seconds, replace(self.encoder.report)
        x = self._pooled(texts, "document", progress)
        # the sample is encoded with the other documents, and counted there
        self.encode_seconds, self.encoder.report = spent, read
        for one in self.of_kind("transform"):
            transform: Transform = self._made[one.n]
            if transform.needs_fit:
                try:
                    transform.fit(x, seed)
                except ValueError as error:
                    raise self.setting.error(error, one.stage) from None
            x = self._transformed(transform, x, "document")
        for codec in (self.codec, *(rerank.made for rerank in self.reranks)):
            codec.fit(x, seed)

    def vectors(self, texts: Sequence[str], role: Role, progress: Progress | None = None) -> Float32:
        """Encode texts and apply every transform: float32 (n, dim), row i from text i."""
        x = self._pooled(texts, role, progress)
        for transform in self.transforms:
            x = self._transformed(transform, x, role)
        return x

    def _pooled(self, texts: Sequence[str], role: Role, progress: Progress | None) -> Float32:
        if role == "query":
            # questions are few, and a search that is timed must encode its own
            x: Float32 = self.encoder.encode(list(texts), role, pool=self.pool, progress=progress)
        else:
            arrays, seconds = self.setting.cache().encode(self.encoder, [self.pool], texts, role, progress=progress)
            self.encode_seconds += seconds
            x = arrays[0]
        return unit(x) if self.encoder.similarity == "cosine" else x

    def _transformed(self, transform: Transform, x: Float32, role: Role) -> Float32:
        x = transform.apply(x, role)
        return unit(x) if self.encoder.similarity == "cosine" else x

    def build(self, vectors: Float32) -> Index:
        """Index vectors (n, dim) with the codec, engine and reranks."""
        engine = self._one("engine") or registry.find("flat").load().build
        index: Index = engine(vectors, codec=self.codec, rerank=self.reranks or None)
        return index

    def held(self, characters: Int64) -> Int64:
        """Return 4 dim for every passage."""
        return np.full(len(characters), 4 * self.dim)

    def expected_bytes(self, passages: int, characters: int) -> int:
        """Return the bytes of the codes, which are known exactly."""
        codecs = [self.codec, *(rerank.made for rerank in self.reranks)]
        return sum(codec.nbytes(passages, self.dim) for codec in codecs)

    def described_encoder(self) -> dict[str, Any]:
        """Return reference, sha256 and type; see `Leg.described_encoder`."""
        if self._expected is not None:
            return {name: self._expected[name] for name in ("reference", "sha256", "dtype")}
        return {"reference": self.encoder.reference(), "sha256": self.encoder.sha256, "dtype": self.encoder.dtype}

    def config(self, one: Numbered) -> dict[str, Any]:
        """Return what is written down about a stage; of the encoder, which weights it has."""
        if one.row.kind == "encoder":
            return self.described_encoder()
        if one.stage.path is not None:
            return super().config(one) | {"run": self._run_of(one).told}
        if one.row.kind in ("pool", "engine"):
            return super().config(one)
        return {"config": registry.config(self._made[one.n])}

    def expect(self, one: Numbered, stored: dict[str, Any]) -> None:
        """See `Leg.expect`."""
        if one.row.kind == "encoder":
            self._expected = stored
        elif "run" in stored:
            from cenote.train.runs import Run

            self._run = Run(stored["run"], {})

    def read(self) -> dict[str, int]:
        """See `Leg.read`."""
        loaded: Encoder | None = self.__dict__.get("encoder")
        return {} if loaded is None else asdict(loaded.report)

    def _encode(self, texts: Sequence[str]) -> object:
        return self.encoder.encode(list(texts), "document", pool=self.pool)
