"""The way from a department's own database: PostgreSQL, the application and the relays are killed.

What is promised (docs/publishing.md): an event is published exactly if its transaction was committed, at least once, with an id
that never changes, each key in order. So a relay that dies between publishing and deleting makes the same event lie on its topic
twice, every copy is delivered once per agreement, and an SDK recipient gets it once. The judge holds the topics to that; here the
database's own rows say what was committed, and an SDK recipient is read. Neighbours: ``department`` has the processes.
"""

from __future__ import annotations

import time
from random import Random
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY

from hutong import Subscription
from tests.integration.processes import await_true
from tests.torture.department import Department
from tests.torture.ledger import Entry
from tests.torture.reader import Reader

if TYPE_CHECKING:
    from tests.torture.world import World

__all__ = ["FAULTS"]

_RECIPIENT, _CHANNEL = "stat.office", "people-for-statistics"  # gets every event of the clerk, with its sequence
_LONGEST_AWAY = 1.5
_READ_SECONDS = 60.0


class _OutboxFault:
    """What the faults of this module have in common: the department, and what is checked of it at the end."""

    name: str
    times = 3
    short_times = 0
    brokers = 1

    def prepare(self, world: World) -> None:
        """The department is at work, and its events' recipient has a position."""
        self.department, self._is_ready = Department(world), False
        self._group = f"{_RECIPIENT}.torture-{self.name}"
        Reader(world.home, _RECIPIENT, _CHANNEL, self._group, world.place / self.name).set_position_to_end()
        self.department.start()
        self._is_ready = True

    def clear(self, world: World) -> None:
        """The department ends in good order, and everything is as its database says."""
        try:
            if self._is_ready:
                self.department.finish()
                self._settle(world, self.department.committed())
                self._received_once(world)
        finally:
            self.department.close()

    def _settle(self, world: World, committed: set[str]) -> None:
        """The database says what was committed; what the application knows of it must agree."""
        known = {"attempted": set[str](), "acknowledged": set[str](), "aborted": set[str]()}
        for entry in self._events(world):
            known[entry.state].add(entry.id)
        assert known["acknowledged"] <= committed, "the database has lost what it had committed"
        assert not known["aborted"] & committed, "the database has committed what was rolled back"
        world.book.acknowledged(*(known["attempted"] & committed))
        world.book.aborted(*(known["attempted"] - committed))

    def _received_once(self, world: World) -> None:
        """An SDK recipient gets every committed event once, each key in order, and none that was rolled back."""
        events = {one.id: one for one in self._events(world)}
        committed = {one.id for one in events.values() if one.state == "acknowledged"}
        missing, left_out = set(committed), _left_out()
        last: dict[str | None, int] = {}
        deadline = time.monotonic() + _READ_SECONDS
        with Subscription(_RECIPIENT, _CHANNEL, group=self._group, settings=world.settings(_RECIPIENT)) as recipient:
            while (event := recipient.poll(1.0)) is not None or missing:
                assert time.monotonic() < deadline, f"{len(missing)} committed events were not received"
                if event is None or event.attributes.id not in events:
                    continue
                entry = events[event.attributes.id]
                assert entry.state == "acknowledged", f"{entry.id} was rolled back, and was received"
                assert entry.id in missing, f"{entry.id} was received twice"
                assert last.get(event.key, -1) < entry.sequence, f"{entry.id} was received out of order"
                missing.discard(entry.id)
                last[event.key] = entry.sequence
        told = f"{len(committed)} events were committed, {len(events) - len(committed)} rolled back"
        world.say(f"{self.name}: {told}; each of the first was received once, {_left_out() - left_out} copies were left out")

    @staticmethod
    def _events(world: World) -> list[Entry]:
        return [one for one in world.ledger.account().entries.values() if one.repeats]


class DatabaseKilled(_OutboxFault):
    """PostgreSQL ends under the application's transactions and the relays' batches."""

    name = "outbox-database-killed"
    says = "SIGKILL of PostgreSQL under an outbox, its application and its relays"

    def strike(self, world: World, random: Random) -> None:
        department = self.department
        before = department.count("people")
        department.kill_database()
        time.sleep(random.uniform(0, _LONGEST_AWAY))  # how long it is away is chance; nothing is waited for
        department.start_database()
        await_true(lambda: department.count("people") > before, "the application goes on")


class PublisherKilled(_OutboxFault):
    """The application ends between its commit and the relay; then the relays end within a batch."""

    name = "publisher-killed"
    says = "SIGKILL of the application between commit and relay, then of both relays within a batch"

    def strike(self, world: World, random: Random) -> None:
        department = self.department
        with department.relays_stopped():
            before = department.count("hutong_outbox")
            await_true(lambda: department.count("hutong_outbox") > before, "something is committed that no relay has taken")
            department.kill_clerk()
        department.start_clerk()
        department.kill_relays_within_a_batch()
        department.start_relays()


def _left_out() -> int:
    """Copies that subscriptions of this process have left out."""
    topic = {"topic": f"sub.{_RECIPIENT}.{_CHANNEL}"}
    return int(REGISTRY.get_sample_value("hutong_duplicate_events_total", topic) or 0)


FAULTS = (DatabaseKilled(), PublisherKilled())
