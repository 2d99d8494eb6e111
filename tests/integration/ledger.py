"""A ledger of what was published, what the agreements grant of it, what was delivered: counted by event ids, knowing no offsets.

Neighbours: ``test_lag`` holds what the monitor and ``hutong lag`` say to this.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.event import Attributes, header
from hutong.home import Home
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings
from hutong.lag.pending import Waiting
from hutong.lag.snapshot import Snapshot
from tests.behaviour.line import MOVED, move

__all__ = ["CHANNELS", "COMPANY", "Ledger", "text"]

COMPANY = "prh.companies.company_changed"
CHANNELS = {
    "moves-to-benefits": "sub.kela.population",
    "moves-for-statistics": "sub.stat.moves-for-statistics",
    "companies-to-tax": "sub.vero.companies-to-tax",
    "companies-to-health": "sub.thl.companies",
}


def company(number: int, form: str) -> dict[str, Any]:
    """Data of a valid entry of the trade register."""
    at = datetime(2026, 5, 1, 8, number % 60)  # the contract's own: the wall clock
    business_id = ("20774740", "01120389", "15728600", "07375462")[number // 4 % 4]
    return {"business_id": business_id, "sequence": number + 1, "form": form, "name": "Oy Ab", "registered_at": at}


def granted(contract: str, data: dict[str, Any]) -> set[str]:
    """The agreements' rows, as their files say them, in a second hand."""
    if contract == MOVED:
        return {"moves-for-statistics"} | ({"moves-to-benefits"} if data["municipality"] in ("049", "091", "092") else set())
    return {"companies-to-tax"} | ({"companies-to-health"} if data["form"] in ("OY", "OYJ") else set())


@dataclass
class Ledger:
    """What was published and committed: event id -> the agreements that grant it."""

    home: Home
    owed: dict[str, set[str]] = field(default_factory=dict)
    number: int = 0

    def settings(self, principal: str = "operator") -> Settings:
        return Settings.resolve(principal, {"HUTONG_HOME": str(self.home.root)})

    def publish(self, count: int, *, abort: bool = False, broken: bool = False) -> None:
        """Events of both contracts, one transaction of each; aborted ones, and one that is no event, are owed to nobody."""
        producer = Producer(self.settings().client() | {"transactional.id": "hutong.test-ledger"})
        producer.init_transactions(30)
        producer.begin_transaction()
        for contract in (MOVED, COMPANY):
            registered = Registry.of(self.settings()).latest(f"pub.{contract}-value")
            assert registered is not None
            schema = EventSchema(registered.schema)
            for _ in range(count):
                self.number += 1
                event_id, data = f"event-{self.number}", self.data(contract)
                checked = schema.check(data)
                source = f"urn:hutong:{contract.rpartition('.')[0]}"
                headers = Attributes(id=event_id, source=source, type=contract, time=datetime.now(UTC)).to_headers()
                value = frame(registered.id) + schema.encode(checked)
                producer.produce(f"pub.{contract}", value, schema.key_of(checked).encode(), headers=headers)  # type: ignore[arg-type]
                producer.poll(0)
                if not abort:
                    self.owed[event_id] = granted(contract, data)
            if broken:
                producer.produce(f"pub.{contract}", b"no event", b"k")
        producer.abort_transaction(30) if abort else producer.commit_transaction(30)

    def data(self, contract: str) -> dict[str, Any]:
        n = self.number
        if contract == MOVED:
            return move(n, municipality=("091", "837", "049", "564", "092")[n % 5])
        return company(n, ("OY", "KY", "OYJ", "OK")[n % 4])

    def ends(self, topic: str) -> dict[int, int]:
        partitions = self.reader.list_topics(topic, 10).topics[topic].partitions
        return {p: self.reader.get_watermark_offsets(TopicPartition(topic, p), 10)[1] for p in partitions}

    @cached_property
    def reader(self) -> Consumer:
        config = {"group.id": "t.read", "isolation.level": "read_committed", "enable.partition.eof": True}
        return Consumer(self.settings().client() | config | {"auto.offset.reset": "earliest"})

    def read(self, *topics: str) -> list[Any]:
        """All that a reader of committed records finds."""
        left = {(topic, p) for topic in topics for p in self.reader.list_topics(topic, 10).topics[topic].partitions}
        self.reader.assign([TopicPartition(*place, 0) for place in left])
        found: list[Any] = []
        while left:
            message = self.reader.poll(15)
            assert message is not None, f"{topics} have no end"
            left.discard((message.topic(), message.partition())) if message.error() else found.append(message)
        self.reader.unassign()
        return found

    def delivered(self) -> dict[str, set[str]]:
        """Agreement -> ids of the events on its channel."""
        found: dict[str, set[str]] = {agreement: set() for agreement in CHANNELS}
        for one in self.read(*CHANNELS.values()):
            found[text(one, "ce_agreement")].add(text(one, "ce_id"))
        return found

    def waiting(self) -> dict[str, set[str]]:
        """Agreement -> events that it grants and that are not on its channel."""
        return {
            agreement: {event_id for event_id, names in self.owed.items() if agreement in names} - ids
            for agreement, ids in self.delivered().items()
        }

    def check(self, seen: Snapshot) -> dict[str, int]:
        """Hold what was seen to the ledger, exactly: how many wait, and when the oldest of them was appended; the counts."""
        waiting = self.waiting()
        appended = {text(one, "ce_id"): one.timestamp()[1] for one in self.read(f"pub.{MOVED}", f"pub.{COMPANY}")}
        for agreement, ids in waiting.items():
            found = seen.agreements[agreement].delivery
            oldest_ms = min((appended[event_id] for event_id in ids), default=None)
            assert found == Waiting(count=len(ids), oldest_ms=oldest_ms, exact=True), agreement
        return {agreement: len(ids) for agreement, ids in waiting.items()}


def text(message: Any, name: str) -> str:
    return (header(message.headers() or [], name) or b"").decode()
