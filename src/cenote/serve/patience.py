"""Connections of which there are so many, and that end when a request takes too long to arrive.

A client that sends a byte a minute holds nothing; one that comes when all connections are taken is told to come again.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from cenote.serve import limits
from cenote.serve.refusals import refusal


class PatientProtocol(H11Protocol):
    """HTTP with a deadline from the first byte of a request, or the opening of a connection, to the request's last.

    With more connections than uvicorn's `limit_concurrency`, what is asked is refused and its connection closed.
    """

    _deadline: asyncio.TimerHandle | None = None

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        # uvicorn's own refusal is no JSON, and does not say when to come again
        self._most, self.limit_concurrency = self.limit_concurrency, None
        self._application, self.app = self.app, self._unless_full

    async def _unless_full(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._most is None or len(self.connections) <= self._most:
            await self._application(scope, receive, send)
            return
        full = f"all {self._most} connections of this server are taken; ask again in a second"
        await refusal(503, full, {"Retry-After": "1", "Connection": "close"})(scope, receive, send)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(limits.REQUEST_SECONDS, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Be done with a request; the next may be there already."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        super().connection_lost(exc)
        self._stop()

    def _watch(self) -> None:
        """Wait while a request is half there, and only then."""
        begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if self.transport.is_closing() or not (begun or self.conn.their_state is h11.SEND_BODY):
            self._stop()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(limits.REQUEST_SECONDS, self._give_up)

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if self.conn.our_state is h11.IDLE:
            slow = f"the request did not come within {limits.REQUEST_SECONDS:.0f} seconds; send it faster"
            self._refuse(408, slow)
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, and close."""
        self._refuse(400, "this is no request of HTTP/1.1; /openapi.json says what is answered")
        self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Answer what never became a request."""
        answer = refusal(status, message, {"Connection": "close"})
        events: tuple[Any, ...] = (
            h11.Response(status_code=status, headers=answer.raw_headers),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        )
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
