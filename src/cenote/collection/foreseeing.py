"""What a source holds and what indexing it would take, found out before any work.

Everything is read once; tokens, passages and speed are measured on a seeded sample of the documents and scaled up by
their characters.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

from cenote.collection.building import Progress, nothing
from cenote.data.base import Document, Skipped
from cenote.recipe import Chain

_SAMPLE = 128
_TIMED = 32
"""Passages that are encoded to learn how fast that is here."""


@dataclass
class Foreseen:
    """What a source holds, counted, and what a recipe would take, expected.

    files: documents by the suffix of what they came from ("rows" for tables in memory). duplicates: ids of documents
    whose text an earlier one has. tokens, passages, index_bytes and minutes are expected, not counted. problem: what
    would end an index of this source, None where nothing does.
    """

    recipe: str
    documents: int = 0
    characters: int = 0
    pages: int = 0
    empty: int = 0
    files: dict[str, int] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    tokens: int = 0
    passages: int = 0
    index_bytes: int = 0
    minutes: float = 0.0
    problem: str | None = None

    @property
    def skipped_by_kind(self) -> dict[str, int]:
        """How many were skipped of each kind; scanned and empty PDFs are kinds of their own."""
        return dict(Counter(one.kind for one in self.skipped))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return asdict(self) | {"skipped_by_kind": self.skipped_by_kind}


def foresee(
    sources: Any,
    recipe: str,
    *,
    text_column: str | None = None,
    limit: int | None = None,
    progress: Progress = nothing,
) -> Foreseen:
    """Read some sources and say what they hold, and what indexing them with a recipe would take.

    Raises RecipeError for a recipe that cannot be built, ValueError for a source that is not there.
    """
    from cenote.data import read

    chain = Chain(recipe)
    found = Foreseen(str(chain.recipe))
    sample: list[Document] = []
    texts: set[bytes] = set()
    draw = random.Random(0)
    documents = read(sources, text_column=text_column, limit=limit)
    try:
        for one in documents:
            if isinstance(one, Skipped):
                found.skipped.append(one)
                continue
            _count(found, one, texts)
            progress("read", found.documents, None)
            if len(sample) < _SAMPLE:
                sample.append(one)
            elif (place := draw.randrange(found.documents)) < _SAMPLE:
                sample[place] = one
    except ValueError as error:
        if not found.documents and not found.skipped:
            raise
        found.problem = str(error)
    if any(document.text for document in sample):
        _expect(found, chain, sample)
    return found


def _count(found: Foreseen, one: Document, texts: set[bytes]) -> None:
    found.documents += 1
    found.characters += len(one.text)
    found.pages += len(one.pages)
    found.empty += not one.text.strip()
    name = one.source.lower().removesuffix(".gz").rpartition("/")[2]
    kind = name.rpartition(".")[2] if "." in name else "rows"
    found.files[kind] = found.files.get(kind, 0) + 1
    text = blake2b(one.text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    if text in texts and one.text.strip():
        found.duplicates.append(one.id)
    texts.add(text)


def _expect(found: Foreseen, chain: Chain, sample: Sequence[Document]) -> None:
    """Scale what the sample takes to all characters."""
    scale = found.characters / sum(len(document.text) for document in sample)
    spans = chain.passages_of(sample)
    cut = [d.text[s.start : s.end] for d, some in zip(sample, spans, strict=True) for s in some]
    tokens = sum(len(one) for one in chain.counting.tokens()[0](cut))
    # documents of one passage are counted, not scaled by their length
    share = found.documents / len(sample) if len(cut) == len(sample) else scale
    found.tokens, found.passages = round(tokens * scale), max(found.documents, round(len(cut) * share))
    legs = chain.legs.values()
    found.index_bytes = sum(leg.expected_bytes(found.passages, found.characters) for leg in legs)
    timed = cut[:: max(1, len(cut) // _TIMED)][:_TIMED]
    found.minutes = sum(leg.seconds(timed) for leg in legs) / len(timed) * found.passages / 60
