"""Pages: files of this package, given to browsers as they are. They take nothing from anywhere else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def add_pages(app: FastAPI, pages: Mapping[str, str]) -> None:
    """Give the files of `pages` (path -> name) to whoever asks for their paths."""
    folder = files("cenote.serve") / "page"
    for path, name in pages.items():
        kind = _KINDS[name.rpartition(".")[2]]
        app.add_route(path, _page((folder / name).read_bytes(), kind), include_in_schema=False)


def _page(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    return page
