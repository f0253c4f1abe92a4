"""Counts of a server, in the text that Prometheus reads."""

from __future__ import annotations

import time

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)


class Metrics:
    """A registry of one server's own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        labels = ("method", "path", "status")
        self.requests = Counter("cenote_requests", "Requests answered.", labels, registry=self._registry)
        self.seconds = Histogram(
            "cenote_request_seconds", "Time to the answer.", ("path",), buckets=_SECONDS, registry=self._registry
        )
        self.batch = Histogram(
            "cenote_batch_questions",
            "Questions that were searched together.",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self._registry,
        )
        self.documents = Gauge("cenote_documents", "Documents in the version that is read.", registry=self._registry)
        self.version = Gauge("cenote_version", "The version that is read.", registry=self._registry)

    def text(self) -> bytes:
        """Return all counts."""
        return generate_latest(self._registry)


class Counted:
    """An application whose answers are counted, by the path as it is declared: ids in paths are no labels."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            path = getattr(scope.get("route"), "path", "other")
            known = scope["method"] in ("GET", "HEAD", "POST", "DELETE")
            self._metrics.requests.labels(scope["method"] if known else "other", path, status).inc()
            self._metrics.seconds.labels(path).observe(time.perf_counter() - began)
