"""What recipes share: one pass of an encoder over the documents serves every pooling of a grid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from cenote.data.base import Document
from cenote.encode.cache import Encodings
from cenote.errors import CenoteError
from cenote.recipe import Chain, Recipe
from cenote.recipe.dense import DenseLeg
from cenote.recipe.payloads import row_of

if TYPE_CHECKING:
    from cenote.encode.encoder import Pool

_TOGETHER = 256
"""Documents whose texts are held at once."""


class Stored(Protocol):
    """Documents that can be read again."""

    def ids(self) -> Iterable[str]:
        """Return the ids of the live documents."""

    def get(self, ids: list[str]) -> Sequence[Document]:
        """Return documents by id."""


def encodings(recipes: Sequence[Recipe]) -> dict[tuple[str, str], list[Recipe]]:
    """Return the recipes by what decides their tokens: chunker and model. Words are counted, not encoded."""
    groups: dict[tuple[str, str], list[Recipe]] = {}
    for recipe in recipes:
        for leg in recipe.legs:
            for stage in leg:
                if row_of(stage, str(recipe)).names_model:
                    groups.setdefault((str(recipe.chunker), str(stage)), []).append(recipe)
    return groups


def encode_once(collection: Stored, recipes: Sequence[Recipe], cache: Encodings) -> None:
    """Fill the cache for the recipes that differ in pooling only, all poolings in one pass.

    A group that cannot be encoded is left alone: each of its recipes says why when it is built.
    """
    for group in encodings(recipes).values():
        with suppress(ValueError, OSError, CenoteError):
            chains = [Chain(recipe, cache=cache) for recipe in group if recipe.fuse is None]
            legs = [leg for chain in chains for leg in chain.legs.values() if isinstance(leg, DenseLeg)]
            pools = list({" ".join(str(one.stage) for one in leg.of_kind("pool")): leg.pool for leg in legs}.values())
            if len(pools) > 1:
                _encode(collection, chains[0], pools, cache)


def _encode(collection: Stored, chain: Chain, pools: list[Pool], cache: Encodings) -> None:
    ids = list(collection.ids())
    for start in range(0, len(ids), _TOGETHER):
        documents = collection.get(ids[start : start + _TOGETHER])
        cache.encode(chain.encoder, pools, passages(chain, documents), "document")


def passages(chain: Chain, documents: Sequence[Document]) -> list[str]:
    """Return the texts of all passages of some documents, in order."""
    cut = zip(documents, chain.passages_of(documents), strict=True)
    return [document.text[span.start : span.end] for document, spans in cut for span in spans]
