"""When which case has to be looked at though nothing came: a heap of the moments of this coordinator's cases, and how they stand.

It holds what is open only. Neighbours: ``cases`` changes them, ``app`` fills this after every change of partitions and sends the
clock's records to the inbox.
"""

from __future__ import annotations

import heapq
from collections.abc import Container
from dataclasses import dataclass

from hutong.flows.case import Case, next_due
from services.coordinator.metrics import Standing

__all__ = ["Wakeups", "is_closed"]

_AGAIN_MS = 5_000  # a clock's record that has changed nothing by then is sent again: doubled every time
_LONGEST_MS = 600_000
_STATUS, _CLOSED = b'"status":', b'"closed"'


@dataclass(slots=True)
class _Watched:
    flow: str
    opened_ms: int
    late: bool
    due_ms: int | None
    tries: int = 0


class Wakeups:
    """The open cases of this coordinator's partitions."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._heap: list[tuple[int, str, int]] = []

    def __len__(self) -> int:
        return len(self._watched)

    def clear(self) -> None:
        """Forget all: the partitions are others now."""
        self._watched, self._heap = {}, []

    def watch(self, number: str, case: Case) -> None:
        """Take a case as it is now."""
        if case["status"] == "closed":
            self._watched.pop(number, None)
            return
        due = next_due(case)
        known = self._watched.get(number)
        late = any(one["status"] == "late" for one in case["questions"].values())
        if known is not None and known.due_ms == due:
            known.late, known.opened_ms = late, case["opened_ms"]
            return
        self._watched[number] = _Watched(case["flow"], case["opened_ms"], late, due)
        if due is not None:
            heapq.heappush(self._heap, (due, number, due))

    def find(self, number: str, case: Case) -> None:
        """Take a case from the store, unless it has come along since the looking through began."""
        if number not in self._watched:
            self.watch(number, case)

    def due(self, now_ms: int, flows: Container[str]) -> list[tuple[str, str, int]]:
        """The cases whose moment has come: (number, flow, moment). They come again, later and later, until they have changed.

        Args:
            now_ms: the clock.
            flows: the cases of others rest.
        """
        found: list[tuple[str, str, int]] = []
        while self._heap and self._heap[0][0] <= now_ms:
            _, number, due = heapq.heappop(self._heap)
            watched = self._watched.get(number)
            if watched is None or watched.due_ms != due:
                continue
            if watched.flow in flows:
                found.append((number, watched.flow, due))
            heapq.heappush(self._heap, (now_ms + min(_LONGEST_MS, _AGAIN_MS * 2**watched.tries), number, due))
            watched.tries = min(watched.tries + 1, 10)
        return found

    def standing(self) -> dict[str, Standing]:
        """How the open cases of each flow stand."""
        found: dict[str, Standing] = {}
        for one in self._watched.values():
            known = found.get(one.flow)
            if known is None:
                found[one.flow] = Standing(1, int(one.late), one.opened_ms)
            else:
                found[one.flow] = Standing(known.open + 1, known.late + one.late, min(known.oldest_ms, one.opened_ms))
        return found


def is_closed(stored: bytes) -> bool:
    """Whether a stored case is closed, without reading it: most are.

    Before the status stand a number (format) and texts (flow, number, key), and a text cannot hold a quotation mark that is not
    escaped.
    """
    at = stored.find(_STATUS)
    return at >= 0 and stored.startswith(_CLOSED, at + len(_STATUS))
