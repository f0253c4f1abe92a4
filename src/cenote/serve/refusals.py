"""Errors as answers: a status and a sentence, in the shape that clients of OpenAI's interface read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from cenote.collection import MissingDocuments
from cenote.errors import CenoteError, CorruptIndex, Locked, RecipeError
from cenote.serve.batching import Busy

_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (CorruptIndex, 500),
    (RecipeError, 500),
    (MissingDocuments, 404),
    (Locked, 409),
    (Busy, 429),
    (ValueError, 400),
    (TypeError, 400),
    (CenoteError, 500),
    (OSError, 500),
)
"""The first that fits; damage is a ValueError too, and not the client's."""
_SAID = 3
"""Faults of one body that are told: a wrong name is one that is missing and one that is not known."""


def refusal(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """Return an answer that says why not."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    # what is refused may be no text: half a surrogate pair cannot be sent back
    sentence = message.encode("utf-8", "backslashreplace").decode()
    return JSONResponse({"error": {"message": sentence, "type": kind}}, status, headers)


def install(app: FastAPI) -> None:
    """Make every error of an application one of these answers."""

    async def known(request: Request, error: Exception) -> Response:
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        if isinstance(error, OSError):
            return refusal(status, f"{error.strerror or 'the disk failed'}; nothing that was stored is lost")
        return refusal(status, str(error), {"Retry-After": "1"} if status in (409, 429) else None)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        faults = error.errors()
        if any(fault["type"] == "json_invalid" for fault in faults):
            return refusal(400, "the body is no JSON; send an object as /openapi.json describes it")
        if faults[0]["loc"] == ("body",) and faults[0]["type"] in ("missing", "model_attributes_type"):
            return refusal(422, "the body must be a JSON object, sent with Content-Type: application/json")
        return refusal(422, sentence(faults))

    async def stated(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = str(error.detail)
        known = {
            404: f"there is nothing at {request.url.path}; /openapi.json says what there is",
            405: f"{request.url.path} takes no {request.method}; /openapi.json says what it takes",
        }
        return refusal(error.status_code, known.get(error.status_code, detail), error.headers)

    async def unknown(request: Request, error: Exception) -> Response:
        return refusal(500, "the server failed; its log says where, and nothing that was stored is lost")

    for kind, _ in _STATUS:
        app.add_exception_handler(kind, known)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, stated)
    app.add_exception_handler(Exception, unknown)


def sentence(faults: Sequence[Mapping[str, Any]]) -> str:
    """Return the first few of some faults of validation as a sentence, and how many more there are."""
    more = f" (and {len(faults) - _SAID} more)" if len(faults) > _SAID else ""
    return "; ".join(_said(fault) for fault in faults[:_SAID]) + more


def _said(fault: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in fault["loc"] if part != "body")
    kinds = {"missing": f"{place} is missing", "extra_forbidden": f"{place} is not known here"}
    reason = str(fault["msg"]).removeprefix("Value error, ")
    return kinds.get(fault["type"], f"{place}: {reason}" if place else reason)
