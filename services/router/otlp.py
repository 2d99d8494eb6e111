"""Spans of routed events on their way to an OpenTelemetry collector: encoded and sent in a thread of their own.

A sampled event is a handful of spans, and a router may have thousands of them a second: OpenTelemetry's own span objects cost
several times what routing does. So a trace is noted as plain numbers while events are routed, and here it becomes OTLP: of each
kind of span the part that never changes once, by OpenTelemetry's own classes, and what changes as bytes beside it (in protobuf,
parts of a message that follow each other are one message). Where it goes is said by OpenTelemetry's own variables. Neighbours:
``traces`` notes; ``hutong.tracing`` has the spans of publishers and recipients.
"""

from __future__ import annotations

import logging
import queue
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version

from hutong.errors import ConfigurationError
from hutong.event import harmless_id, is_traceparent
from hutong.runtime.settings import ServiceSettings
from hutong.tracing import VARIABLE, is_wanted

__all__ = ["RouteTrace", "TraceSender", "encode", "trace_sender"]

_LOG = logging.getLogger("hutong")

_MOST_WAITING = 20_000  # traces; a collector that is away must not cost more than some megabytes
_MOST_AT_ONCE = 500  # traces in one request: about half a megabyte
_PAUSE_SECONDS = 0.2  # so many come together meanwhile
_LAST_SECONDS = 2.0  # what a collector does not take by then is lost; the process must end in time
_SILENCE_SECONDS = 60.0  # between two complaints

_CONSUMER, _PRODUCER = 5, 4  # SpanKind
_MOMENTS = struct.Struct("<BQBQ")  # start_time_unix_nano and end_time_unix_nano: fields 7 and 8, fixed64


@dataclass(slots=True, kw_only=True)
class RouteTrace:
    """A sampled event that was routed.

    Attributes:
        parent: its ``traceparent``.
        event_id: its id.
        topic: where it lies.
        partition: where it lies.
        offset: where it lies.
        appended_ms: when it was appended there.
        began_ns: when the router had it.
        span: id of the span of its routing.
        deliveries: agreement, topic and span id of each delivery.
        problem: why it, or a delivery of it, was quarantined.
        ended_ns: when all of it was committed.
    """

    parent: str
    event_id: str
    topic: str
    partition: int
    offset: int
    appended_ms: int
    began_ns: int
    span: int
    deliveries: list[tuple[str, str, int]] = field(default_factory=list)
    problem: str | None = None
    ended_ns: int = 0


class TraceSender:
    """Sends traces in the background.

    Args:
        resource: who sends them, an encoded ``Resource``.
        post: takes a request's bytes to the collector; returns whether it was taken.
    """

    def __init__(self, resource: bytes, post: Callable[[bytes], bool]) -> None:
        self._resource, self._post = resource, post
        self._waiting: queue.Queue[list[RouteTrace] | None] = queue.Queue()
        self._taken = self._sent = 0  # each changed by one thread alone
        self._complained = 0.0
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def take(self, traces: list[RouteTrace]) -> None:
        """Send these, soon; where too many wait already, they are lost."""
        if self._taken - self._sent > _MOST_WAITING:
            self._complain("spans are lost: the collector does not keep up")
            return
        self._taken += len(traces)
        self._waiting.put(traces)

    def close(self) -> None:
        """Send what is waiting; no longer than a moment."""
        self._waiting.put(None)
        self._thread.join(_LAST_SECONDS)

    def _run(self) -> None:
        more = True
        while more:
            some, more = self._some()
            for at in range(0, len(some), _MOST_AT_ONCE):
                self._send(some[at : at + _MOST_AT_ONCE])
            self._sent += len(some)

    def _some(self) -> tuple[list[RouteTrace], bool]:
        """What is there, after the first and a moment; and whether more may come."""
        found = self._waiting.get()
        some: list[RouteTrace] = []
        if found is not None:
            some += found
            time.sleep(_PAUSE_SECONDS)
        while found is not None and len(some) < _MOST_WAITING:
            try:
                found = self._waiting.get_nowait()
            except queue.Empty:
                return some, True
            some += found or []
        return some, found is not None

    def _send(self, traces: list[RouteTrace]) -> None:
        try:
            if not self._post(encode(self._resource, traces)):
                self._complain("spans are lost: the collector did not take them")
        except Exception as error:  # noqa: BLE001 - tracing must not end what it traces
            self._complain(f"spans are lost: {type(error).__name__}")

    def _complain(self, problem: str) -> None:
        if time.monotonic() - self._complained > _SILENCE_SECONDS:
            self._complained = time.monotonic()
            _LOG.warning(problem)


def trace_sender(own: ServiceSettings) -> TraceSender | None:
    """To the collector that OpenTelemetry's variables name; None where nobody asked for spans.

    Raises:
        ConfigurationError: spans are asked for, and OpenTelemetry is not installed.
    """
    if not is_wanted():
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
        from opentelemetry.proto.resource.v1.resource_pb2 import Resource as Encoded
        from opentelemetry.sdk.resources import Resource
    except ImportError:
        raise ConfigurationError(f"{VARIABLE} is set and OpenTelemetry is not here: pip install 'hutong[otel]'") from None
    facts = {"service.name": f"hutong-{own.service}", "service.instance.id": own.instance, "service.version": version("hutong")}
    told = [
        KeyValue(key=key, value=AnyValue(string_value=str(value))) for key, value in Resource.create(facts).attributes.items()
    ]
    client = OTLPSpanExporter()._client  # its way to the collector, with all its variables, without its span objects
    return TraceSender(Encoded(attributes=told).SerializeToString(), lambda body: client.export(body).success)


def encode(resource: bytes, traces: Iterable[RouteTrace]) -> bytes:
    """Traces as an ``ExportTraceServiceRequest``."""
    scope = _part(1, _part(1, b"hutong"))
    spans = b"".join(_part(2, span) for trace in traces if is_traceparent(trace.parent) for span in _spans(trace))
    return _part(1, _part(1, resource) + _part(2, scope + spans))


def _spans(trace: RouteTrace) -> Iterator[bytes]:
    _, trace_id, parent, _ = trace.parent.split("-")
    common = b"\x0a\x10" + bytes.fromhex(trace_id) + _MOMENTS.pack(0x39, trace.began_ns, 0x41, trace.ended_ns)
    if told := harmless_id(trace.event_id):
        common += _ID + told.encode()
    own = trace.span.to_bytes(8, "big")
    waited = max(0, trace.began_ns // 1_000_000 - trace.appended_ms)
    failed = _part(15, _part(2, trace.problem.encode()) + b"\x18\x02") if trace.problem else b""  # Status.code is ERROR
    yield b"".join(
        (
            _routed(trace.topic, trace.partition),
            common,
            b"\x12\x08",
            own,
            b"\x22\x08",
            bytes.fromhex(parent),
            _attribute(_OFFSET, trace.offset),
            _attribute(_WAITED, waited),
            failed,
        )
    )
    for agreement, topic, span in trace.deliveries:
        yield b"".join((_delivered(agreement, topic), common, b"\x12\x08", span.to_bytes(8, "big"), b"\x22\x08", own))


@cache
def _routed(topic: str, partition: int) -> bytes:
    facts = {"messaging.operation.type": "process", "messaging.destination.partition.id": str(partition)}
    return _constant(_CONSUMER, f"route {topic.removeprefix('pub.')}", topic, facts)


@cache
def _delivered(agreement: str, topic: str) -> bytes:
    return _constant(
        _PRODUCER, f"deliver {agreement}", topic, {"messaging.operation.type": "send", "hutong.agreement": agreement}
    )


def _constant(kind: int, name: str, topic: str, facts: Mapping[str, str]) -> bytes:
    """What is the same in every such span; there are as many as contracts' partitions and agreements."""
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    all_facts = {"messaging.system": "kafka", "messaging.destination.name": topic, **facts}
    told = [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in all_facts.items()]
    made: bytes = Span(name=name, kind=kind, attributes=told).SerializeToString()  # type: ignore[arg-type]
    return made


def _attribute(key: bytes, value: int) -> bytes:
    """A ``KeyValue`` with a whole number among a span's attributes; ``key`` is encoded."""
    number = b"\x18" + _varint(value)
    return _part(9, key + _part(2, number))


def _part(number: int, body: bytes) -> bytes:
    """A length-delimited field."""
    return _varint(number << 3 | 2) + _varint(len(body)) + body


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_OFFSET, _WAITED = _part(1, b"messaging.kafka.offset"), _part(1, b"hutong.waited_ms")
_ID = _part(9, _part(1, b"messaging.message.id") + _part(2, _part(1, b"0" * 36)))[:-36]  # a UUID has 36 characters
