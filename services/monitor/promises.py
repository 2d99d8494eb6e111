"""The freshness that contracts promise, kept or broken: seconds summed up, for error budgets. Pure.

Neighbours: ``__main__`` notes every look, ``metrics`` exports the sums.
"""

from __future__ import annotations

from hutong.lag.snapshot import Snapshot

__all__ = ["Promises"]

_LONGEST = 30.0
"""Seconds that one look may speak for: what was not looked at for longer is neither kept nor broken."""


class Promises:
    """Seconds in which each agreement's freshness was within its objective, and beyond it."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, bool], float] = {}
        self._last: float | None = None

    def note(self, snapshot: Snapshot, now: float) -> None:
        """What was seen now holds for the time since the look before.

        Args:
            snapshot: what was seen.
            now: a clock that never goes back, seconds.
        """
        seconds = 0.0 if self._last is None else min(_LONGEST, now - self._last)
        self._last = now
        for name, one in snapshot.agreements.items():
            if one.kept is not None:
                for kept in (True, False):
                    self._sums[name, kept] = self._sums.get((name, kept), 0.0) + (seconds if one.kept is kept else 0.0)

    def sums(self) -> dict[tuple[str, bool], float]:
        """(agreement, kept) -> seconds; both are there for every agreement with a promise."""
        return dict(self._sums)
