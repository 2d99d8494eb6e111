"""What waits on one partition, and for whom: a sorted index of records, asked by position. Pure.

Offsets say too much: transaction markers and aborted records take some, and an agreement concerns only some of the rest. So the
records themselves are listed, each once, from the lowest position that anybody asks about to the end; what all positions have
passed is forgotten. Positions may lie far apart (a recipient's old group and its new one): then there are several spans, with
offsets between them of which nothing is known yet. Neighbours: ``look`` fills this from the bus.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

__all__ = ["NOTHING", "Pending", "Waiting", "total"]

_NO_END = 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits behind one position.

    Attributes:
        count: events; an estimate where not ``exact``.
        oldest_ms: append time of the oldest of them, ms since the epoch; None where none waits. Where not ``exact`` and none has
            been found yet, the time up to which there is surely none.
        exact: whether everything up to the end has been looked at.
        blind: whether nothing is known of some part of it: what is told of the others is the least that waits.
    """

    count: int
    oldest_ms: int | None
    exact: bool
    blind: bool = False

    @property
    def measured(self) -> bool:
        """Whether anything can be said: not while a partition is out of reach, or nothing of it has been read yet."""
        return self.exact or self.oldest_ms is not None


NOTHING = Waiting(count=0, oldest_ms=None, exact=True)


def total(parts: Iterable[Waiting]) -> Waiting:
    """What waits on several partitions together."""
    count, oldest, exact, blind = 0, None, True, False
    for part in parts:
        count += part.count
        exact = exact and part.exact
        blind = blind or not part.measured
        if part.oldest_ms is not None and (oldest is None or part.oldest_ms < oldest):
            oldest = part.oldest_ms
    return Waiting(count=count, oldest_ms=oldest, exact=exact, blind=blind and oldest is not None)


class _Span:
    """Offsets ``[start, edge)`` of which every record is known."""

    __slots__ = ("edge", "next_ms", "of", "offsets", "start", "times")

    def __init__(self, start: int, next_ms: int | None = None) -> None:
        self.start = self.edge = start
        self.offsets = array("q")
        self.times = array("q")  # append time of each record in ``offsets``
        self.of: dict[str, array[int]] = {}  # whom it concerns -> the offsets of those records
        self.next_ms = next_ms  # what comes behind the edge is no older than this

    def forget_below(self, position: int) -> None:
        """Forget what lies before a position."""
        if position <= self.start:
            return
        self.start = position
        self.edge = max(self.edge, position)
        gone = bisect_left(self.offsets, position)
        if not gone:
            return
        del self.offsets[:gone], self.times[:gone]
        for name, offsets in list(self.of.items()):
            del offsets[: bisect_left(offsets, position)]
            if not offsets:
                del self.of[name]

    def take_over(self, later: _Span) -> None:
        """Append the span that begins where this one ends."""
        self.edge, self.next_ms = later.edge, later.next_ms or self.next_ms
        self.offsets.extend(later.offsets)
        self.times.extend(later.times)
        for name, offsets in later.of.items():
            self.of.setdefault(name, array("q")).extend(offsets)

    def time_of(self, offset: int) -> int:
        return self.times[bisect_left(self.offsets, offset)]


class Pending:
    """The index of one partition."""

    def __init__(self) -> None:
        self._spans: list[_Span] = []  # ascending, apart from each other
        self._reading: _Span | None = None
        self._before = self._most = 0

    @property
    def held(self) -> int:
        """Records in memory."""
        return sum(len(span.offsets) for span in self._spans)

    def place(self, positions: Iterable[int]) -> int:
        """Say where everybody stands: what all have passed is forgotten, where somebody stands anew a span begins.

        Returns:
            How many records were forgotten.
        """
        wanted = sorted(set(positions))
        before = self.held
        if not wanted:
            self.forget()
            return before
        kept: list[_Span] = []
        for span in self._spans:
            inside = [position for position in wanted if span.start <= position <= span.edge]
            if not inside:
                continue  # nobody stands there any more; whoever comes there finds it read again
            if wanted[0] > span.start:
                span.forget_below(wanted[0])
            kept.append(span)
        for position in wanted:
            if not any(span.start <= position <= span.edge for span in kept):
                passed = [span.next_ms for span in self._spans if span.edge <= position and span.next_ms is not None]
                kept.append(_Span(position, max(passed, default=None)))
        self._spans = sorted(kept, key=lambda span: span.start)
        return before - self.held

    def unread(self, end: int, *, most: int, sample: int, near: int) -> tuple[int, int] | None:
        """The next stretch of offsets to read, (from, before), or None where there is none.

        Args:
            end: where the partition ends for readers of committed records.
            most: records that a span may hold; one that holds so many is not read on.
            sample: the same for a span from which the end is further away than ``near``: it will not be known whole, and so many
                records estimate the rest as well as more would.
            near: offsets.
        """
        for number, span in enumerate(self._spans):
            last = number + 1 == len(self._spans)
            before = end if last else min(end, self._spans[number + 1].start)
            self._most = most if end - span.start <= near else min(most, sample)
            if span.edge < before and len(span.offsets) < self._most:
                # Behind the last span come the newest records: what arrives while they are read is welcome too.
                self._reading, self._before = span, _NO_END if last else before
                return span.edge, before
        return None

    def add(self, offset: int, appended_ms: int, concerned: Sequence[str]) -> None:
        """A record of the stretch that is being read; in ascending order."""
        span = self._reading
        if span is None or not span.edge <= offset < self._before:
            return
        span.offsets.append(offset)
        span.times.append(appended_ms)
        span.edge, span.next_ms = offset + 1, appended_ms
        for name in concerned:
            offsets = span.of.get(name)
            if offsets is None:
                offsets = span.of[name] = array("q")
            offsets.append(offset)

    def reach(self, edge: int) -> None:
        """Up to here there is no other record than those added."""
        span = self._reading
        if span is None:
            return
        span.edge = max(span.edge, min(edge, self._before))
        number = self._spans.index(span)
        if number + 1 < len(self._spans) and span.edge >= self._spans[number + 1].start:
            span.take_over(self._spans.pop(number + 1))

    def is_full(self) -> bool:
        """Whether the span that is being read holds as many records as it may."""
        return self._reading is not None and len(self._reading.offsets) >= self._most

    def stuck(self, appended_ms: int) -> None:
        """The next record of the stretch is this old and cannot be judged now."""
        if self._reading is not None:
            self._reading.next_ms = appended_ms

    def seen_whole(self, end: int, at_ms: int) -> None:
        """The partition ended here at that time: where all of it is known, what comes later is no older."""
        if self._spans and self._spans[-1].edge >= end:
            self._spans[-1].next_ms = at_ms

    def forget(self) -> None:
        """Forget everything: whom records concern has changed."""
        self._spans, self._reading = [], None

    def known_below(self, position: int, end: int) -> tuple[int, int]:
        """Of the offsets ``[position, end)``: how many are known, and how many records are among them."""
        known = records = 0
        for span, low in self._from(position):
            high = min(span.edge, end)
            if low < high:
                known += high - low
                records += bisect_left(span.offsets, high) - bisect_left(span.offsets, low)
        return known, records

    def waiting(
        self, position: int, end: int, names: Iterable[str], shares: dict[str, float] | None = None
    ) -> dict[str, Waiting]:
        """What waits between a position and the end, for each of those named.

        Args:
            position: from here on.
            end: before this.
            names: of whom.
            shares: how many of an offset concern each, as last seen here or on partitions like this; used where nothing else is
                known, and kept up to date.
        """
        shares = {} if shares is None else shares
        if position >= end:
            return dict.fromkeys(names, NOTHING)
        known, gap_ms, gap_at = self._coverage(position, end)
        exact = known == end - position
        found = {}
        for name in names:
            count, first = 0, None
            for span, low in self._from(position):
                offsets = span.of.get(name)
                if offsets and (at := bisect_left(offsets, low)) < (upto := bisect_left(offsets, end)):
                    count += upto - at
                    first = (offsets[at], span) if first is None else first
            oldest = None if first is None else first[1].time_of(first[0])
            if not exact and (first is None or first[0] > gap_at):
                oldest = gap_ms  # something older may wait among what has not been read
            if known:
                shares[name] = count / known
            estimate = count if exact else round((end - position) * shares.get(name, 0.0))
            found[name] = Waiting(count=estimate, oldest_ms=oldest, exact=exact)
        return found

    def _from(self, position: int) -> Iterator[tuple[_Span, int]]:
        for span in self._spans:
            if span.edge > position:
                yield span, max(span.start, position)

    def _coverage(self, position: int, end: int) -> tuple[int, int | None, int]:
        """Offsets known of ``[position, end)``; the first unknown one, and a time that nothing from there on is older than."""
        known, at, time = 0, position, None
        gap: tuple[int, int | None] | None = None
        for span in self._spans:
            low = max(span.start, position)
            if span.edge < position or low >= end:
                continue
            if low > at and gap is None:
                gap = (at, time)
            known += min(span.edge, end) - low
            at, time = min(span.edge, end), span.next_ms
        if gap is None:
            gap = (at, time)
        return known, gap[1], gap[0]
