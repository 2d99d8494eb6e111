"""Spans: parents and children as the event goes, nothing of its data in them, and nothing at all where nobody asked."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from hutong.errors import ConfigurationError
from hutong.testing import Bus
from hutong.tracing import is_sampled, is_wanted, spans
from services.router.otlp import RouteTrace, TraceSender, encode
from services.router.traces import Traces
from tests.behaviour.line import FI, MOVED, move
from tests.spans import Collected, spans_of, spans_to, use
from tests.unit.test_router_service import Message, Output, chunk_of, good, router
from tests.unit.test_routing import CONTRACT, grant, record

TRACE, SPAN = "a" * 32, "b" * 16
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"


def name_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def parent_of(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"00-{span.parent.trace_id:032x}-{span.parent.span_id:016x}-01"


def message(traceparent: str | None, **changes: Any) -> Message:
    inbound = record(**changes)
    headers = [(name, value) for name, value in inbound.headers if name != "traceparent"]
    return Message(
        inbound.value, [*headers, *([("traceparent", traceparent.encode())] if traceparent else [])], key=inbound.key or b""
    )


class Sender:
    """Takes traces, and shows them as a collector would see them."""

    def __init__(self) -> None:
        self.traces: list[RouteTrace] = []

    def take(self, traces: list[RouteTrace]) -> None:
        self.traces += traces

    def named(self, prefix: str) -> list[Collected]:
        return [span for span in spans_of(encode(b"", self.traces)) if span.name.startswith(prefix)]


def routed(tmp_path: Path, messages: list[Message], sender: Sender | None, *, fast: bool) -> Output:
    """Messages through a router that traces, up to the commit."""
    made, _, _ = router(tmp_path, grant("all", [{"field": "id"}]), grant("region", [{"field": "region"}]))
    made._traces = Traces(sender)
    output = Output(fast=fast)
    made.begin()
    made.handle(chunk_of([good()], fast=fast), output)  # opens the lane
    output.made.clear()
    made.handle(chunk_of(messages, fast=fast), output)
    assert sender is None or sender.traces == []  # not before the commit
    made.committed(0.1)
    return output


@pytest.mark.parametrize("fast", [False, True])
def test_a_sampled_event_is_routed_and_delivered_under_its_own_spans(tmp_path: Path, fast: bool) -> None:
    """publish -> route -> one deliver for each recipient, whose header names it; the other events are as ever."""
    sender = Sender()
    before_ns = time.time_ns() // 1_000_000 * 1_000_000
    output = routed(tmp_path, [message(None), message(SAMPLED), message(UNSAMPLED), message(SAMPLED)], sender, fast=fast)
    routes, delivers = sender.named(f"route {CONTRACT}"), sender.named("deliver ")
    assert [f"00-{one.trace}-{one.parent}-01" for one in routes] == [SAMPLED, SAMPLED]
    assert [one.name for one in delivers] == ["deliver all", "deliver region"] * 2
    assert [one.parent for one in delivers] == [routes[0].id] * 2 + [routes[1].id] * 2
    assert len({one.id for one in (*routes, *delivers)}) == 6
    assert [one.kind for one in (*routes, *delivers)] == [5] * 2 + [4] * 4
    assert all(before_ns <= one.began_ns <= one.ended_ns <= time.time_ns() for one in (*routes, *delivers))
    assert routes[0].facts == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": f"pub.{CONTRACT}",
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": "7",
        "hutong.waited_ms": routes[0].facts["hutong.waited_ms"],
    }
    assert delivers[1].facts["hutong.agreement"] == "region"
    assert delivers[1].facts["messaging.destination.name"] == "sub.r.region.region"
    carried = [dict(headers).get("traceparent", b"").decode() for _, _, headers in output.made]
    unsampled = [one for one in carried if not is_sampled(one.encode())]
    assert sorted(unsampled) == sorted(["", "", UNSAMPLED, UNSAMPLED])
    assert [one for one in carried if one not in unsampled] == [one.traceparent for one in delivers]


@pytest.mark.parametrize("fast", [False, True])
def test_tracing_changes_nothing_but_the_trace(tmp_path: Path, fast: bool) -> None:
    """The same deliveries in the same order, value by value and header by header."""
    messages = [message(SAMPLED if n in {0, 3, 4, 9} else UNSAMPLED, data={"id": f"e{n}"}) for n in range(10)]
    plain, traced = (routed(tmp_path, messages, sender, fast=fast).made for sender in (None, Sender()))

    def without_trace(made: list[Any]) -> list[Any]:
        return [
            (topic, value, [(name, b"" if name == "traceparent" else text) for name, text in headers])
            for topic, value, headers in made
        ]

    assert without_trace(traced) == without_trace(plain)
    assert [dict(headers)["traceparent"] for _, _, headers in plain] == [
        one for n in range(10) for one in [(SAMPLED if n in {0, 3, 4, 9} else UNSAMPLED).encode()] * 2
    ]


def test_traces_of_a_transaction_that_failed_are_not_told(tmp_path: Path) -> None:
    """Its deliveries are not visible either; the events come again."""
    sender = Sender()
    made, _, _ = router(tmp_path, grant("all", [{"field": "id"}]))
    made._traces = Traces(sender)
    for _ in range(2):
        made.begin()
        made.handle(chunk_of([message(SAMPLED)], fast=False), Output())
    made.committed(0.1)
    assert [span.name for span in sender.named("")] == [f"route {CONTRACT}", "deliver all"]


def test_a_quarantined_event_is_an_error_with_its_reason(tmp_path: Path) -> None:
    """And no value of its own; a delivery that did not go out has no span."""
    sender = Sender()
    made, _, _ = router(tmp_path, grant("all", [{"field": "id"}]), grant("region", [{"field": "region"}]))
    made._traces = Traces(sender)
    made.begin()
    bad = message(SAMPLED)
    bad._value = b"\0\0\0\0\7" + b"\xff" * 9
    made.handle(chunk_of([bad, message(SAMPLED)], fast=False), Output(closed="sub.r.all.all"))
    made.committed(0.1)
    undecodable, closed = sender.named("route")
    assert undecodable.error
    assert undecodable.problem.startswith("quarantined: ")
    assert closed.problem == "quarantined: no_destination"
    assert [one.name for one in sender.named("deliver")] == ["deliver region"]


@pytest.mark.parametrize("fast", [False, True])
def test_a_trace_that_is_none_harms_nothing(tmp_path: Path, fast: bool) -> None:
    """Fifty-five bytes that end like a flag: the event goes out, and no span is made of it."""
    sender = Sender()
    odd = message("x" * 54 + "1")
    assert len(routed(tmp_path, [odd], sender, fast=fast).made) == 2
    assert sender.named("") == []


def test_a_sender_sends_all_and_outlives_its_collector() -> None:
    """In requests of bounded size; what a collector refuses, or raises, is lost, and the next ones are sent."""
    told: list[bytes] = []
    answers: list[Any] = [False, OSError("away")]

    def post(body: bytes) -> bool:
        told.append(body)
        answer = answers.pop(0) if answers else True
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    one = RouteTrace(
        parent=SAMPLED,
        event_id="0192f0a1-0000-7000-8000-000000000001",
        topic="pub.a.b.c",
        partition=300,
        offset=2**40,
        appended_ms=1,
        began_ns=2_000_000,
        span=7,
        ended_ns=3_000_000,
    )
    sender = TraceSender(b"", post)
    sender.take([one] * 1_200)
    sender.close()
    assert [len(spans_of(body)) for body in told] == [500, 500, 200]
    (span,) = spans_of(encode(b"", [one]))
    assert (span.id, span.began_ns, span.ended_ns) == (f"{7:016x}", 2_000_000, 3_000_000)
    assert (span.facts["messaging.kafka.offset"], span.facts["messaging.destination.partition.id"]) == (str(2**40), "300")
    assert (span.facts["messaging.message.id"], span.facts["hutong.waited_ms"]) == (one.event_id, "1")


def test_publishing_and_receiving_are_spans_of_one_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Confirmed, handed over, and done when the next is asked for; the application's own spans hang on the receiving."""
    exporter = InMemorySpanExporter()
    use(monkeypatch, spans_to(exporter))
    with Bus(FI) as bus, bus.subscription("kela", "population") as kela, bus.publisher("dvv") as dvv:
        handle = dvv.publish(move(1), MOVED, traceparent=SAMPLED)
        dvv.flush()
        (publish,) = exporter.get_finished_spans()
        assert (publish.name, parent_of(publish)) == (f"publish {MOVED}", SAMPLED)
        event = kela.poll(1)
        assert event is not None
        assert event.attributes.id == handle.event_id
        assert kela.poll() is None
    receive = exporter.get_finished_spans()[-1]
    assert (receive.name, parent_of(receive)) == ("receive kela.population", name_of(publish))
    assert event.attributes.traceparent == name_of(receive)
    assert dict(receive.attributes or {})["hutong.agreement"] == event.attributes.agreement


def test_a_handler_that_fails_is_an_error_of_the_receiving(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event was not processed."""
    exporter = InMemorySpanExporter()
    use(monkeypatch, spans_to(exporter))
    with Bus(FI) as bus, bus.publisher("dvv") as dvv:
        subscription = bus.subscription("kela", "population")

        def fail() -> None:
            with subscription:
                dvv.publish(move(1), MOVED)
                subscription.poll(1)
                raise KeyError

        with pytest.raises(KeyError):
            fail()
    assert not next(span for span in exporter.get_finished_spans() if span.name.startswith("receive")).status.is_ok


def test_an_id_of_the_applications_own_is_in_no_span(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be somebody's number; and nothing of the event's data is there."""
    exporter = InMemorySpanExporter()
    use(monkeypatch, spans_to(exporter))
    with Bus(FI) as bus, bus.subscription("kela", "population") as kela, bus.publisher("dvv") as dvv:
        dvv.publish(move(1), MOVED, id="131052-308T")
        assert kela.poll(1) is not None
    facts = {"messaging.system": "kafka"}
    published = {"messaging.operation.type": "send", "messaging.destination.name": f"pub.{MOVED}"}
    received = {"messaging.operation.type": "process", "messaging.destination.name": "sub.kela.population"}
    granted = {"hutong.agreement": "moves-to-benefits"}
    assert [dict(span.attributes or {}) for span in exporter.get_finished_spans()] == [
        facts | published,
        facts | received | granted,
    ]


def test_what_nobody_samples_costs_no_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """No trace is begun for it, and one that came along is passed on as it is."""
    exporter = InMemorySpanExporter()
    use(monkeypatch, spans_to(exporter, sampler=ALWAYS_OFF))
    with Bus(FI) as bus, bus.publisher("dvv") as dvv:
        dvv.publish(move(1), MOVED)
        dvv.publish(move(1), MOVED, traceparent=UNSAMPLED)
        found = [attributes.traceparent for attributes, _ in bus.published(MOVED)]
    assert found == [None, UNSAMPLED]
    assert exporter.get_finished_spans() == ()


def test_switched_off_nothing_is_imported() -> None:
    """A publisher and a subscription at work, and not a module of OpenTelemetry."""
    code = (
        "import sys; from hutong.testing import Bus; from tests.behaviour.line import FI, MOVED, move\n"
        "with Bus(FI) as bus, bus.subscription('kela', 'population') as kela, bus.publisher('dvv') as dvv:\n"
        "    dvv.publish(move(1), MOVED); assert kela.poll(1)\n"
        "import services.router.handler\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_the_variable_says_yes_or_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anything else is an error; without the packages, too."""
    assert [is_wanted({"HUTONG_TRACING": one}) for one in ("1", "true", "0", "")] == [True, True, False, False]
    assert spans({}) is None
    assert spans({"HUTONG_TRACING": "1"}) is not None
    with pytest.raises(ConfigurationError, match="HUTONG_TRACING"):
        spans({"HUTONG_TRACING": "maybe"})
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'hutong\[otel\]'"):
        spans({"HUTONG_TRACING": "1"})
