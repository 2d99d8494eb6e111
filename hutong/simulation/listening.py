"""The in-memory bus with an ear: what is published waits for the flows, and deliveries are found by the event that they are of.

Neighbours: ``testing`` is the bus; ``simulation`` listens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from hutong.agreements.grant import CodeLists
from hutong.contracts.schema import EventSchema
from hutong.contracts.shape import fingerprint
from hutong.envelope import seal
from hutong.event import Attributes
from hutong.memory import MemoryRecord
from hutong.publisher import Publisher
from hutong.testing import Bus, QuarantinedEvent

__all__ = ["ListeningBus"]


class ListeningBus(Bus):
    """A bus that keeps what was published until the flows have heard it.

    Args:
        contracts: every version of every contract, older ones first.
        timezone: in which validity days begin.
        code_lists: code list id -> entries.
        now: the bus's clock.
    """

    def __init__(
        self, contracts: Iterable[EventSchema], timezone: str, code_lists: CodeLists, now: Callable[[], datetime]
    ) -> None:
        super().__init__(timezone=timezone, code_lists=code_lists, now=now)
        self.heard: deque[MemoryRecord] = deque()
        self._delivered: dict[tuple[str, str], list[str]] = {}
        self._counted: dict[tuple[str, int], int] = {}
        self._publishers: dict[str, Publisher] = {}
        self.newest: dict[str, EventSchema] = {}
        for contract in contracts:
            self._declare(contract)
            self.newest[contract.contract] = contract

    def send(self, department: str, contract: str, data: Any, *, id: str | None, time: datetime, trace: str | None) -> str:
        """Publish an event as of a moment; its id."""
        publisher = self._publishers.get(department)
        if publisher is None:
            publisher = self._publishers[department] = self.publisher(department)
        schema = self.newest[contract]
        # Sealed apart, because a publisher holds an event's time against the real clock.
        sealed = seal(schema, data, id=id, traceparent=trace)._replace(time=time)
        publisher.forward(contract, schema.version, fingerprint(schema.parsed), sealed)
        publisher.flush()
        return sealed.id

    def quarantine(self, reason: str, problem: str, record: MemoryRecord) -> None:
        """Put a record aside that a flow could not use."""
        self._quarantined.append(QuarantinedEvent(reason=reason, problem=problem, agreement=None, record=record))

    def data(self, record: MemoryRecord) -> dict[str, Any]:
        """A record's data; the router has let it through, so it is what it says it is."""
        value = record.value() or b""
        return self._written_with[int.from_bytes(value[1:5], "big")].decode(value[5:])

    def receivers(self, contract: str, id_: str) -> list[dict[str, Any]]:
        """Who got an event under an agreement that is still in force: ``{"agency", "agreement"}`` of each delivery."""
        self._catch_up()
        names = [name for name in self._delivered.get((contract, id_), ()) if name in self._grants]
        return [{"agency": self._grants[name].agreement.recipient, "agreement": name} for name in names]

    def delivered(self, agreement: str) -> int:
        """How many events an agreement has let through."""
        self._catch_up()
        return sum(names.count(agreement) for names in self._delivered.values())

    def _catch_up(self) -> None:
        for topic, partitions in self._log.topics.items():
            if topic.startswith("sub."):
                for partition, records in enumerate(partitions):
                    self._count(topic, partition, records)

    def _count(self, topic: str, partition: int, records: list[MemoryRecord]) -> None:
        for record in records[self._counted.get((topic, partition), 0) :]:
            attributes = Attributes.from_headers(record.headers())
            self._delivered.setdefault((attributes.type, attributes.id), []).append(attributes.agreement or "")
        self._counted[topic, partition] = len(records)

    def _route(self, record: MemoryRecord) -> None:
        before = len(self._quarantined)
        super()._route(record)
        if all(one.agreement is not None for one in self._quarantined[before:]):  # a malformed event is nobody's
            self.heard.append(record)
