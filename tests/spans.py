"""OpenTelemetry for tests: spans kept in memory, or taken by a collector that is a process's own neighbour on the loopback.

The global provider can be set once in a process; tests give Hutong a provider of their own instead.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter

from hutong.tracing import Spans

__all__ = ["Collected", "Collector", "collector", "spans_of", "spans_to", "use"]


class _Trace:
    """``opentelemetry.trace``, with another provider than the global one."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider if name == "get_tracer" else trace, name)


def spans_to(exporter: SpanExporter, **options: Any) -> Spans:
    """Spans that end with an exporter; ``options`` are the provider's, such as its sampler."""
    provider = TracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Spans(_Trace(provider))


def use(monkeypatch: pytest.MonkeyPatch, made: Spans) -> None:
    """Let publishers and subscriptions of this test make these spans."""
    for place in ("hutong.publisher.spans", "hutong.received.spans"):
        monkeypatch.setattr(place, lambda: made)


class Collected(NamedTuple):
    """A span as a collector gets it."""

    service: str
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    error: bool
    facts: dict[str, str]
    began_ns: int
    ended_ns: int
    problem: str

    @property
    def traceparent(self) -> str:
        """What a header says that names it."""
        return f"00-{self.trace}-{self.id}-01"


class Collector:
    """What was collected so far; ``endpoint`` is where to send it, ``bodies`` are the requests as they came."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.bodies: list[bytes] = []
        self._spans: list[Collected] = []
        self._lock = threading.Lock()

    @property
    def spans(self) -> list[Collected]:
        """All spans."""
        with self._lock:
            return list(self._spans)

    def named(self, name: str) -> list[Collected]:
        """The spans of a name."""
        return [span for span in self.spans if span.name == name]

    def take(self, body: bytes) -> None:
        """One request of an exporter."""
        found = spans_of(body)
        with self._lock:
            self._spans += found
            self.bodies.append(body)


def spans_of(body: bytes) -> list[Collected]:
    """The spans of a request."""
    request = ExportTraceServiceRequest.FromString(body)
    return [
        _collected(_facts(group.resource.attributes).get("service.name", ""), span)
        for group in request.resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _collected(service: str, span: Any) -> Collected:
    return Collected(
        service=service,
        name=span.name,
        kind=span.kind,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        error=span.status.code == 2,
        facts=_facts(span.attributes),
        began_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
        problem=span.status.message,
    )


def _facts(attributes: Any) -> dict[str, str]:
    return {one.key: one.value.string_value or str(one.value.int_value) for one in attributes}


@contextmanager
def collector() -> Iterator[Collector]:
    """An OTLP/HTTP collector on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
