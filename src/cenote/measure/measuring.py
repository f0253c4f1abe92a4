"""Measure one collection on one task."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

from cenote.measure.retrieval import RetrievalTask
from cenote.measure.run import RunWriter
from cenote.measure.task import Progress, System

HITS = 10
"""Documents asked for when a search is timed: a page of results."""
MOST_TIMED = 200
"""Questions that are timed at most: the middle one of so many is steady."""


class Sizes(Protocol):
    """The sizes of a collection, a live document."""

    @property
    def bytes_per_document(self) -> float:
        """Every array of the index."""

    @property
    def first_pass_bytes_per_document(self) -> float:
        """Without the copies that reranks keep."""

    @property
    def disk_bytes_per_document(self) -> float:
        """All files, texts included."""


class Measurable(System, Protocol):
    """What `measure` asks of a collection beside rankings."""

    def ids(self) -> Iterable[str]:
        """Return the ids of the live documents."""

    def info(self) -> Sizes:
        """Return the sizes."""


def measure(
    collection: Measurable,
    task: RetrievalTask,
    *,
    run_out: str | Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Return the measures of a collection, averaged over the judged questions, its speed and its sizes.

    Keys: ndcg_at_10, mrr_at_10, recall_at_10, recall_at_100, map, queries, ms_per_query, bytes_per_document,
    first_pass_bytes_per_document, disk_bytes_per_document. `run_out` is where the TREC run is written.
    Raises ValueError when documents that the task names are not in the collection (`RetrievalTask.bind`).
    """
    bound = task.bind(collection.ids())
    with RunWriter(run_out) if run_out is not None else nullcontext() as listener:
        records = bound.score(collection, listener=listener, progress=progress)
    found: dict[str, Any] = {name: bound.statistic(records.values[name]) for name in bound.measures}
    sizes = collection.info()
    return found | {
        "queries": len(bound),
        "ms_per_query": ms_per_query(collection, bound.queries),
        "bytes_per_document": sizes.bytes_per_document,
        "first_pass_bytes_per_document": sizes.first_pass_bytes_per_document,
        "disk_bytes_per_document": sizes.disk_bytes_per_document,
    }


def ms_per_query(system: System, queries: Sequence[str]) -> float | None:
    """Return the milliseconds of a search for ten documents, encoding included; None when there are no queries.

    Questions are asked one at a time, after one that warms up; the middle one of all counts, so that a moment in which
    the machine did something else does not.
    """
    if not queries:
        return None
    system.rank([queries[0]], HITS)
    took = []
    for query in queries[:: -(-len(queries) // MOST_TIMED)]:
        began = time.perf_counter()
        system.rank([query], HITS)
        took.append(time.perf_counter() - began)
    return 1000 * statistics.median(took)
