"""Texts with an answer, from files as people keep them: two texts and how alike they are, or a text and its class.

csv, tsv and jsonl, gzipped or not. Columns are found by their names; a file of pairs without names in its first row is
read by what it holds: two texts, then a number.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
SPLITS = ("train", "dev", "test")
_ALSO = {"dev": ("dev", "validation", "valid", "val"), "train": ("train", "training"), "test": ("test",)}
_FIRST, _SECOND = ("sentence1", "text1", "first", "query", "question"), ("sentence2", "text2", "second", "answer")
_SCORE = ("score", "similarity", "similarity_score", "label")
_TEXT, _CLASS = ("text", "sentence", "question"), ("label", "category", "class", "coarse", "intent")
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".csv.gz", ".tsv.gz", ".jsonl.gz")


@dataclass(frozen=True)
class Pair:
    """Two texts and how alike people find them; greater is more."""

    first: str
    second: str
    score: float


@dataclass(frozen=True)
class Labelled:
    """A text and the class it belongs to."""

    text: str
    label: str


def read_pairs(path: str | Path) -> list[Pair]:
    """Return the pairs of a file.

    Raises ValueError naming the line of a score that is no number, and where a column is missing.
    """
    path, found = Path(path), []
    for line, row in _rows(path, (_FIRST, _SECOND, _SCORE), by_place=True):
        first, second, score = row
        try:
            value = float(score)
        except ValueError:
            raise ValueError(f"{path}, line {line}: the score is {score!r}; a number is expected") from None
        if value != value or abs(value) == float("inf"):
            raise ValueError(f"{path}, line {line}: the score is {score!r}; a finite number is expected")
        found.append(Pair(first, second, value))
    return _some(found, path, "pair")


def read_labelled(path: str | Path) -> list[Labelled]:
    """Return the labelled texts of a file.

    Raises ValueError naming the line of an empty label, and where a column is missing.
    """
    path, found = Path(path), []
    for line, (text, label) in _rows(path, (_TEXT, _CLASS), by_place=False):
        if not label.strip():
            raise ValueError(f"{path}, line {line}: the label is empty; fill it in or remove the line")
        found.append(Labelled(text, label.strip()))
    return _some(found, path, "labelled text")


def splits_of(place: str | Path) -> dict[str, Path]:
    """Return the files of a dataset by split: those of a folder, or a file and those that stand beside it.

    A file's split is the word train, dev (or val, validation) or test in its name; one without such a word is the test
    set. Raises ValueError where there is no file, or two of one split.
    """
    place = Path(place)
    if place.is_dir():
        files = [file for file in sorted(place.iterdir()) if file.name.endswith(_SUFFIXES)]
        found: dict[str, Path] = {}
        for file in files:
            split = _split(file)
            if split is not None and split in found:
                reason = f"{place} holds two files of the split {split}: {found[split].name} and {file.name}"
                raise ValueError(f"{reason}; name one of them")
            found[split or ("test" if len(files) == 1 else file.name)] = file
        found = {name: file for name, file in found.items() if name in SPLITS}
        if not found:
            raise ValueError(f"{place} holds no csv, tsv or jsonl file named after a split (train, dev, test)")
        return found
    if not place.is_file():
        raise ValueError(f"{place} does not exist; name a csv, tsv or jsonl file, or a folder of them")
    mine = _split(place)
    if mine is None:
        return {"test": place}
    beside: dict[str, Path] = {}
    for split in SPLITS:
        for word in _ALSO[split]:
            other = place.with_name(re.sub("|".join(_ALSO[mine]), word, place.name, count=1))
            if other.is_file():
                beside.setdefault(split, other)
    return beside | {mine: place}


def _split(file: Path) -> str | None:
    parts = re.split(r"[^a-z]+", file.name.lower())
    return next((split for split in SPLITS if set(parts) & set(_ALSO[split])), None)


def _some(found: list[T], path: Path, what: str) -> list[T]:
    if not found:
        raise ValueError(f"{path} holds no {what}")
    return found


def _rows(path: Path, wanted: Sequence[Sequence[str]], *, by_place: bool) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The cells of the wanted columns, each known by several names, of every line that is not empty."""
    text = _text(path)
    if path.name.removesuffix(".gz").endswith(".jsonl"):
        yield from _objects(path, text, wanted)
        return
    file = io.StringIO(text, newline="")
    # a tsv is lines divided by tabs, whatever quotes its texts hold
    tabs = path.name.removesuffix(".gz").endswith(".tsv")
    rows = enumerate(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(file), 1)
    line, first = next(rows, (1, []))
    names = [cell.strip().lower() for cell in first]
    places = [next((names.index(name) for name in known if name in names), None) for known in wanted]
    if None in places:
        if not by_place or len(first) != len(wanted):
            missing = " or ".join(wanted[places.index(None)][:3])
            raise ValueError(f"{path} has no column {missing}; its first line holds {', '.join(names)}")
        places = list(range(len(wanted)))
        yield line, tuple(first)
    for line, row in rows:
        if any(cell.strip() for cell in row):
            if max(place for place in places if place is not None) >= len(row):
                raise ValueError(f"{path}, line {line}: it has {len(row)} columns where more are expected")
            yield line, tuple(row[place] for place in places if place is not None)


def _objects(path: Path, text: str, wanted: Sequence[Sequence[str]]) -> Iterator[tuple[int, tuple[str, ...]]]:
    for line, written in enumerate(text.splitlines(), 1):
        if not written.strip():
            continue
        try:
            one = json.loads(written)
        except ValueError:
            one = None
        if not isinstance(one, Mapping):
            raise ValueError(f"{path}, line {line}: it is no JSON object")
        cells = [next((one[name] for name in known if name in one), None) for known in wanted]
        if None in cells:
            missing = " or ".join(wanted[cells.index(None)][:3])
            raise ValueError(f"{path}, line {line}: it has no key {missing}")
        yield line, tuple(map(str, cells))


def _text(path: Path) -> str:
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8; save it as UTF-8") from None
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read ({error}); check the path") from None
