"""Publications that come to nothing, in part or whole: a transaction that is aborted, a publishing process that is killed.

Neighbours: ``outbox`` has what happens between a database and the bus.
"""

from __future__ import annotations

import time
from random import Random

from confluent_kafka import Producer

from hutong.contracts.schema import EventSchema
from hutong.kafka.registry import Registry
from tests.torture.fault import Fault
from tests.torture.load import WRITERS, record_of
from tests.torture.story import PERSON
from tests.torture.world import World

__all__ = ["FAULTS"]

_EVENTS = 20
_SECONDS = 30.0


class Aborted:
    """A connector's transaction is aborted after its events are on the topic; the next one, of the same persons, is committed."""

    name = "publication-aborted"
    says = "a transaction of 20 events aborted after they were written, and one committed"
    times = 5
    short_times = 1
    brokers = 1

    def strike(self, world: World, random: Random) -> None:
        registered = Registry.of(world.settings()).latest(f"pub.{PERSON}-value")
        assert registered is not None
        schema = EventSchema(registered.schema)
        producer = Producer(world.settings().client() | {"transactional.id": "hutong.torture-publication"})
        producer.init_transactions(_SECONDS)
        for fate in ("aborted", "acknowledged"):
            entries = [world.own_person(number) for number in range(_EVENTS)]
            world.book.attempted(*entries)
            producer.begin_transaction()
            for entry in entries:
                key, value, headers = record_of(entry, schema, registered.id)
                producer.produce(f"pub.{PERSON}", value, key, headers=headers)  # type: ignore[arg-type]
            assert producer.flush(_SECONDS) == 0, "the brokers do not take the events"
            time.sleep(random.uniform(0, 0.5))  # so long the routers stand before them
            ids = [entry.id for entry in entries]
            if fate == "aborted":
                producer.abort_transaction(_SECONDS)
                world.book.aborted(*ids)
            else:
                producer.commit_transaction(_SECONDS)
                world.book.acknowledged(*ids)


class WriterKilled:
    """What it had handed over and not been told of may be there or not, and once at most."""

    name = "writer-killed"
    says = "SIGKILL of a publishing process in the middle of its work; another goes on with the same persons"
    times = 5
    short_times = 0
    brokers = 1

    def strike(self, world: World, random: Random) -> None:
        world.load.replace(random.randrange(WRITERS))


FAULTS: tuple[Fault, ...] = (Aborted(), WriterKilled())
