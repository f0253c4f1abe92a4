"""Additions and deletions of many clients, in the order they came; additions that wait share a commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cenote.collection import Collection
from cenote.data.base import Document, Skipped


@dataclass(frozen=True)
class Add:
    """Documents to add or to replace."""

    documents: tuple[Document, ...]


@dataclass(frozen=True)
class Delete:
    """The id of a document to delete."""

    id: str


@dataclass(frozen=True)
class Written:
    """What is durable now: documents stored or deleted, those that could not be, and the version that holds it."""

    count: int
    skipped: tuple[Skipped, ...]
    version: int


Change: TypeAlias = Add | Delete


class Writer:
    """Makes changes to a collection, in one thread. The collection is its own: searches go on meanwhile."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection

    def answer(self, changes: Sequence[Change]) -> list[Written | Exception]:
        """Return what became of each change, once it is durable."""
        answers: list[Written | Exception] = []
        for group in _groups(changes):
            answers += [self._delete(group)] if isinstance(group, Delete) else self._add(group)
        return answers

    def _delete(self, change: Delete) -> Written | Exception:
        try:
            count = self.collection.delete([change.id])
        except Exception as error:
            return error
        return Written(count, (), self.collection.version)

    def _add(self, changes: Sequence[Add]) -> list[Written | Exception]:
        try:
            report = self.collection.add([document for change in changes for document in change.documents])
        except Exception as error:
            if len(changes) == 1 or not isinstance(error, ValueError):
                return [error] * len(changes)
            # the fault may be one client's, such as a text longer than the model reads
            return [self._add([change])[0] for change in changes]
        skipped = {one.source: one for one in report.skipped}
        answers: list[Written | Exception] = []
        for change in changes:
            mine = tuple(skipped[document.id] for document in change.documents if document.id in skipped)
            answers.append(Written(len(change.documents) - len(mine), mine, report.version))
        return answers


def _groups(changes: Sequence[Change]) -> list[list[Add] | Delete]:
    """Join neighbouring additions of different ids: a commit holds an id once."""
    groups: list[list[Add] | Delete] = []
    ids: set[str] = set()
    for change in changes:
        if isinstance(change, Delete):
            groups.append(change)
            continue
        mine = {document.id for document in change.documents}
        last = groups[-1] if groups else None
        if isinstance(last, list) and not mine & ids:
            last.append(change)
            ids |= mine
        else:
            groups.append([change])
            ids = mine
    return groups
