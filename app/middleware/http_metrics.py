"""Counts and durations of requests, for Prometheus: the outermost layer, so that it sees every answer."""

import time
from collections.abc import MutableMapping

import prometheus_client
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.metrics import REGISTRY

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds in seconds. A request that takes longer than the last one is counted without a bound."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
"""The label of a route or method that the service does not have. A caller cannot add a label value."""
NO_ANSWER = "none"
"""The class of a request whose caller left before the answer."""

REQUESTS = prometheus_client.Counter(
    "http_requests_total",
    "Requests by route, method and class of the status",
    ("route", "method", "class"),
    registry=REGISTRY,
)
SECONDS = prometheus_client.Histogram(
    "http_request_duration_seconds",
    "Seconds from the request to the end of its answer, without event streams",
    ("route", "method"),
    buckets=BUCKETS,
    registry=REGISTRY,
)
IN_FLIGHT = prometheus_client.Gauge("http_requests_in_flight", "Requests that are answered now", registry=REGISTRY)


class HttpMetrics:
    """Count each request after its answer, by the template of its route."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._counters: MutableMapping[tuple[str, str, str], prometheus_client.Counter] = {}
        self._histograms: MutableMapping[tuple[str, str], prometheus_client.Histogram] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status, streams = 0, False

        async def send_and_observe(message: Message) -> None:
            nonlocal status, streams
            if message["type"] == "http.response.start":
                status = message["status"]
                streams = any(value.startswith(b"text/event-stream") for _, value in message["headers"])
            await send(message)

        IN_FLIGHT.inc()
        try:
            await self.app(scope, receive, send_and_observe)
        finally:
            IN_FLIGHT.dec()
            self._observe(scope, status, None if streams else time.perf_counter() - began)

    def _observe(self, scope: Scope, status: int, seconds: float | None) -> None:
        # FastAPI and the fast path write the route into the scope when they have found it.
        route: str = getattr(scope.get("route"), "path_format", OTHER)
        method = scope["method"] if scope["method"] in METHODS else OTHER
        kind = f"{status // 100}xx" if status else NO_ANSWER
        counter = self._counters.get((route, method, kind))
        if counter is None:
            counter = self._counters[route, method, kind] = REQUESTS.labels(route, method, kind)
        counter.inc()
        if seconds is not None:
            histogram = self._histograms.get((route, method))
            if histogram is None:
                histogram = self._histograms[route, method] = SECONDS.labels(route, method)
            histogram.observe(seconds)
