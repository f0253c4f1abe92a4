"""Judging: what several recipes find for the same questions, pooled, shown blind, and graded by a person.

    pool(q) = union over recipes of their k best documents for q        in an order that tells nothing of who found them

A question counts once its whole pool is graded, so that every recipe is measured on judgements of all it returned.
Pooling follows Sparck Jones & van Rijsbergen, "Report on the need for and provision of an 'ideal' information retrieval
test collection" (1975), as TREC does.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

from cenote.collection import Collection, Hit
from cenote.measure import Question, RetrievalTask
from cenote.measure.comparison import Comparison, Result
from cenote.measure.judgements import read_qrels, read_queries
from cenote.measure.planning import recipes_of
from cenote.measure.retrieval import DEPTH
from cenote.measure.run import trec_order
from cenote.measure.spreadsheet import load_questions
from cenote.measure.task import Ranking

T = TypeVar("T")
GRADES = (0, 1, 2)
QUERIES, QRELS = "queries.jsonl", "qrels.tsv"


@dataclass(frozen=True)
class Ranked:
    """What a recipe found for the text of each question, or why it did not run.

    rankings: as deep as measures look. hits: the first of these that are judged.
    """

    recipe: str
    rankings: Mapping[str, Ranking] = field(default_factory=dict)
    hits: Mapping[str, Sequence[Hit]] = field(default_factory=dict)
    bytes_per_document: float | None = None
    first_pass_bytes_per_document: float | None = None
    error: str | None = None

    def rank(self, texts: Sequence[str], depth: int) -> list[Ranking]:
        """Return the documents found for each text."""
        return [self.rankings[text][:depth] for text in texts]


def questions_of(path: str | Path) -> dict[str, str]:
    """Return id -> question of a file: a spreadsheet, queries as BEIR or TREC have them, or a .txt with one a line.

    Raises ValueError for a file that holds none, naming the line at fault.
    """
    path = Path(path)
    if path.suffix.lower() in (".csv", ".xlsx", ".xlsm"):
        return {question.id: question.text for question in load_questions(path)}
    if path.suffix.lower() != ".txt":
        found = read_queries(path)
    else:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} cannot be read ({error}); check the path") from None
        found = {str(n): text for n, text in enumerate(filter(None, map(str.strip, lines)), 1)}
    if not found:
        raise ValueError(f"{path} holds no question; write one a line")
    return found


def ranked(
    collection: Collection,
    recipes: Sequence[str],
    questions: Mapping[str, str],
    k: int,
    place: Path,
    told: Callable[[int, int], None],
) -> list[Ranked]:
    """Build every recipe over the same documents in turn, and ask each all questions.

    Raises RecipeError for a recipe that cannot be read; one that cannot be built says why in its place.
    """
    texts = list(dict.fromkeys(questions.values()))
    wanted = [str(recipe) for recipe in recipes_of(recipes)]
    found = []
    for n, recipe in enumerate(wanted):
        told(n, len(wanted))
        try:
            with collection.reindex(recipe, place / str(n)) as built:
                rankings = [trec_order(ranking) for ranking in built.rank(texts, DEPTH)]
                hits = [_hits(built, text, ranking[:k]) for text, ranking in zip(texts, rankings, strict=True)]
                sizes = built.info()
            sized = (sizes.bytes_per_document, sizes.first_pass_bytes_per_document)
            found.append(Ranked(recipe, _by(texts, rankings), _by(texts, hits), *sized))
        # whatever keeps one recipe from running must not lose what the others have found
        except Exception as error:
            found.append(Ranked(recipe, error=str(error) or type(error).__name__))
        shutil.rmtree(place / str(n), ignore_errors=True)
    told(len(wanted), len(wanted))
    return found


def _by(texts: Sequence[str], values: Sequence[T]) -> dict[str, T]:
    return dict(zip(texts, values, strict=True))


def _hits(built: Collection, text: str, ranking: Ranking) -> list[Hit]:
    """The passages of ranked documents; of one that a search shows behind others of its score, the whole text."""
    if not ranking:
        return []
    shown = {hit.id: hit for hit in built.search([text], len(ranking))[0]}
    missing = [(id, score) for id, score in ranking if id not in shown]
    for (id, score), document in zip(missing, built.get([id for id, _ in missing]), strict=True):
        whole = (document.text, document.source, 0, len(document.text))
        shown[id] = Hit(id, score, *whole, attributes=document.attributes)
    return [shown[id] for id, _ in ranking]


class Judging:
    """Questions, what was found for them, and the grades given so far, which are kept in `folder` after each.

    Several threads may use one object. Raises ValueError where `folder` holds the judgements of other questions.
    """

    def __init__(
        self,
        questions: Mapping[str, str],
        found: Sequence[Ranked],
        folder: Path,
        *,
        margin: float = 0.01,
        seed: int = 0,
    ) -> None:
        self.questions, self.folder, self._margin, self._seed = dict(questions), folder, margin, seed
        self._found = list(found)
        self.pools = {id: self._pool(id, text) for id, text in questions.items()}
        self.grades = self._stored()
        self._lock = threading.Lock()

    def _pool(self, id: str, text: str) -> list[Hit]:
        """The hits of all recipes, a document by the passage that was ranked best, in an order of their own."""
        best: dict[str, tuple[int, Hit]] = {}
        for one in self._found:
            for rank, hit in enumerate(one.hits.get(text, ())):
                if hit.id not in best or rank < best[hit.id][0]:
                    best[hit.id] = rank, hit

        def blind(document: str) -> bytes:
            return blake2b(json.dumps([id, document]).encode(), key=str(self._seed).encode()).digest()

        return [best[document][1] for document in sorted(best, key=blind)]

    def _stored(self) -> dict[str, dict[str, int]]:
        queries, qrels = self.folder / QUERIES, self.folder / QRELS
        if queries.exists() and read_queries(queries) != self.questions:
            raise ValueError(f"{self.folder} holds judgements of other questions; name another folder with --out")
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps({"_id": id, "text": text}, ensure_ascii=False) for id, text in self.questions.items()]
        _replace(queries, lines)
        return {id: dict(grades) for id, grades in (read_qrels(qrels) if qrels.exists() else {}).items()}

    def grade(self, question: str, document: str, grade: int | None) -> None:
        """Keep a grade, durably; None takes it back.

        Raises ValueError for a question or a document that is not there, and a grade that is none.
        """
        if question not in self.questions:
            raise ValueError(f"there is no question {question!r}")
        if all(hit.id != document for hit in self.pools[question]):
            raise ValueError(f"document {document!r} was not found for question {question!r}")
        if grade is not None and grade not in GRADES:
            raise ValueError(f"grade must be one of {', '.join(map(str, GRADES))}, not {grade!r}")
        with self._lock:
            mine = self.grades.setdefault(question, {})
            if grade is None:
                mine.pop(document, None)
            else:
                mine[document] = grade
            rows = [f"{q}\t{d}\t{g}" for q, grades in self.grades.items() for d, g in grades.items()]
            _replace(self.folder / QRELS, ["query-id\tcorpus-id\tscore", *rows])

    def left(self, question: str) -> int:
        """Return how many documents of a question wait for a grade."""
        return sum(hit.id not in self.grades.get(question, {}) for hit in self.pools[question])

    def judged(self) -> list[Question]:
        """Return the questions whose pool is graded and that some document answers."""
        done = [id for id in self.questions if self.pools[id] and not self.left(id)]
        found = [Question(id, self.questions[id], dict(self.grades[id])) for id in done]
        return [question for question in found if question.answered]

    def verdict(self) -> str:
        """Return what the judgements say so far: that of `compare`."""
        with self._lock:
            questions = self.judged()
        if not questions:
            return "Nothing can be said yet: no question is judged that some document answers."
        task = RetrievalTask(questions)
        results = [self._result(one, task) for one in self._found]
        units = {question.id: question.text for question in questions}
        return Comparison(results, units, margin=self._margin, seed=self._seed).verdict

    def _result(self, one: Ranked, task: RetrievalTask) -> Result:
        if one.error is not None:
            return Result(one.recipe, error=one.error)
        return Result(one.recipe, task.score(one), one.bytes_per_document, one.first_pass_bytes_per_document)

    def described(self) -> list[dict[str, Any]]:
        """Return the questions, how many documents each has, and how many wait for a grade."""
        return [
            {"id": id, "text": text, "documents": len(self.pools[id]), "left": self.left(id)}
            for id, text in self.questions.items()
        ]


def _replace(path: Path, lines: Sequence[str]) -> None:
    """Write a file so that it holds either what it held or these lines, whatever happens."""
    draft = path.with_name(f"{path.name}.tmp")
    with draft.open("w", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
