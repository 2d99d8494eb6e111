"""Plots being played: each department publishes when it has seen what it waits for. Knows no bus.

Only so many cases are under way at a time, so that a slow machine takes longer instead of making answers late. Neighbours:
``plot`` says what happens, ``agencies`` brings what departments see and publishes what they do.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from demo.plot import DEATH, VERIFICATION, Deed, Mark, Plot

__all__ = ["Play"]

_UNHEARD = 60  # cases begun of which nothing has been seen yet
_OPEN = 150  # cases under way that wait for nothing but answers: some three seconds of work on two cores
_OLDEST_SECONDS = 6.0  # no case begins while another one takes longer; all have 15 s
_PREFIXES = {VERIFICATION: "VER", DEATH: "DTH"}


@dataclass(slots=True)
class _Part:
    plot: Plot
    left: list[Deed]
    refused: int
    began: float = 0.0
    number: str = ""
    seen: Counter[Mark] = field(default_factory=Counter)
    asked: dict[str, str] = field(default_factory=dict)

    @property
    def closed(self) -> bool:
        return self.seen["CLOSED", ""] > 0

    @property
    def finished(self) -> bool:
        refused = sum(count for (what, _), count in self.seen.items() if what == "REFUSED")
        return self.closed and not self.left and refused >= self.refused


class Play:
    """All plots at once.

    Args:
        plots: in the order in which they begin.
        publish: publishes a deed with its data.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        plots: Iterable[Plot],
        publish: Callable[[Deed, dict[str, Any]], object],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._publish, self._now = publish, now
        self._waiting = deque(_Part(plot, list(plot.deeds), plot.refused().total()) for plot in plots)
        self._begun: list[_Part] = []
        self._by_number: dict[str, _Part] = {}
        self._by_person: dict[str, _Part] = {}
        self._early: dict[str, list[Mark]] = defaultdict(list)

    @property
    def begun(self) -> int:
        """How many cases have begun."""
        return len(self._begun)

    @property
    def closed(self) -> int:
        """How many cases are closed."""
        return sum(part.closed for part in self._begun)

    @property
    def finished(self) -> bool:
        """Whether everything has been published, and its effect seen."""
        return not self._waiting and all(part.finished for part in self._begun)

    def begin(self) -> None:
        """Begin as many more cases as there is room for."""
        unheard = sum(not part.seen for part in self._begun)
        running = [part.began for part in self._begun if not part.plot.slow and not part.closed]
        if running and self._now() - min(running) > _OLDEST_SECONDS:
            return
        while self._waiting and unheard < _UNHEARD and len(running) < _OPEN:
            part = self._waiting.popleft()
            part.began = self._now()
            self._begun.append(part)
            unheard += 1
            if not part.plot.slow:
                running.append(part.began)
            if part.plot.flow == VERIFICATION:
                part.number = f"VER-{part.plot.key}"
                self._by_number[part.number] = part
            else:
                self._by_person[part.plot.key] = part
            self._go_on(part)

    def question(self, data: Mapping[str, Any]) -> None:
        """An agency has received a question."""
        number = data["case_number"]
        part = self._by_number.get(number) or self._by_person.get(data["persons"][0]["identity_number"])
        if part is None:
            return  # somebody else's case; the account will say so
        part.number = number
        self._by_number[number] = part
        for mark in self._early.pop(number, ()):
            part.seen[mark] += 1
        if not data["reminder"] and not data["withdrawn"]:
            ask = data["question_number"].removeprefix(f"{number}-")
            part.asked[ask] = data["question_number"]
            part.seen["ASKED", ask] += 1
        self._go_on(part)

    def progress(self, data: Mapping[str, Any]) -> None:
        """A step of a case was seen."""
        what = data["what"]
        if what == "ASKED":
            return  # counts when the question is there
        mark = ("ANSWERED" if what == "ANSWERED_LATE" else what, data["ask"] or "")
        part = self._by_number.get(data["case_number"])
        if part is None:
            self._early[data["case_number"]].append(mark)
            return
        part.seen[mark] += 1
        self._go_on(part)

    def _go_on(self, part: _Part) -> None:
        ready = [deed for deed in part.left if all(part.seen[mark] >= count for mark, count in deed.after.items())]
        part.left = [deed for deed in part.left if deed not in ready]
        for deed in ready:
            self._publish(deed, self._data(part, deed))

    def _data(self, part: _Part, deed: Deed) -> dict[str, Any]:
        if deed.fate == "source":
            return dict(deed.data)
        if deed.fate == "unknown_case":
            number = f"{_PREFIXES[part.plot.flow]}-{'0' * 20}"
            return {**deed.data, "case_number": number, "question_number": f"{number}-{deed.ask}"}
        return {**deed.data, "case_number": part.number, "question_number": part.asked[deed.ask]}
