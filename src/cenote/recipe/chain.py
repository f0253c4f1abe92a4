"""A chain: the stages of a recipe built, fitted, and joined from documents to an index.

    document --chunker--> spans     texts --vectors--> payload --build--> index     folders --open--> index

A recipe of one leg has that leg's payload and index; where a fusion joins several, the payload is a dict of theirs.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cenote import registry
from cenote.arrays import Int64
from cenote.compress.base import Fitted, Role
from cenote.data.base import Chunker, Document, Span
from cenote.errors import RecipeError
from cenote.recipe.dense import DenseLeg
from cenote.recipe.grid import parse
from cenote.recipe.leg import Leg, Numbered, Progress, Setting
from cenote.recipe.payloads import row_of
from cenote.recipe.recipe import Recipe
from cenote.recipe.words import WordsLeg

if TYPE_CHECKING:
    from cenote.encode.cache import Encodings
    from cenote.encode.encoder import Encoder
    from cenote.index.base import Index
    from cenote.index.fused import Fusion

_LEGS: dict[str, type[Leg]] = {"states": DenseLeg, "sparse": WordsLeg}
"""The leg behind an encoder, by what that gives."""


class Chain:
    """A recipe, built. Nothing heavy is loaded until it is needed: opening an index needs no encoder.

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
        self._text, self._given_cache = str(self.recipe), cache
        self._setting = Setting(self._text, device, encoder, lambda: self.cache)
        steps = self.numbered(self.recipe)
        self._chunker = steps.pop(0) if self.recipe.chunker is not None else None
        self._fuse = steps.pop() if self.recipe.fuse is not None else None
        self._made_chunker = None if self._chunker is None else self._setting.made(self._chunker)
        self.fusion: Fusion | None = None if self._fuse is None else self._setting.made(self._fuse)
        self.legs: dict[str, Leg] = {}
        for leg in self.recipe.legs:
            mine, steps = steps[: len(leg)], steps[len(leg) :]
            made = self._leg(mine)
            same = sum(other.word == made.word for other in self.legs.values())
            self.legs[f"{made.word} {same + 1}" if same else made.word] = made

    @staticmethod
    def numbered(recipe: Recipe) -> list[Numbered]:
        """Return every stage in the order it is written, numbered, with the row of its word."""
        return [Numbered(n, stage, row_of(stage, str(recipe))) for n, stage in enumerate(recipe.steps)]

    def _leg(self, stages: list[Numbered]) -> Leg:
        encoder = next(one for one in stages if one.row.kind == "encoder")
        return _LEGS[encoder.row.gives](stages, self._setting)

    @cached_property
    def cache(self) -> Encodings:
        """Where encodings are kept."""
        from cenote.encode.cache import Encodings

        return self._given_cache if self._given_cache is not None else Encodings()

    @property
    def leg(self) -> DenseLeg:
        """The first leg that has a model.

        Raises RecipeError where none has one.
        """
        for leg in self.legs.values():
            if isinstance(leg, DenseLeg):
                return leg
        raise RecipeError(
            "this recipe has no model; its words are counted as they stand", self._text, 0, len(self._text)
        )

    @property
    def encoder(self) -> Encoder:
        """The encoder of the first leg that has a model, loaded on first use."""
        return self.leg.encoder

    @property
    def dim(self) -> int:
        """Dimensions of the vectors of the first leg that has a model, 0 where none has one."""
        return next((leg.dim for leg in self.legs.values() if isinstance(leg, DenseLeg)), 0)

    def described_encoders(self) -> list[dict[str, Any]]:
        """Return reference, sha256 and type of the encoder of each leg; none is loaded where the chain was saved."""
        return [leg.described_encoder() for leg in self.legs.values()]

    @property
    def encode_seconds(self) -> float:
        """Seconds that the encodings of documents took when they were first computed."""
        return sum(leg.encode_seconds for leg in self.legs.values())

    def read(self) -> dict[str, int]:
        """Return what the encoders have read and cut since they were loaded, for whomever."""
        return dict(sum((Counter(leg.read()) for leg in self.legs.values()), Counter()))

    @property
    def counting(self) -> Leg:
        """The leg in whose tokens passages are counted: the first that has a model, or the first."""
        return next((leg for leg in self.legs.values() if isinstance(leg, DenseLeg)), next(iter(self.legs.values())))

    @cached_property
    def chunker(self) -> Chunker | None:
        """The chunker, told how the first model counts tokens; None where a document is one passage.

        Raises RecipeError for passages that some leg's window cannot take.
        """
        chunker: Chunker | None = self._made_chunker
        if chunker is not None and chunker.needs_tokens and self._chunker is not None:
            try:
                # every window is compared, and what is bound last counts
                for leg in (*self.legs.values(), self.counting):
                    chunker.bind(*leg.tokens())
            except ValueError as error:
                raise self._setting.error(error, self._chunker.stage) from None
        return chunker

    def passages(self, document: Document) -> list[Span]:
        """Return the passages of a document: the whole of it without a chunker."""
        return self.passages_of([document])[0]

    def passages_of(self, documents: Sequence[Document]) -> list[list[Span]]:
        """Return the passages of many documents; their tokens are counted together."""
        if self.chunker is None:
            return [[Span(0, len(document.text))] for document in documents]
        return self.chunker.split_many(documents)

    def _learners(self) -> dict[int, Fitted]:
        return {n: learner for leg in self.legs.values() for n, learner in leg.learners().items()}

    @property
    def needs_fit(self) -> bool:
        """Whether some stage learns from documents."""
        return any(one.needs_fit for one in self._learners().values())

    @property
    def fitted(self) -> bool:
        """Whether every stage that learns has learnt."""
        return all(one.fitted for one in self._learners().values())

    def fit(self, texts: Sequence[str], seed: int = 0, progress: Progress | None = None) -> None:
        """Fit every stage that learns, in order, on a sample of passages.

        Raises RecipeError where the sample is too small for a stage.
        """
        for leg in self.legs.values():
            if any(one.needs_fit for one in leg.learners().values()):
                leg.fit(texts, seed, progress)

    def vectors(self, texts: Sequence[str], role: Role, progress: Progress | None = None) -> Any:
        """Return the payload of texts, row i from text i: of one leg float32 (n, dim) or counted words, else a dict.

        Raises RecipeError when a stage is not fitted.
        """
        if not self.fitted:
            raise RecipeError(
                "a stage of this recipe learns from documents and has not; make a collection with it first"
            )
        if self.fusion is None:
            return next(iter(self.legs.values())).vectors(texts, role, progress)
        return {name: leg.vectors(texts, role, progress) for name, leg in self.legs.items()}

    def build(self, vectors: Any) -> Index:
        """Index a payload with the recipe's codecs, engines, reranks and fusion."""
        if self.fusion is None:
            return next(iter(self.legs.values())).build(vectors)
        from cenote.index.fused import Fused

        return Fused({name: leg.build(vectors[name]) for name, leg in self.legs.items()}, self.fusion)

    def held(self, characters: Int64) -> Int64:
        """Return about how many bytes the payload of passages of so many characters each takes."""
        total: Int64 = np.sum([leg.held(characters) for leg in self.legs.values()], axis=0)
        return total

    def open(self, folders: Sequence[str | Path]) -> Index:
        """Open saved folders as one index."""
        from cenote.index import open_index

        index: Index = open_index(folders)
        return index

    # -- stored

    def save(self, folder: str | Path) -> None:
        """Write every stage under `folder/<n>/`: config.json, and model.safetensors where it learnt something."""
        from safetensors.numpy import save_file

        learners = self._learners()
        for one, told in self._told():
            place = Path(folder) / str(one.n)
            place.mkdir(parents=True, exist_ok=True)
            written = {"kind": one.row.kind, "stage": str(one.stage)} | told
            (place / "config.json").write_text(json.dumps(written, indent=1, sort_keys=True) + "\n")
            if one.n in learners and (arrays := learners[one.n].state()):
                save_file(
                    {key: np.ascontiguousarray(value) for key, value in arrays.items()}, place / "model.safetensors"
                )

    def _told(self) -> list[tuple[Numbered, dict[str, Any]]]:
        """Every stage, and what is written down about it."""
        ends = ((self._chunker, self._made_chunker), (self._fuse, self.fusion))
        told = [(one, {"config": registry.config(made)}) for one, made in ends if one is not None]
        return told + [(one, leg.config(one)) for leg in self.legs.values() for one in leg.stages]

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
        for one in (self._chunker, self._fuse):
            if one is not None:
                self._stored(one, folder)
        for leg in self.legs.values():
            for one in leg.stages:
                leg.expect(one, self._stored(one, folder))
            for n, learner in leg.learners().items():
                if (place := Path(folder) / str(n) / "model.safetensors").exists():
                    from safetensors.numpy import load_file

                    learner.restore(load_file(place))

    def _stored(self, one: Numbered, folder: str | Path) -> dict[str, Any]:
        place = Path(folder) / str(one.n)
        stored: dict[str, Any] = json.loads((place / "config.json").read_text())
        if stored["stage"] != str(one.stage):
            raise RecipeError(f"{place} holds `{stored['stage']}` where `{one.stage}` is expected", self._text)
        return stored
