"""The records that wait, on all partitions that somebody is behind on: read once each, kept until everybody has passed them.

The memory is bounded, and so is the work: a partition is read ahead as far as it pays, all of them together up to a cap, and one
whose end is far away in a sample only; counts are estimates then, and say so. Neighbours: ``pending`` is one partition of this;
``kafka.stretches`` reads; ``look`` says what to read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from hutong.errors import RegistryUnavailable
from hutong.kafka.chunk import Place
from hutong.kafka.stretches import Stretch, Stretches
from hutong.lag.pending import Pending, Waiting
from hutong.transport import Record

__all__ = ["MOST", "Index", "Judge"]

Judge = Callable[[str, Sequence[Record]], list[list[str]]]
"""(topic, records) -> whom each concerns; raises ``RegistryUnavailable`` where that cannot be said now."""

MOST = 100_000
"""Records of one span in memory, some 40 bytes each with three agreements; at 1,000 events/s two minutes of a standstill. Where
the end is further away than so many offsets, a sample is read instead."""

_ALL = 1_000_000  # records of all partitions together: 40 MB, or 100 MB where ten agreements share a contract
_FIRST, _LEAST, _SAMPLE = 10_000, 1_000, 2_000


class Index:
    """The index of many partitions.

    Args:
        stretches: reads records.
        eager: whether to read whatever can be known exactly at once, instead of as far as has paid so far.
    """

    def __init__(self, stretches: Stretches, *, eager: bool = False) -> None:
        self._stretches = stretches
        self._first = MOST if eager else _FIRST
        self._sample = _FIRST if eager else _SAMPLE
        self._pending: dict[Place, Pending] = {}
        self._ahead: dict[Place, int] = {}
        self._shares: dict[str, dict[str, float]] = {}  # topic -> whom so many of an offset concerned when last seen
        self._room = 0

    def keep(self, places: Iterable[Place]) -> None:
        """Forget all partitions but these."""
        for place in self._pending.keys() - set(places):
            self._pending.pop(place)
            self._ahead.pop(place, None)
        for topic in self._shares.keys() - {topic for topic, _ in self._pending}:
            self._shares.pop(topic)

    def forget(self, topic: str) -> None:
        """Whom this topic's records concern has changed."""
        for place, pending in self._pending.items():
            if place[0] == topic:
                pending.forget()

    def settle(self, place: Place, positions: Iterable[int], end: int, at_ms: int, *, most: int = MOST) -> None:
        """Say where everybody stands on a partition.

        Args:
            place: the partition.
            positions: where its readers go on.
            end: where it ended at the time ``at_ms``.
            at_ms: when that was asked.
            most: records of a span in memory.
        """
        pending = self._pending.setdefault(place, Pending())
        ahead = self._ahead.setdefault(place, min(most, self._first))
        passed = pending.place(positions)
        held = pending.held
        if passed >= ahead and not held:
            # Its readers are quicker than we are: what we read ahead they have passed by the time we are done.
            self._ahead[place] = max(_LEAST, ahead // 2)
        elif held >= ahead:
            self._ahead[place] = min(most, ahead * 2)
        pending.seen_whole(end, at_ms)

    def known_empty(self, place: Place, position: int, before: int) -> int:
        """How many offsets between the two are known to hold no record."""
        known, records = self._pending[place].known_below(position, before) if place in self._pending else (0, 0)
        return known - records

    def waiting(self, place: Place, position: int, end: int, names: Iterable[str]) -> dict[str, Waiting]:
        """What waits on a partition behind a position, for each of those named."""
        return self._pending[place].waiting(position, end, names, self._shares.setdefault(place[0], {}))

    def read(self, ends: Mapping[Place, int], judge: Judge, seconds: float) -> None:
        """Read on until everything up to these ends is known, or as far as cap and time allow."""
        deadline = time.monotonic() + seconds
        self._room = _ALL - sum(pending.held for pending in self._pending.values())
        unjudged: set[Place] = set()
        while (left := deadline - time.monotonic()) > 0 and self._room > 0:
            todo = {place: found for place in ends if place not in unjudged and (found := self._unread(place, ends[place]))}
            if not todo:
                self._stretches.want({})
                break
            self._stretches.want({place: start for place, (start, _) in todo.items()})
            for stretch in self._stretches.read(left):
                if not self._take(stretch, todo[stretch.place][1], judge):
                    unjudged.add(stretch.place)

    def _unread(self, place: Place, end: int) -> tuple[int, int] | None:
        pending = self._pending.get(place)
        return None if pending is None else pending.unread(end, most=self._ahead[place], sample=self._sample, near=MOST)

    def _take(self, stretch: Stretch, before: int, judge: Judge) -> bool:
        """Put records into the index; whether they could be judged."""
        pending, place = self._pending[stretch.place], stretch.place
        try:
            concerned = judge(place[0], stretch.records) if stretch.records else []
        except RegistryUnavailable:
            pending.stuck(stretch.records[0].timestamp()[1])
            self._stretches.drop(place)
            return False
        for record, names in zip(stretch.records, concerned, strict=True):
            pending.add(int(record.offset() or 0), record.timestamp()[1], names)
        pending.reach(stretch.edge)
        self._room -= len(stretch.records)
        if stretch.at_end or stretch.edge >= before or pending.is_full() or self._room <= 0:
            self._stretches.drop(place)
        return True
