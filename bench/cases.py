"""What is measured: every case as a frozen value, with the targets that it is held against.

Neighbours: ``workload`` makes a case's agreements and events, ``measure`` runs contenders over it, ``report`` prints the targets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

__all__ = ["CASES", "OVERHEAD", "QUICK", "STEADY", "Case", "chosen"]

OVERHEAD = "metrics-overhead"

Rows = Literal["none", "region", "elsewhere"]
Size = Literal["small", "medium", "large"]

_EVERYONE = ("hutong", "kafka_streams", "raw_copy")
_WITHOUT_STREAMS = ("hutong", "raw_copy")  # at the largest sizes, where a round of it would take minutes
_QUICK_SCALE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One comparison.

    Attributes:
        name: as ``--case`` takes it.
        title: for people.
        events: how many events are published.
        size: of an event: small 200 B, medium 1 KB, large 10 KB.
        agreements: how many grant the contract.
        matching: how many of them match one event, where rows let any match.
        rows: no condition; one on the region; or one on a region where nothing happens.
        topics: destinations that the agreements share.
        partitions: of every topic.
        contenders: who takes part, in turn.
        copy_sizes: transaction sizes that the raw copy may choose its best from, in events.
        rounds: runs of each contender.
        targets: contender -> the least ratio that Hutong is to reach; of Hutong being watched, its ratio to Hutong alone.
        sampled_every: one event in so many has been chosen for tracing by its publisher.
        extra: only run when asked for by name.
    """

    name: str
    title: str
    events: int
    size: Size = "small"
    agreements: int = 3
    matching: int = 3
    rows: Rows = "none"
    topics: int = 3
    partitions: int = 2
    contenders: tuple[str, ...] = _EVERYONE
    copy_sizes: tuple[int, ...] = (10_000,)
    rounds: int = 3
    targets: Mapping[str, float] = field(default_factory=dict)
    sampled_every: int = 1
    extra: bool = False

    @property
    def fan_out(self) -> int:
        """Deliveries of each event."""
        return 0 if self.rows == "elsewhere" else self.matching

    @property
    def regions(self) -> int:
        """Regions that events come from."""
        return self.agreements // self.matching if self.rows == "region" else 1

    @property
    def contract(self) -> str:
        """Each case has a contract of its own, so that no case's agreements burden another."""
        return f"bench.registry.{self.name.replace('-', '_')}"

    @property
    def timeable_copy_sizes(self) -> tuple[int, ...]:
        """Those of which the case has enough transactions to time any."""
        return tuple(size for size in self.copy_sizes if 3 * size <= self.events) or (max(1, self.events // 4),)

    def scaled(self, factor: float) -> Case:
        """The same with more or fewer events."""
        return replace(self, events=max(1_000, int(self.events * factor)))


_FAN_OUT_EVENTS = {
    ("small", 1): 300_000,
    ("small", 3): 300_000,
    ("small", 10): 150_000,
    ("medium", 1): 150_000,
    ("medium", 3): 100_000,
    ("medium", 10): 45_000,
    ("large", 1): 30_000,
    ("large", 3): 20_000,
    ("large", 10): 12_000,
}
_SIZES: dict[Size, str] = {"small": "200 B", "medium": "1 KB", "large": "10 KB"}
_COPY_SIZES = {3: (10_000,), 100: (50_000,)}  # what was best of 10,000, 50,000 and 100,000; beyond it, the largest two are near


def _fan_out(size: Size, number: int) -> Case:
    return Case(
        name=f"fan-out-{number}-{size}",
        title=f"fan-out {number}, events of {_SIZES[size]}",
        events=_FAN_OUT_EVENTS[size, number],
        size=size,
        agreements=number,
        matching=number,
        topics=number,
        targets={"kafka_streams": 1.5, "raw_copy": 0.85} if (size, number) == ("small", 3) else {},
    )


def _python(number: int) -> Case:
    """Beside the frameworks in Python, which would take minutes for as many events as the others need to be timed."""
    case = _fan_out("small", number)
    contenders = ("hutong", "quix", "faust")
    title = f"{case.title}, few enough for Quix Streams and Faust"
    return replace(case, name=f"python-{number}", title=title, events=45_000, contenders=contenders, targets={})


def _agreements(number: int) -> Case:
    return Case(
        name=f"agreements-{number}",
        title=f"{number:,} agreements, each on one region, 3 match an event",
        events=150_000,
        agreements=number,
        rows="region",
        topics=min(30, number),
        partitions=1,
        contenders=_EVERYONE if number <= 1_000 else _WITHOUT_STREAMS,
        targets={1_000: {"raw_copy": 0.8}, 10_000: {"raw_copy": 0.7}}.get(number, {}),
    )


def _destinations(number: int) -> Case:
    return Case(
        name=f"destinations-{number}",
        title=f"{number:,} delivery topics, a county each",
        events=300_000 if number >= 1_000 else 200_000,  # enough for several of the large transactions that pay there
        agreements=number,
        matching=1,
        rows="region",
        topics=number,
        partitions=1,
        contenders=_EVERYONE if number <= 100 else _WITHOUT_STREAMS,
        copy_sizes=_COPY_SIZES.get(number, (50_000, 100_000)),
        targets={"raw_copy": 0.85} if number > 3 else {},
    )


_ALL = (
    *(_fan_out(size, number) for size in _SIZES for number in (1, 3, 10)),
    *(_python(number) for number in (1, 3)),
    *(_agreements(number) for number in (10, 100, 1_000, 10_000)),
    *(_destinations(number) for number in (3, 100, 1_000, 3_000)),
    Case(name="pass-all", title="3 agreements whose condition every event meets", events=150_000, rows="region"),
    Case(name="filter-all", title="3 agreements whose condition no event meets", events=1_500_000, rows="elsewhere"),
    Case(
        name="two-routers",
        title="fan-out 3, events of 200 B, one router and two",
        events=300_000,
        contenders=("hutong", "hutong_two"),
        targets={},
    ),
    Case(
        name=OVERHEAD,
        title="being watched: metrics read once a second, and one event in a hundred traced",
        events=300_000,
        contenders=("hutong", "hutong_scraped", "hutong_traced"),
        rounds=5,
        targets={"hutong_scraped": 0.97, "hutong_traced": 0.97},
        sampled_every=100,
        extra=True,
    ),
)

CASES: Mapping[str, Case] = {case.name: case for case in _ALL}
QUICK = "fan-out-3-small"
STEADY = Case(name="steady", title="fan-out 3, events of 200 B, published while they are routed", events=5_000)
"""What latency and endurance are measured on; its events are published again and again."""


def chosen(names: list[str], *, quick: bool, scale: float) -> list[Case]:
    """The cases of a run.

    Args:
        names: asked for by name; empty for all but the extra ones.
        quick: one case with few events, unless cases are named.
        scale: factor on the number of events.

    Raises:
        KeyError: there is no such case.
    """
    if quick:
        scale *= _QUICK_SCALE
    if names:
        cases = [CASES[name] for name in names]
    elif quick:
        cases = [CASES[QUICK]]
    else:
        cases = [case for case in CASES.values() if not case.extra]
    return [case.scaled(scale) for case in cases]
