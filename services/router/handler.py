"""Some events in, their deliveries and quarantine records out. It neither polls nor commits.

The lane, where there is one, takes whatever is plain: all at once, and without Python. What it stops at goes through
``hutong.transcode.routing``, a pure function; here are the collaborators that both need (the current table, the schemas) and the
counting. Nothing is dropped: what the function cannot take, whatever the reason, is quarantined.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable

from hutong.contracts.framing import FRAME_BYTES
from hutong.errors import BrokerUnavailable, EventTooLarge, NoSuchDestination
from hutong.kafka.chunk import Chunk
from hutong.kafka.schemas import WriterSchemas
from hutong.kafka.transaction import Output
from hutong.kafka.unreadable import UnreadableBatch
from hutong.runtime.logs import event_facts
from hutong.transcode.routing import Inbound, Quarantined, Routed, RoutingTable
from hutong.transport import Record
from services.router import metrics
from services.router.account import Account, Tally
from services.router.otlp import RouteTrace
from services.router.traces import Traces

__all__ = ["Router"]

_LOG = logging.getLogger("hutong")

_LARGEST_KEY = 100_000
_STRETCH = 500  # events routed under one table: a revocation waits for some milliseconds, not for the end of a large chunk
_TOLD = 20  # quarantine records of a transaction that the log names; there may be a million, and their topic holds them all


class Router:
    """The router's handler and what it needs.

    Args:
        table: returns the table of agreements that is in force now.
        schemas: the writers' schemas.
        account: takes what is counted.
        traces: spans of sampled events.
    """

    def __init__(
        self, table: Callable[[], RoutingTable], schemas: WriterSchemas, account: Account, traces: Traces | None = None
    ) -> None:
        self._table, self._schemas, self._account = table, schemas, account
        self._traces = traces or Traces(None)
        self._tally = Tally()
        self._told: list[dict[str, str]] = []
        self._asked: Counter[str] = Counter()
        self._first_table: RoutingTable | None = None

    def begin(self) -> None:
        """A transaction begins: forget what was counted in one that failed."""
        self._tally = Tally()
        self._told = []
        self._traces.begin()
        self._asked = Counter()
        self._first_table = self._table()

    def handle(self, chunk: Chunk, output: Output) -> bool:
        """Produce everything that becomes of some events into the open transaction.

        Returns:
            Whether the transaction may take more. Not when the agreements have changed since it began: what was delivered under
            a revoked one must not stay on its way for as long as a large transaction takes.

        Raises:
            RegistryUnavailable: a schema cannot be looked up now; the batch must come again.
        """
        now_ms = time.time_ns() // 1_000_000
        if (oldest_ms := _oldest_ms(chunk)) is not None:
            self._tally.of_age(oldest_ms, now_ms)
        at = 0
        while at < len(chunk):
            end = min(at + _STRETCH, len(chunk))
            self._stretch(self._table(), chunk, at, end, output, now_ms)
            at = end
        return self._table() is self._first_table

    def pass_by(self, batch: UnreadableBatch, output: Output) -> None:
        """Put into quarantine what is known of a batch that cannot be unpacked: its place, and how many events it has."""
        (topic, partition), contract = batch.place, batch.place[0].removeprefix("pub.")
        place = (topic, partition, batch.first)
        problem = f"{batch.events} events that were sent together are too large unpacked to be read; the last is at {batch.last}"
        one = Quarantined("unreadable_batch", problem, None)
        headers = [
            ("hutong_reason", one.reason.encode()),
            ("hutong_problem", one.problem.encode()),
            ("hutong_source", "{}/{}/{}".format(*place).encode()),
            ("hutong_left_out", f"{batch.events} events".encode()),
        ]
        try:
            output.produce(f"quarantine.{contract}", None, None, headers)
        except NoSuchDestination as error:
            raise BrokerUnavailable(f"a batch cannot even be quarantined: {error}") from None
        self._tally.events[topic] += batch.events
        self._tally.quarantined[contract, one.reason] += batch.events
        self._told.append({"reason": one.reason} | event_facts([], place))

    def committed(self, seconds: float) -> None:
        """Count and tell what was handled since ``begin``, once its transaction has been committed."""
        tally, now_ms = self._tally, time.time_ns() // 1_000_000
        metrics.BATCH_EVENTS.observe(tally.events.total())
        metrics.BATCH_SECONDS.observe(seconds)
        metrics.ROUTE_SECONDS.observe(max(0, now_ms - tally.oldest_ms) / 1000)
        self._account.enter(tally, now_ms)
        self._traces.committed()
        for facts in self._told:
            _LOG.warning("quarantined", extra={"facts": facts})
        if (more := tally.quarantined.total() - len(self._told)) > 0:
            _LOG.warning("quarantined, and not named one by one", extra={"facts": {"records": more}})

    def _stretch(self, table: RoutingTable, chunk: Chunk, at: int, end: int, output: Output, now_ms: int) -> None:
        """Events under one table: by the lane as far as it goes, one by one where it does not."""
        if table.lane is None or chunk.native is None or not output.is_fast:
            self._fetch_schemas(chunk[number] for number in range(at, end))
            for number in range(at, end):
                self._one(table, chunk[number], output, now_ms)
            return
        while at < end:
            at = self._lane(table, chunk, at, end, output, now_ms) + 1

    def _lane(self, table: RoutingTable, chunk: Chunk, at: int, end: int, output: Output, now_ms: int) -> int:
        """Run the lane, and do what it stopped at; the number of the last event that is done."""
        tally = self._tally
        asked: dict[str, int] = {}
        traced = self._traces.asked()
        at, why, refused = output.run(table.lane, chunk, at, end, now_ms, tally.delivered, asked, traced)
        self._traces.laned(chunk, traced, now_ms)
        tally.events.update(asked)
        tally.under(table).update(asked)
        if why == "end":
            return end
        message = chunk[at]
        if why == "left":
            self._fetch_schemas([message])
            self._one(table, message, output, now_ms)
        else:
            self._remainder(table, message, refused or (), output, now_ms)
        return at

    def _one(self, table: RoutingTable, message: Record, output: Output, now_ms: int) -> None:
        """An event through Python, whole."""
        record = _inbound(message)
        trace = self._traces.route(message, record)
        routed = self._guarded(message, record, lambda: table.route(record, self._schemas.get, now_ms))
        failed = self._deliver(message, record, routed, output, trace)
        tally = self._tally
        tally.events[record.topic] += 1
        if routed.asked:
            tally.under(table)[record.topic] += 1
        tally.failed.update(failed)

    def _remainder(
        self, table: RoutingTable, message: Record, refused: Iterable[tuple[str, int]], output: Output, now_ms: int
    ) -> None:
        """What the lane has left of an event that it has delivered and counted."""
        record = _inbound(message)
        routed = self._guarded(message, record, lambda: table.route_rest(record, self._schemas.get, now_ms))
        too_large = [_too_large(agreement, size) for agreement, size in refused]
        made = Routed(routed.deliveries, [*routed.quarantined, *too_large], routed.asked)
        self._tally.failed.update(self._deliver(message, record, made, output))

    def _deliver(
        self, message: Record, record: Inbound, routed: Routed, output: Output, trace: RouteTrace | None = None
    ) -> list[str]:
        """Produce deliveries and quarantine records; the agreements that failed."""
        delivered = self._tally.delivered
        quarantined = list(routed.quarantined)
        for delivery in routed.deliveries:
            topic, key, value, headers, agreement = delivery
            try:
                output.produce(topic, key, value, headers if trace is None else self._traces.deliver(trace, delivery))
                delivered[agreement] = delivered.get(agreement, 0) + 1
            except (EventTooLarge, NoSuchDestination) as error:
                refused = isinstance(error, NoSuchDestination)
                one = Quarantined("no_destination", str(error), agreement) if refused else _too_large(agreement, len(value))
                quarantined.append(one)
                if trace is not None:
                    trace.deliveries.pop()
        for one in quarantined:
            self._quarantine(message, record, one, output)
        if trace is not None:
            self._traces.quarantine(trace, quarantined)
        return [one.agreement for one in quarantined if one.agreement]

    def _guarded(self, message: Record, record: Inbound, route: Callable[[], Routed]) -> Routed:
        try:
            return route()
        except Exception as error:  # noqa: BLE001 - see below
            # The last net: an event that nothing foresaw must not stop all others. It is counted, kept whole and logged.
            _LOG.exception("an event failed in an unforeseen way", extra={"facts": event_facts(record.headers, _place(message))})
            return Routed([], [Quarantined("internal_error", f"unforeseen: {type(error).__name__}", None)], 0)

    def _fetch_schemas(self, messages: Iterable[Record]) -> None:
        frames = (
            (str(message.topic()), value[:FRAME_BYTES])
            for message in messages
            if (value := message.value()) is not None and len(value) >= FRAME_BYTES
        )
        self._schemas.fetch(frames, self._asked)

    def _quarantine(self, message: Record, record: Inbound, quarantined: Quarantined, output: Output) -> None:
        contract = record.topic.removeprefix("pub.")
        headers = [
            *record.headers,
            ("hutong_reason", quarantined.reason.encode()),
            ("hutong_problem", quarantined.problem.encode()),
            ("hutong_source", "{}/{}/{}".format(*_place(message)).encode()),
            ("hutong_appended_ms", str(record.appended_ms).encode()),
        ]
        if quarantined.agreement:
            headers.append(("hutong_agreement", quarantined.agreement.encode()))
        try:
            output.produce(f"quarantine.{contract}", record.key, record.value, headers)
        except EventTooLarge:
            self._quarantine_without_value(record, headers[len(record.headers) :], output)
        except NoSuchDestination as error:
            raise BrokerUnavailable(f"an event cannot even be quarantined: {error}") from None
        self._tally.quarantined[contract, quarantined.reason] += 1
        if len(self._told) < _TOLD:
            about = {"reason": quarantined.reason, "agreement": quarantined.agreement}
            self._told.append({name: fact for name, fact in about.items() if fact} | event_facts(record.headers, _place(message)))

    def _quarantine_without_value(self, record: Inbound, facts: list[tuple[str, bytes]], output: Output) -> None:
        """What the brokers took compressed may be too large for them as it is: keep its place, size and fingerprint."""
        value = record.value or b""
        left_out = f"{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()}"
        key = record.key if record.key is None or len(record.key) < _LARGEST_KEY else None
        headers = [*facts, ("hutong_left_out", left_out.encode())]
        output.produce(f"quarantine.{record.topic.removeprefix('pub.')}", key, None, headers)


def _oldest_ms(chunk: Chunk) -> int | None:
    """The earliest append time."""
    found: int | None = None if chunk.native is None else chunk.native.oldest_ms()
    return found or min((chunk[number].timestamp()[1] for number in range(len(chunk))), default=None)


def _place(message: Record) -> tuple[str, int, int]:
    return str(message.topic()), message.partition() or 0, message.offset() or 0


def _too_large(agreement: str, size: int) -> Quarantined:
    return Quarantined("delivery_too_large", f"the delivery has {size} bytes, more than the brokers take", agreement)


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
