"""A collection as frameworks want a store: it may be empty, come into being with its first documents, and be shared."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cenote.arrays import Vectors
from cenote.collection import Collection, Hit, Info, create, open_collection
from cenote.collection.creating import DEFAULT_RECIPE
from cenote.collection.manifest import CURRENT
from cenote.collection.snapshot import Snapshot
from cenote.compress.normalize import unit
from cenote.data.base import Document
from cenote.index.opening import open_index
from cenote.integrations.conditions import Conditions
from cenote.recipe import parse
from cenote.recipe.dense import DenseLeg

_SHOWN = 3
_CODED = 0.2
"""What a score loses by its codes, at most, beside those of another scale such as counted bits."""


class Store:
    """The collection at `path`, on its newest version at every call; any thread may call.

    recipe: what a new collection is made with; the default is that of `cenote index`. Raises RecipeError for one that
    cannot be read, ValueError where the collection that is there has another.
    """

    def __init__(self, path: str | Path, recipe: str | None = None, *, device: str | None = None) -> None:
        self.path, self._device = Path(path), device
        self.recipe = str(parse(recipe or DEFAULT_RECIPE))
        self._asked = None if recipe is None else self.recipe
        self._lock = threading.RLock()
        self._collection: Collection | None = None
        self._newest()

    @property
    def cuts(self) -> bool:
        """Whether the recipe cuts documents into passages."""
        return parse(self.recipe).chunker is not None

    @property
    def leg(self) -> DenseLeg:
        """The first leg of the collection that has a model.

        Raises RecipeError where none has one, ValueError where there is no collection yet.
        """
        with self._lock:
            return self._there().chain.leg

    @property
    def cosine(self) -> bool:
        """Whether scores are cosines: of one leg, whose codes score a unit vector with itself as about 1."""
        with self._lock:
            collection = self._newest()
        if collection is None or collection.chain.fusion is not None or not collection.chain.dim:
            return False
        leg = collection.chain.leg
        one = unit(np.ones((1, leg.dim), np.float32))
        codecs = [leg.codec, *(rerank.made for rerank in leg.reranks)]
        alone = [float(codec.scorer(one, leg.dim)(codec.encode(one))[0, 0]) for codec in codecs]
        return leg.encoder.similarity == "cosine" and all(abs(score - 1) < _CODED for score in alone)

    def __len__(self) -> int:
        with self._lock:
            return 0 if (found := self._newest()) is None else len(found)

    def _newest(self) -> Collection | None:
        """The collection on its newest version, whoever made it."""
        if self._collection is not None:
            self._collection.refresh()
        elif (self.path / CURRENT).is_file():
            found = open_collection(self.path, device=self._device)
            if self._asked not in (None, found.recipe):
                reason = f'{self.path} was made with the recipe "{found.recipe}", not "{self._asked}"'
                raise ValueError(f"{reason}; leave recipe out")
            self._collection, self.recipe = found, found.recipe
        return self._collection

    def info(self) -> Info:
        """Return counts, versions and bytes.

        Raises ValueError where there is no collection yet.
        """
        with self._lock:
            return self._there().info()

    def _there(self) -> Collection:
        if (found := self._newest()) is None:
            raise ValueError(f"there is no collection at {self.path} yet; add documents first")
        return found

    def conditions(self) -> Conditions:
        """Return what writes conditions on the attributes that there are."""
        with self._lock:
            return Conditions({} if (found := self._newest()) is None else found.info().attributes)

    def add(self, documents: Sequence[Document]) -> None:
        """Add documents, or replace those of the same id, durably.

        Raises ValueError naming documents that could not be stored; the others are.
        """
        if not documents:
            return
        with self._lock:
            if (collection := self._newest()) is None:
                self._collection = create(self.path, documents, self.recipe, device=self._device)
                report = self._collection.report
            else:
                report = collection.add(documents)
        if report is not None and report.skipped:
            reasons = "; ".join(one.reason for one in report.skipped[:_SHOWN])
            more = f" (and {len(report.skipped) - _SHOWN} more)" if len(report.skipped) > _SHOWN else ""
            stored = len(documents) - len(report.skipped)
            raise ValueError(
                f"{len(report.skipped)} of {len(documents)} documents do not fit: {reasons}{more}; "
                f"the other {stored} are stored"
            )

    def delete(self, ids: Sequence[str]) -> int:
        """Delete documents, durably, and return how many were there."""
        with self._lock:
            collection = self._newest()
            there = [id for id in dict.fromkeys(ids) if collection is not None and id in collection]
            return collection.delete(there) if collection is not None and there else 0

    def ids(self) -> list[str]:
        """Return the ids of all documents."""
        with self._lock:
            return [] if (found := self._newest()) is None else found.ids()

    def get(self, ids: Sequence[str]) -> list[Document]:
        """Return the documents of some ids, in the order asked, without those that are not there."""
        with self._lock:
            collection = self._newest()
            if collection is None:
                return []
            return collection.get([id for id in dict.fromkeys(ids) if id in collection])

    def matching(self, where: str | None = None) -> list[Document]:
        """Return the documents for which a condition in SQL holds, or all, in the order they are stored.

        Raises ValueError for a condition that is none.
        """
        with self._lock:
            if self._newest() is None:
                return []
        snapshot = Snapshot.newest(self.path, open_index)
        try:
            marked = snapshot.matching("TRUE" if where is None else where)
            return snapshot.get(np.flatnonzero(marked).tolist())
        finally:
            snapshot.close()

    def search(self, query: str | Vectors, k: int, *, where: str | None = None, passages: bool = False) -> list[Hit]:
        """Return the k nearest documents to a text, or to its vector (1, dim); see `Collection.search`."""
        with self._lock:
            collection = self._newest()
            if collection is None:
                return []
            if isinstance(query, str):
                return collection.search(query, k, where=where, passages=passages)[0]
            return collection.search_vectors(query, k, where=where, passages=passages)[0]
