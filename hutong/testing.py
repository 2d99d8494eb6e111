"""An in-memory bus for a department's own tests: no broker, no registry, the same behaviour.

The same publisher, subscription, checks, routing and transforms run here as on Kafka; only what carries the bytes differs. An
event is routed the moment it is published. Neighbours: ``memory`` carries, ``transcode`` routes.

    with hutong.testing.Bus("schemas") as bus, bus.subscription("mohrss.insurance", "deaths") as deaths:
        my_application.record_cremation(...)        # makes its own hutong.Publisher("mca.funeral")
        assert deaths.poll().data["region"] == "140000"
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from datetime import time as time_of_day
from pathlib import Path
from typing import Any, Self, Unpack
from zoneinfo import ZoneInfo

from hutong.agreements.agreement import Agreement
from hutong.agreements.delivery import delivery_schema, problems
from hutong.agreements.grant import CodeLists, Grant
from hutong.contracts.schema import EventSchema
from hutong.errors import UnknownContract
from hutong.event import Attributes
from hutong.memory import Log, MemoryRecord, MemoryRegistry, MemoryTransport
from hutong.model import ChangeEvent
from hutong.options import Options
from hutong.publisher import Publisher
from hutong.subscription import Subscription
from hutong.transcode.routing import Inbound, RoutingTable
from hutong.transport import Limits, instead_of_kafka, subject_of

__all__ = ["Bus", "QuarantinedEvent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedEvent:
    """What could not be processed.

    Attributes:
        reason: the short code, as in quarantine.
        problem: the same in words.
        agreement: the agreement whose delivery failed; None for the whole event.
        record: the record as it was published.
    """

    reason: str
    problem: str
    agreement: str | None
    record: MemoryRecord


class Bus:
    """A bus in memory.

    In a ``with`` block every ``Publisher`` and ``Subscription`` that the process makes uses it.

    Args:
        schemas: directory of declarations, as ``hutong check`` reads it (needs ``pip install 'hutong[testing]'``).
        models: models of contracts, instead of a directory or besides it.
        agreements: further agreements, as models or as the mappings that their files hold.
        code_lists: code list id -> entries, for agreements that are given here.
        timezone: in which validity days begin; a directory has its own.
        now: the bus's clock, for tests of validity.
        limits: the publisher's bounds.

    Raises:
        DeclarationError: a declaration is wrong.
    """

    def __init__(
        self,
        schemas: Path | str | None = None,
        *,
        models: Iterable[type[ChangeEvent]] = (),
        agreements: Iterable[Agreement | Mapping[str, Any]] = (),
        code_lists: CodeLists | None = None,
        timezone: str = "UTC",
        now: Callable[[], datetime] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._zone = ZoneInfo(timezone)
        self._code_lists: CodeLists = dict(code_lists or {})
        self._now = now
        self._limits = limits or Limits()
        self._log, self._registry = Log(self._now_ms), MemoryRegistry()
        self._contracts: dict[str, list[EventSchema]] = {}
        self._grants: dict[str, Grant] = {}
        self._table = RoutingTable({}, {})
        self._written_with: dict[int, EventSchema] = {}
        self._quarantined: list[QuarantinedEvent] = []
        self._installed = ExitStack()
        declared = self._read(schemas) if schemas is not None else []
        for model in models:
            self._declare(model.event_schema())
        for agreement in (*declared, *agreements):
            self.grant(agreement)

    def publisher(self, department: str, **options: Any) -> Publisher:
        """A publisher on this bus; ``options`` are ``Publisher``'s."""
        return Publisher(department, transport=self.transport(department), **options)

    def subscription(self, recipient: str, channel: str, *, model: Any = None, **options: Unpack[Options]) -> Subscription[Any]:
        """A subscription on this bus; the arguments are ``Subscription``'s."""
        options["transport"] = self.transport(recipient)
        return Subscription(recipient, channel, model=model, **options)

    def transport(self, principal: str) -> MemoryTransport:
        """The bus as a principal sees it, for what takes a ``transport``."""
        return MemoryTransport(self._log, self._registry, principal, self._route, self._limits)

    def grant(self, agreement: Agreement | Mapping[str, Any]) -> None:
        """Bring an agreement into force, as ``hutong apply`` would.

        Raises:
            UnknownContract: its contract is not on this bus.
            DeclarationError: it does not suit its contract.
        """
        one = agreement if isinstance(agreement, Agreement) else Agreement.model_validate(agreement)
        reader = self._version(one)
        found = problems(one, reader, self._code_lists)
        if found:
            raise found[0]
        schema = delivery_schema(one, reader, self._code_lists)
        subject = f"{one.topic}-{schema['namespace'] + '.' if 'namespace' in schema else ''}{schema['name']}"
        self._log.create(one.topic)
        start, end = one.valid.from_, one.valid.until
        self._grants[one.id] = Grant(
            agreement=one,
            reader_schema=reader.schema,
            delivery_schema=schema,
            delivery_schema_id=self._registry.register(subject, schema),
            subject=subject,
            code_lists=self._code_lists,
            valid_from_ms=self._midnight(start.toordinal()),
            valid_until_ms=None if end is None else self._midnight(end.toordinal() + 1),
        )
        self._compile()

    def revoke(self, agreement: str) -> None:
        """Take an agreement away; what it delivered stays."""
        del self._grants[agreement]
        self._compile()

    def records(self, topic: str) -> list[MemoryRecord]:
        """The raw records of a topic, in order per key."""
        return self._log.records(topic)

    def append(self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
        """Put raw bytes on a topic, as a client other than the SDK could, and route them."""
        self._route(self._log.append(topic, key, value, list(headers)))

    def published(self, contract: str) -> list[tuple[Attributes, dict[str, Any]]]:
        """The events of a contract so far, decoded."""
        found = []
        for record in self._log.records(f"pub.{contract}"):
            schema = self._schema_of(int.from_bytes(record.value()[1:5], "big")) if record.value() else None  # type: ignore[index]
            if schema is not None:
                found.append((Attributes.from_headers(record.headers()), schema.decode(record.value()[5:])))  # type: ignore[index]
        return found

    def quarantined(self, contract: str | None = None) -> list[QuarantinedEvent]:
        """What could not be processed, of one contract or of all."""
        return [one for one in self._quarantined if contract is None or one.record.topic() == f"pub.{contract}"]

    def __enter__(self) -> Self:
        self._installed.enter_context(instead_of_kafka(self.transport))
        return self

    def __exit__(self, *_: object) -> None:
        self._installed.close()

    def _read(self, schemas: Path | str) -> list[Agreement]:
        from hutong.catalogue.load import load

        catalogue = load(schemas)
        self._zone = ZoneInfo(catalogue.timezone)
        self._code_lists.update({name: [dict(entry) for entry in one.entries] for name, one in catalogue.code_lists.items()})
        for contract in catalogue.contracts.values():
            for version in contract.versions:
                self._declare(version)
        return list(catalogue.agreements.values())

    def _declare(self, schema: EventSchema) -> None:
        self._contracts.setdefault(schema.contract, []).append(schema)
        self._written_with[self._registry.register(subject_of(schema.contract), schema.schema)] = schema
        self._log.create(schema.topic)

    def _version(self, agreement: Agreement) -> EventSchema:
        versions = self._contracts.get(agreement.contract, [])
        fitting = [one for one in versions if agreement.version in (None, one.version)]
        if not fitting:
            raise UnknownContract(
                f"agreement {agreement.id}: this bus has no contract {agreement.contract}, or not in this version"
            )
        return max(fitting, key=lambda one: one.version)

    def _compile(self) -> None:
        secrets = {name: hashlib.sha256(name.encode()).digest() for name in self._grants}  # stable, so that tests can compare
        self._table = RoutingTable(self._grants, secrets, before=self._table)

    def _route(self, record: MemoryRecord) -> None:
        inbound = Inbound(record.topic(), record.key(), record.value(), record.headers(), record.timestamp()[1])
        routed = self._table.route(inbound, self._schema_of, self._now_ms())
        for delivery in routed.deliveries:
            self._log.append(delivery.topic, delivery.key, delivery.value, delivery.headers)
        for one in routed.quarantined:
            event = QuarantinedEvent(reason=one.reason, problem=one.problem, agreement=one.agreement, record=record)
            self._quarantined.append(event)

    def _schema_of(self, schema_id: int) -> EventSchema | None:
        return self._written_with.get(schema_id)

    def _now_ms(self) -> int:
        return int(self._now().timestamp() * 1000) if self._now else time.time_ns() // 1_000_000

    def _midnight(self, ordinal: int) -> int:
        day = datetime.combine(datetime.fromordinal(ordinal), time_of_day(), self._zone)
        return int(day.astimezone(UTC).timestamp() * 1000)
