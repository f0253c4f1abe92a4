"""Retrieval: does a question find the documents that answer it.

Measures are those of ir-measures, per question, at a depth of 1,000 documents: nDCG@10 (the gain is the grade, the
discount log2(rank + 1)), reciprocal rank@10, recall@10 and @100, and average precision. For all but nDCG a document is
relevant when its grade is above 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from cenote.measure.judgements import judged_beside, read_judged
from cenote.measure.names import match_names
from cenote.measure.question import Question
from cenote.measure.run import trec_order
from cenote.measure.spreadsheet import load_questions
from cenote.measure.task import Float64, Listener, Progress, Ranking, Records, System, mean

DEPTH = 1000
"""Documents ranked for a question: what TREC evaluates."""
_TOGETHER = 64
"""Questions ranked in one call: rankings of this many are held at once."""


class RetrievalTask:
    """Questions with the documents that answer them.

    questions: those without an answer are left out, as they say nothing about any system. named: documents are named
    as a person names files, and `bind` finds which ids are meant; else they are ids.
    Raises ValueError when no question has an answer, or two have one id.
    """

    measures: Sequence[str] = ("ndcg_at_10", "mrr_at_10", "recall_at_10", "recall_at_100", "map")
    statistic: Callable[[Float64], float] = staticmethod(mean)
    unit_name = "question"

    def __init__(self, questions: Iterable[Question], *, named: bool = False) -> None:
        answered = [question for question in questions if question.answered]
        self.questions = {question.id: question for question in answered}
        self.named = named
        if not self.questions:
            raise ValueError("no question has a document that answers it; at least one judgement above 0 is expected")
        if len(self.questions) < len(answered):
            raise ValueError("two questions have one id; every question needs its own")

    @classmethod
    def read(
        cls,
        *,
        queries: str | Path | None = None,
        qrels: str | Path | None = None,
        questions: str | Path | None = None,
        beside: object = None,
    ) -> RetrievalTask:
        """Read a task from `queries` and `qrels` (BEIR or TREC files), or from `questions` (a spreadsheet).

        beside: a source of documents; where it is a BEIR folder and nothing else is given, its own test set.

        Raises ValueError for another combination, and for what the files hold wrong, naming the line.
        """
        if queries is None and qrels is None and questions is None and (own := judged_beside(beside)) is not None:
            queries, qrels = own
        if questions is not None and queries is None and qrels is None:
            return cls(load_questions(questions), named=True)
        if questions is None and queries is not None and qrels is not None:
            return cls(read_judged(queries, qrels))
        raise ValueError("questions come as `queries` together with `qrels`, or as one spreadsheet `questions`")

    @property
    def units(self) -> list[str]:
        """The ids of the questions, in order."""
        return list(self.questions)

    @property
    def queries(self) -> list[str]:
        """The texts of the questions, in order."""
        return [question.text for question in self.questions.values()]

    def __len__(self) -> int:
        return len(self.questions)

    def describe(self, unit: str) -> str:
        """Return the text of a question."""
        return self.questions[unit].text

    def bind(self, ids: Iterable[str]) -> RetrievalTask:
        """Return the task over these documents.

        Names are matched with ids. Judged ids that are not there stay: they count as never found, for every system.
        Raises ValueError listing names that match no document, or when no judged document is there at all.
        """
        known = set(ids)
        if self.named:
            names = [name for question in self.questions.values() for name in question.grades]
            found = match_names(names, sorted(known))
            bound = [
                Question(q.id, q.text, {found[name]: grade for name, grade in q.grades.items()})
                for q in self.questions.values()
            ]
            return RetrievalTask(bound)
        if not any(document in known for question in self.questions.values() for document in question.grades):
            judged = next(iter(next(iter(self.questions.values())).grades))
            here = f"such as {min(known)!r}" if known else "none"
            raise ValueError(
                f"none of the judged documents is here: they are ids such as {judged!r}, and the collection holds "
                f"{len(known)} documents, {here}; pass the judgements that belong to these documents"
            )
        return self

    def score(self, system: System, *, listener: Listener | None = None, progress: Progress | None = None) -> Records:
        """Rank documents for every question and judge the rankings: per measure, float64 (questions,).

        `listener` hears every ranking in the order that is judged.
        """
        parts = []
        asked = list(self.questions.values())
        for start in range(0, len(asked), _TOGETHER):
            part = asked[start : start + _TOGETHER]
            rankings = [trec_order(ranking) for ranking in system.rank([q.text for q in part], DEPTH)]
            if listener is not None:
                for question, ranking in zip(part, rankings, strict=True):
                    listener(question.id, ranking)
            parts.append(_judge(part, rankings))
            if progress is not None:
                progress(len(part))
        values = {name: np.concatenate([part[name] for part in parts]) for name in self.measures}
        return Records(tuple(self.questions), values)


def _judge(questions: Sequence[Question], rankings: Sequence[Ranking]) -> dict[str, Float64]:
    import ir_measures
    from ir_measures import AP, RR, R, nDCG

    names = {nDCG @ 10: "ndcg_at_10", RR @ 10: "mrr_at_10", R @ 10: "recall_at_10", R @ 100: "recall_at_100", AP: "map"}
    row = {question.id: i for i, question in enumerate(questions)}
    qrels = {question.id: dict(question.grades) for question in questions}
    # places instead of scores: no program that measures has a tie to break
    run = {
        question.id: {document: float(len(ranking) - place) for place, (document, _) in enumerate(ranking)}
        for question, ranking in zip(questions, rankings, strict=True)
    }
    values = {name: np.zeros(len(questions)) for name in names.values()}
    for found in ir_measures.iter_calc(list(names), qrels, run):
        values[names[found.measure]][row[found.query_id]] = found.value
    return values
