"""Texts with an answer, from files as people keep them: two texts and how alike they are, or a text and its class.

csv, tsv and jsonl, gzipped or not, and xlsx. Columns are found by their names, or by those that are given; a file of
pairs without names in its first row is read by what it holds: two texts, then a number.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from cenote.measure.spreadsheet import decoded, divider_of, fields, once, workbook

T = TypeVar("T")
SPLITS = ("train", "dev", "test")
_ALSO = {"dev": ("dev", "validation", "valid", "val"), "train": ("train", "training"), "test": ("test",)}
_FIRST, _SECOND = ("sentence1", "text1", "first", "query", "question"), ("sentence2", "text2", "second", "answer")
_SCORE = ("score", "similarity", "similarity_score", "label")
_TEXT, _CLASS = ("text", "sentence", "question"), ("label", "category", "class", "coarse", "intent")
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".csv.gz", ".tsv.gz", ".jsonl.gz", ".xlsx")
_LONGEST = 2**31 - 1
"""Characters of a cell: Python's own limit is that of a page of text."""


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


def read_pairs(path: str | Path, columns: Sequence[str] | None = None) -> list[Pair]:
    """Return the pairs of a file. columns: the names of two texts and their score, where they are called otherwise.

    Raises ValueError naming the line of an empty text or a score that is no number, and where a column is missing.
    """
    path, found = Path(path), []
    for line, row in _rows(path, _named(columns, (_FIRST, _SECOND, _SCORE), "two texts and their score")):
        first, second, score = row
        if not (first.strip() and second.strip()):
            raise ValueError(f"{path}, line {line}: a text is empty; fill it in or remove the line")
        try:
            value = float(score)
        except ValueError:
            raise ValueError(f"{path}, line {line}: the score is {score!r}; a number is expected") from None
        if value != value or abs(value) == float("inf"):
            raise ValueError(f"{path}, line {line}: the score is {score!r}; a finite number is expected")
        found.append(Pair(first, second, value))
    return _some(found, path, "pair")


def read_labelled(path: str | Path, columns: Sequence[str] | None = None) -> list[Labelled]:
    """Return the labelled texts of a file. columns: the names of a text and its class, where they are called otherwise.

    Raises ValueError naming the line of an empty text or label, and where a column is missing.
    """
    path, found = Path(path), []
    for line, (text, label) in _rows(path, _named(columns, (_TEXT, _CLASS), "a text and its class")):
        if not (text.strip() and label.strip()):
            empty = "label" if text.strip() else "text"
            raise ValueError(f"{path}, line {line}: the {empty} is empty; fill it in or remove the line")
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
                same = ", ".join(one.name for one in files if _split(one) == split)
                reason = f"{place} holds several files of the split {split}: {same}"
                raise ValueError(f"{reason}; name the one to ask, such as {found[split]}: its other splits are found")
            found[split or ("test" if len(files) == 1 else file.name)] = file
        found = {name: file for name, file in found.items() if name in SPLITS}
        if not found:
            raise ValueError(f"{place} holds no csv, tsv, jsonl or xlsx file named after a split (train, dev, test)")
        return found
    if not place.is_file():
        raise ValueError(f"{place} does not exist; name a csv, tsv, jsonl or xlsx file, or a folder of them")
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


def split_of(place: str | Path) -> str:
    """Return the split that a file is, or "test" of a folder and of a file that is named after none."""
    return (None if Path(place).is_dir() else _split(Path(place))) or "test"


def is_no_split(file: Path) -> bool:
    """Return whether a file is named after no split."""
    return _split(file) is None


def _split(file: Path) -> str | None:
    parts = re.split(r"[^a-z]+", file.name.lower())
    return next((split for split in SPLITS if set(parts) & set(_ALSO[split])), None)


def _some(found: list[T], path: Path, what: str) -> list[T]:
    if not found:
        raise ValueError(f"{path} holds no {what}")
    return found


def _named(
    columns: Sequence[str] | None, known: Sequence[Sequence[str]], what: str
) -> tuple[Sequence[Sequence[str]], bool]:
    """The names that each wanted column may have, and whether they were given."""
    if columns is None:
        return known, False
    if len(columns) != len(known):
        raise ValueError(f"columns must name {what}, {len(known)} in all, not {', '.join(columns) or 'nothing'}")
    return [(name.strip().lower(),) for name in columns], True


def _rows(path: Path, names: tuple[Sequence[Sequence[str]], bool]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The cells of the wanted columns, each known by several names, of every line that is not empty."""
    wanted, given = names
    if _kind(path) == ".jsonl":
        yield from _objects(path, _text(path), wanted)
        return
    rows = _cells(path)
    line, first = next(rows, (1, []))
    held = [cell.strip().lower() for cell in first]
    places = [next((held.index(name) for name in known if name in held), None) for known in wanted]
    if None in places:
        if given or len(wanted) != 3 or len(first) != 3:
            raise _missing(path, wanted[places.index(None)], held, len(wanted), "its first line holds")
        # three columns without names are two texts and a number
        places = [0, 1, 2]
        yield line, tuple(first)
    else:
        once(held, f"the first line of {path}")
    at = [place for place in places if place is not None]
    for line, row in rows:
        if any(cell.strip() for cell in row):
            if max(at) >= len(row):
                raise ValueError(f"{path}, line {line}: it has {len(row)} columns where more are expected")
            yield line, tuple(row[place] for place in at)


def _missing(path: Path, known: Sequence[str], held: Sequence[str], count: int, holds: str) -> ValueError:
    such = "sentence1,sentence2,score" if count == 3 else "text,label"
    hint = f"name its columns with --columns, as in --columns {such}"
    return ValueError(f"{path} has no column {' or '.join(known[:3])}; {holds} {', '.join(held) or 'nothing'}; {hint}")


def _cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Every row of a table and the line that it ends on."""
    if _kind(path) == ".xlsx":
        yield from workbook(path)
        return
    text = _text(path)
    csv.field_size_limit(_LONGEST)
    file = io.StringIO(text, newline="")
    # a tsv is lines divided by tabs, whatever quotes its texts hold
    tabs = _kind(path) == ".tsv"
    divided = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
    reader = divided if tabs else csv.reader(file, delimiter=divider_of(text))
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: it cannot be read ({error}); save the file again") from None


def _objects(path: Path, text: str, wanted: Sequence[Sequence[str]]) -> Iterator[tuple[int, tuple[str, ...]]]:
    for line, written in enumerate(text.split("\n"), 1):
        if not written.strip():
            continue
        where = f"{path}, line {line}"
        try:
            low = json.loads(written, object_pairs_hook=partial(_lowered, where))
        except (json.JSONDecodeError, RecursionError):
            low = None
        if not isinstance(low, Mapping):
            raise ValueError(f"{where}: it is no JSON object")
        cells = [next((low[name] for name in known if low.get(name) is not None), None) for known in wanted]
        if None in cells:
            raise _missing(path, wanted[cells.index(None)], list(low), len(wanted), f"line {line} holds")
        if wrong := [cell for cell in cells if isinstance(cell, Mapping | list)]:
            raise ValueError(f"{where}: {str(wrong[0])[:60]} is no text; one text or number is expected")
        yield line, tuple(map(str, cells))


def _lowered(where: str, pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON with its names in small letters."""
    return fields(where, ((name.lower(), value) for name, value in pairs))


def _kind(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error}); check the path"
        ) from None
    return decoded(raw, path)
