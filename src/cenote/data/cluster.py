"""Files read and parsed by the machines of a Ray cluster, and their documents in the order of one process.

    files --Ray Data--> (file, documents with their rows)

Every file is read whole by one task, with the same reader as here; a task that is lost with its machine runs again.
This process must be part of the cluster.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from cenote.data.files import File
from cenote.data.parallel import Workers
from cenote.data.reading import Placed, begun, documents_of

_TIMEOUT = 60.0
_FILES = 16
"""Files of one call of a task."""
_DOCUMENTS = 256
"""Documents handed on together."""


def read_across(found: Iterable[File], text_column: str | None) -> Iterator[tuple[File, Iterable[Placed]]]:
    """Yield each file that holds something with what it holds; see `reading.Readers`.

    Raises ValueError as reading here does.
    """
    import ray.data

    files = list(found)
    if not files:
        return
    # other machines have other working folders
    rows = [
        {"number": n, "path": str(file.path.absolute()), "id": file.id, "named": file.named}
        for n, file in enumerate(files)
    ]
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells of every step
    dataset = ray.data.from_items(rows).map_batches(_read, fn_args=(text_column,), batch_size=_FILES)
    dataset.context.execution_options.preserve_order = True
    dataset.context.enable_progress_bars = False
    for number, held in groupby(dataset.iter_rows(), lambda row: int(row["number"])):
        yield files[number], (_here(files[number], row["held"], row["row"]) for row in held)


def _read(batch: dict[str, np.ndarray[Any, Any]], text_column: str | None) -> Iterator[dict[str, Any]]:
    """Read some files in a task; an error that ends the reading is handed on as what its file held."""
    files = [
        (int(number), File(Path(path), str(id), bool(named)))
        for number, path, id, named in zip(batch["number"], batch["path"], batch["id"], batch["named"], strict=True)
    ]
    with Workers(1, _TIMEOUT) as workers:
        parsed = [begun(file, workers) for _, file in files]
        for (number, file), future in zip(files, parsed, strict=True):
            some: list[tuple[Any, int | None]] = []
            try:
                for one in documents_of(file, future, text_column):
                    some.append(one)
                    if len(some) == _DOCUMENTS:
                        yield _block(number, some)
                        some = []
            except ValueError as error:
                some.append((error, None))
            yield _block(number, some)


def _block(number: int, some: list[tuple[Any, int | None]]) -> dict[str, Any]:
    held = np.empty(len(some), object)
    held[:] = [one for one, _ in some]
    rows = np.array([-1 if row is None else row for _, row in some], np.int64)
    return {"number": np.full(len(some), number), "held": held, "row": rows}


def _here(file: File, held: Any, row: int) -> Placed:
    """Return what a task found in a file as reading it here would."""
    if isinstance(held, ValueError):
        raise held
    source = str(file.path)
    found = replace(held, source=source)
    return found, row if row >= 0 else None
