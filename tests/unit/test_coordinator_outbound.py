"""What the coordinator sends, without brokers: as a publisher would, counted when all is confirmed, given up where it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from hutong.contracts.schema import EventSchema
from hutong.contracts.shape import fingerprint
from hutong.envelope import Sealed
from hutong.errors import BrokerUnavailable, EventTooLarge, HutongError, NotAuthorised, QueueFull
from hutong.flows.work import Emitted
from hutong.kafka.settings import Settings
from hutong.metrics import PUBLISHED
from hutong.testing import Bus
from services.coordinator import outbound as module
from services.coordinator.outbound import Outbound
from tests.samples import CONTRACT, PERSON_REGISTERED, contract_root, generated, person
from tests.spans import spans_to

SCHEMA = EventSchema(PERSON_REGISTERED)
OWNER = "kin.registry"
SETTINGS = Settings(bootstrap_servers="nowhere:1", registry_url="http://nowhere", max_event_bytes=300, block_seconds=0.1)


class Sender:
    """Keeps what is sent; refuses, or leaves waiting, what it is told to."""

    made: list[Sender]

    def __init__(self, _settings: Settings, *, refusals_only: bool) -> None:
        assert refusals_only
        self.records: list[tuple[Any, ...]] = []
        self.waiting, self.full, self.discarded = 0, 0, False
        self.refuses: HutongError | None = None
        Sender.made.append(self)

    def send(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]], settle: Any) -> None:
        if self.full:
            raise QueueFull("full")
        self.records.append((topic, key, value, headers))
        if self.refuses is not None:
            settle(self.refuses, SimpleNamespace(topic=lambda: topic))

    def poll(self, _seconds: float) -> None:
        self.full = max(0, self.full - 1)

    def flush(self, _seconds: float) -> None: ...

    def discard(self) -> None:
        self.discarded = True

    def explain(self, error: HutongError, _topic: str) -> HutongError:
        return error


@pytest.fixture
def bus() -> Bus:
    return Bus(models=[generated(contract_root(PERSON_REGISTERED)).PersonRegistered])


@pytest.fixture
def outbound(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> Outbound:
    Sender.made = []
    monkeypatch.setattr(module, "KafkaSender", Sender)
    monkeypatch.setattr(module.Registry, "of", lambda _: bus.transport(OWNER).schemas())
    monkeypatch.setattr(Sender, "explain", lambda _self, error, _topic: error)
    return Outbound(SETTINGS)


def emitted(number: int = 1) -> Emitted:
    key, body = SCHEMA.pack(person(number))
    moment = datetime(2026, 5, 6, 7, 8, 9, 123000, tzinfo=UTC)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    made = {"contract": CONTRACT, "version": SCHEMA.version, "shape": fingerprint(SCHEMA.parsed), "data": {}}
    return Emitted(**made, key=key, body=body, id=f"e{number}", time=moment, traceparent=trace)


def published() -> float:
    return float(PUBLISHED.labels(CONTRACT)._value.get())


def test_it_sends_what_a_publisher_would(outbound: Outbound, bus: Bus) -> None:
    """Topic, key, bytes and headers of an event that was sealed before."""
    event = emitted()
    outbound.publish(OWNER, event)
    with bus.publisher(OWNER) as publisher:
        sealed = Sealed(event.id, event.key, event.body, event.time, event.traceparent)
        publisher.forward(event.contract, event.version, event.shape, sealed)
    (wanted,) = bus.records(f"pub.{CONTRACT}")
    [(topic, key, value, headers)] = Sender.made[0].records
    assert (topic, key, value, headers) == (wanted.topic(), wanted.key(), wanted.value(), wanted.headers())


def test_it_counts_what_is_confirmed(outbound: Outbound) -> None:
    """All of it together, once the brokers have it."""
    before = published()
    outbound.publish(OWNER, emitted(1))
    outbound.publish(OWNER, emitted(2))
    assert published() == before
    outbound.flush()
    outbound.flush()
    assert published() == before + 2


def test_a_publication_is_a_step_of_its_cases_trace(outbound: Outbound) -> None:
    """Done when the brokers have it, failed when it is given up; the header names it, so that the router goes on from there."""
    exporter = InMemorySpanExporter()
    outbound._spans = spans_to(exporter)
    outbound.publish(OWNER, emitted(1))
    assert exporter.get_finished_spans() == ()
    outbound.flush()
    outbound.publish(OWNER, replace(emitted(2), traceparent=None))
    outbound.publish(OWNER, emitted(3))
    outbound.give_up()
    first, third = exporter.get_finished_spans()
    assert (first.name, first.status.status_code) == (f"publish {CONTRACT}", StatusCode.UNSET)
    assert third.status.status_code == StatusCode.ERROR
    traces = [dict(headers).get("traceparent", b"").decode() for *_, headers in Sender.made[0].records]
    trace, parent = str(emitted().traceparent)[:36], str(emitted().traceparent).split("-")[2]
    assert traces == [f"{trace}{first.context.span_id:016x}-01", "", f"{trace}{third.context.span_id:016x}-01"]
    assert [f"{one.parent.span_id:016x}" for one in (first, third) if one.parent] == [parent, parent]


@pytest.mark.parametrize("trouble", ["refused", "waiting"])
def test_what_is_not_confirmed_is_given_up_and_sent_again(outbound: Outbound, trouble: str) -> None:
    """By a new producer, which has nothing in flight that could come after it."""
    before = published()
    outbound.send("t", b"k", b"v", [])
    first = Sender.made[0]
    first.refuses = NotAuthorised("no") if trouble == "refused" else None
    first.waiting = int(trouble == "waiting")
    outbound.publish(OWNER, emitted())
    with pytest.raises(BrokerUnavailable, match="sent again"):
        outbound.flush()
    assert first.discarded
    outbound.publish(OWNER, emitted())
    outbound.flush()
    assert Sender.made[1].records == first.records[1:]
    assert published() == before + 1


def test_a_full_queue_is_waited_for(outbound: Outbound) -> None:
    """As long as a publisher waits, and no longer."""
    outbound.send("t", b"k", b"v", [])
    sender = Sender.made[0]
    sender.full = 3
    outbound.publish(OWNER, emitted())
    assert len(sender.records) == 2
    sender.full = 10**9
    with pytest.raises(QueueFull):
        outbound.publish(OWNER, emitted())


def test_what_cannot_be_sent_at_all_is_said_at_once(outbound: Outbound) -> None:
    """Too large for the brokers, or not the owner's."""
    with pytest.raises(EventTooLarge):
        outbound.publish(OWNER, replace(emitted(), body=b"x" * 400))
    with pytest.raises(NotAuthorised):
        Outbound(SETTINGS).publish("somebody.else", emitted())
