"""The publisher: what it sends, what it refuses before sending, and how it tells of what was not confirmed."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from hutong import AsyncPublisher, Publisher
from hutong.errors import (
    BrokerUnavailable,
    ConfigurationError,
    ContractViolation,
    DeliveryFailed,
    EventTooLarge,
    HutongError,
    NotAuthorised,
    PublisherClosed,
    QueueFull,
    UnknownContract,
)
from hutong.event import header
from hutong.metrics import _Seconds, confirmations
from hutong.testing import Bus
from hutong.transport import Limits
from tests.samples import CONTRACT, PERSON_REGISTERED, contract_root, generated, person

Model = generated(contract_root(PERSON_REGISTERED)).PersonRegistered
DEPARTMENT = "kin.registry"


@pytest.fixture
def bus() -> Bus:
    return Bus(models=[Model], limits=Limits(max_event_bytes=600, block_seconds=0.1))


class SlowSender:
    """Confirms or refuses only when told to, and has room for three."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[Any, Any], None]] = []
        self.problem: HutongError | None = None

    def send(self, topic: str, key: bytes, value: bytes, headers: Any, settle: Callable[[Any, Any], None]) -> None:
        if len(self.waiting) >= 3:
            raise QueueFull("full")
        self.waiting.append(settle)

    def poll(self, seconds: float) -> None: ...

    def flush(self, seconds: float) -> None: ...

    def discard(self) -> None:
        self.answer(BrokerUnavailable("given up"))

    def answer(self, error: HutongError | None = None) -> None:
        while self.waiting:
            record = SimpleNamespace(topic=lambda: "t", partition=lambda: 1, offset=lambda: 2, latency=lambda: 0.001)
            self.waiting.pop(0)(error, None if error else record)

    def explain(self, error: Any, topic: str) -> HutongError:
        return error  # type: ignore[no-any-return]

    def trouble(self) -> HutongError | None:
        return self.problem


@pytest.fixture
def slow(bus: Bus) -> tuple[Publisher, SlowSender]:
    transport, sender = bus.transport(DEPARTMENT), SlowSender()
    transport.sender = lambda: sender  # type: ignore[assignment,return-value,method-assign]
    return Publisher(DEPARTMENT, transport=transport), sender


def test_an_event_is_framed_keyed_and_described_in_its_headers(bus: Bus) -> None:
    """Value: frame and Avro; key: the key field; headers: the CloudEvents attributes."""
    moment = datetime(2026, 5, 6, 7, 8, 9, 123000, tzinfo=UTC)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with bus.publisher(DEPARTMENT) as publisher:
        handle = publisher.publish(person(), CONTRACT, id="my-id", time=moment, traceparent=trace)
        place = handle.result()
    assert (handle.event_id, handle.done(), place.topic, place.offset) == ("my-id", True, f"pub.{CONTRACT}", 0)
    (record,) = bus.records(f"pub.{CONTRACT}")
    assert record.key() == b"A-1"
    assert record.value() is not None
    assert record.value()[:5] == b"\0\0\0\0\1"  # type: ignore[index]
    headers = record.headers()
    assert header(headers, "ce_id") == b"my-id"
    assert header(headers, "ce_source") == b"urn:hutong:kin.registry"
    assert header(headers, "ce_type") == CONTRACT.encode()
    assert header(headers, "ce_time") == b"2026-05-06T07:08:09.123Z"
    assert header(headers, "traceparent") == trace.encode()


def test_models_and_mappings_of_one_contract_are_the_same_bytes(bus: Bus) -> None:
    """A generated model needs no contract name."""
    with bus.publisher(DEPARTMENT) as publisher:
        publisher.publish(Model(**person()))
        publisher.publish(person(), CONTRACT)
    first, second = bus.records(f"pub.{CONTRACT}")
    assert first.value() == second.value()


@pytest.mark.parametrize(
    ("event", "contract", "options", "path", "rule"),
    [
        (person(number=7), CONTRACT, {}, "number", "type"),
        ({}, CONTRACT, {}, "number", "missing"),
        (person(), None, {}, "", "contract"),
        (7, CONTRACT, {}, "", "type"),
        (Model(**person()), "kin.registry.other", {}, "", "contract"),
        (Model.model_construct(number="A-1"), None, {}, "person", "missing"),
        (Model.model_construct(number=8, **{k: v for k, v in person().items() if k != "number"}), None, {}, "number", "type"),
        (person(), CONTRACT, {"id": ""}, "id", "attribute"),
        (person(), CONTRACT, {"id": "x" * 300}, "id", "attribute"),
        (person(), CONTRACT, {"id": "a\nb"}, "id", "attribute"),
        (person(), CONTRACT, {"time": datetime(2026, 1, 1)}, "time", "time_zone"),
        (person(), CONTRACT, {"time": datetime.now(UTC) + timedelta(days=1)}, "time", "range"),
        (person(), CONTRACT, {"time": datetime(1899, 12, 31, tzinfo=UTC)}, "time", "range"),
        (person(), CONTRACT, {"traceparent": "00-zz"}, "traceparent", "attribute"),
    ],
)
def test_what_breaks_the_contract_is_refused_and_nothing_is_sent(
    bus: Bus, event: Any, contract: str | None, options: dict[str, Any], path: str, rule: str
) -> None:
    """The error has the path; the topic stays empty."""
    with bus.publisher(DEPARTMENT) as publisher:
        with pytest.raises(ContractViolation) as caught:
            publisher.publish(event, contract, **options)
        assert (caught.value.path, caught.value.rule) == (path, rule)
    assert bus.records(f"pub.{CONTRACT}") == []


def test_an_unknown_contract_is_refused(bus: Bus) -> None:
    """The message says to check the name or to apply."""
    publisher = bus.publisher(DEPARTMENT)
    with pytest.raises(UnknownContract, match="hutong apply"):
        publisher.publish(person(), "kin.registry.nothing")


def test_a_version_that_the_bus_does_not_have_is_refused(bus: Bus) -> None:
    """A model of a newer contract version than the bus has cannot be published."""
    newer = {**PERSON_REGISTERED, "hutong": {**PERSON_REGISTERED["hutong"], "version": 2}}
    model = generated(contract_root(newer)).PersonRegistered
    with pytest.raises(UnknownContract, match="version 2"):
        bus.publisher(DEPARTMENT).publish(model(**person()))


def test_a_model_with_older_annotations_is_still_published(bus: Bus) -> None:
    """Docs and classifications may change without a new version: the bytes are the same."""
    older = {**PERSON_REGISTERED, "doc": "An older text."}
    model = generated(contract_root(older)).PersonRegistered
    assert bus.publisher(DEPARTMENT).publish(model(**person())).result().topic == f"pub.{CONTRACT}"


def test_another_departments_contract_is_refused(bus: Bus) -> None:
    """Only the owner publishes, and the error names it."""
    with pytest.raises(NotAuthorised, match=r"kin\.school may not publish .* kin\.registry's"):
        bus.publisher("kin.school").publish(person(), CONTRACT)


def test_an_event_over_the_size_limit_is_refused(bus: Bus) -> None:
    """The limit is named, and nothing is sent."""
    with bus.publisher(DEPARTMENT) as publisher, pytest.raises(EventTooLarge, match="limit of 600"):
        publisher.publish(person(tags=["x" * 700]), CONTRACT)
    assert bus.records(f"pub.{CONTRACT}") == []


def test_a_closed_publisher_refuses(bus: Bus) -> None:
    """Closing twice does nothing; publishing afterwards raises."""
    publisher = bus.publisher(DEPARTMENT)
    publisher.close()
    publisher.close()
    with pytest.raises(PublisherClosed):
        publisher.publish(person(), CONTRACT)


@pytest.mark.parametrize("offset", [301.0, -3000.0])
def test_a_clock_far_off_is_noticed_before_anything_is_sent(bus: Bus, offset: float) -> None:
    """The registry's clock is the witness."""
    transport = bus.transport(DEPARTMENT)
    transport.schemas().clock_offset = lambda: offset  # type: ignore[method-assign]
    with pytest.raises(ConfigurationError, match=r"clock is .* s (ahead of|behind) the bus"):
        Publisher(DEPARTMENT, transport=transport).publish(person(), CONTRACT)
    assert bus.records(f"pub.{CONTRACT}") == []


def test_a_full_queue_blocks_for_a_while_and_then_says_so(slow: tuple[Publisher, SlowSender]) -> None:
    """The event that found no room is not pending."""
    publisher, sender = slow
    for number in range(3):
        publisher.publish(person(number + 1), CONTRACT)
    with pytest.raises(QueueFull):
        publisher.publish(person(), CONTRACT)
    assert publisher.pending == 3
    sender.answer()
    publisher.close()


def test_a_result_waits_and_names_what_is_missing(slow: tuple[Publisher, SlowSender]) -> None:
    """A time-out is DeliveryFailed with the id, or the known trouble."""
    publisher, sender = slow
    handle = publisher.publish(person(), CONTRACT, id="e1")
    with pytest.raises(DeliveryFailed) as caught:
        handle.result(timeout=0.05)
    assert caught.value.event_ids == ("e1",)
    sender.problem = BrokerUnavailable("no broker at all")
    with pytest.raises(BrokerUnavailable, match="no broker at all"):
        handle.result(timeout=0.05)
    threading.Timer(0.05, sender.answer).start()
    assert handle.result(timeout=5) == ("t", 1, 2)
    publisher.close()


def test_flush_waits_for_what_was_published_before_it(slow: tuple[Publisher, SlowSender]) -> None:
    """An event of another thread that comes while it waits neither fails the flush nor holds it up."""
    publisher, sender = slow
    publisher.publish(person(1), CONTRACT)
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            sender.answer()
            publisher.publish(person(2), CONTRACT)

    sender.flush = wait  # type: ignore[method-assign]
    publisher.flush(60)
    assert len(waited) == 3
    assert publisher.pending == 1
    sender.answer()


def test_a_flush_in_another_thread_never_misses_a_refusal(slow: tuple[Publisher, SlowSender]) -> None:
    """What is pending no more has its error noted already, whichever thread takes the brokers' answer in."""
    publisher, sender = slow
    publisher.publish(person(), CONTRACT, id="refused")
    explain, seen = sender.explain, []

    def looked_at(error: Any, topic: str) -> HutongError:
        seen.append(publisher.pending)
        return explain(error, topic)

    sender.explain = looked_at  # type: ignore[method-assign]
    sender.answer(BrokerUnavailable("no"))
    assert seen == [1]
    with pytest.raises(DeliveryFailed):
        publisher.flush(0)


def test_flush_and_close_name_every_event_that_is_not_confirmed(slow: tuple[Publisher, SlowSender]) -> None:
    """Refused and still pending ones; what the application has seen fail is not told again."""
    publisher, sender = slow
    for name in ("a", "b"):
        publisher.publish(person(), CONTRACT, id=name)
    seen = publisher.publish(person(), CONTRACT, id="seen")
    sender.answer(NotAuthorised("no"))
    with pytest.raises(NotAuthorised):
        seen.result()
    publisher.publish(person(), CONTRACT, id="pending")
    with pytest.raises(DeliveryFailed, match=r"3 events of kin\.registry") as caught:
        publisher.flush(0)
    assert caught.value.event_ids == ("a", "b", "pending")
    assert isinstance(caught.value.__cause__, NotAuthorised)
    with pytest.raises(DeliveryFailed) as again:
        publisher.close(0)
    assert again.value.event_ids == ("pending",)
    assert publisher.pending == 0


def test_an_error_in_the_block_is_not_hidden_by_what_close_finds(slow: tuple[Publisher, SlowSender]) -> None:
    """The block's own error is raised, with a note about the unconfirmed events."""
    publisher, _ = slow
    with pytest.raises(ZeroDivisionError) as caught, publisher:  # noqa: PT012
        publisher.publish(person(), CONTRACT)
        publisher.flush = lambda timeout=0: Publisher.flush(publisher, 0)  # type: ignore[method-assign,assignment]
        _ = 1 / 0
    assert "not confirmed" in caught.value.__notes__[0]


def test_a_publisher_may_be_used_from_several_threads(bus: Bus) -> None:
    """Every event arrives once."""
    publisher = bus.publisher(DEPARTMENT)
    threads = [
        threading.Thread(target=lambda start=start: [publisher.publish(person(start + n), CONTRACT) for n in range(200)])
        for start in (1000, 2000, 3000)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    publisher.close()
    assert len({record.key() for record in bus.records(f"pub.{CONTRACT}")}) == 600


def test_the_current_opentelemetry_span_is_passed_on(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the application traces, its span goes along; nothing is needed for it."""
    context = SimpleNamespace(is_valid=True, trace_id=0xAF, span_id=0xB7, trace_flags=1)
    fake = ModuleType("opentelemetry.trace")
    fake.get_current_span = lambda: SimpleNamespace(get_span_context=lambda: context)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", fake)
    with bus.publisher(DEPARTMENT) as publisher:
        publisher.publish(person(), CONTRACT)
    (record,) = bus.records(f"pub.{CONTRACT}")
    assert header(record.headers(), "traceparent") == f"00-{0xAF:032x}-{0xB7:016x}-01".encode()


def test_events_violations_and_failures_are_counted(slow: tuple[Publisher, SlowSender]) -> None:
    """The counters are in the process's own Prometheus registry."""

    def count(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, {"contract": CONTRACT, **labels}) or 0.0

    publisher, sender = slow
    before = [count("hutong_published_events_total"), count("hutong_publish_failures_total")]
    violations = count("hutong_contract_violations_total", rule="missing")
    publisher.publish(person(), CONTRACT)
    sender.answer()
    publisher.publish(person(), CONTRACT)
    sender.answer(BrokerUnavailable("x"))
    with pytest.raises(ContractViolation):
        publisher.publish({}, CONTRACT)
    assert [count("hutong_published_events_total"), count("hutong_publish_failures_total")] == [n + 1 for n in before]
    assert count("hutong_contract_violations_total", rule="missing") == violations + 1


def test_confirmations_counted_together_are_all_counted() -> None:
    """Each in the bucket that it would be in alone, from several threads, whenever somebody looks."""
    alone, together = (_Seconds(f"t{n}", "d", registry=None, buckets=(0.1, 1, 10)) for n in range(2))
    amounts = [0.1, 0.05, 5.0, 1.0, 0.2, 99.0, 10.0]
    for amount in amounts:
        alone.observe(amount)
    together.observe_all(amounts)
    found = [[s.value for s in next(iter(one.collect())).samples if not s.name.endswith("created")] for one in (alone, together)]
    assert found[0] == pytest.approx(found[1])
    counted = confirmations("t.confirmed.together")
    threads = [threading.Thread(target=lambda: [counted.add(0.01) for _ in range(1234)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert REGISTRY.get_sample_value("hutong_published_events_total", {"contract": "t.confirmed.together"}) == 4 * 1234


def test_an_application_that_only_publishes_learns_of_confirmations(slow: tuple[Publisher, SlowSender]) -> None:
    """``publish`` takes them in, once a millisecond at most."""
    publisher, sender = slow
    polls: list[float] = []
    sender.poll = polls.append  # type: ignore[method-assign]
    for number in range(3):
        publisher.publish(person(number + 1), CONTRACT)
        time.sleep(0.002)
    assert polls == [0, 0, 0]
    sender.answer()
    publisher.close()


def test_asyncio_waits_for_the_confirmation(slow: tuple[Publisher, SlowSender]) -> None:
    """``await publish`` returns when the brokers have the event, and raises what they refuse."""
    publisher, sender = slow

    async def main() -> None:
        wrapped = AsyncPublisher(DEPARTMENT, transport=publisher._transport)
        tasks = [asyncio.create_task(wrapped.publish(person(n), CONTRACT)) for n in range(1, 4)]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in tasks)
        sender.answer()
        assert [place.offset for place in await asyncio.gather(*tasks)] == [2, 2, 2]
        failing = asyncio.create_task(wrapped.publish(person(), CONTRACT))
        await asyncio.sleep(0.05)
        sender.answer(NotAuthorised("no"))
        with pytest.raises(NotAuthorised):
            await failing
        with pytest.raises(ContractViolation):
            await wrapped.publish({}, CONTRACT)
        for _ in range(3):
            asyncio.create_task(wrapped.publish(person(), CONTRACT))  # noqa: RUF006
        await asyncio.sleep(0.01)
        with pytest.raises(QueueFull):
            await wrapped.publish(person(), CONTRACT)
        sender.answer()
        await wrapped.close()

    asyncio.run(main())
