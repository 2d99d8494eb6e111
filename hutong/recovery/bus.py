"""The bus as whoever recovers sees it: what lies on it, the agreements as they are now, and the router's function over both.

Neighbours: ``hutong.kafka`` reads and writes; ``survey``, ``quarantine``, ``period`` and ``trace`` each do one task with this.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from functools import cached_property
from types import TracebackType
from typing import Self

from hutong.agreements.grant import Grant
from hutong.contracts.framing import FRAME_BYTES
from hutong.contracts.schema import EventSchema
from hutong.errors import ConfigurationError
from hutong.home import Home
from hutong.kafka.compacted import read_all, write
from hutong.kafka.control import ControlTopic
from hutong.kafka.lots import Lots
from hutong.kafka.registry import Registry
from hutong.kafka.scan import Scan
from hutong.kafka.schemas import WriterSchemas
from hutong.kafka.settings import Settings
from hutong.kafka.topics import AGREEMENTS_TOPIC, REPLAYS_TOPIC
from hutong.recovery.ledger import Entry, Ledger
from hutong.recovery.record import PREFIX, QuarantineRecord, headers_of
from hutong.runtime.agreements import Agreements
from hutong.transcode.routing import Inbound, Quarantined, Routed, RoutingTable

__all__ = ["Bus", "now_ms"]

_LOG = logging.getLogger("hutong")

_TRANSACTIONAL_ID = "hutong.replay"
"""One for all: of two operators who replay at once, the later one fences the earlier one."""


def now_ms() -> int:
    """This machine's clock, ms since the epoch."""
    return time.time_ns() // 1_000_000


class Bus:
    """A bus that is looked into.

    Args:
        settings: where, and as whom; the operator.
        home: where the pseudonym keys are.
    """

    def __init__(self, settings: Settings, home: Home) -> None:
        self.settings, self.home = settings, home
        self.scan = Scan(settings)
        self._registry = Registry.of(settings)
        self._schemas = WriterSchemas(self._registry)
        self._agreements = Agreements(home)
        self._control = ControlTopic(settings, AGREEMENTS_TOPIC, self._agreements.update)
        self._by_contract: tuple[RoutingTable, dict[str, dict[str, Grant]]] | None = None

    @property
    def table(self) -> RoutingTable:
        """The agreements as they are now, compiled with this home's keys; another one as soon as they change.

        Raises:
            BrokerUnavailable: they cannot be read now.
        """
        if not self._control.started:
            if AGREEMENTS_TOPIC not in self.scan.topics("ctl."):
                return self._agreements.table
            self._control.start()
        self._control.check()
        return self._agreements.table

    def only(self, grant: Grant) -> RoutingTable:
        """A table of one agreement alone."""
        name = grant.agreement.id
        keys = {key.name: self.home.read_key(key.name) for key, _ in grant.key_periods}
        return RoutingTable({name: grant}, {key: bytes.fromhex(text) for key, text in keys.items() if text is not None})

    def grants(self, contract: str) -> dict[str, Grant]:
        """The agreements on a contract, in force or not."""
        table = self.table
        if self._by_contract is None or self._by_contract[0] is not table:
            by_contract: dict[str, dict[str, Grant]] = {}
            for name, grant in table.grants.items():
                by_contract.setdefault(grant.agreement.contract, {})[name] = grant
            self._by_contract = (table, by_contract)
        return self._by_contract[1].get(contract, {})

    def schema_of(self, event: Inbound) -> EventSchema | None:
        """The schema that a value was written with; None where there is none."""
        self._fetch(event)
        value = event.value or b""
        return self._schemas.get(int.from_bytes(value[1:FRAME_BYTES], "big")) if len(value) >= FRAME_BYTES else None

    def route(self, event: Inbound, at_ms: int, table: RoutingTable | None = None) -> Routed:
        """What a table makes of an event, that of all agreements by default, as the router does it.

        Raises:
            RegistryUnavailable: its schema cannot be looked up now.
        """
        table = self.table if table is None else table
        self._fetch(event)
        try:
            return table.route(event, self._schemas.get, at_ms)
        except Exception as error:  # noqa: BLE001 - as in the router: what nothing foresaw concerns this event alone
            _LOG.debug("an event failed in an unforeseen way", exc_info=True)
            return Routed([], [Quarantined("internal_error", f"unforeseen: {type(error).__name__}", None)], 0)

    def original(self, record: QuarantineRecord) -> Inbound | None:
        """The event of a record in quarantine, from where it was published if it was too large; None if it is gone from there."""
        if record.is_whole:
            return record.event
        source = record.source
        found = self.scan.record((source.topic, source.partition), source.offset) if source.offset >= 0 else None
        if found is None or not record.is_original(found):
            return None
        return Inbound(source.topic, found.key(), found.value(), headers_of(found), record.appended_ms)

    def quarantines(self) -> list[str]:
        """The quarantine's topics."""
        return self.scan.topics(PREFIX)

    @cached_property
    def destinations(self) -> frozenset[str]:
        """The recipients' topics that are there."""
        return frozenset(self.scan.topics("sub."))

    def ledger(self) -> Ledger:
        """Who has replayed what, up to this moment."""
        return Ledger.read(read_all(self.settings, REPLAYS_TOPIC)) if self._has_ledger() else Ledger()

    def writer(self) -> Lots:
        """The one writer of replays; whoever had it before is fenced.

        Raises:
            ConfigurationError: the bus has no record of replays yet.
        """
        self._need_ledger()
        return Lots(self.settings, _TRANSACTIONAL_ID)

    def note(self, entry: Entry) -> None:
        """Record something that is no part of a replay; returns when the brokers have it.

        Raises:
            ConfigurationError: the bus has no record of replays yet.
        """
        self._need_ledger()
        write(self.settings, REPLAYS_TOPIC, {entry.key: entry.value})

    def _need_ledger(self) -> None:
        if not self._has_ledger():
            raise ConfigurationError(f"the bus has no topic {REPLAYS_TOPIC}, where replays are recorded; run 'hutong apply'")

    def _has_ledger(self) -> bool:
        return REPLAYS_TOPIC in self.scan.topics("ctl.")

    def _fetch(self, event: Inbound) -> None:
        if event.value is not None:
            self._schemas.fetch([(event.topic, event.value[:FRAME_BYTES])], Counter())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._control.close()
