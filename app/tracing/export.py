"""Spans by OpenTelemetry's SDK, sent to a collector by its protocol (OTLP over HTTP).

A span is recorded if its parent is, or without a parent for a share of all requests. The attributes follow the semantic
conventions for HTTP, databases and messaging, except that a request has no address: `http.route` is the template.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span as ApiSpan
from opentelemetry.trace import SpanKind, Status, StatusCode, format_span_id, format_trace_id, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.core.database_errors import get_sqlstate
from app.tracing.statements import name_statement

log = structlog.get_logger()

EXPORT_SECONDS = 5.0
MAX_STATEMENTS = 128
"""The statements of one request or job that have a span; an import runs thousands. The others are counted."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "_OTHER"
FAILED = Status(StatusCode.ERROR)
WARN_SECONDS = 60.0


class OtlpTracer:
    """The source of spans, and the exporter's thread."""

    def __init__(self, url: str, share: float, process: str) -> None:
        """`url` is the collector's, without `/v1/traces`; `share` of the traces without a parent are recorded."""
        # Their lines quote the collector's answers; `_Exporter` writes one line.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        resource = Resource.create({"service.name": f"xuezu-{process}", "service.namespace": "xuezu"})
        exporter = _Exporter(OTLPSpanExporter(f"{url.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS))
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(share)), resource=resource, shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("xuezu")
        self._propagator = TraceContextTextMapPropagator()

    def start_request(self, traceparent: str | None) -> "OtlpSpan":
        """Start the span of a request."""
        return self._start("request", SpanKind.SERVER, traceparent)

    def start_job(self, name: str, traceparent: str | None) -> "OtlpSpan":
        """Start the span of a job."""
        span = self._start(f"process {name}", SpanKind.CONSUMER, traceparent)
        if span.is_recorded:
            span.set(
                {
                    "messaging.system": "pgqueuer",
                    "messaging.operation.type": "process",
                    "messaging.destination.name": name,
                }
            )
        return span

    def stop(self) -> None:
        """Export what is recorded and end."""
        self._provider.shutdown()

    def _start(self, name: str, kind: SpanKind, traceparent: str | None) -> "OtlpSpan":
        # `tracestate` is not read: it is text of the caller.
        parent = self._propagator.extract({"traceparent": traceparent}, Context()) if traceparent else Context()
        return OtlpSpan(self, self._tracer.start_span(name, parent, kind))

    def start_statement(self, context: Context, name: str, began: int) -> ApiSpan:
        """Start the span of a statement that began at this time, in nanoseconds since 1970."""
        return self._tracer.start_span(name, context, SpanKind.CLIENT, start_time=began)


class OtlpSpan:
    """A span of the SDK (`app.tracing.spans.Span`)."""

    __slots__ = ("_context", "_span", "_statements", "_tracer", "is_recorded", "trace_id", "traceparent")

    def __init__(self, tracer: OtlpTracer, span: ApiSpan) -> None:
        ids = span.get_span_context()
        self._tracer, self._span = tracer, span
        self._context: Context | None = None
        self._statements = 0
        self.is_recorded = span.is_recording()
        self.trace_id = format_trace_id(ids.trace_id)
        self.traceparent = f"00-{self.trace_id}-{format_span_id(ids.span_id)}-{ids.trace_flags:02x}"

    def set(self, attributes: Mapping[str, str | int]) -> None:
        """Add attributes."""
        self._span.set_attributes(attributes)

    def add_statement(self, statement: str, seconds: float, error: BaseException | None = None) -> None:
        """Add a span for a statement that has just ended."""
        if not self._span.is_recording():  # after the end too: the stream of an ended span goes on for hours
            return
        self._statements += 1
        if self._statements > MAX_STATEMENTS:
            return
        if self._context is None:
            self._context = set_span_in_context(self._span, Context())
        ended = time.time_ns()
        name = name_statement(statement)
        span = self._tracer.start_statement(self._context, name, ended - int(seconds * 1e9))
        operation, *tables = name.split()
        span.set_attributes(
            {"db.system.name": "postgresql", "db.operation.name": operation, "db.query.summary": name}
            | ({"db.collection.name": tables[0]} if len(tables) == 1 else {})
        )
        if error is not None:
            span.set_attribute("error.type", type(error).__name__)
            state = get_sqlstate(error) if isinstance(error, Exception) else None
            if state is not None:
                span.set_attribute("db.response.status_code", state)
            span.set_status(FAILED)
        span.end(ended)

    def end_request(self, method: str, route: str | None, status: int) -> None:
        """End the span of a request."""
        if not self.is_recorded:
            return
        method = method if method in METHODS else OTHER_METHOD
        name = method if method in METHODS else "HTTP"
        self._span.update_name(f"{name} {route}" if route else name)
        self.set({"http.request.method": method} | ({"http.route": route} if route else {}))
        if status:
            self.set({"http.response.status_code": status})
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.set({"error.type": str(status)})
            self._span.set_status(FAILED)
        self._end()

    def end_job(self, error: str | None) -> None:
        """End the span of a job."""
        if not self.is_recorded:
            return
        if error is not None:
            self.set({"error.type": error})
            self._span.set_status(FAILED)
        self._end()

    def _end(self) -> None:
        if self._statements > MAX_STATEMENTS:
            self.set({"xuezu.statements_without_span": self._statements - MAX_STATEMENTS})
        self._span.end()


class _Exporter(SpanExporter):
    """The exporter, with a log line at most once a minute while the collector does not take the spans."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._warned: float | None = None

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; those that are not taken are lost."""
        result = self._exporter.export(spans)
        now = time.monotonic()
        if result is not SpanExportResult.SUCCESS and (self._warned is None or now - self._warned >= WARN_SECONDS):
            self._warned = now
            log.warning("traces_not_exported", spans=len(spans))
        return result

    def shutdown(self) -> None:
        """End."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Return whether all is sent; this exporter keeps nothing."""
        return self._exporter.force_flush(timeout_millis)
