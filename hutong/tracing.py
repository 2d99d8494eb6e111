"""Spans of an event's way, publish -> route -> deliver -> receive, for whoever has OpenTelemetry and asks: ``HUTONG_TRACING=1``.

Each is the parent of the next, by the ``traceparent`` header. Whether an event is traced is decided where it is published, by the
application's own sampler; all others follow. Switched off, nothing of OpenTelemetry is imported. Only its API is used here:
where spans go is for the application to say, and for services ``hutong.runtime.tracing`` does. Neighbours: ``publisher``
and ``received`` make spans with this; those of the router, which are many, ``services/router/otlp`` makes.

A span holds what the headers hold: names, a place, and an event's id where that is a UUID. Nothing of the event's data.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hutong.errors import ConfigurationError
from hutong.event import harmless_id, is_traceparent
from hutong.transport import Settle

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

__all__ = ["VARIABLE", "Spans", "Step", "is_sampled", "is_wanted", "spans"]

VARIABLE = "HUTONG_TRACING"
_YES, _NO = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")
_ODD = b"13579bdf"  # the lowest of the flags says "sampled" (W3C Trace Context, section 3.2.2.5)


def is_wanted(environment: Mapping[str, str] | None = None) -> bool:
    """Whether spans are asked for.

    Raises:
        ConfigurationError: the variable says neither yes nor no.
    """
    asked = (os.environ if environment is None else environment).get(VARIABLE, "").lower()
    if asked in _YES:
        return True
    if asked in _NO:
        return False
    raise ConfigurationError(f"{VARIABLE} is 1 or 0, not {asked!r}")


def spans(environment: Mapping[str, str] | None = None) -> Spans | None:
    """What makes spans; None where nobody asked.

    Raises:
        ConfigurationError: they are asked for, and OpenTelemetry is not installed.
    """
    if not is_wanted(environment):
        return None
    try:
        from opentelemetry import trace
    except ImportError:
        raise ConfigurationError(f"{VARIABLE} is set and OpenTelemetry is not here: pip install 'hutong[otel]'") from None
    return Spans(trace)


def is_sampled(traceparent: bytes | None) -> bool:
    """Whether the publisher's sampler has chosen this event."""
    return traceparent is not None and len(traceparent) == 55 and traceparent[-1] in _ODD


class Step:
    """One span: a step of an event's way.

    Attributes:
        traceparent: names it; the next step's parent.
    """

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: Span) -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def note(self, **facts: str | int) -> None:
        """Attributes of the span; ``__`` stands for the dot in a name."""
        self._span.set_attributes({name.replace("__", "."): fact for name, fact in facts.items()})

    def failed(self, problem: str) -> None:
        """The step did not do what it should; ``problem`` holds no data."""
        from opentelemetry.trace import StatusCode

        self._span.set_status(StatusCode.ERROR, problem)

    def end(self) -> None:
        """The step is done."""
        self._span.end()

    def ending(self, settle: Settle) -> Settle:
        """The same callback, with which the step is done too."""

        def settled(error: Any, record: Any) -> None:
            if error is not None:
                self.failed("not confirmed")
            self.end()
            settle(error, record)

        return settled


class Spans:
    """Makes the spans of this process; None in the place of a step says that the event is not traced.

    Args:
        trace: ``opentelemetry.trace``.
    """

    def __init__(self, trace: Any) -> None:
        self._trace = trace
        self._tracer = trace.get_tracer("hutong")

    def publish(self, contract: str, event_id: str, parent: str | None) -> Step | None:
        """From the application's call to the brokers' confirmation. Without a parent it begins a trace, if the sampler will."""
        return self._start(f"publish {contract}", "PRODUCER", f"pub.{contract}", event_id, parent)

    def receive(self, topic: str, event_id: str, parent: str, agreement: str | None) -> Step | None:
        """From the moment the recipient's application has an event until it asks for the next."""
        step = self._start(f"receive {topic.removeprefix('sub.')}", "CONSUMER", topic, event_id, parent)
        if step is not None and agreement:
            step.note(hutong__agreement=agreement)
        return step

    def _start(self, name: str, kind: str, topic: str, event_id: str, parent: str | None) -> Step | None:
        if parent is not None and not is_sampled(parent.encode()):
            return None
        facts = {
            "messaging.system": "kafka",
            "messaging.operation.type": "send" if kind == "PRODUCER" else "process",
            "messaging.destination.name": topic,
        }
        if told := harmless_id(event_id):
            facts["messaging.message.id"] = told
        context = None if parent is None else self._context(parent)
        span = self._tracer.start_span(name, context=context, kind=self._trace.SpanKind[kind], attributes=facts)
        return Step(span) if span.is_recording() else None

    def _context(self, traceparent: str) -> Context:
        """The context that a header names, as OpenTelemetry takes it."""
        trace = self._trace
        if not is_traceparent(traceparent):
            return trace.set_span_in_context(trace.INVALID_SPAN)  # type: ignore[no-any-return]
        _, trace_id, span_id, flags = traceparent.split("-")
        remote = trace.SpanContext(
            int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=trace.TraceFlags(int(flags, 16))
        )
        return trace.set_span_in_context(trace.NonRecordingSpan(remote))  # type: ignore[no-any-return]
