"""What a collection says of itself: counts, versions, and every byte by its part."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from cenote.collection import manifest
from cenote.collection.snapshot import Snapshot
from cenote.collection.writer import LOCK


@dataclass(frozen=True)
class Info:
    """A collection in numbers.

    bytes: by part, summed over all segments; `attributes` are the texts and the user's columns, which no search scans,
    `disk` all files. bytes_per_document: every array of the index, ids, passages, codecs and rerank copies included,
    over the live documents; first_pass_bytes_per_document: without the rerank copies. Seconds: of building, and of the
    encodings in it as first measured.
    """

    path: str
    recipe: str
    version: int
    created: str
    documents: int
    passages: int
    segments: int
    dead_documents: int
    encoders: list[dict[str, Any]]
    dim: int
    cut_texts: int
    cut_tokens: int
    empty_texts: int
    build_seconds: float
    encode_seconds: float
    bytes: dict[str, int]
    bytes_per_document: float
    first_pass_bytes_per_document: float
    disk_bytes_per_document: float
    attributes: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return asdict(self)


def measured(snapshot: Snapshot, encoders: list[dict[str, Any]]) -> Info:
    """Return the numbers of a snapshot."""
    now, folder = snapshot.manifest, snapshot.folder
    held = snapshot.nbytes()
    own = [manifest.CURRENT, LOCK, now.name]
    disk = sum(size for size, _ in now.files().values()) + sum((folder / name).stat().st_size for name in own)
    live = max(1, len(snapshot))
    parts = ("payload", "ids", "structure", "codec", "attributes", "tombstones", "resident")
    return Info(
        path=str(folder),
        recipe=now.recipe,
        version=now.version,
        created=now.created,
        documents=len(snapshot),
        passages=snapshot.passages,
        segments=len(now.segments),
        dead_documents=sum(one.dead for one in now.tombstones.values()),
        encoders=encoders,
        dim=now.dim,
        cut_texts=now.overflow.get("cut_texts", 0),
        cut_tokens=now.overflow.get("cut_tokens", 0),
        empty_texts=now.overflow.get("empty_texts", 0),
        build_seconds=now.build_seconds,
        encode_seconds=now.encode_seconds,
        bytes={name: getattr(held, name) for name in parts} | {"disk": disk},
        bytes_per_document=held.index / live,
        first_pass_bytes_per_document=held.resident / live,
        disk_bytes_per_document=disk / live,
        attributes=dict(now.schema),
    )
