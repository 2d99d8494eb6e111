"""How many events a transaction holds: as many as pay, found by trying.

A transaction costs the brokers time for every partition that it touches, so a router with thousands of destinations needs large
ones and a router with three does not; how large depends on the brokers too. Larger ones make deliveries wait longer, so growth
ends where it gains little. Pure: no clock, no Kafka. Neighbours: ``transaction`` asks and tells.
"""

from __future__ import annotations

__all__ = ["Pace"]

_FIRST = 5_000  # events; light traffic never needs more, and a burst after it begins with this
_WORTH = 1.04  # twice the size must gain at least this factor; with less, what a transaction costs is below a tenth already
_REMEMBERED = 20  # full transactions after which the sizes around are tried again: traffic and brokers change


class Pace:
    """The size of transactions, doubled and halved by what it brings.

    Args:
        most: never more events in one transaction.
        seconds: no transaction should take longer.

    Attributes:
        limit: events that the next transaction may hold.
    """

    def __init__(self, *, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._rates: dict[int, float] = {}  # limit -> events a second
        self._last = 0
        self._since = 0
        self.limit = self._least = min(_FIRST, most)

    def room(self, events: int, seconds: float) -> int:
        """How many more events an open transaction takes; 0 ends it."""
        return 0 if seconds >= self._seconds else max(0, self.limit - events)

    def done(self, events: int, seconds: float, *, waiting: bool) -> None:
        """Learn from a committed transaction.

        Args:
            events: what it held.
            seconds: from its first event read to its commit.
            waiting: whether it was ended with more events to read, as far as anybody knew.
        """
        if not waiting:
            if events < self.limit // 2:
                self.limit = max(self._least, self.limit // 2)
            return
        rate = events / seconds
        # The first transactions on a broker are several times slower: a size is judged by its second one, then by their average.
        again, self._last = self._last == self.limit, self.limit
        known = self._rates.get(self.limit)
        self._rates[self.limit] = known + (rate - known) / 4 if known and rate < 1.5 * known else rate
        self._since += 1
        if self._since >= _REMEMBERED:
            # Half the size first: where it is as good, it is better; where it is not, the way leads back and on to twice.
            self._rates, self._since = {self.limit: self._rates[self.limit]}, 0
            self.limit = max(self._least, self.limit // 2)
        elif again or seconds > self._seconds:
            self._move(seconds)

    def _move(self, seconds: float) -> None:
        here = self._rates[self.limit]
        smaller, larger = self._rates.get(self.limit // 2), self._rates.get(self.limit * 2)
        if seconds > self._seconds or (smaller is not None and here < smaller * _WORTH):
            self.limit = max(self._least, self.limit // 2)
        elif (
            self.limit * 2 <= self._most
            and self._doubled(seconds) <= self._seconds
            and (larger is None or larger > here * _WORTH)
        ):
            self.limit *= 2

    def _doubled(self, seconds: float) -> float:
        """How long twice the size will take: known, or less than twice as long where a line through half the size says so."""
        smaller, larger = self._rates.get(self.limit // 2), self._rates.get(self.limit * 2)
        if larger:
            return self.limit * 2 / larger
        return min(2 * seconds, max(seconds, 3 * seconds - self.limit / smaller)) if smaller else 2 * seconds
