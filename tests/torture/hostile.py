"""Chances to leak: events and calls that are wrong in every way, each with somebody's number or name in the offending place.

All that the SDK says to them is handed back as places to be looked through; what the router says goes to its log, its metrics,
its spans and the quarantine's reasons. Run after the judge: nothing of this is in the book. Neighbours: ``personal`` looks.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from confluent_kafka import Producer
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from hutong import Publisher, Subscription
from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.decoding import Decoder
from hutong.errors import HutongError
from hutong.event import Attributes, new_event_id, source_of
from hutong.kafka.registry import Registry
from hutong.kafka.scan import Scan
from tests.integration.processes import await_true, hutong
from tests.spans import spans_to
from tests.torture.load import data_of
from tests.torture.places import Place
from tests.torture.story import DEPARTMENT, PAYMENT, PERSON, person

if TYPE_CHECKING:
    from tests.torture.world import World

__all__ = ["provoke"]

Headers = list[tuple[str, bytes]]
Record = tuple[str, bytes | None, bytes | None, Headers]
"""What is wrong with it, key, value, headers."""

_STATISTICS = "agreements/stat.office/people-for-statistics.yaml"
_FAILS, _WORKS = "100 / household_size", "100 + household_size"


def provoke(world: World) -> list[Place]:
    """Do everything wrong once, and wait until the router has dealt with it; the errors that the SDK raised."""
    facts = person(world.population, len(world.population.persons) - 1, 1)
    data = data_of(facts)
    settings = world.settings(DEPARTMENT)
    errors = [*_publishing(settings, data), *_unreachable(settings, data), *_decoding(world, data), *_receiving(world, data)]
    _to_quarantine(world, data)
    _replay(world, data)
    return errors


def _told(what: str, wrong: Callable[[], object]) -> Place:
    """What the SDK says to something wrong: the message with its causes, as a log would have it."""
    try:
        wrong()
    except HutongError as error:
        return Place(kind="error", name=what, data="".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace"))
    raise AssertionError(f"{what}: nothing was wrong with it")


def _publishing(settings: Any, data: dict[str, Any]) -> Iterator[Place]:
    number, name, phone = data["identity_number"], data["name"], data["phone"]
    wrong_data: dict[str, dict[str, Any]] = {
        "pattern": {"region": number},
        "identifier": {"identity_number": phone},
        "type": {"sequence": name},
        "type of a time": {"changed_at": number},
        "range": {"household_size": int(number[:17] + "0") * 100},
        "unknown field": {number: 1},
        "unknown field of a name": {name: phone},
        "lone surrogate": {"name": f"{name}\udc80"},
        "time without a zone": {"changed_at": datetime(2026, 1, 1)},
        "too large": {"address": data["address"] * 100_000},
        "not a mapping": {"name": {name: phone}},
    }
    wrong_attributes: dict[str, dict[str, Any]] = {
        "id": {"id": f"{number}\n{name}"},
        "corrects": {"corrects": f"{number}\n{name}"},
        "traceparent": {"traceparent": number},
        "time": {"time": datetime.now(UTC) + timedelta(days=1)},
    }
    with Publisher(DEPARTMENT, settings=settings) as publisher:
        for what, changes in wrong_data.items():
            yield _told(what, lambda changes=changes: publisher.publish(data | changes, PERSON))  # type: ignore[misc]
        for what, attributes in wrong_attributes.items():
            yield _told(what, lambda given=attributes: publisher.publish(data, PERSON, **given))  # type: ignore[misc]
        short = {field: value for field, value in data.items() if field != "phone"}
        yield _told("missing field", lambda: publisher.publish(short, PERSON))
        yield _told("another contract", lambda: publisher.publish(data, PAYMENT))
        yield _told("another department", lambda: publisher.publish(data, "tax.office.person_changed"))


def _unreachable(settings: Any, data: dict[str, Any]) -> Iterator[Place]:
    """No broker: the ids that the application gave are numbers of persons."""
    away = settings.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    publisher = Publisher(DEPARTMENT, settings=away)
    handle = publisher.publish(data, PERSON, id=data["identity_number"])
    yield _told("no broker, one event", lambda: handle.result(1))
    yield _told("no broker, all events", lambda: publisher.close(0))
    yield _told("closed", lambda: publisher.publish(data, PERSON))


def _decoding(world: World, data: dict[str, Any]) -> Iterator[Place]:
    registry, number = Registry.of(world.settings("welfare.office")), data["identity_number"].encode()
    decoder, known = Decoder(registry), registry.latest(f"pub.{PERSON}-value")
    assert known is not None
    for what, value in {
        "not framed": number,
        "unknown schema": b"\0" + number,
        "undecodable": frame(known.id) + number + data["name"].encode(),
    }.items():
        yield _told(what, lambda value=value: decoder.decode(value))  # type: ignore[misc]


def _receiving(world: World, data: dict[str, Any]) -> Iterator[Place]:
    """A record on a recipient's own topic that is no event, as only the operator could write it."""
    number, name = data["identity_number"].encode(), data["name"].encode()
    topic, settings = "sub.audit.office.payments-to-audit", world.settings("audit.office")
    group = f"audit.office.{new_event_id()}"
    with Subscription("audit.office", "payments-to-audit", settings=settings, group=group) as audit:
        _write(world, topic, [("", number, number + name, [("ce_id", number), ("note", name)])])
        yield _told("received", lambda: [audit.poll(1) for _ in range(30)])


def _broken(data: dict[str, Any], body: bytes, person_id: int, payment_id: int) -> Iterator[Record]:
    """Records of a plain client that must go to quarantine."""
    number, name, phone = (data[field] for field in ("identity_number", "name", "phone"))
    key, value = number.encode(), frame(person_id) + body

    def headers(**changes: str | bytes) -> Headers:
        attributes = Attributes(id=new_event_id(), source=source_of(DEPARTMENT), type=PERSON, time=datetime.now(UTC))
        wrong = {name: text if isinstance(text, bytes) else text.encode() for name, text in changes.items()}
        span = new_event_id().replace("-", "")
        trace = {"traceparent": f"00-{span}-{span[16:]}-01".encode()}
        return list((dict(attributes.to_headers()) | trace | wrong).items())

    yield "no frame", key, number.encode(), headers()
    yield "unknown schema", key, b"\0\x7f" + body, headers()
    yield "foreign schema", key, frame(payment_id) + body, headers()
    yield "cut short", key, value[:-9], headers()
    yield "bytes behind", key, value + name.encode(), headers()
    yield "wrong key", f"{number}/{name}".encode(), value, headers()
    yield "no key", None, value, headers()
    yield "no value", key, None, headers()
    yield "no headers", key, value, []
    yield "no headers but others", key, value, [(number, name.encode()), (name, phone.encode())]
    yield "source", key, value, headers(ce_source=f"urn:hutong:{number}")
    yield "type", key, value, headers(ce_type=f"{DEPARTMENT}.{name}")
    yield "time", key, value, headers(ce_time=f"{phone} {name}")
    yield "version", key, value, headers(ce_specversion=number)
    yield "long id", key, value, headers(ce_id=number * 100)
    yield "id in another encoding", key, value, headers(ce_id=f"{name}{number}".encode("gb18030"))
    yield "agreement", key, value, headers(ce_agreement=name * 1000)
    yield "many headers", key, value, [*headers(), *((f"{number}-{at}", name.encode()) for at in range(80))]
    yield "trace and own id", key, b"\0" + number.encode(), headers(ce_id=number, traceparent=number, tracestate=name)


def _to_quarantine(world: World, data: dict[str, Any]) -> None:
    registry = Registry.of(world.settings())
    person_schema, payment_schema = registry.latest(f"pub.{PERSON}-value"), registry.latest(f"pub.{PAYMENT}-value")
    assert person_schema is not None
    assert payment_schema is not None
    schema = EventSchema(person_schema.schema)
    records = list(_broken(data, schema.encode(schema.check(data)), person_schema.id, payment_schema.id))
    parked = _Parked(world)
    _write(world, f"pub.{PERSON}", records)
    await_true(lambda: parked.count() >= len(records), f"all {len(records)} broken events are in quarantine", 60)


def _replay(world: World, data: dict[str, Any]) -> None:
    """An event whose id is somebody's number, quarantined for one agreement and delivered by a replay, which keeps a record."""
    number, parked = data["identity_number"], _Parked(world)
    with Publisher(DEPARTMENT, settings=world.settings(DEPARTMENT)) as publisher:
        publisher._spans = spans_to(OTLPSpanExporter(f"{world.spans.endpoint}/v1/traces"))  # as an application's own would go
        publisher.publish(data | {"household_size": 0}, PERSON, id=f"{number}/{data['name']}")
    await_true(lambda: parked.count() > 0, "an event that cannot be granted is in quarantine", 60)
    declared = world.schemas / _STATISTICS
    text = declared.read_text(encoding="utf-8")
    assert text.count(_FAILS) == 1
    again = (
        "quarantine",
        "replay",
        "--event",
        f"{number}/{data['name']}",
        "--agreement",
        "people-for-statistics",
        "--yes",
        "--json",
    )
    hutong(world.home, *again, codes=(1,))
    declared.write_text(text.replace(_FAILS, _WORKS), encoding="utf-8")
    try:
        world.apply()
        said = hutong(world.home, *again)
        assert '"delivered": 1' in said, "the replay has delivered nothing"
    finally:
        declared.write_text(text, encoding="utf-8")
        world.apply()


class _Parked:
    """What comes into the contract's quarantine from now on."""

    def __init__(self, world: World) -> None:
        self._scan, self._topics = Scan(world.settings()), [f"quarantine.{PERSON}"]
        self._begin = {place: end for place, (_, end) in self._scan.stretches(self._topics).items()}

    def count(self) -> int:
        """How many records."""
        ends = {place: end for place, (_, end) in self._scan.stretches(self._topics).items()}
        return sum(1 for _ in self._scan.records({place: (begin, ends[place]) for place, begin in self._begin.items()}))


def _write(world: World, topic: str, records: list[Record]) -> None:
    producer = Producer(world.settings().client())
    for _, key, value, headers in records:
        producer.produce(topic, value, key, headers=headers)  # type: ignore[arg-type]
    assert producer.flush(30) == 0
