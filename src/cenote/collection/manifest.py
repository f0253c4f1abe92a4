"""The manifest: the one authority on what a collection holds.

    CURRENT                  one line: the manifest's name and its blake2b
    MANIFEST-00000012.json   recipe, stages, segments, tombstones, counts, schema; size and hash of every file

What a manifest does not name is not there: nothing has to be rolled back after a crash, only swept. A manifest never
changes; a commit writes the next one and then replaces CURRENT.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeAlias

from cenote.collection import durable
from cenote.errors import CorruptIndex

FORMAT = 1
HASHED_AT_OPEN = 2**20
"""Files below this size are hashed whenever a collection is opened; larger ones by `verify`."""
CURRENT = "CURRENT"

Files: TypeAlias = dict[str, tuple[int, str]]
"""path relative to what holds it: (bytes, blake2b-256)."""


@dataclass(frozen=True)
class Segment:
    """An immutable folder under `seg/`. `encoded` is false while its documents wait for the stages to be fitted.

    whole: every document is one passage, so that passages need no arrays of their own.
    """

    name: str
    documents: int
    passages: int
    encoded: bool
    whole: bool
    characters: int
    files: Files


@dataclass(frozen=True)
class Tombstones:
    """A bitmap of the dead documents of a segment."""

    path: str
    dead: int
    bytes: int
    blake2b: str


@dataclass(frozen=True)
class Manifest:
    """One version of a collection.

    complete: false until `create` is done. asked: what decides which documents are read, until then. dim: of the
    vectors that are indexed. stages: the folder of the fitted stages ("" before they are). schema: types of the user's
    attributes. overflow: what the encoder could not read, summed over all commits.
    """

    version: int
    recipe: str
    created: str
    complete: bool = False
    seed: int = 0
    asked: dict[str, Any] = field(default_factory=dict)
    dim: int = 0
    stages: str = ""
    stage_files: Files = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()
    tombstones: dict[str, Tombstones] = field(default_factory=dict)
    schema: dict[str, str] = field(default_factory=dict)
    overflow: dict[str, int] = field(default_factory=dict)
    build_seconds: float = 0.0
    encode_seconds: float = 0.0
    cenote: str = ""
    previous: tuple[str, int, str] | None = None
    format: int = FORMAT

    @property
    def name(self) -> str:
        """The name of the file."""
        return f"MANIFEST-{self.version:08d}.json"

    @property
    def documents(self) -> int:
        """Live documents."""
        return sum(s.documents for s in self.segments) - sum(t.dead for t in self.tombstones.values())

    def dead(self, segment: Segment) -> int:
        """Return how many documents of a segment are dead."""
        return self.tombstones[segment.name].dead if segment.name in self.tombstones else 0

    def files(self) -> Files:
        """Return every file that the manifest names, by its path in the collection."""
        found = {f"seg/{s.name}/{path}": entry for s in self.segments for path, entry in s.files.items()}
        found |= {f"{self.stages}/{path}": entry for path, entry in self.stage_files.items()}
        return found | {t.path: (t.bytes, t.blake2b) for t in self.tombstones.values()}


def list_files(folder: Path, known: Files | None = None) -> Files:
    """Return size and hash of every file below a folder; `known` saves hashing what has not changed."""
    known = known or {}
    found: Files = {}
    for file in durable.files(folder):
        path = file.relative_to(folder).as_posix()
        found[path] = known[path] if path in known else (file.stat().st_size, durable.digest(file))
    return found


def publish(folder: Path, manifest: Manifest, before: Manifest | None) -> Manifest:
    """Write a manifest and make it the current one: after this the commit stands."""
    if before is not None and (folder / before.name).exists():
        path = folder / before.name
        manifest = replace(manifest, previous=(before.name, path.stat().st_size, durable.digest(path)))
    # no newline at the end: the last byte closes the object, so that a file cut short by one cannot be read
    text = json.dumps(asdict(manifest), indent=1).encode()
    durable.write(folder / manifest.name, text)
    # ends in the last digit of the hash for the same reason
    durable.write(folder / CURRENT, f"{manifest.name} {_hash(text)}".encode())
    return manifest


def exists(folder: Path) -> bool:
    """Return whether a folder holds a collection, whole or begun."""
    return (folder / CURRENT).exists()


def current_name(folder: Path) -> str:
    """Return the name of the current manifest.

    Raises CorruptIndex when CURRENT is damaged, ValueError when the folder holds no collection.
    """
    return _current(folder)[0]


def read(folder: Path) -> Manifest:
    """Return the current manifest.

    Raises CorruptIndex naming CURRENT or the manifest where one is damaged, ValueError when the folder holds no
    collection or one of a later format.
    """
    name, wanted = _current(folder)
    content = _content(folder, name)
    if _hash(content) != wanted:
        raise CorruptIndex(folder / name, "its hash is not the one that CURRENT names", last_good(folder, name))
    return _parsed(folder / name, content)


def parse(path: Path) -> Manifest:
    """Return the manifest of a file, whatever CURRENT says.

    Raises CorruptIndex where it cannot be read.
    """
    try:
        return _parsed(path, path.read_bytes())
    except OSError as error:
        raise CorruptIndex(path, f"it cannot be read: {error}") from None


def check(folder: Path, manifest: Manifest, *, every_byte: bool = False) -> None:
    """Compare the files a manifest names with what is there: sizes, and hashes of small files or of all.

    Raises CorruptIndex naming the first that differs and the last good version.
    """
    named = manifest.files()
    if manifest.previous is not None and (folder / manifest.previous[0]).exists():
        named[manifest.previous[0]] = manifest.previous[1:]
    for path, (size, wanted) in named.items():
        reason = _differs(folder / path, size, wanted, every_byte)
        # a writer may remove the version before meanwhile: nothing needs it
        if reason is not None and ("/" in path or (folder / path).exists()):
            raise CorruptIndex(folder / path, reason, last_good(folder, manifest.name))


def last_good(folder: Path, before: str) -> str | None:
    """Return the newest version before a manifest whose files are whole, None where there is none."""
    for path in sorted(folder.glob("MANIFEST-*.json"), reverse=True):
        if path.name >= before:
            continue
        try:
            manifest = parse(path)
        except ValueError:
            continue
        if all(_differs(folder / p, size, wanted, False) is None for p, (size, wanted) in manifest.files().items()):
            return str(manifest.version)
    return None


def _hash(content: bytes) -> str:
    return blake2b(content, digest_size=32).hexdigest()


def _current(folder: Path) -> tuple[str, str]:
    path = folder / CURRENT
    try:
        line = path.read_bytes().decode("ascii")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        if any(folder.glob("MANIFEST-*.json")):
            raise CorruptIndex(path, "it is missing", last_good(folder, "~")) from None
        what = "is no collection" if folder.exists() else "does not exist"
        raise ValueError(f"{folder} {what}; make one with `cenote index SOURCE --out {folder}`") from None
    except UnicodeDecodeError:
        line = ""
    match = re.fullmatch(r"(MANIFEST-\d{8,}\.json) ([0-9a-f]{64})", line)
    if match is None:
        raise CorruptIndex(path, "it does not name a manifest", last_good(folder, "~"))
    return match[1], match[2]


def _content(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        # a damaged name points nowhere just like a lost manifest does; the manifests that are there tell which
        damaged = CURRENT if any(folder.glob("MANIFEST-*.json")) else name
        reason = f"it names {name}, which is not there" if damaged == CURRENT else "it is missing"
        raise CorruptIndex(folder / damaged, reason, last_good(folder, "~")) from None


def _parsed(path: Path, content: bytes) -> Manifest:
    try:
        raw: dict[str, Any] = json.loads(content)
        version = int(raw["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptIndex(path, f"it cannot be read: {error}") from None
    if version > FORMAT:
        raise ValueError(f"{path} is of format {version}, newer than the {FORMAT} of this version; upgrade cenote")
    try:
        raw["segments"] = tuple(
            Segment(**{**one, "files": {p: tuple(entry) for p, entry in one["files"].items()}})
            for one in raw["segments"]
        )
        raw["tombstones"] = {name: Tombstones(**one) for name, one in raw["tombstones"].items()}
        raw["stage_files"] = {p: tuple(entry) for p, entry in raw["stage_files"].items()}
        raw["previous"] = None if raw["previous"] is None else tuple(raw["previous"])
        return Manifest(**raw)
    except (KeyError, TypeError, AttributeError) as error:
        raise CorruptIndex(path, f"it is no manifest: {error}") from None


def _differs(path: Path, size: int, wanted: str, every_byte: bool) -> str | None:
    try:
        found = path.stat().st_size
        if found != size:
            return f"it has {found} bytes where {size} are expected"
        if (every_byte or size < HASHED_AT_OPEN) and durable.digest(path) != wanted:
            return "its bytes have changed"
    except (FileNotFoundError, NotADirectoryError):
        return "it is missing"
    return None
