"""A batch of events in, its deliveries and quarantine records out. It neither polls nor commits.

The work on each event is ``hutong.transcode.routing``, a pure function; here are the collaborators that it needs (the current
table, the schemas) and the counting. Nothing is dropped: what the function cannot take, whatever the reason, is quarantined.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence

from hutong.contracts.framing import FRAME_BYTES
from hutong.errors import BrokerUnavailable, EventTooLarge, NoSuchDestination
from hutong.kafka.schemas import WriterSchemas
from hutong.kafka.transaction import Produce
from hutong.transcode.routing import Inbound, Quarantined, Routed, RoutingTable
from hutong.transport import Record
from services.router import metrics

__all__ = ["Router"]

_LOG = logging.getLogger("hutong")

_LARGEST_KEY = 100_000


class Router:
    """The router's handler and what it needs.

    Args:
        table: returns the table of agreements that is in force now.
        schemas: the writers' schemas.
    """

    def __init__(self, table: Callable[[], RoutingTable], schemas: WriterSchemas) -> None:
        self._table, self._schemas = table, schemas
        self._tally = _Tally()

    def handle(self, batch: Sequence[Record], produce: Produce) -> None:
        """Produce everything that becomes of a batch into the open transaction.

        Raises:
            RegistryUnavailable: a schema cannot be looked up now; the batch must come again.
        """
        self._tally = _Tally()
        delivered = self._tally.delivered
        now_ms = time.time_ns() // 1_000_000
        self._schemas.fetch(
            (str(message.topic()), value[:FRAME_BYTES])
            for message in batch
            if (value := message.value()) is not None and len(value) >= FRAME_BYTES
        )
        for message in batch:
            record = _inbound(message)
            table = self._table()  # asked for every event: a revocation must not wait for the end of a large batch
            routed = self._route(table, record, now_ms)
            undeliverable = []
            for topic, key, value, headers, agreement in routed.deliveries:
                try:
                    produce(topic, key, value, headers)
                    delivered[agreement] = delivered.get(agreement, 0) + 1
                except EventTooLarge:
                    problem = f"the delivery has {len(value)} bytes, more than the brokers take"
                    undeliverable.append(Quarantined("delivery_too_large", problem, agreement))
                except NoSuchDestination as error:
                    undeliverable.append(Quarantined("no_destination", str(error), agreement))
            for quarantined in (*routed.quarantined, *undeliverable):
                self._quarantine(message, record, quarantined, produce)
            self._tally.asked(record, table, routed, undeliverable)

    def committed(self, seconds: float) -> None:
        """Count a batch, once its transaction has been committed."""
        self._tally.publish(seconds)

    def _route(self, table: RoutingTable, record: Inbound, now_ms: int) -> Routed:
        try:
            return table.route(record, self._schemas.get, now_ms)
        except Exception as error:  # noqa: BLE001 - see below
            # The last net: an event that nothing foresaw must not stop all others. It is counted, kept whole and logged.
            _LOG.exception("an event failed in an unforeseen way", extra={"facts": {"topic": record.topic}})
            return Routed([], [Quarantined("internal_error", f"unforeseen: {type(error).__name__}", None)], 0)

    def _quarantine(self, message: Record, record: Inbound, quarantined: Quarantined, produce: Produce) -> None:
        contract = record.topic.removeprefix("pub.")
        headers = [
            *record.headers,
            ("hutong_reason", quarantined.reason.encode()),
            ("hutong_problem", quarantined.problem.encode()),
            ("hutong_source", f"{message.topic()}/{message.partition()}/{message.offset()}".encode()),
            ("hutong_appended_ms", str(record.appended_ms).encode()),
        ]
        if quarantined.agreement:
            headers.append(("hutong_agreement", quarantined.agreement.encode()))
        try:
            produce(f"quarantine.{contract}", record.key, record.value, headers)
        except EventTooLarge:
            self._quarantine_without_value(record, headers[len(record.headers) :], produce)
        except NoSuchDestination as error:
            raise BrokerUnavailable(f"an event cannot even be quarantined: {error}") from None
        self._tally.quarantined[contract, quarantined.reason] += 1

    def _quarantine_without_value(self, record: Inbound, facts: list[tuple[str, bytes]], produce: Produce) -> None:
        """What the brokers took compressed may be too large for them as it is: keep its place, size and fingerprint."""
        value = record.value or b""
        left_out = f"{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()}"
        key = record.key if record.key is None or len(record.key) < _LARGEST_KEY else None
        produce(f"quarantine.{record.topic.removeprefix('pub.')}", key, None, [*facts, ("hutong_left_out", left_out.encode())])


class _Tally:
    """Counts of one batch, published only when it is committed: an aborted transaction counts nothing."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.delivered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.quarantined: Counter[tuple[str, str]] = Counter()
        self.routed: Counter[str] = Counter()
        self.agreements: dict[str, list[str]] = {}
        self.oldest_ms = 2**63

    def asked(self, record: Inbound, table: RoutingTable, routed: Routed, undeliverable: list[Quarantined]) -> None:
        self.events[record.topic] += 1
        self.oldest_ms = min(self.oldest_ms, record.appended_ms)
        if routed.asked:
            self.routed[record.topic] += 1
            if record.topic not in self.agreements:
                self.agreements[record.topic] = table.agreements_of(record.topic)
        for quarantined in (*routed.quarantined, *undeliverable):
            if quarantined.agreement:
                self.failed[quarantined.agreement] += 1

    def publish(self, seconds: float) -> None:
        metrics.BATCH_EVENTS.observe(self.events.total())
        metrics.BATCH_SECONDS.observe(seconds)
        metrics.ROUTE_SECONDS.observe(max(0.0, time.time() - self.oldest_ms / 1000))
        for topic, count in self.events.items():
            metrics.EVENTS.labels(topic.removeprefix("pub.")).inc(count)
        for (contract, reason), count in self.quarantined.items():
            metrics.QUARANTINED.labels(contract, reason).inc(count)
        for topic, count in self.routed.items():
            for agreement in self.agreements[topic]:
                delivered = self.delivered[agreement]
                if delivered:
                    metrics.DELIVERED.labels(agreement).inc(delivered)
                if filtered := count - delivered - self.failed[agreement]:
                    metrics.FILTERED.labels(agreement).inc(filtered)


def _inbound(message: Record) -> Inbound:
    try:
        headers = message.headers() or []
    except Exception:  # noqa: BLE001 - the client raises SystemError where a header's name is not UTF-8
        headers = []  # which is no CloudEvent: it goes to quarantine
    return Inbound(
        topic=str(message.topic()),
        key=message.key(),
        value=message.value(),
        headers=headers,
        appended_ms=message.timestamp()[1],
    )
