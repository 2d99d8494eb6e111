"""What should stand on the bus, as plain data, from the declarations alone. Pure.

Neighbours: ``rights`` has the access rules; ``observed`` is the other side, ``diff`` compares the two, ``apply`` makes this true.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hutong.agreements.agreement import Agreement, MapCodes
from hutong.agreements.check import plain_lists
from hutong.agreements.delivery import delivery_schema
from hutong.agreements.grant import CodeLists, Grant
from hutong.catalogue.catalogue import Catalogue
from hutong.contracts.contract import Contract
from hutong.control.quotas import quota
from hutong.control.rights import rights
from hutong.flows.control import FlowRecord
from hutong.kafka.resources import Acl, NewTopic
from hutong.kafka.topics import AGREEMENTS_TOPIC, CASES_INBOX, CASES_STATE, FLOWS_TOPIC, REPLAYS_TOPIC
from hutong.principals import SERVICES

__all__ = ["CONTROL_TOPIC", "Desired", "Layout", "Subject", "WantedGrant", "desired", "quarantine_topic"]

CONTROL_TOPIC = AGREEMENTS_TOPIC

_DAY_MS = 86_400_000
_QUARANTINE_MS = 90 * _DAY_MS
"""How long the operator has to look at a quarantined event; it is replayed or given up by then."""

_INBOX_MS = 30 * _DAY_MS
"""How long a coordinator may be away and still find everything that happened to its cases meanwhile."""

_REPLAYS_MS = 3 * 365 * _DAY_MS
"""How long it is known who has replayed, and looked at, what. The rest of the record is of use only while the events that it is
about lie in quarantine, for 90 days; without an end it would grow by an entry for each event that was ever replayed."""

_ROOMY = {"cleanup.policy": "delete", "max.message.bytes": str(2 * 1024 * 1024)}
"""A delivery may be larger than its event (a pseudonym is longer than a number), and quarantine adds headers to any event."""

_STAMPED = {"message.timestamp.type": "LogAppendTime"}
"""By the brokers' clock, whatever the writer's says."""

_COMPACTED = {
    **{"cleanup.policy": "compact", "min.compaction.lag.ms": "0", "max.compaction.lag.ms": "3600000"},
    **{"segment.ms": "3600000", "segment.bytes": str(16 * 1024 * 1024), "min.cleanable.dirty.ratio": "0.1"},
    "delete.retention.ms": "86400000",  # who was away for longer reads it anew (``kafka.control``)
    "max.message.bytes": str(4 * 1024 * 1024),
}
"""Compacted early and in small segments: a service that starts reads it whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How topics are laid out on a cluster.

    Attributes:
        brokers: how many the cluster has.
        asked_partitions: of new ``pub`` and ``sub`` topics; None for two per broker.
        case_partitions: of the topics of cases: how many coordinators can share them. It stays: a case's place follows from it.
    """

    brokers: int
    asked_partitions: int | None = None
    case_partitions: int = 8

    @property
    def partitions(self) -> int:
        """How many readers of one group can share a topic. Every one that a transaction touches costs it time."""
        return self.asked_partitions or 2 * self.brokers

    @property
    def replication(self) -> int:
        """Copies of each partition: three where there are brokers for them."""
        return min(3, self.brokers)

    @property
    def in_sync(self) -> int:
        """Copies that must have a record before it is acknowledged: one broker of three may be down."""
        return 2 if self.replication == 3 else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A subject of the registry.

    Attributes:
        name: its name.
        level: compatibility that the registry itself enforces.
        schemas: what must be registered, oldest first, so that the newest is the subject's latest.
        contract: the contract whose versions they are; None for deliveries.
    """

    name: str
    level: str
    schemas: tuple[dict[str, Any], ...]
    contract: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedGrant:
    """A grant before its delivery schema has an id."""

    agreement: Agreement
    reader_schema: dict[str, Any]
    delivery_schema: dict[str, Any]
    subject: str
    code_lists: CodeLists
    valid_from_ms: int
    valid_until_ms: int | None
    freshness_seconds: float | None

    def grant(self, schema_id: int) -> Grant:
        """The grant as it goes to the routers."""
        return Grant(
            agreement=self.agreement,
            reader_schema=self.reader_schema,
            delivery_schema=self.delivery_schema,
            delivery_schema_id=schema_id,
            subject=self.subject,
            code_lists=self.code_lists,
            valid_from_ms=self.valid_from_ms,
            valid_until_ms=self.valid_until_ms,
            freshness_seconds=self.freshness_seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """A whole bus.

    Attributes:
        contracts: by name.
        topics: by name.
        subjects: by name.
        principals: users that departments and the operator's services log in as.
        acls: every access rule, and no other.
        grants: by agreement id.
        flows: by id.
        quotas: department -> kind of quota -> value.
    """

    contracts: Mapping[str, Contract]
    topics: Mapping[str, NewTopic]
    subjects: Mapping[str, Subject]
    principals: frozenset[str]
    acls: frozenset[Acl]
    grants: Mapping[str, WantedGrant]
    flows: Mapping[str, FlowRecord]
    quotas: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def departments(self) -> frozenset[str]:
        """The principals that are departments."""
        return self.principals - SERVICES


def desired(catalogue: Catalogue, layout: Layout) -> Desired:
    """What the declarations want."""
    grants = {one.agreement.id: one for one in _grants(catalogue)}
    topics = {topic.name: topic for topic in _topics(catalogue, layout)}
    subjects = [_contract_subject(one) for one in catalogue.contracts.values()]
    by_subject: dict[str, list[dict[str, Any]]] = {}
    for grant in grants.values():
        by_subject.setdefault(grant.subject, []).append(grant.delivery_schema)
    # What a recipient reads follows its agreement, which people approve with the plan before them; no registry overrules them.
    subjects += [Subject(name=name, level="NONE", schemas=tuple(schemas)) for name, schemas in by_subject.items()]
    newest = {name: contract.newest.schema for name, contract in catalogue.contracts.items()}
    return Desired(
        contracts=catalogue.contracts,
        topics=topics,
        subjects={one.name: one for one in subjects},
        principals=frozenset(catalogue.departments) | SERVICES,
        acls=frozenset(rights(catalogue)),
        grants=grants,
        quotas={code: quota(one) for code, one in sorted(catalogue.departments.items())},
        flows={id_: FlowRecord.of(flow, newest, catalogue.timezone) for id_, flow in catalogue.flows.items()},
    )


def quarantine_topic(contract: str) -> str:
    """Where events of a contract go that cannot be processed."""
    return f"quarantine.{contract}"


def _topics(catalogue: Catalogue, layout: Layout) -> Iterator[NewTopic]:
    safe = {"min.insync.replicas": str(layout.in_sync)}

    def topic(name: str, partitions: int, config: Mapping[str, str]) -> NewTopic:
        return NewTopic(name=name, partitions=partitions, replication=layout.replication, config={**safe, **config})

    for contract in catalogue.contracts.values():
        # A department's clock cannot move its events in time.
        config = {"cleanup.policy": "delete", **_STAMPED, **_retention(contract.retention_ms)}
        yield topic(contract.topic, layout.partitions, config)
        yield topic(quarantine_topic(contract.name), 1, {**_ROOMY, **_STAMPED, **_retention(_QUARANTINE_MS)})
    kept: dict[str, list[int | None]] = {}
    for agreement in catalogue.agreements.values():
        kept.setdefault(agreement.topic, []).append(catalogue.contracts[agreement.contract].retention_ms)
    for name, times in sorted(kept.items()):
        longest = None if None in times else max(time for time in times if time is not None)
        # A router whose clock is wrong delivers all the same: brokers refuse what others have stamped an hour ahead.
        yield topic(name, layout.partitions, {**_ROOMY, **_STAMPED, **_retention(longest)})
    yield topic(AGREEMENTS_TOPIC, 1, _COMPACTED)
    yield topic(REPLAYS_TOPIC, 1, {**_COMPACTED, "cleanup.policy": "compact,delete", **_retention(_REPLAYS_MS)})
    if catalogue.flows:
        yield topic(FLOWS_TOPIC, 1, _COMPACTED)
        # Of what happens to a case, the order and the time are one.
        inbox = {**_ROOMY, **_STAMPED, **_retention(_INBOX_MS)}
        yield topic(CASES_INBOX, layout.case_partitions, inbox)
        yield topic(CASES_STATE, layout.case_partitions, _COMPACTED)


def _retention(milliseconds: int | None) -> dict[str, str]:
    return {} if milliseconds is None else {"retention.ms": str(milliseconds)}


def _contract_subject(contract: Contract) -> Subject:
    schemas = tuple(version.schema for version in contract.versions)
    level = f"{contract.compatibility}_TRANSITIVE"
    return Subject(name=f"{contract.topic}-value", level=level, schemas=schemas, contract=contract.name)


def _grants(catalogue: Catalogue) -> Iterator[WantedGrant]:
    sharing: dict[str, int] = {}
    for agreement in catalogue.agreements.values():
        sharing[agreement.topic] = sharing.get(agreement.topic, 0) + 1
    zone = ZoneInfo(catalogue.timezone)
    lists = plain_lists(catalogue.code_lists)
    for agreement in catalogue.agreements.values():
        reader = catalogue.contracts[agreement.contract].version(agreement.version)
        if reader is None:
            continue  # the catalogue has no such agreement
        schema = delivery_schema(agreement, reader, lists)
        record = ".".join(filter(None, (schema.get("namespace"), schema["name"])))
        until = agreement.valid.until
        yield WantedGrant(
            agreement=agreement,
            reader_schema=reader.schema,
            delivery_schema=schema,
            subject=f"{agreement.topic}-{'value' if sharing[agreement.topic] == 1 else record}",
            code_lists={f.code_list: lists[f.code_list] for f in agreement.fields if isinstance(f, MapCodes)},
            valid_from_ms=_midnight_ms(agreement.valid.from_, zone),
            valid_until_ms=None if until in (None, date.max) else _midnight_ms(until + timedelta(days=1), zone),
            freshness_seconds=catalogue.contracts[agreement.contract].freshness_s,
        )


def _midnight_ms(day: date, zone: ZoneInfo) -> int:
    return int(datetime.combine(day, time(), zone).timestamp() * 1000)
