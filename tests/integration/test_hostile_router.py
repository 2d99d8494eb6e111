"""Thousands of hostile records through a real broker and a real router: what becomes of each is what does in memory."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from hutong.contracts.schema import EventSchema
from hutong.event import Attributes, header
from hutong.home import Home
from hutong.kafka.registry import Registry
from hutong.testing import Bus
from hutong.transport import subject_of
from tests.behaviour.line import FI, MOVED, move
from tests.fuzz.hostile import Headers, headers
from tests.fuzz.mutations import mutated
from tests.integration.routers import Start, await_true, hutong
from tests.integration.test_router import POPULATION, STATISTICS, ends, read, settings

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]

_RECORDS = 4_000
_SEED = 20_261_130
_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
_QUARANTINE = f"quarantine.{MOVED}"


class Sent(NamedTuple):
    """A record; its value begins with four bytes of a schema's id, or is None."""

    key: bytes | None
    value: bytes | None
    headers: Headers


def drawn(count: int, schema_id: int) -> list[Sent]:
    """The same records for each id of the schema."""
    rng = random.Random(_SEED)
    known = Bus(FI).transport("dvv").schemas().latest(subject_of(MOVED))
    assert known is not None
    schema = EventSchema(known.schema)
    packed = [schema.pack(move(number, municipality=code)) for number, code in enumerate(("091", "092", "837", "049") * 20)]
    bodies = [body for _, body in packed]
    good = b"\0" + schema_id.to_bytes(4, "big")
    made = []
    for number in range(count):
        key, body = rng.choice(packed)
        attributes = Attributes(id=f"e{number}", source="urn:hutong:dvv", type=MOVED, time=_MOMENT)
        passed: Headers = list(attributes.to_headers())
        value: bytes | None = good + body
        named: bytes | None = key.encode()
        match rng.randrange(10):
            case 0 | 1 | 2:
                value = good + mutated(body, bodies, rng)
            case 3 | 4 | 5:
                passed = headers(attributes.to_headers(), rng)
            case 6:
                value = rng.choice(
                    (None, b"", b"\0", b"\1" + good[1:] + body, b"\0\0\xff\xff\xff" + body, rng.randbytes(80), good)
                )
            case 7:
                named = rng.choice((None, b"", b"\xff", named + b"|", b"k" * 100_000))
        made.append(Sent(named, value, passed))
    return made


def publish(home: Home, records: list[Sent]) -> dict[int, tuple[int, int]]:
    """Write them past the SDK; number -> partition and offset."""
    places: dict[int, tuple[int, int]] = {}
    producer = Producer(settings(home, "dvv").client() | {"linger.ms": 20, "message.max.bytes": 1_500_000})

    def settled(number: int) -> Any:
        def note(error: Any, message: Any) -> None:
            assert error is None, error
            places[number] = (message.partition(), message.offset())

        return note

    for number, one in enumerate(records):
        producer.produce(f"pub.{MOVED}", one.value, one.key, headers=one.headers, on_delivery=settled(number))  # type: ignore[arg-type]
        producer.poll(0)
    assert producer.flush(60) == 0
    return places


def in_memory(records: list[Sent]) -> tuple[Counter[Any], dict[int, Counter[Any]]]:
    """What the in-memory bus makes of them: deliveries, and by number the reasons for quarantine."""
    bus = Bus(FI)
    reasons: dict[int, Counter[Any]] = {}
    for number, one in enumerate(records):
        before = len(bus.quarantined(MOVED))
        bus.append(f"pub.{MOVED}", one.key, one.value, one.headers)  # type: ignore[arg-type]
        if new := bus.quarantined(MOVED)[before:]:
            reasons[number] = Counter((quarantined.reason, quarantined.agreement or "") for quarantined in new)
    delivered: Counter[Any] = Counter()
    for topic in (POPULATION, STATISTICS):
        for record in bus.records(topic):
            delivered[topic, header(record.headers(), "ce_id"), len(record.value() or b"")] += 1
    return delivered, reasons


def test_thousands_of_hostile_records(home: Home, start: Start) -> None:
    """None is lost, none stops the router, each has its reason; a person can look at each kind."""
    registry, memory = Registry.of(settings(home)), Bus(FI).transport("dvv").schemas()
    known, own = registry.latest(subject_of(MOVED)), memory.latest(subject_of(MOVED))
    assert known is not None
    assert own is not None
    expected, reasons = in_memory(drawn(_RECORDS, own.id))
    since = {topic: ends(home, topic) for topic in (POPULATION, STATISTICS, _QUARANTINE)}
    router = start().await_ready()
    places = publish(home, drawn(_RECORDS, known.id))
    await_true(lambda: router.metric("hutong_router_events_total", contract=MOVED) == _RECORDS, "all records are routed", 120)
    assert router.get("/health/live")[0] == router.get("/health/ready")[0] == 200

    delivered: Counter[Any] = Counter()
    for topic in (POPULATION, STATISTICS):
        for message in read(home, topic, since[topic]):
            delivered[topic, header(message.headers(), "ce_id"), len(message.value())] += 1
    assert delivered == expected
    assert delivered.total() > 1_000

    numbers = {f"pub.{MOVED}/{partition}/{offset}": number for number, (partition, offset) in places.items()}
    found: dict[int, Counter[Any]] = {}
    shown: dict[str, str] = {}
    for message in read(home, _QUARANTINE, since[_QUARANTINE]):
        told = dict(message.headers())
        reason, place = told["hutong_reason"].decode(), told["hutong_source"].decode()
        found.setdefault(numbers[place], Counter())[reason, told.get("hutong_agreement", b"").decode()] += 1
        assert told["hutong_problem"]
        shown.setdefault(reason, place)
    assert found == reasons
    assert len(shown) >= 8, shown
    for reason, place in shown.items():
        said = hutong(home, "quarantine", "show", place)
        assert reason in said
        assert "Traceback" not in said
    assert hutong(home, "quarantine", "explain", shown["undecodable"], codes=(0, 1))


def test_a_delivery_larger_than_its_topic_takes_stops_nobody(home: Home, start: Start) -> None:
    """The producer would send it, the broker refuses it: it goes to quarantine, and what came with it goes out."""
    admin = AdminClient(settings(home).client())
    entry = ConfigEntry("max.message.bytes", "1100000", incremental_operation=AlterConfigOpType.SET)
    change = admin.incremental_alter_configs([ConfigResource(ConfigResource.Type.TOPIC, POPULATION, incremental_configs=[entry])])
    for done in change.values():
        done.result(20)
    limit = ConfigEntry("max.message.bytes", "2000000", incremental_operation=AlterConfigOpType.SET)
    wide = admin.incremental_alter_configs(
        [ConfigResource(ConfigResource.Type.TOPIC, f"pub.{MOVED}", incremental_configs=[limit])]
    )
    for done in wide.values():
        done.result(20)
    known = Registry.of(settings(home)).latest(subject_of(MOVED))
    assert known is not None
    schema = EventSchema(known.schema)
    since = {topic: ends(home, topic) for topic in (POPULATION, _QUARANTINE)}
    router = start("b").await_ready()
    sent = []
    for number in range(3):
        data = schema.check(move(number + 1))
        if number == 1:  # texts that cannot be compressed, since it is the compressed size that a broker looks at
            data["members"] = [data["members"][0] | {"hetu": uuid4().hex} for _ in range(35_000)]
        attributes = Attributes(id=f"large-{number}", source="urn:hutong:dvv", type=MOVED, time=_MOMENT)
        value = b"\0" + known.id.to_bytes(4, "big") + schema.encode(data)
        sent.append(Sent(schema.key_of(data).encode(), value, list(attributes.to_headers())))
    assert 1_300_000 < len(sent[1].value or b"") < 1_900_000
    producer = Producer(settings(home, "dvv").client() | {"message.max.bytes": 2_000_000, "batch.num.messages": 1})
    for one in sent:
        producer.produce(f"pub.{MOVED}", one.value, one.key, headers=one.headers)  # type: ignore[arg-type]
    assert producer.flush(60) == 0
    await_true(lambda: router.metric("hutong_router_events_total", contract=MOVED) == len(sent), "all records are routed", 60)
    ids = {header(message.headers(), "ce_id") for message in read(home, POPULATION, since[POPULATION])}
    assert ids == {b"large-0", b"large-2"}
    told = [dict(message.headers()) for message in read(home, _QUARANTINE, since[_QUARANTINE])]
    assert [(one["ce_id"], one["hutong_reason"]) for one in told if one["hutong_agreement"] == b"moves-to-benefits"] == [
        (b"large-1", b"delivery_too_large")
    ]
