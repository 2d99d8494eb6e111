"""Topics, groups and a registry in memory: the other implementation of ``transport``, behind ``hutong.testing.Bus``.

It keeps what an application can notice of Kafka: partitions by key, groups with positions, members that share partitions,
confirmations that come when the sender polls. Neighbours: ``testing`` adds contracts, agreements and routing.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hutong.contracts.avro import Schema
from hutong.errors import BusError, ConfigurationError, HutongError, NotAuthorised
from hutong.transport import Limits, Positions, Record, Registered, Settle, Start

__all__ = ["Log", "MemoryRecord", "MemoryRegistry", "MemoryTransport"]

PARTITIONS = 3
"""More than one, so that a test does not come to rely on an order between keys that Kafka does not give."""


class MemoryRecord:
    """A record, with the face of ``confluent_kafka.Message``."""

    __slots__ = ("_headers", "_key", "_offset", "_partition", "_timestamp_ms", "_topic", "_value")

    def __init__(
        self, topic: str, place: tuple[int, int], key: bytes | None, value: bytes | None, headers: Any, timestamp_ms: int
    ) -> None:
        self._topic, (self._partition, self._offset) = topic, place
        self._key, self._value, self._headers, self._timestamp_ms = key, value, headers, timestamp_ms

    def topic(self) -> str:
        """Its topic."""
        return self._topic

    def partition(self) -> int:
        """Its partition."""
        return self._partition

    def offset(self) -> int:
        """Its offset."""
        return self._offset

    def key(self) -> bytes | None:
        """Its key."""
        return self._key

    def value(self) -> bytes | None:
        """Its value."""
        return self._value

    def headers(self) -> Any:
        """Its headers."""
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        """(1, when it was appended in ms since the epoch)."""
        return (1, self._timestamp_ms)

    def latency(self) -> float:
        """Nothing takes time here."""
        return 0.0


class MemoryRegistry:
    """A schema registry."""

    def __init__(self) -> None:
        self._schemas: list[Schema] = []
        self._subjects: dict[str, list[Registered]] = {}

    def register(self, subject: str, schema: Schema) -> int:
        """Register a schema; the same one again keeps its id."""
        if schema not in self._schemas:
            self._schemas.append(schema)
        schema_id = self._schemas.index(schema) + 1
        known = self._subjects.setdefault(subject, [])
        if all(one.id != schema_id for one in known):
            known.append(Registered(id=schema_id, version=len(known) + 1, schema=schema))
        return schema_id

    def latest(self, subject: str) -> Registered | None:
        """The newest schema of a subject."""
        known = self._subjects.get(subject)
        return known[-1] if known else None

    def versions(self, subject: str) -> list[int]:
        """The version numbers of a subject."""
        return [one.version for one in self._subjects.get(subject, [])]

    def version(self, subject: str, number: int) -> Registered:
        """One of them."""
        return self._subjects[subject][number - 1]

    def by_id(self, schema_id: int) -> Schema | None:
        """The schema of an id."""
        return self._schemas[schema_id - 1] if 0 < schema_id <= len(self._schemas) else None

    def clock_offset(self) -> float | None:
        """The registry and the application have one clock."""
        return 0.0


@dataclass(slots=True, kw_only=True)
class _Group:
    positions: Positions = field(default_factory=dict)
    members: list[_Reader] = field(default_factory=list)

    def deal(self, topic: str) -> None:
        """Deal the topic's partitions anew; everyone first gives up, and stores, what they had."""
        for member in self.members:
            member.revoke()
        for i, member in enumerate(self.members):
            member.assign([(topic, partition) for partition in range(PARTITIONS) if partition % len(self.members) == i])


class Log:
    """All topics, and who reads them how far.

    Args:
        now_ms: the clock of appends.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.topics: dict[str, list[list[MemoryRecord]]] = {}
        self.groups: dict[tuple[str, str], _Group] = {}

    def create(self, topic: str) -> None:
        """Create a topic if it is not there."""
        self.topics.setdefault(topic, [[] for _ in range(PARTITIONS)])

    def append(self, topic: str, key: bytes | None, value: bytes | None, headers: Any) -> MemoryRecord:
        """Put a record at the end of its key's partition."""
        with self.lock:
            partition = zlib.crc32(key or b"") % PARTITIONS
            records = self.topics[topic][partition]
            record = MemoryRecord(topic, (partition, len(records)), key, value, headers, self.now_ms())
            records.append(record)
            self.changed.notify_all()
            return record

    def records(self, topic: str) -> list[MemoryRecord]:
        """All records of a topic, in order per key."""
        with self.lock:
            return [record for partition in self.topics.get(topic, []) for record in partition]


class MemoryTransport:
    """The bus as one principal sees it.

    Args:
        log: the topics.
        registry: the schemas.
        principal: whose rights apply.
        on_append: called with every published record, as the router would see it.
        limits: the publisher's bounds.
    """

    def __init__(
        self,
        log: Log,
        registry: MemoryRegistry,
        principal: str,
        on_append: Callable[[MemoryRecord], None],
        limits: Limits,
    ) -> None:
        self._log, self._registry, self._principal, self._on_append, self._limits = log, registry, principal, on_append, limits

    def sender(self) -> _Sender:
        """A new sender."""
        return _Sender(self._log, self._principal, self._on_append)

    def reader(self, topic: str, group: str, start: Start, on_revoked: Callable[[Sequence[tuple[str, int]]], None]) -> _Reader:
        """A new reader."""
        return _Reader(self._log, self._principal, topic, group, start, on_revoked)

    def schemas(self) -> MemoryRegistry:
        """The registry."""
        return self._registry

    @property
    def limits(self) -> Limits:
        """The publisher's bounds."""
        return self._limits


class _Sender:
    def __init__(self, log: Log, principal: str, on_append: Callable[[MemoryRecord], None]) -> None:
        self._log, self._principal, self._on_append = log, principal, on_append
        self._waiting: deque[tuple[Settle, MemoryRecord | HutongError]] = deque()

    def send(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]], settle: Settle) -> None:
        if topic not in self._log.topics:
            missing = ConfigurationError(f"cannot publish to {topic}: there is no such topic on the bus; check the name")
            self._waiting.append((settle, missing))
            return
        record = self._log.append(topic, key, value, headers)
        self._on_append(record)
        self._waiting.append((settle, record))

    def poll(self, _seconds: float) -> None:
        while self._waiting:
            settle, outcome = self._waiting.popleft()
            if isinstance(outcome, HutongError):
                settle(outcome, None)
            else:
                settle(None, outcome)

    def flush(self, seconds: float) -> None:
        self.poll(seconds)

    def discard(self) -> None:
        self.poll(0)

    def explain(self, error: Any, _topic: str) -> HutongError:
        return error if isinstance(error, HutongError) else BusError(str(error))

    def trouble(self) -> HutongError | None:
        return None


class _Reader:
    def __init__(
        self,
        log: Log,
        principal: str,
        topic: str,
        group: str,
        start: Start,
        on_revoked: Callable[[Sequence[tuple[str, int]]], None],
    ) -> None:
        self._log, self._topic, self._start, self._on_revoked = log, topic, start, on_revoked
        self._allowed = topic.startswith(f"sub.{principal}.")
        self._group = log.groups.setdefault((group, topic), _Group())
        self._next: Positions = {}
        self._joined = False

    def join(self, _seconds: float) -> None:
        if not self._allowed:
            raise NotAuthorised(f"this recipient may not read {self._topic}, or it does not exist: check the name")
        if self._topic not in self._log.topics:
            raise ConfigurationError(f"cannot read {self._topic}: there is no such topic on the bus; check the name")
        with self._log.lock:
            if not self._joined:
                self._joined = True
                self._group.members.append(self)
                self._group.deal(self._topic)

    def read(self, limit: int, seconds: float) -> Sequence[Record]:
        self.join(seconds)
        deadline = time.monotonic() + seconds
        with self._log.changed:
            while True:
                found = self._available(limit)
                left = deadline - time.monotonic()
                if found or left <= 0:
                    return found
                self._log.changed.wait(left)

    def commit(self, positions: Positions, *, wait: bool) -> bool:  # noqa: ARG002 - nothing takes time here
        with self._log.lock:
            self._group.positions.update(positions)
            return True

    def close(self) -> None:
        with self._log.lock:
            if self._joined:
                self._joined = False
                self.revoke()
                self._group.members.remove(self)
                self._group.deal(self._topic)

    def revoke(self) -> None:
        if self._next:
            self._on_revoked(list(self._next))
            self._next = {}

    def assign(self, partitions: list[tuple[str, int]]) -> None:
        for place in partitions:
            self._next[place] = self._group.positions.setdefault(place, self._first(place[1]))

    def _first(self, partition: int) -> int:
        records = self._log.topics[self._topic][partition]
        if isinstance(self._start, datetime):
            since = int(self._start.timestamp() * 1000)
            return next((i for i, record in enumerate(records) if record.timestamp()[1] >= since), len(records))
        return 0 if self._start == "beginning" else len(records)

    def _available(self, limit: int) -> list[Record]:
        found: list[Record] = []
        for (topic, partition), position in self._next.items():
            records = self._log.topics[topic][partition][position : position + limit - len(found)]
            self._next[topic, partition] = position + len(records)
            found.extend(records)
        return found
