"""Run the check of a paper's claim."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

from cenote.claims.papers import find, papers

RESULTS = Path(__file__).parent / "results"


def checks() -> list[str]:
    """Return the slugs of the papers that have a check, in order of number."""
    return [paper.slug for paper in papers() if importlib.util.find_spec(_module(paper.slug)) is not None]


def _module(slug: str) -> str:
    return f"cenote.claims.{slug.replace('-', '_')}"


def reproduce(slug: str, *, data: str | Path | None = None, keep: bool = False) -> dict[str, Any]:
    """Run the check of a paper and return what it found, with seconds of computing, versions and processor.

    data: the folder of datasets; the default is `CENOTE_DATA`. keep: write it to the results that `cenote papers` and
    the docs read. The seconds are those that processors computed for this process, all threads together: waiting for
    other work is not in them, though shared cores and caches still lengthen them. Raises ValueError for a paper that
    has no check, or where the data is not there.
    """
    import numpy
    import torch

    import cenote
    from cenote.kernels.machine import described

    paper = find(slug)
    module = _module(slug)
    if importlib.util.find_spec(module) is None:
        raise ValueError(f"{slug} is {paper.status}, and has no check yet; `cenote papers` says which are checked")
    place = Path(data or os.environ.get("CENOTE_DATA", ""))
    if not str(data or os.environ.get("CENOTE_DATA", "")) or not place.is_dir():
        raise ValueError("the datasets are not there; name their folder in CENOTE_DATA")
    began = time.process_time()
    found = importlib.import_module(module).check(place).to_dict()
    versions = {"cenote": cenote.__version__, "torch": torch.__version__, "numpy": numpy.__version__}
    found = {"paper": paper.number, "slug": slug, "title": paper.title, **found} | {
        "cpu_seconds": round(time.process_time() - began, 1),
        "versions": versions | {"python": platform.python_version()},
        "cpu": described()["cpu"],
    }
    if keep:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{slug}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return found
