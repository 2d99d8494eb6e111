"""What is going to happen to a case, before it does: the events that departments publish, and what each of them waits for.

Nothing here depends on how fast the bus is. An event waits for what its department sees of the case, not for a moment, so which
answers come first, late or too late is decided here. Only the deadline of a whole case is a matter of time: whoever answers at
all does so many seconds before it. Neighbours: ``families`` and ``deceased`` invent plots, ``agencies`` plays them, ``verdict``
says how each must end.
"""

from __future__ import annotations

import pickle
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from demo.account import Committed

__all__ = ["DEATH", "VERIFICATION", "Deed", "Mark", "Plot", "new_id", "read_plots", "shares", "sources_of", "write_plots"]

VERIFICATION, DEATH = "low-income-verification", "death"

Mark = tuple[str, str]
"""Something that a department sees of a case: what (as progress names it), and about which question; empty where about none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """An event that a department publishes.

    Attributes:
        id: the event's id; a repetition has the id of what it repeats.
        contract: whose event.
        data: the event, without the numbers of case and question.
        ask: the question that it names; empty where it is no answer.
        after: what its department has to have seen, and how often.
        fate: ``source`` (no answer), ``counts``, ``same`` (an id that is known: nothing happens), or why it is refused.
    """

    id: str
    contract: str
    data: Mapping[str, Any]
    ask: str = ""
    after: Mapping[Mark, int] = field(default_factory=dict)
    fate: str = "source"

    @property
    def department(self) -> str:
        """Who publishes it."""
        return self.contract.rpartition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """One case.

    Attributes:
        flow: the flow.
        story: what is special about it.
        key: the case's key: application number, or the identity number of who died.
        slow: whether it waits for a deadline.
        deeds: everything that is published.
        asked: question -> agency, of all that must be asked.
        recalled: the questions that must be taken back.
        result: how it must end.
    """

    flow: str
    story: str
    key: str
    slow: bool
    deeds: tuple[Deed, ...]
    asked: Mapping[str, str]
    recalled: frozenset[str]
    result: str

    def answers(self) -> dict[str, Mapping[str, Any]]:
        """Question -> the answer that counts."""
        return {deed.ask: deed.data for deed in self.deeds if deed.fate == "counts"}

    def refused(self) -> Counter[str]:
        """Why -> how many answers must be refused on the case."""
        return Counter(deed.fate for deed in self.deeds if deed.fate not in ("source", "counts", "same", "unknown_case"))


def new_id(random: Random) -> str:
    """An event id that the seed decides."""
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def shares(stories: Mapping[str, float], count: int, rest: str) -> list[str]:
    """So many stories, each by its share and, where there is room, at least once; what is left over is ``rest``."""
    some = [story for story, share in stories.items() for _ in range(max(1, round(share * count)))][:count]
    return some + [rest] * (count - len(some))


def sources_of(plots: Sequence[Plot], keys: Mapping[str, str], published: Mapping[str, int]) -> list[Committed]:
    """What departments published of their own accord, no answers, in the order in which they did.

    Args:
        plots: the plots.
        keys: contract -> name of its key.
        published: event id -> its place in that order; an event that is not there comes last, and will be missed.
    """
    deeds = [deed for plot in plots for deed in plot.deeds if deed.fate == "source"]
    deeds.sort(key=lambda deed: published.get(deed.id, len(published)))
    return [
        Committed(
            id=deed.id,
            contract=deed.contract,
            key=str(deed.data[keys[deed.contract]]),
            key_field=keys[deed.contract],
            data=deed.data,
        )
        for deed in deeds
    ]


def write_plots(path: Path, plots: Sequence[Plot]) -> None:
    """Put plots down for who plays them; they appear whole, which is the sign to begin."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(pickle.dumps(list(plots), pickle.HIGHEST_PROTOCOL))
    draft.replace(path)


def read_plots(path: Path) -> list[Plot]:
    """Read them back."""
    plots: list[Plot] = pickle.loads(path.read_bytes())  # noqa: S301 - written a moment ago, by this demo, into its own directory
    return plots
