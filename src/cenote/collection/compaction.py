"""Compaction: segments of like size are merged, and dead documents left behind; nothing is encoded again.

    tier of a segment = floor(log_8 passages)       eight of one tier become one of the next

so that every document is copied about log_8 n times whatever the history, and the files never hold more dead than live.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cenote.collection import documents
from cenote.collection.manifest import Segment
from cenote.collection.memory import Budget
from cenote.collection.segment import DOCUMENTS, INDEX, PASSAGES, OpenSegment, write_ids
from cenote.collection.snapshot import Opener
from cenote.collection.writer import Writer
from cenote.index import store

FAN = 8
"""Segments of one tier that are merged."""
MOST_DEAD = 1 / 3
"""Share of dead documents from which a segment is written again."""


def compact(
    writer: Writer, open_index: Opener, limits: Budget, *, everything: bool = False, leave: Collection[str] = ()
) -> bool:
    """Merge what is due, or `everything` that fits together; return whether a new version was committed.

    leave: names of segments that stay as they are. Merging takes space before it gives any: what is due waits where the
    disk is full; `everything` raises OSError then.
    """
    assert writer.manifest is not None
    segments = [segment for segment in writer.manifest.segments if segment.name not in leave]
    dead = writer.manifest.dead
    groups = _everything(segments, dead, limits) if everything else _due(segments, dead, limits)
    if not groups:
        return False
    merged = {segment.name for group in groups for segment in group}
    try:
        made = [_merged(writer, open_index, group) for group in groups]
    except OSError:
        if everything:
            raise
        # whoever added or deleted has a commit that stands; the next one tries again
        writer.sweep()
        return False
    kept = [segment for segment in writer.manifest.segments if segment.name not in merged]
    now = (*kept, *(segment for segment in made if segment is not None))
    writer.publish(replace(writer.manifest, version=writer.next_version(), segments=now))
    writer.sweep()
    return True


def _due(segments: Sequence[Segment], dead: Callable[[Segment], int], limits: Budget) -> list[list[Segment]]:
    worn = [s for s in segments if dead(s) >= MOST_DEAD * s.documents]
    tiers: dict[int, list[Segment]] = {}
    for segment in segments:
        if segment not in worn:
            tiers.setdefault(int(math.log(max(1, segment.passages), FAN)), []).append(segment)
    groups = [[segment] for segment in worn]
    for tier in tiers.values():
        if len(tier) >= FAN:
            groups += [group for group in _fitting(tier, limits) if len(group) > 1]
    return groups


def _everything(segments: Sequence[Segment], dead: Callable[[Segment], int], limits: Budget) -> list[list[Segment]]:
    return [group for group in _fitting(segments, limits) if len(group) > 1 or dead(group[0])]


def _fitting(segments: Sequence[Segment], limits: Budget) -> list[list[Segment]]:
    """Cut neighbours into groups whose codes can be held at once."""
    groups: list[list[Segment]] = []
    held = 0
    for segment in segments:
        size = sum(size for path, (size, _) in segment.files.items() if path.startswith(INDEX))
        if not groups or held + size > limits.index_bytes:
            groups.append([])
            held = 0
        groups[-1].append(segment)
        held += size
    return groups


def _merged(writer: Writer, open_index: Opener, group: Sequence[Segment]) -> Segment | None:
    """Write the live documents of some segments as one; None where none is left."""
    assert writer.manifest is not None
    now = writer.manifest
    opened = [OpenSegment(writer.folder, segment, now.tombstones.get(segment.name)) for segment in group]
    count = sum(int(one.alive.sum()) for one in opened)
    if not count:
        return None
    draft = writer.draft()
    documents.merge(draft / DOCUMENTS, [(one.folder / DOCUMENTS, one.alive) for one in opened], now.schema)
    write_ids(draft, [id for one in opened for id in one.ids(np.flatnonzero(one.alive))])
    keep = np.concatenate([one.alive[one.document] for one in opened])
    whole = all(one.entry.whole for one in opened)
    if not whole:
        _write_passages(draft / PASSAGES, opened)
    open_index([one.folder / INDEX for one in opened]).select(keep).save(draft / INDEX)
    shares = [one.entry.characters * int(one.alive.sum()) // one.entry.documents for one in opened]
    entry = {"documents": count, "passages": int(keep.sum()), "encoded": True, "whole": whole}
    return writer.keep(draft, entry | {"characters": sum(shares)})


def _write_passages(folder: Path, opened: Sequence[OpenSegment]) -> None:
    parts: dict[str, list[np.ndarray[tuple[int], np.dtype[np.uint32]]]] = {"document": [], "start": [], "end": []}
    first = 0
    for one in opened:
        spans, alive = one.spans(), one.alive
        live = alive[spans["document"]]
        renumbered = np.cumsum(alive) - 1 + first
        parts["document"].append(renumbered[spans["document"][live]].astype(np.uint32))
        parts["start"].append(spans["start"][live])
        parts["end"].append(spans["end"][live])
        first += int(alive.sum())
    arrays = {name: np.concatenate(some) for name, some in parts.items()}
    store.write(folder, {"class": "passages", "rows": len(arrays["document"])}, arrays)
