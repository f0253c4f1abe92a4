"""Connections that end when a request takes too long to arrive: a client that sends a byte a minute holds nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from cenote.serve import limits
from cenote.serve.refusals import refusal


class PatientProtocol(H11Protocol):
    """HTTP with a deadline from the first byte of a request, or the opening of a connection, to the request's last."""

    _deadline: asyncio.TimerHandle | None = None

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
            answer = refusal(408, slow, {"Connection": "close"})
            events: tuple[Any, ...] = (
                h11.Response(status_code=408, headers=answer.raw_headers),
                h11.Data(data=bytes(answer.body)),
                h11.EndOfMessage(),
            )
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
