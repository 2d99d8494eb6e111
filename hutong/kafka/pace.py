"""How many events a transaction holds: as many as pay, found by trying.

A transaction costs the brokers time for every partition that it touches, so a router with thousands of destinations needs large
ones and a router with three does not; how large depends on the brokers too. Larger ones make deliveries wait longer, so growth
ends where it gains little; and where some departments have a backlog and others have none, those others do not wait for it.
Pure: no clock, no Kafka. Neighbours: ``transaction`` asks and tells.
"""

from __future__ import annotations

__all__ = ["Pace"]

_FIRST = 5_000  # events; light traffic never needs more, and a burst after it begins with this
_WORTH = 1.04  # twice the size must gain at least this factor; with less, what a transaction costs is below a tenth already
_REMEMBERED = 20  # full transactions after which the sizes around are tried again: traffic and brokers change
_NOISE = 1.5  # rates that differ by less than this factor may be the same
_RISK = 2.0  # a leap that turns out wrong may take so many times the wanted time; the brokers wait three times as long


class Pace:
    """The size of transactions, doubled and halved by what it brings.

    Where ending a transaction takes longer than filling it, size costs little: then it leaps, because with thousands of
    destinations each step takes seconds.

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
        self._filled: float | None = None
        self._allowed = most
        self._ending = 0.0  # seconds that ending a transaction took of late
        self._cut = False
        self.limit = self._least = min(_FIRST, most)

    def room(self, events: int, seconds: float, *, crowded: bool = False) -> int:
        """How many more events an open transaction takes; 0 ends it.

        Args:
            events: what it holds.
            seconds: since it began.
            crowded: whether it holds all that some departments have, while others have more: whoever has no backlog waits for
                the transaction before and for its own, so it is filled for no longer than ending it takes. That costs half the
                rate, of those who have a backlog.
        """
        self._filled = seconds
        if crowded and seconds >= self._ending:
            self._cut = True
            return 0
        return 0 if seconds >= self._seconds else max(0, self.limit - events)

    def done(self, events: int, seconds: float, *, waiting: bool) -> None:
        """Learn from a committed transaction.

        Args:
            events: what it held.
            seconds: from its first event read to its commit.
            waiting: whether it was ended with more events to read, as far as anybody knew.
        """
        # Where nobody asked for room, all of it counts as filling: the careful guess.
        filling, self._filled = seconds if self._filled is None else min(self._filled, seconds), None
        self._ending += (seconds - filling - self._ending) / 4
        cut, self._cut = self._cut, False
        if cut:
            return  # it says nothing of the size that pays
        if not waiting:
            if events < self.limit // 2:
                self.limit = max(self._least, self.limit // 2)
            return
        rate = events / seconds
        # The first transactions on a broker are several times slower: a size is judged by its second one, then by their average.
        again, self._last = self._last == self.limit, self.limit
        known = self._rates.get(self.limit)
        self._rates[self.limit] = known + (rate - known) / 4 if known and rate < _NOISE * known else rate
        if self._rates.get(self.limit * 2, rate) * _NOISE < rate:
            del self._rates[self.limit * 2]  # twice as many never take more than twice as long: that was another time
        self._since += 1
        if self._since >= _REMEMBERED:
            # Half the size first: where it is as good, it is better; where it is not, the way leads back and on to twice.
            self._rates, self._since, self._allowed = {self.limit: self._rates[self.limit]}, 0, self._most
            self.limit = max(self._least, self.limit // 2)
        elif (leap := self._leap(filling, seconds)) > self.limit:
            self.limit = leap
        elif again or seconds > self._seconds:
            self._move(filling, seconds)

    def failed(self, events: int) -> None:
        """Learn from a transaction that failed or timed out: half the size, and no more than that for a while.

        Args:
            events: what it held. Where that was little, its size was not the reason.
        """
        self._filled, self._cut = None, False
        if events > self.limit // 2:
            self.limit = self._allowed = max(self._least, self.limit // 2)
            self._since = 0

    def _leap(self, filling: float, seconds: float) -> int:
        """The size at which filling will take as long as ending does now, as far as nothing speaks against it."""
        ending, factor = seconds - filling, 1
        while (
            filling * factor < ending
            and filling * factor * 2 + ending <= self._seconds
            and seconds * factor * 2 <= self._seconds * _RISK
            and self.limit * factor * 2 <= self._allowed
            and self.limit * factor * 2 not in self._rates
        ):
            factor *= 2
        return self.limit * factor

    def _move(self, filling: float, seconds: float) -> None:
        here = self._rates[self.limit]
        smaller, larger = self._rates.get(self.limit // 2), self._rates.get(self.limit * 2)
        if seconds > self._seconds or (smaller is not None and here < smaller * _WORTH):
            self.limit = max(self._least, self.limit // 2)
        elif (
            self.limit * 2 <= self._allowed
            and self._doubled(filling, seconds) <= self._seconds
            and (larger is None or larger > here * _WORTH)
        ):
            self.limit *= 2

    def _doubled(self, filling: float, seconds: float) -> float:
        """How long twice the size will take: known, else twice as long to fill, or less by a line through half the size."""
        smaller, larger = self._rates.get(self.limit // 2), self._rates.get(self.limit * 2)
        if larger:
            return self.limit * 2 / larger
        guess = seconds + filling
        return min(guess, max(seconds, 3 * seconds - self.limit / smaller)) if smaller else guess
