"""What one look at the bus cannot say and two can: that an offset stands still, what retention took, what began anew. Pure.

Neighbours: ``look`` tells these what it sees, round by round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

__all__ = ["Losses", "Restarts", "Standing"]

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


class Restarts:
    """Topics that were deleted and made again under their name: their offsets begin anew, and what was known of them is wrong."""

    def __init__(self) -> None:
        self._tops: dict[Place, int] = {}

    def note(self, tops: Mapping[Place, int]) -> frozenset[str]:
        """The topics of which a partition ends before its end of the last look; nothing else moves an end back.

        Args:
            tops: partition -> its high watermark.
        """
        found = frozenset(place[0] for place, top in tops.items() if top < self._tops.get(place, 0))
        self._tops |= tops
        return found


class Losses:
    """Offsets that retention has deleted before a group passed them, each counted once."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, Place], int] = {}
        self._sums: Counter[tuple[str, str]] = Counter()

    def begin(self, group: str, place: Place, position: int, start: int) -> int:
        """The first offset that is not counted yet, of those that a group at this position still has to pass.

        Args:
            group: its id.
            place: the partition.
            position: where the group goes on.
            start: the first offset that retention has left; before the one that was counted last, the topic was made anew.
        """
        counted = self._counted.get((group, place), position)
        return max(position, counted) if counted <= start else position

    def note(self, group: str, place: Place, start: int, lost: int) -> None:
        """Retention has deleted everything before ``start``; so many offsets more are lost to a group."""
        self._counted[group, place] = start
        self._sums[group, place[0]] += max(0, lost)

    def of(self, group: str, topic: str) -> int:
        """Offsets of a topic that this group lost."""
        return self._sums[group, topic]
