"""What one look at the bus cannot say and two can: that an offset stands still, and what retention took. Pure.

Neighbours: ``look`` tells these what it sees, round by round.
"""

from __future__ import annotations

from collections import Counter

__all__ = ["Losses", "Standing"]

Place = tuple[str, int]


class Standing:
    """For how long the last stable offset of a partition has stood still behind its end.

    A transaction that nobody ends holds up every reader of committed records; it shows here before anybody can say whose it is.
    """

    def __init__(self) -> None:
        self._since: dict[Place, tuple[int, float]] = {}

    def note(self, place: Place, end: int, top: int, now: float) -> float:
        """Seconds that it has stood still.

        Args:
            place: the partition.
            end: its last stable offset.
            top: its high watermark.
            now: a clock that never goes back, seconds.
        """
        if end >= top:
            self._since.pop(place, None)
            return 0.0
        offset, since = self._since.get(place, (-1, now))
        if offset != end:
            since = now
        self._since[place] = (end, since)
        return now - since


class Losses:
    """Offsets that retention has deleted before a group passed them, each counted once."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, Place], int] = {}
        self._sums: Counter[tuple[str, str]] = Counter()

    def begin(self, group: str, place: Place, position: int) -> int:
        """The first offset that is not counted yet, of those that a group at this position still has to pass."""
        return max(position, self._counted.get((group, place), position))

    def note(self, group: str, place: Place, start: int, lost: int) -> None:
        """Retention has deleted everything before ``start``; so many offsets more are lost to a group."""
        self._counted[group, place] = start
        self._sums[group, place[0]] += max(0, lost)

    def of(self, group: str, topic: str) -> int:
        """Offsets of a topic that this group lost."""
        return self._sums[group, topic]
