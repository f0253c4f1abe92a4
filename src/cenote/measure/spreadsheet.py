"""Questions from a spreadsheet: a row says that a document answers a question.

Columns `question` and `document`, and whatever else; several rows with one question are several documents that answer
it. The format is read from the suffix: csv and tsv need nothing, xlsx needs openpyxl.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from cenote import registry
from cenote.data.rows import twice
from cenote.measure.question import Question

_DIVIDERS = ",;\t|"


def load_questions(path: str | Path) -> list[Question]:
    """Return the questions of a spreadsheet, in order, numbered from "1"; documents are named as the cells name them.

    Columns `page` and `quote` may say where the answer stands; judging is by document, so they are not read.
    Raises ValueError naming the row for an empty question or document, and naming a column that is missing or is there
    twice.
    """
    path = Path(path)
    rows = _rows(path)
    _, header = next(rows, (1, []))
    columns = [cell.strip().lower() for cell in header]
    once(columns, f"the first row of {path}")
    places = {}
    for wanted in ("question", "document"):
        if wanted not in columns:
            near = registry.nearest(wanted, columns)
            held = ", ".join(filter(None, columns)) or "nothing"
            hint = f"rename {near!r}" if near else "name the columns question and document there"
            raise ValueError(f"{path} has no column `{wanted}`: its first row holds {held}; {hint}")
        places[wanted] = columns.index(wanted)
    answers: dict[str, dict[str, int]] = {}
    for number, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        question, document = (cells[at].strip() if at < len(cells) else "" for at in places.values())
        if not question or not document:
            empty = "document" if question else "question"
            raise ValueError(f"{path}, row {number}: the {empty} is empty; fill it in or remove the row")
        answers.setdefault(question, {})[document] = 1
    if not answers:
        raise ValueError(f"{path} holds no question; one row a question and its document is expected")
    return [Question(str(n), text, grades) for n, (text, grades) in enumerate(answers.items(), 1)]


def once(names: Iterable[str], where: str) -> None:
    """Raise ValueError where two columns have one name: which is meant cannot be known. An empty name is none."""
    if (name := twice(filter(None, names))) is not None:
        raise ValueError(f"{where} names two columns {name!r}; rename one")


def fields(where: str, pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON, of which `json` would take the last of two fields with one name; see `once`."""
    held = list(pairs)
    once((name for name, _ in held), where)
    return dict(held)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Every row with the number that a spreadsheet program shows beside it."""
    try:
        yield from workbook(path) if path.suffix.lower() in (".xlsx", ".xlsm") else _text(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error}); check the path") from None


def _text(path: Path) -> Iterator[tuple[int, list[str]]]:
    text = decoded(path.read_bytes(), path)
    divider = "\t" if path.suffix.lower() in (".tsv", ".tab") else divider_of(text)
    yield from enumerate(csv.reader(io.StringIO(text, newline=""), delimiter=divider), 1)


def decoded(raw: bytes, path: Path) -> str:
    """Return the text of a file of tables.

    Raises ValueError where it is neither UTF-8 nor what Excel calls "Unicode text".
    """
    # "Unicode text", one of the ways in which Excel exports, is UTF-16 with a mark in front
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8; save it as `CSV UTF-8`") from None


def divider_of(text: str) -> str:
    """Return what divides the cells: where the comma is the decimal mark, spreadsheet programs write semicolons."""
    first = text.lstrip().partition("\n")[0]
    return max(_DIVIDERS, key=first.count)


def workbook(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of the first sheet of an xlsx, numbered from 1.

    Raises ValueError where openpyxl is missing, or cannot read it.
    """
    try:
        import openpyxl  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise ValueError(f"{path} needs openpyxl to be read; install it, or save the sheet as csv") from None
    try:
        book: Any = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (ValueError, KeyError, OSError, BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as a workbook ({error}); save the sheet as csv") from None
    for number, cells in enumerate(book.worksheets[0].iter_rows(values_only=True), 1):
        yield number, ["" if cell is None else str(cell) for cell in cells]
