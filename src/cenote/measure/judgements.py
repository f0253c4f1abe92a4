"""Questions and judgements as BEIR and TREC keep them, plain or gzipped.

Questions: `queries.jsonl` with `_id` and `text` a line, or a table of id, tab, text (TREC topics, MS MARCO).
Judgements ("qrels"): `question document grade`, with or without a header, or the four columns of TREC, whose second one
is not used. Columns are divided by tabs where a line has any, so that ids may hold spaces.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from cenote.measure.question import Question
from cenote.measure.spreadsheet import fields

_MOST = 2**31
"""Grades are below it, as trec_eval takes no more."""


def read_judged(queries: str | Path, qrels: str | Path) -> list[Question]:
    """Return the questions that have a judgement, in the order of `queries`.

    Judgements of questions that are not asked are left aside, as trec_eval does.
    Raises ValueError naming the file and line for what cannot be read, and when no question is judged.
    """
    texts, grades = read_queries(queries), read_qrels(qrels)
    found = [Question(id, text, grades[id]) for id, text in texts.items() if id in grades]
    if not found:
        asked, judged = next(iter(texts), "nothing"), next(iter(grades), "nothing")
        raise ValueError(
            f"{qrels} judges none of the {len(texts)} questions of {queries}: the first id is {judged!r} there and "
            f"{asked!r} here; pass the two files of one test set"
        )
    return found


def judged_beside(source: object) -> tuple[Path, Path] | None:
    """Return the questions and the judgements that lie in a BEIR folder beside its documents, None where none do.

    Judgements are those of the test set, where there are several.
    """
    if not isinstance(source, str | Path) or not Path(source).is_dir():
        return None
    folder = Path(source)
    queries = [path for name in ("queries.jsonl", "queries.jsonl.gz") if (path := folder / name).is_file()]
    qrels = sorted((folder / "qrels").glob("*.tsv*"), key=lambda path: not path.name.startswith("test."))
    return (queries[0], qrels[0]) if queries and qrels else None


def read_queries(path: str | Path) -> dict[str, str]:
    """Return id -> text of a file of questions.

    Raises ValueError naming the line: no id, an empty question, or one id with two texts.
    """
    path = Path(path)
    is_json = path.name.removesuffix(".gz").endswith((".jsonl", ".json", ".ndjson"))
    found: dict[str, str] = {}
    for number, line in _lines(path):
        id, text = _json_query(path, number, line) if is_json else _table_query(path, number, line)
        if not text.strip():
            raise ValueError(f"{path}, line {number}: question {id!r} is empty; write its text or remove the line")
        if found.setdefault(id, text) != text:
            raise ValueError(f"{path}, line {number}: a second question has the id {id!r}; each needs its own")
    return found


def _json_query(path: Path, number: int, line: str) -> tuple[str, str]:
    try:
        row: Any = json.loads(line, object_pairs_hook=partial(fields, f"{path}, line {number}"))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}, line {number}: not JSON ({error}); one object a line is expected") from None
    id = row.get("_id", row.get("id")) if isinstance(row, dict) else None
    if id is None or not isinstance(row.get("text"), str):
        raise ValueError(f'{path}, line {number}: {{"_id": …, "text": …}} is expected')
    return str(id), row["text"]


def _table_query(path: Path, number: int, line: str) -> tuple[str, str]:
    id, tab, text = line.partition("\t")
    if not tab:
        raise ValueError(f"{path}, line {number}: an id, a tab and the question are expected, not {line[:60]!r}")
    return id.strip(), text.strip()


def read_qrels(path: str | Path) -> dict[str, dict[str, int]]:
    """Return question -> document -> grade of a file of judgements; the same line twice counts once.

    Raises ValueError naming the line: another number of columns, a grade that is no whole number, or two grades for
    one document.
    """
    path = Path(path)
    found: dict[str, dict[str, int]] = {}
    for position, (number, line) in enumerate(_lines(path)):
        cells = [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()
        if len(cells) == 4:
            del cells[1]
        if len(cells) != 3:
            raise ValueError(f"{path}, line {number}: question, document and grade are expected, not {line[:60]!r}")
        query, document, written = cells
        grade = _grade(written)
        if grade is None:
            if position == 0 and not _is_number(written):
                continue  # a header
            raise ValueError(f"{path}, line {number}: the grade {written!r} is no whole number below {_MOST:,}")
        if found.setdefault(query, {}).setdefault(document, grade) != grade:
            raise ValueError(f"{path}, line {number}: {document!r} has a second grade for question {query!r}; keep one")
    return found


def _grade(written: str) -> int | None:
    if not _is_number(written):
        return None
    value = float(written)
    return int(value) if value.is_integer() and abs(value) < _MOST else None


def _is_number(written: str) -> bool:
    try:
        float(written)
    except ValueError:
        return False
    return True


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines that hold something."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8; save it as UTF-8") from None
    except (OSError, EOFError) as error:
        raise ValueError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error}); check the path"
        ) from None
