"""The monitor's metrics page: made of the newest look at the bus when somebody asks for it.

What is known of one look is exported whole, or, when the last one is too long ago, not at all: no number rather than an old one.
Labels are bounded by the declarations, by topics and groups. Neighbours: ``promises`` sums up what time alone tells.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

from prometheus_client import Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from hutong.lag.snapshot import AgreementLag, Snapshot
from services.monitor.promises import Promises

__all__ = ["ROUND_SECONDS", "Page"]

ROUND_SECONDS = Histogram(
    "hutong_monitor_round_seconds",
    "Time of one look at the bus.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

Samples = Iterable[tuple[tuple[str, ...], float]]


class Page(Collector):
    """All that the monitor tells.

    Args:
        registry: where the page finds it.
        stale_seconds: after this long without a look nothing is told of what the last one saw.
    """

    def __init__(self, registry: CollectorRegistry, *, stale_seconds: float) -> None:
        self._stale_seconds = stale_seconds
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._seen = 0.0
        self._blind = False
        self._promises = Promises()
        self._registry_up: float | None = None
        registry.register(self)

    def show(self, snapshot: Snapshot) -> None:
        """The newest look."""
        now = time.monotonic()
        with self._lock:
            self._snapshot, self._seen, self._blind = snapshot, now, False
            self._promises.note(snapshot, now)

    def blind(self) -> None:
        """A look has failed: no broker answered."""
        self._blind = True

    def registry_answers(self, up: bool) -> None:
        """Whether the schema registry answers."""
        self._registry_up = float(up)

    def collect(self) -> Iterator[Metric]:
        """The newest look as Prometheus families."""
        with self._lock:
            snapshot, age, kept = self._snapshot, time.monotonic() - self._seen, self._promises.sums()
        if self._registry_up is not None:
            yield _gauge("registry_up", "1 while the schema registry answers, else 0.", [], [((), self._registry_up)])
        if snapshot is None:
            if self._blind:
                yield _gauge("brokers_in_service", "Brokers that answer.", [], [((), 0)])
            return
        yield _gauge(
            "monitor_last_round_timestamp_seconds", "When the bus was last looked at.", [], [((), snapshot.at_ms / 1000)]
        )
        brokers = 0 if self._blind else snapshot.brokers_in_service
        yield _gauge("brokers_in_service", "Brokers that answer.", [], [((), brokers)])
        yield _gauge(
            "brokers_expected", "Brokers that answer, or should hold a copy of something.", [], [((), snapshot.brokers_expected)]
        )
        yield from _declared(list(snapshot.agreements.values()))
        yield _kept(kept)
        yield _lost(snapshot)
        if age <= self._stale_seconds:
            yield from _delivery(list(snapshot.agreements.values()))
            yield from _taking(list(snapshot.agreements.values()))
            yield from _bus(snapshot)

    def describe(self) -> list[Metric]:
        """Nothing: the names are this class's alone, and the registry need not collect to find them."""
        return []


def _declared(agreements: list[AgreementLag]) -> Iterator[Metric]:
    """What follows from the declarations and the clock."""
    labels = ["agreement", "contract", "publisher", "recipient", "topic"]
    facts = [(one.agreement, one.contract, one.publisher, one.recipient, one.topic) for one in agreements]
    yield _gauge("agreement_info", "Every agreement, to join others with; always 1.", labels, [(fact, 1) for fact in facts])
    yield _gauge(
        "agreement_in_force",
        "1 while the agreement is in force, else 0.",
        ["agreement"],
        [((one.agreement,), one.in_force) for one in agreements],
    )
    yield _gauge(
        "agreement_valid_until_timestamp_seconds",
        "The first instant at which the agreement is no more in force; absent where it is open-ended.",
        ["agreement"],
        [((one.agreement,), one.valid_until_ms / 1000) for one in agreements if one.valid_until_ms is not None],
    )
    yield _gauge(
        "freshness_objective_seconds",
        "How old an event may get before it is delivered, as its contract promises; absent where it does not.",
        ["agreement"],
        [((one.agreement,), one.objective_seconds) for one in agreements if one.objective_seconds is not None],
    )


def _delivery(agreements: list[AgreementLag]) -> Iterator[Metric]:
    """What is published and not delivered."""
    measured = [((one.agreement,), one) for one in agreements if one.told]
    yield _gauge(
        "pending_deliveries", "Deliveries not made yet.", ["agreement"], [(key, one.delivery.count) for key, one in measured]
    )
    yield _gauge(
        "pending_exact",
        "1 where all that waits has been counted; 0 where the number is an estimate.",
        ["agreement"],
        [((one.agreement,), one.delivery.exact) for one in agreements],
    )
    yield _gauge(
        "delivery_freshness_seconds",
        "Age of the oldest event that is published and not delivered yet; 0 where none waits.",
        ["agreement"],
        [(key, one.freshness_seconds) for key, one in measured],
    )


def _taking(agreements: list[AgreementLag]) -> Iterator[Metric]:
    """What is delivered and not taken."""
    labels = ["agreement", "group"]
    taking = [((one.agreement, group), one, found) for one in agreements for group, found in one.taking.items() if found.measured]
    yield _gauge(
        "untaken_deliveries",
        "Deliveries that the recipient's group has not passed yet.",
        labels,
        [(key, found.count) for key, _, found in taking],
    )
    yield _gauge(
        "untaken_exact",
        "1 where all that waits has been counted; 0 where the number is an estimate.",
        labels,
        [(key, found.exact) for key, _, found in taking],
    )
    yield _gauge(
        "taking_freshness_seconds",
        "Age of the oldest delivery that the recipient's group has not passed yet; 0 where none waits.",
        labels,
        [(key, one.age(found)) for key, one, found in taking],
    )


def _bus(snapshot: Snapshot) -> Iterator[Metric]:
    """The bus itself."""
    yield _gauge(
        "contract_last_event_timestamp_seconds",
        "When the newest event of the contract was appended; absent where there is none.",
        ["contract"],
        [((name,), ms / 1000) for name, ms in snapshot.last_event_ms.items()],
    )
    yield _gauge(
        "quarantine_records",
        "Records that lie in quarantine.",
        ["contract"],
        [((name,), found.count) for name, found in snapshot.quarantined.items()],
    )
    yield _gauge(
        "stable_offset_behind_seconds",
        "For how long the topic's last stable offset has stood still behind its end.",
        ["topic"],
        [((name,), seconds) for name, seconds in snapshot.standing_seconds.items()],
    )
    yield _gauge("under_replicated_partitions", "Partitions with too few copies in step.", [], [((), snapshot.under_replicated)])
    yield _gauge(
        "group_members",
        "Members of a consumer group.",
        ["group"],
        [((name,), group.members) for name, group in snapshot.groups.items() if group.members is not None],
    )


def _kept(sums: dict[tuple[str, bool], float]) -> Metric:
    family = CounterMetricFamily(
        "hutong_freshness_sla_seconds",
        "Seconds in which the agreement's freshness was within its objective, and beyond it.",
        labels=["agreement", "kept"],
    )
    for (agreement, kept), seconds in sums.items():
        family.add_metric([agreement, str(kept).lower()], seconds)
    return family


def _lost(snapshot: Snapshot) -> Metric:
    family = CounterMetricFamily(
        "hutong_lost_to_retention",
        "Offsets that retention has deleted before the group passed them.",
        labels=["topic", "group"],
    )
    for group in snapshot.groups.values():
        for topic, count in group.lost.items():
            family.add_metric([topic, group.name], count)
    return family


def _gauge(name: str, text: str, labels: list[str], samples: Samples) -> Metric:
    family = GaugeMetricFamily(f"hutong_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(list(values), float(value))
    return family
