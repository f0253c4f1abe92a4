"""The gate: who may come in, and with how much. It stands before anything of a request is parsed."""

from __future__ import annotations

import asyncio
from hmac import compare_digest

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cenote.serve import limits
from cenote.serve.refusals import refusal

LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
OPEN = frozenset({"/", "/page.css", "/page.js", "/healthz", "/openapi.json"})
"""What says nothing of the documents, and is given without a token."""


class Gate:
    """An application behind a gate.

    token: what `Authorization: Bearer` must hold. hosts: the names this server may be called by; without them a page
    from elsewhere, whose name was made to point here, could read the collection of a server that asks for no token.
    """

    def __init__(self, app: ASGIApp, *, token: str | None = None, hosts: frozenset[str] | None = None) -> None:
        self._app, self._hosts = app, hosts
        self._token = None if token is None else token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its whole body, or answer why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if refused := self._stranger(headers) or self._unknown(scope["path"], headers) or _announced(headers):
            await refusal(*refused)(scope, receive, send)
            return
        try:
            body = await asyncio.wait_for(_body(receive), limits.BODY_SECONDS)
        except TimeoutError:
            slow = f"the body did not come within {limits.BODY_SECONDS:.0f} seconds; send it faster, or in parts"
            await refusal(408, slow, {"Connection": "close"})(scope, receive, send)
            return
        if body is None:
            return
        if len(body) > limits.BODY_BYTES:
            await refusal(413, _TOO_LARGE)(scope, receive, send)
            return
        given = False

        async def whole() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, whole, send)

    def _stranger(self, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = host if host.endswith("]") else host.rsplit(":", 1)[0]
        if self._hosts is None or name in self._hosts:
            return None
        return 403, f"this server answers to {', '.join(sorted(self._hosts))} only; with --token-file, to every name"

    def _unknown(self, path: str, headers: dict[bytes, bytes]) -> tuple[int, str, dict[str, str]] | None:
        if self._token is None or path in OPEN:
            return None
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        # all of it is compared, so that the time tells nothing of how much was right
        if compare_digest(given.strip(), self._token) and scheme.lower() == b"bearer":
            return None
        reason = "the token is not the right one" if given else "this server asks for a token"
        return 401, f"{reason}; send the header Authorization: Bearer TOKEN", {"WWW-Authenticate": "Bearer"}


_TOO_LARGE = f"the body is larger than {limits.BODY_BYTES:,} bytes; send it in parts"


def _announced(headers: dict[bytes, bytes]) -> tuple[int, str] | None:
    length = headers.get(b"content-length", b"0")
    return (413, _TOO_LARGE) if length.isdigit() and int(length) > limits.BODY_BYTES else None


async def _body(receive: Receive) -> bytes | None:
    """Return the body, a little of it where it is too large, None where the client has gone."""
    parts = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts += message.get("body", b"")
        if not message.get("more_body", False) or len(parts) > limits.BODY_BYTES:
            return bytes(parts)
