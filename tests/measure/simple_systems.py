"""Systems that need no index: rankings said outright, and words in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cenote.measure.task import Ranking


@dataclass
class Told:
    """Ranks what it is told, whatever order it is told in."""

    rankings: Mapping[str, Ranking]

    def rank(self, texts: Sequence[str], depth: int) -> list[Ranking]:
        return [list(self.rankings.get(text, []))[:depth] for text in texts]


@dataclass
class Sizes:
    bytes_per_document: float = 128.0
    first_pass_bytes_per_document: float = 64.0
    disk_bytes_per_document: float = 256.0


@dataclass
class Words:
    """Documents ranked by the share of the question's words that they hold."""

    documents: Mapping[str, str]

    def rank(self, texts: Sequence[str], depth: int) -> list[Ranking]:
        return [self._one(text)[:depth] for text in texts]

    def _one(self, text: str) -> Ranking:
        words = set(text.split())
        scored = [(id, len(words & set(held.split())) / len(words)) for id, held in self.documents.items()]
        return sorted(scored, key=lambda pair: -pair[1])

    def ids(self) -> list[str]:
        return list(self.documents)

    def info(self) -> Sizes:
        return Sizes()
