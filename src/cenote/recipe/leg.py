"""A leg: the stages of a recipe from an encoder to an index, built. A fusion joins several."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from cenote import registry
from cenote.arrays import Int64
from cenote.compress.base import Fitted, Role
from cenote.errors import RecipeError
from cenote.recipe.grammar import Stage

if TYPE_CHECKING:
    from cenote.data.base import TokenSpans
    from cenote.encode.cache import Encodings
    from cenote.encode.encoder import Encoder
    from cenote.index.base import Index

Progress = Callable[[int], None]


class Numbered(NamedTuple):
    """A stage: its place among all stages of the recipe, as written, and the row of its word."""

    n: int
    stage: Stage
    row: registry.Row

    def arguments(self) -> dict[str, Any]:
        """Return what is written behind the word, typed."""
        return registry.arguments(self.row, self.stage.values, dict(self.stage.keys))


@dataclass(frozen=True)
class Setting:
    """What the legs of a chain share. text: the recipe, for errors. encoder: use this one. cache: made when needed."""

    text: str
    device: str | None
    encoder: Encoder | None
    cache: Callable[[], Encodings]

    def error(self, reason: object, stage: Stage) -> RecipeError:
        """Return an error that shows where the stage stands."""
        # the recipe shown is the canonical text, which may be spaced otherwise than what the stage was read from
        start = self.text.find(str(stage))
        return RecipeError(str(reason), self.text, start, start + len(str(stage)))

    def check_built(self, one: Numbered) -> None:
        """Raise RecipeError for a word that is known and not built."""
        if not one.row.built:
            raise self.error(f"`{one.stage.word}` is known but not built in this version", one.stage)

    def made(self, one: Numbered) -> Any:
        """Make a stage with what is written behind its word; of an engine, the function that builds it.

        Raises RecipeError for what its class refuses, and for a word that is not built.
        """
        self.check_built(one)
        try:
            made, given = one.row.load(), one.arguments()
            return partial(made.build, **given) if one.row.kind == "engine" else made(**given)
        except (ValueError, TypeError) as error:
            raise self.error(error, one.stage) from None


class Leg(ABC):
    """The stages of one leg. Nothing heavy is loaded until it is needed: opening an index needs no model."""

    def __init__(self, stages: Sequence[Numbered], setting: Setting) -> None:
        self.stages, self.setting = list(stages), setting
        self.encode_seconds = 0.0

    def of_kind(self, kind: str) -> list[Numbered]:
        """Return the stages of one kind."""
        return [one for one in self.stages if one.row.kind == kind]

    @property
    def word(self) -> str:
        """What the leg is called: its encoder."""
        return self.of_kind("encoder")[0].stage.word

    @property
    @abstractmethod
    def dim(self) -> int:
        """Dimensions of the vectors that are indexed, 0 for words."""

    @abstractmethod
    def tokens(self) -> tuple[TokenSpans, int | None, int]:
        """Return how this leg counts tokens: their spans, its window, and what of that is not the text's."""

    @abstractmethod
    def vectors(self, texts: Sequence[str], role: Role, progress: Progress | None = None) -> Any:
        """Return the payload of texts, row i from text i."""

    @abstractmethod
    def build(self, vectors: Any) -> Index:
        """Index a payload."""

    @abstractmethod
    def held(self, characters: Int64) -> Int64:
        """Return about how many bytes the payload of passages of so many characters each takes."""

    @abstractmethod
    def expected_bytes(self, passages: int, characters: int) -> int:
        """Return about how many bytes an index of so many passages takes."""

    @abstractmethod
    def described_encoder(self) -> dict[str, Any]:
        """Return reference, sha256 and type of the encoder, which is not loaded where the leg was saved."""

    def learners(self) -> dict[int, Fitted]:
        """Return the stages that may learn, by number, in the order they do."""
        return {}

    def fit(self, texts: Sequence[str], seed: int, progress: Progress | None = None) -> None:
        """Fit the stages that learn on a sample of passages.

        Raises RecipeError where the sample is too small for one.
        """

    def config(self, one: Numbered) -> dict[str, Any]:
        """Return what is written down about a stage."""
        return {"config": {"word": one.stage.word} | one.arguments()}

    def expect(self, one: Numbered, stored: dict[str, Any]) -> None:
        """Take what was written down about a stage: another encoder is refused when it is loaded."""

    def read(self) -> dict[str, int]:
        """Return what the encoder has read and cut since it was loaded, for whomever."""
        return {}

    def seconds(self, texts: Sequence[str]) -> float:
        """Return how long encoding some texts takes here, with nothing looked up or kept."""
        self._encode(texts[:1])
        began = time.perf_counter()
        self._encode(texts)
        return time.perf_counter() - began

    @abstractmethod
    def _encode(self, texts: Sequence[str]) -> object: ...
