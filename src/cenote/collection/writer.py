"""The writer: one at a time, and every commit all or nothing.

    tmp/<uuid>  --flush, rename-->  seg/<uuid>   tomb/<version>/<uuid>   MANIFEST-<version>   CURRENT

Each step is flushed before the next, so that what CURRENT names is always whole.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import numpy as np

from cenote.arrays import Bool
from cenote.collection import durable, manifest
from cenote.collection.locks import Lock
from cenote.collection.manifest import Files, Manifest, Segment, Tombstones
from cenote.collection.segment import read_bitmap, write_bitmap

LOCK = "LOCK"


def drafted(folder: Path) -> Path:
    """Return a new empty folder of a collection to write a segment or stages into."""
    place = folder / "tmp" / uuid4().hex
    place.mkdir(parents=True)
    return place


def placed(folder: Path, draft: Path, name: str, entry: Mapping[str, Any], known: Files | None = None) -> Segment:
    """Move a written segment into place and return its entry. Where one of that name is there already it stays."""
    target, files = folder / "seg" / name, manifest.list_files(draft, known)
    try:
        durable.move(draft, target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        shutil.rmtree(draft)
        files = manifest.list_files(target)
    return Segment(name=name, files=files, **entry)


class Writer:
    """Holds the lock of a collection's folder; use it in a `with`.

    `manifest` is the newest version, None while there is none.
    """

    def __init__(self, folder: Path, *, damaged: bool = False) -> None:
        self.folder = folder
        self.manifest: Manifest | None = None
        self._damaged = damaged
        self._lock: Lock | None = None
        self._made = False

    def __enter__(self) -> Self:
        self._made = not self.folder.exists()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = Lock.alone(self.folder / LOCK)
        try:
            if manifest.exists(self.folder) and not self._damaged:
                self.manifest = manifest.read(self.folder)
                manifest.check(self.folder, self.manifest)
            self.sweep()
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._lock is not None
        try:
            if kind is None or self._reread():
                self.sweep()
            if kind is not None and self._made and not manifest.exists(self.folder):
                # as where a collection was moved away: nothing must stand in the way of its coming back
                shutil.rmtree(self.folder, ignore_errors=True)
        finally:
            self._lock.release()

    def _reread(self) -> bool:
        """Ask CURRENT what stands after an error: a commit that failed at its last flush may be visible already."""
        try:
            self.manifest = manifest.read(self.folder) if manifest.exists(self.folder) else None
        except (OSError, ValueError):
            return False
        return True

    def next_version(self) -> int:
        """Return a version number that no manifest here has."""
        names = (path.stem.removeprefix("MANIFEST-") for path in self.folder.glob("MANIFEST-*.json"))
        used = [int(name) for name in names if name.isdecimal()]  # a copy may lie there under another name
        return max([self.manifest.version if self.manifest else 0, *used]) + 1

    def draft(self) -> Path:
        """Return a new empty folder to write a segment or stages into."""
        return drafted(self.folder)

    def keep(self, draft: Path, entry: Mapping[str, Any], known: Files | None = None) -> Segment:
        """Move a written segment into place and return its entry; it is not there until a manifest names it."""
        return placed(self.folder, draft, draft.name, entry, known)

    def keep_stages(self, draft: Path) -> tuple[str, Files]:
        """Move the fitted stages into place: their path in the collection, and their files."""
        files = manifest.list_files(draft)
        durable.move(draft, self.folder / "stages" / draft.name)
        return f"stages/{draft.name}", files

    def bury(self, version: int, dead: Mapping[str, Bool], old: Manifest) -> dict[str, Tombstones]:
        """Write the documents that died in a version, joined to those dead before: every segment's tombstones."""
        found = {name: one for name, one in old.tombstones.items() if any(s.name == name for s in old.segments)}
        for name, marked in dead.items():
            if not marked.any():
                continue
            if name in found:
                marked = marked | read_bitmap(self.folder / found[name].path, len(marked))
            path = f"tomb/{version:08d}/{name}"
            write_bitmap(self.folder / path, marked)
            size = (self.folder / path).stat().st_size
            found[name] = Tombstones(path, int(np.count_nonzero(marked)), size, durable.digest(self.folder / path))
        if any(one.path.startswith(f"tomb/{version:08d}/") for one in found.values()):
            durable.flush(self.folder / "tomb" / f"{version:08d}")
            durable.flush(self.folder / "tomb")
        return found

    def publish(self, draft: Manifest) -> Manifest:
        """Make a manifest the current version: the commit."""
        names = {segment.name for segment in draft.segments}
        draft = replace(draft, tombstones={k: v for k, v in draft.tombstones.items() if k in names})
        durable.flush(self.folder)
        self.manifest = manifest.publish(self.folder, draft, self.manifest)
        return self.manifest

    def sweep(self) -> None:
        """Remove what no manifest names: half-written drafts, and versions that no reader holds any more.

        The version before the current one stays as long as all its segments are in use anyway: it costs no space, and
        is the one to go back to when the newest is damaged.
        """
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        for half in self.folder.glob("*.half"):
            half.unlink(missing_ok=True)
        if self.manifest is None:
            if self._damaged:
                return
            kept: list[Manifest] = []
        else:
            kept = [self.manifest, *self._older(self.manifest)]
        wanted = {path for one in kept for path in one.files()}
        folders = {"/".join(path.split("/")[:2]) for path in wanted}
        for kind in ("seg", "tomb", "stages"):
            for place in (self.folder / kind).glob("*"):
                if f"{kind}/{place.name}" not in folders:
                    shutil.rmtree(place, ignore_errors=True)

    def _older(self, newest: Manifest) -> list[Manifest]:
        """The earlier versions that must stay; the others' manifests are removed."""
        kept = []
        live = {segment.name for segment in newest.segments}
        for path in sorted(self.folder.glob("MANIFEST-*.json")):
            if path.name == newest.name:
                continue
            try:
                older = manifest.parse(path)
            except ValueError:
                continue  # a damaged one is evidence, and names nothing
            is_previous = newest.previous is not None and path.name == newest.previous[0]
            if is_previous and all(segment.name in live for segment in older.segments):
                kept.append(older)
                continue
            lock = Lock.unused(path)
            if lock is None:
                kept.append(older)
                continue
            path.unlink()
            lock.release()
        return kept
