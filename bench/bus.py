"""The bus under measurement: cases declared on it through the control plane, their events published, offsets asked for.

Every case's topics, schemas, keys and agreements are made by the functions behind ``hutong apply``, and removed when the next
case comes. Neighbours: ``workload`` says what, ``measure`` asks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from bench.workload import Party, Workload
from hutong.catalogue.catalogue import Catalogue
from hutong.catalogue.load import read
from hutong.contracts.contract import Contract
from hutong.contracts.departments import Department
from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.control.apply import apply
from hutong.control.desired import CONTROL_TOPIC, Desired, Layout, desired
from hutong.control.diff import difference
from hutong.control.observe import observe
from hutong.home import Home
from hutong.kafka.admin import Admin
from hutong.kafka.compacted import read_all
from hutong.kafka.registry_admin import RegistryAdmin
from hutong.kafka.settings import Settings

__all__ = ["Bus", "Declared", "Place", "Progress", "contract_of", "quiet"]

Place = tuple[str, int]
"""Topic and partition."""

_DECLARATIONS = Path(__file__).with_name("declarations")
_BASE = "bench.registry.person_recorded"
_SECONDS = 30.0
_OFFSETS_SECONDS = 5.0
_MOST_SCHEMAS = 3_000
"""Delivery schemas that are registered one by one; 10,000 take the registry minutes, and it is not what is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A case that stands on the bus.

    Attributes:
        workload: the case's agreements and events.
        topic: where its events are published.
        frame: the five bytes before each event's value.
        parties: its agreements, in order.
    """

    workload: Workload
    topic: str
    frame: bytes
    parties: tuple[Party, ...]

    @property
    def by_region(self) -> dict[str | None, list[Party]]:
        """The agreements by the region that they grant."""
        found: dict[str | None, list[Party]] = {}
        for party in self.parties:
            found.setdefault(party.region, []).append(party)
        return found

    @property
    def destinations(self) -> list[str]:
        """The delivery topics."""
        return sorted({party.topic for party in self.parties})


class Bus:
    """A running bus of the bench's own.

    Args:
        home: where it lives.
    """

    def __init__(self, home: Home) -> None:
        environment = {"HUTONG_HOME": str(home.root)}
        self.home = home
        self.operator = Settings.resolve("operator", environment)
        self.router = Settings.resolve("router", environment)
        self.producer = Producer(
            quiet(self.operator)
            | {
                "linger.ms": 5,
                "compression.type": "lz4",
                "acks": "all",
                "enable.idempotence": True,
                "queue.buffering.max.messages": 500_000,
                "partitioner": "murmur2_random",  # as the SDK: an event's place does not depend on who published it
            }
        )
        self._admin = AdminClient(quiet(self.operator))
        self._asking = Consumer(quiet(self.operator) | {"group.id": "hutong.bench"})

    def declare(self, workload: Workload) -> Declared:
        """Make the bus as the case declares it, and nothing else on it."""
        return self.declare_all([workload])[0]

    def declare_all(self, workloads: Sequence[Workload]) -> list[Declared]:
        """Make the bus as several cases declare it, with as many partitions as the first."""
        contracts = [contract_of(workload) for workload in workloads]
        agreements = [agreement for workload in workloads for agreement in workload.agreements()]
        base = read(_DECLARATIONS).catalogue
        parties = {*(agreement.recipient for agreement in agreements), *(contract.department for contract in contracts)}
        catalogue = Catalogue(
            timezone=base.timezone,
            departments={**{code: _department(code) for code in sorted(parties)}, **base.departments},
            contracts={contract.name: contract for contract in contracts},
            code_lists={},
            agreements={agreement.id: agreement for agreement in agreements},
            flows={},
            sources={},
        )
        self._apply(catalogue, workloads[0].case.partitions)
        return [self._declared(workload, contract) for workload, contract in zip(workloads, contracts, strict=True)]

    def _declared(self, workload: Workload, contract: Contract) -> Declared:
        documents = read_all(self.operator, CONTROL_TOPIC)
        ids = {name: int(json.loads(document)["delivery_schema_id"]) for name, document in documents.items()}
        parties = tuple(
            workload.party(number, agreement, ids[agreement.id], bytes.fromhex(self.home.read_key(agreement.id) or ""))
            for number, agreement in enumerate(workload.agreements())
        )
        registered = RegistryAdmin.of(self.operator).latest(f"{contract.topic}-value")
        if registered is None:
            raise SystemExit(f"{contract.name} is not on the bus")
        return Declared(workload=workload, topic=contract.topic, frame=frame(registered.id), parties=parties)

    def _apply(self, catalogue: Catalogue, partitions: int) -> None:
        admin, registry = Admin(self.operator), RegistryAdmin.of(self.operator)
        if not isinstance(registry, RegistryAdmin):
            raise SystemExit("this registry client cannot administer")
        wanted = desired(catalogue, Layout(brokers=admin.brokers(), asked_partitions=partitions))
        found = observe(self.operator, admin, registry, self.home, wanted)
        if len(wanted.grants) > _MOST_SCHEMAS:
            found = replace(found, delivery_ids=_shared_schemas(registry, wanted))
        apply(
            difference(wanted, found),
            wanted,
            found,
            settings=self.operator,
            admin=admin,
            registry=registry,
            home=self.home,
            prune=True,
        )

    def publish(self, declared: Declared) -> None:
        """Put all events of the case onto its topic."""
        workload = declared.workload
        for number in range(workload.case.events):
            value = declared.frame + workload.value(number)
            self.queue(declared.topic, workload.key(number), value, list(workload.headers(number)))
        if self.producer.flush(120):
            raise SystemExit("the events could not be published within 120 s")

    def queue(self, topic: str, key: bytes, value: bytes, headers: Any) -> None:
        """Give one record to the producer; wait where its queue is full."""
        while True:
            try:
                return self.producer.produce(topic, value, key, headers=headers)
            except BufferError:
                self.producer.poll(0.1)

    def places(self, topics: Iterable[str]) -> list[Place]:
        """All partitions of topics."""
        known = self._asking.list_topics(timeout=_SECONDS).topics
        return [(topic, partition) for topic in topics for partition in known[topic].partitions]

    def ends(self, topics: Iterable[str]) -> dict[Place, int]:
        """Where each partition ends now."""
        return {place: self._asking.get_watermark_offsets(TopicPartition(*place), _SECONDS)[1] for place in self.places(topics)}

    def forget(self, places: Mapping[Place, int]) -> None:
        """Delete what was delivered before these offsets, so that rounds do not fill the disk."""
        doomed = [TopicPartition(topic, partition, offset) for (topic, partition), offset in places.items()]
        for future in self._admin.delete_records(doomed, request_timeout=_SECONDS).values():
            future.result()

    def close(self) -> None:
        """Let go of the clients."""
        self._asking.close()


class Progress:
    """Where a consumer group stands on some partitions, asked without joining it.

    Args:
        settings: the bus.
        group: the group.
        places: the partitions.
    """

    def __init__(self, settings: Settings, group: str, places: Sequence[Place]) -> None:
        self._consumer = Consumer(quiet(settings) | {"group.id": group, "isolation.level": "read_uncommitted"})
        self._places = [TopicPartition(*place) for place in places]

    def now(self) -> tuple[int, ...]:
        """Events committed on each partition."""
        return tuple(max(0, place.offset) for place in self._consumer.committed(self._places, _OFFSETS_SECONDS))

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        while True:
            yield self.now()

    def close(self) -> None:
        """Let go of the client."""
        self._consumer.close()


def _shared_schemas(registry: RegistryAdmin, wanted: Desired) -> dict[str, int]:
    """Agreement id -> id of a delivery schema with its fields, registered once for all that have the same."""
    ids: dict[str, int] = {}
    for grant in wanted.grants.values():
        fields = repr(grant.agreement.fields)
        if fields not in ids:
            ids[fields] = registry.register(grant.subject, grant.delivery_schema)
    return {name: ids[repr(grant.agreement.fields)] for name, grant in wanted.grants.items()}


def quiet(settings: Settings) -> dict[str, Any]:
    """Client settings of the bench's own clients: their complaints about a bus that is being taken down are no news."""
    return settings.client() | {"log_level": 0}


def contract_of(workload: Workload) -> Contract:
    """The bench's contract under the case's own name."""
    base = read(_DECLARATIONS).catalogue.contracts[_BASE]
    name = workload.case.contract
    schema = {**base.newest.schema, "hutong": {**base.newest.schema["hutong"], "contract": name}}
    return replace(base, name=name, department=name.rpartition(".")[0], versions=(EventSchema(schema),))


def _department(code: str) -> Department:
    return Department(code=code, name={"en": code}, head={"en": "Nobody"}, contact="recipients@bench.example")
