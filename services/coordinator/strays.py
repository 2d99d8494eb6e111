"""States on the changelog that others wrote while its partitions are this coordinator's: a stopped one's, in the moment it woke.

Readers leave a state out that is older than the one they know. But it lies behind the newer one, and compaction keeps the last:
the newer one would be lost with the last copy of it. So whoever has the partitions looks for such states, and writes its own once
more. Neighbours: ``keeper`` does so; ``serve`` says what it wrote; ``hutong.kafka.positions`` tells older from newer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hutong.kafka.ends import Ends
from hutong.kafka.positions import position_of
from hutong.kafka.scan import Scan
from hutong.kafka.settings import Settings
from services.coordinator.inbox import STATE

__all__ = ["State", "Strays", "older"]

State = tuple[int, bytes, bytes]
"""Partition, number, and the case as it is stored."""


class Strays:
    """Knows which records of the own partitions are read or its own. ``ends`` and ``find`` wait for brokers, the rest does not.

    Args:
        settings: the bus.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ends: Ends | None = None
        self._next: dict[int, int] = {}
        self._own: dict[int, set[int]] = {}

    def begin(self, positions: Mapping[int, int]) -> None:
        """Begin anew with some partitions.

        Args:
            positions: partition -> the first offset that has not been read.
        """
        self._next, self._own = dict(positions), {partition: set() for partition in positions}

    def wrote(self, offsets: Mapping[int, Collection[int]]) -> set[int]:
        """Take note of own records; returns the partitions of which all records so far are read or own."""
        for partition, some in offsets.items():
            self._own.setdefault(partition, set()).update(one for one in some if one >= self._next.get(partition, 0))
            self._go_on(partition)
        return {partition for partition in offsets if not self._own[partition]}

    @property
    def suspected(self) -> bool:
        """Whether there are records before own ones that are neither read nor own."""
        return any(self._own.values())

    def ends(self) -> dict[int, int]:
        """Where each partition ends now; empty while the brokers are away."""
        self._ends = self._ends or Ends(self._settings, STATE)
        return self._ends.of(list(self._next)) or {}

    def unknown(self, ends: Mapping[int, int]) -> dict[int, tuple[int, int]]:
        """Partition -> from where to where there are records that are neither read nor own."""
        found = {one: (self._next[one], end) for one, end in ends.items() if one in self._next}
        return {one: (at, end) for one, (at, end) in found.items() if sum(o < end for o in self._own[one]) < end - at}

    def find(self, unknown: Mapping[int, tuple[int, int]]) -> list[State]:
        """What lies there, own records too.

        Raises:
            HutongError: it cannot be read now.
        """
        places = {(STATE, partition): stretch for partition, stretch in unknown.items()}
        return [(one.partition() or 0, one.key() or b"", one.value() or b"") for one in Scan(self._settings).records(places)]

    def read(self, unknown: Mapping[int, tuple[int, int]]) -> None:
        """These have been looked at."""
        for partition, (_, end) in unknown.items():
            if end > self._next.get(partition, end):
                self._next[partition] = end
                self._own[partition] = {one for one in self._own[partition] if one >= end}
                self._go_on(partition)

    def _go_on(self, partition: int) -> None:
        """Past the own records that follow what is known."""
        own = self._own[partition]
        while (known := self._next.get(partition, -1)) in own:
            own.discard(known)
            self._next[partition] = known + 1


def older(found: Collection[State], known: Mapping[tuple[int, bytes], bytes | None]) -> list[tuple[int, bytes]]:
    """Partition and number of the cases whose last state among these is older than the one that is known."""
    last = {(partition, number): position_of(state) for partition, number, state in found}
    return [one for one, position in last.items() if (state := known.get(one)) is not None and position < position_of(state)]
