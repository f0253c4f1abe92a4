"""The application of the judging page: questions, what was found for them by nobody knows whom, and grades."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

import cenote
from cenote.serve import refusals
from cenote.serve.bodies import Asked
from cenote.serve.gate import LOOPBACK, Gate
from cenote.serve.judging import GRADES, Judging
from cenote.serve.pages import add_pages


class GradeBody(Asked):
    """A grade: 0 does not answer, 1 helps, 2 answers; null takes it back."""

    question: str
    document: str
    grade: Annotated[int, Field(ge=GRADES[0], le=GRADES[-1])] | None


class Asking(BaseModel):
    """A question, how many documents were found for it, and how many wait for a grade."""

    id: str
    text: str
    documents: int
    left: int


class Shown(BaseModel):
    """A document as it is shown: nothing tells which recipe found it, or how high."""

    id: str
    text: str
    title: str
    page: int | None
    heading: str | None
    grade: int | None


class Left(BaseModel):
    """How many documents of the question wait for a grade."""

    left: int


class Said(BaseModel):
    """What the judgements say so far."""

    verdict: str
    questions: int


def judge_application(judging: Judging) -> FastAPI:
    """Return the application; it answers this machine only."""
    app = FastAPI(title="cenote judge", version=cenote.__version__, docs_url=None, redoc_url=None)
    refusals.install(app)

    @app.get("/questions")
    async def questions() -> list[Asking]:
        return [Asking(**one) for one in judging.described()]

    @app.get("/questions/{id:path}")
    async def documents(id: str) -> list[Shown]:
        if id not in judging.questions:
            raise ValueError(f"there is no question {id!r}")
        grades = judging.grades.get(id, {})
        return [
            Shown(
                id=hit.id,
                text=hit.text,
                title=_title(hit.attributes, hit.id),
                page=hit.page,
                heading=hit.heading,
                grade=grades.get(hit.id),
            )
            for hit in judging.pools[id]
        ]

    @app.post("/judgements")
    async def grade(body: GradeBody) -> Left:
        await run_in_threadpool(judging.grade, body.question, body.document, body.grade)
        return Left(left=judging.left(body.question))

    @app.get("/verdict")
    async def verdict() -> Said:
        return Said(verdict=await run_in_threadpool(judging.verdict), questions=len(judging.judged()))

    add_pages(app, {"/": "judge.html", "/page.css": "page.css", "/judge.js": "judge.js"})
    app.add_middleware(Gate, hosts=LOOPBACK)
    return app


def _title(attributes: dict[str, Any], id: str) -> str:
    title = attributes.get("title")
    return title if isinstance(title, str) and title else id
