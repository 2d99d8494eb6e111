"""Subscribers that are slow, and that die: nobody else waits for them, and they miss nothing.

What is promised (``hutong.subscription``): positions are stored after processing, so after a death the last moments come again,
from the stored position on; within one life there is no repetition and no gap. Neighbours: ``reader`` is the subscriber.
"""

from __future__ import annotations

import signal
from random import Random
from typing import TYPE_CHECKING

from hutong.event import header
from hutong.kafka.scan import Scan
from hutong.recovery.record import headers_of
from tests.integration.processes import await_true
from tests.torture.reader import Reader, Received

if TYPE_CHECKING:
    from tests.torture.world import World

__all__ = ["FAULTS", "check_received"]

_BACKLOG = 200  # events; a slow reader takes 20 s for them
_CAUGHT_UP_SECONDS = 60.0

Place = tuple[int, int]
"""Partition and offset."""


class _SubscriberFault:
    """What the faults of this module have in common: the subscriber, and what is checked of it at the end."""

    name: str
    recipient: str
    channel: str
    times = 3
    short_times = 0
    brokers = 1

    def prepare(self, world: World) -> None:
        """The subscriber is at work."""
        group = f"{self.recipient}.torture-{self.name}"
        self.reader = Reader(world.home, self.recipient, self.channel, group, world.place / f"{self.name}.jsonl")
        self.reader.set_position_to_end()
        self._begin = self.reader.position()
        self._resumed: list[dict[int, int]] = []
        self.reader.start()

    def clear(self, world: World) -> None:
        """It has caught up, ends in good order, and has missed nothing."""
        try:
            due = self._due(world)
            places = {place for place, _ in due}
            await_true(lambda: places <= self._places_of_living(), "the subscriber has caught up", _CAUGHT_UP_SECONDS)
            self.reader.stop()
            received = self.reader.received()
            check_received(received, due, self._resumed)
            world.say(f"{self.name}: {len(due)} events, {len(received) - len(places)} came again after a death")
        finally:
            self.reader.kill()

    def backlog(self, world: World) -> int:
        """How many deliveries lie there that it has not got."""
        return len({place for place, _ in self._due(world)} - _places(self.reader.received()))

    def _places_of_living(self) -> set[Place]:
        assert self.reader.is_alive, "the subscriber has ended by itself; see its log"
        return _places(self.reader.received())

    def resume(self) -> None:
        """Start it again; where its group stands then is where it must go on."""
        self._resumed.append(self.reader.position())
        self.reader.start()

    def _due(self, world: World) -> list[tuple[Place, str]]:
        """Place and event id of all that was delivered since it began."""
        scan = Scan(world.settings())
        ends = {place[1]: end for place, (_, end) in scan.stretches([self.reader.topic]).items()}
        stretches = {(self.reader.topic, one): (begin, max(begin, ends[one])) for one, begin in self._begin.items()}
        return [
            ((message.partition() or 0, message.offset() or 0), (header(headers_of(message), "ce_id") or b"").decode())
            for message in scan.records(stretches)
        ]


class SubscriberSlow(_SubscriberFault):
    """One that takes longer over an event than it takes until the next comes."""

    name = "subscriber-slow"
    says = "a subscriber falls behind, and catches up; nobody else waits for it"
    recipient, channel = "stat.office", "people-for-statistics"

    def strike(self, world: World, random: Random) -> None:
        """Others have an event that came behind hundreds for which this one has not had the time."""
        await_true(self.reader.received, "the subscriber has begun")
        self.reader.signal(signal.SIGUSR1)
        await_true(lambda: self.backlog(world) > _BACKLOG + random.randrange(_BACKLOG), "the subscriber has fallen behind")
        world.probe()
        assert self.backlog(world), "the others have waited for the slow one"
        self.reader.signal(signal.SIGUSR2)


class SubscriberDead(_SubscriberFault):
    """One that is killed and comes back."""

    name = "subscriber-dead"
    says = "SIGKILL of a subscriber, which comes back after a while; nobody else waits for it"
    recipient, channel = "welfare.office", "people"

    def strike(self, world: World, random: Random) -> None:
        """It is dead in the middle of the stream, and all others get what comes."""
        before = len(self.reader.received())
        await_true(lambda: len(self.reader.received()) > before + random.randrange(_BACKLOG), "the subscriber receives")
        self.reader.kill()
        await_true(lambda: self.backlog(world) > random.randrange(1, _BACKLOG), "it has missed something")
        world.probe()
        self.resume()


def check_received(received: list[Received], due: list[tuple[Place, str]], resumed: list[dict[int, int]]) -> None:
    """Every delivery came, each life read on from the stored position without gap or repetition.

    Args:
        received: what came, in its order.
        due: place and event id of every delivery.
        resumed: the group's position at each start but the first.

    Raises:
        AssertionError: it is not so.
    """
    ids = dict(due)
    assert all(ids.get((one.partition, one.offset)) == one.id for one in received), "something was received that is not there"
    missing = ids.keys() - _places(received)
    assert not missing, f"never received: {sorted(missing)[:5]}"
    offsets: dict[int, list[int]] = {}
    for partition, offset in sorted(ids):
        offsets.setdefault(partition, []).append(offset)
    for life in range(1, len(resumed) + 2):
        for partition, there in offsets.items():
            got = [one.offset for one in received if (one.run, one.partition) == (life, partition)]
            begin = there[0] if life == 1 else resumed[life - 2][partition]
            expected = [offset for offset in there if offset >= begin][: len(got)]
            assert got == expected, f"life {life}, partition {partition}: a gap, a repetition, or another order"


def _places(received: list[Received]) -> set[Place]:
    return {(one.partition, one.offset) for one in received}


FAULTS = (SubscriberSlow(), SubscriberDead())
