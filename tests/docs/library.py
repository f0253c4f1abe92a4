"""What the pages of the documentation are about: folders of real documents, made of the docstrings of this Python.

reports/        a PDF a module, a page a docstring
docs/           the same, and Markdown files
cranfield/      a BEIR folder
questions.csv   the first lines of docstrings that their pages lack: question, document, page
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

from printing import pdf

from cenote.cli.docstrings import Docstring, collect, known_items


def build(folder: Path, *, docstrings: int, pdfs: int, most_pages: int, questions: int, markdown: int) -> None:
    """Write everything into a folder: of the first so many docstrings, so many PDFs and Markdown files."""
    found = collect(docstrings)
    modules: dict[str, list[Docstring]] = defaultdict(list)
    for one in found:
        modules[_module(one)].append(one)
    most = sorted(modules.items(), key=lambda item: -len(item[1]))[:pdfs]
    printed = {name: pages[:most_pages] for name, pages in most}
    asked = known_items([one for pages in printed.values() for one in pages], questions)
    rows = []
    for name, pages in printed.items():
        for place in (folder / "reports", folder / "docs"):
            file = place / f"{name}.pdf"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(pdf([one.body if one in asked else one.text for one in pages]))
        rows += [(one.summary, f"{name}.pdf", n) for n, one in enumerate(pages, 1) if one in asked]
    with (folder / "questions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("question", "document", "page"), *rows])
    for one in found[:markdown]:
        (folder / "docs" / f"{one.name}.md").write_text(f"# {one.name}\n\n{one.summary}\n")
    _pairs(folder / "pairs.csv", list(printed.values()))
    _beir(folder / "cranfield", found[:markdown], known_items(found[:markdown], questions))


def _pairs(file: Path, modules: list[list[Docstring]]) -> None:
    rows: list[tuple[str, str, int]] = []
    for (first, second, *_), (other, *_) in zip(modules, modules[1:] + modules[:1], strict=True):
        graded = ((first, 2), (second, 1), (other, 0))
        # a docstring of one line has no body
        rows += [(first.summary, (one.body or one.text)[:200], score) for one, score in graded]
    with file.open("w", newline="") as written:
        csv.writer(written).writerows([("sentence1", "sentence2", "score"), *rows])


def _module(one: Docstring) -> str:
    package = one.file.parent / "__init__.py"
    return f"{one.file.parent.name}/{one.file.stem}" if package.exists() else one.file.stem


def _beir(folder: Path, found: list[Docstring], asked: list[Docstring]) -> None:
    (folder / "qrels").mkdir(parents=True)
    texts = [{"_id": one.name, "text": one.body[:200] if one in asked else one.summary} for one in found]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    (folder / "queries.jsonl").write_text("".join(json.dumps({"_id": o.name, "text": o.summary}) + "\n" for o in asked))
    judged = "".join(f"{one.name}\t{one.name}\t1\n" for one in asked)
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
