"""A bus in memory for tests of replays: topics, a writer of lots that may fail at any of them, and the router's own table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hutong.agreements.grant import Grant
from hutong.errors import BrokerUnavailable, Fenced
from hutong.event import Attributes, header
from hutong.home import Home
from hutong.kafka.lots import Outgoing
from hutong.kafka.schemas import WriterSchemas
from hutong.kafka.topics import REPLAYS_TOPIC
from hutong.memory import Log, MemoryRecord
from hutong.recovery.bus import Bus
from hutong.recovery.ledger import Entry, Ledger
from hutong.transcode.routing import RoutingTable
from tests.unit.test_routing import CONTRACT, DAY, V1, record

__all__ = ["NOW", "PUB", "QUARANTINE", "MemoryBus", "delivered", "event", "park"]

PUB, QUARANTINE = f"pub.{CONTRACT}", f"quarantine.{CONTRACT}"
NOW = 3 * DAY


class _Scan:
    def __init__(self, log: Log) -> None:
        self._log = log

    def topics(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self._log.topics if name.startswith(prefix))

    def stretches(
        self, topics: Iterable[str], since_ms: int | None = None, until_ms: int | None = None
    ) -> dict[tuple[str, int], tuple[int, int]]:
        found = {}
        for topic in topics:
            for partition, records in enumerate(self._log.topics.get(topic, [])):

                def first(moment: int | None, default: int, records: list[MemoryRecord] = records) -> int:
                    if moment is None:
                        return default
                    return next((at for at, one in enumerate(records) if one.timestamp()[1] >= moment), len(records))

                found[topic, partition] = (first(since_ms, 0), first(until_ms, len(records)))
        return found

    def records(self, stretches: Mapping[tuple[str, int], tuple[int, int]]) -> Iterator[MemoryRecord]:
        for (topic, partition), (start, end) in stretches.items():
            yield from self._log.topics[topic][partition][start:end]

    def record(self, place: tuple[str, int], offset: int) -> MemoryRecord | None:
        records = self._log.topics.get(place[0], [[]])[place[1]]
        return records[offset] if 0 <= offset < len(records) else None

    def committed(self, _: str, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], int]:
        return {place: len(self._log.topics[place[0]][place[1]]) for place in places}


class _Lots:
    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        bus.epoch += 1
        self._epoch = bus.epoch

    def write(self, records: Iterable[Outgoing]) -> None:
        records = list(records)
        fate = self._bus.fate()
        if self._epoch != self._bus.epoch:
            raise Fenced("another client with the same identity has taken over")
        if fate == "aborted":
            raise BrokerUnavailable("nothing of the lot is there")
        for topic, key, value, headers in records:
            self._bus.log.append(topic, key, value, list(headers))
        if fate == "unknown":
            raise BrokerUnavailable("nobody knows whether the lot is there")

    def __enter__(self) -> _Lots:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _Registry:
    def __init__(self, schemas: Mapping[int, Any]) -> None:
        self.schemas = dict(schemas)

    def by_id(self, schema_id: int) -> Any:
        return self.schemas.get(schema_id)


class MemoryBus(Bus):
    """A bus whose agreements are set with ``grant``.

    Attributes:
        log: its topics.
        now_ms: the brokers' clock.
        epoch: how many writers there were.
        fate: asked with every lot: "ok", "aborted", "unknown".
        registry: schema id -> schema.
    """

    def __init__(self, directory: Path, *grants: Grant) -> None:
        self.now_ms = 2 * DAY
        self.log = Log(lambda: self.now_ms)
        self.home = Home(root=directory)
        self.scan = _Scan(self.log)  # type: ignore[assignment]
        self.registry = _Registry({7: V1.schema})
        self.forget_schemas()
        self._by_contract = None
        self.epoch = 0
        self.fate: Callable[[], str] = lambda: "ok"
        for topic in (PUB, QUARANTINE, REPLAYS_TOPIC):
            self.log.create(topic)
        self.grant(*grants)

    def forget_schemas(self) -> None:
        """Ask the registry again, also for what it did not know."""
        self._schemas = WriterSchemas(self.registry)  # type: ignore[arg-type]

    def grant(self, *grants: Grant) -> None:
        """Put agreements in force instead of those before; their topics are made."""
        keys = {one.agreement.id: bytes.fromhex(self.home.ensure_key(one.agreement.id)) for one in grants}
        self._now = RoutingTable({one.agreement.id: one for one in grants}, keys)
        for one in grants:
            self.log.create(one.agreement.topic)
        self.__dict__.pop("destinations", None)

    @property
    def table(self) -> RoutingTable:
        return self._now

    def ledger(self) -> Ledger:
        newest: dict[str, bytes] = {}
        for one in self.log.records(REPLAYS_TOPIC):
            newest[(one.key() or b"").decode()] = one.value() or b""
        return Ledger.read(newest)

    def note(self, entry: Entry) -> None:
        self.log.append(REPLAYS_TOPIC, entry.key.encode(), entry.value, [])

    def writer(self) -> Any:
        return _Lots(self)

    def __exit__(self, *_: object) -> None:
        pass


def event(number: int, data: dict[str, Any] | None = None, *, key: str = "", id: str = "") -> Any:
    """An event of the routing tests' contract: its key, and an id that says its number."""
    attributes = Attributes(
        id=id or f"0190{number:04x}-0000-7000-8000-{number:012x}",
        source="urn:hutong:x.y",
        type=CONTRACT,
        time=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return record({"id": key or f"k{number}"} | (data or {}), headers=attributes.to_headers())


def park(bus: MemoryBus, inbound: Any, reason: str, agreement: str | None = None, *, publish: bool = True) -> MemoryRecord:
    """Publish an event and put it into quarantine, as the router does."""
    source = bus.log.append(PUB, inbound.key, inbound.value, list(inbound.headers)) if publish else None
    place = f"{PUB}/{source.partition()}/{source.offset()}" if source else f"{PUB}/0/999999"
    facts = [
        ("hutong_reason", reason.encode()),
        ("hutong_problem", b"in words"),
        ("hutong_source", place.encode()),
        ("hutong_appended_ms", str(bus.now_ms).encode()),
        *([("hutong_agreement", agreement.encode())] if agreement else []),
    ]
    return bus.log.append(QUARANTINE, inbound.key, inbound.value, [*inbound.headers, *facts])


def delivered(bus: MemoryBus, agreement: str) -> list[str]:
    """The ids of the events on an agreement's own topic, in order per key."""
    topic = bus.table.grants[agreement].agreement.topic
    return [(header(one.headers(), "ce_id") or b"").decode() for one in bus.log.records(topic)]
