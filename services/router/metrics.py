"""What the router measures. Labels are bounded by the declarations and free of personal data.

Neighbours: ``account`` keeps the sums of events, deliveries and quarantine; here is the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client import Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = [
    "AGREEMENTS",
    "BATCH_EVENTS",
    "BATCH_SECONDS",
    "REVOCATION_SECONDS",
    "ROUTE_SECONDS",
    "TABLE_SECONDS",
    "TransactionCollector",
]

BATCH_EVENTS = Histogram(
    "hutong_router_batch_events", "Events in a transaction.", buckets=(1, 10, 100, 1_000, 5_000, 20_000, 100_000)
)
BATCH_SECONDS = Histogram(
    "hutong_router_batch_seconds",
    "Time of a transaction, from its first event read to its commit.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
ROUTE_SECONDS = Histogram(
    "hutong_router_latency_seconds",
    "From an event's append to its topic until its deliveries are committed; the oldest event of each transaction.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600),
)
AGREEMENTS = Gauge("hutong_router_agreements", "Agreements known to this router.")
TABLE_SECONDS = Histogram(
    "hutong_router_table_seconds", "Time to compile a changed set of agreements.", buckets=(0.001, 0.01, 0.1, 0.5, 1, 5)
)
REVOCATION_SECONDS = Histogram(
    "hutong_router_revocation_seconds",
    "From the append of a changed or revoked agreement to the control topic until the router's table is without it.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)


class _Step(Protocol):
    """Of ``hutong.kafka.transaction.TransactionalStep`` as much as is needed here."""

    outcomes: dict[str, int]

    @property
    def rebalances(self) -> dict[str, int]: ...

    def queued(self) -> int: ...


class TransactionCollector(Collector):
    """What the exactly-once step counts of itself.

    Args:
        step: the router's.
    """

    def __init__(self, step: _Step) -> None:
        self._step = step

    def collect(self) -> Iterator[Metric]:
        """The sums as Prometheus takes them."""
        yield _counter("transactions", "Transactions, by how they ended.", "outcome", self._step.outcomes)
        yield _counter("rebalances", "Changes of the router's share of partitions.", "kind", self._step.rebalances)
        queued = self._step.queued()
        yield GaugeMetricFamily("hutong_router_queue_depth", "Records that are produced and not acknowledged.", value=queued)

    def describe(self) -> list[Metric]:
        """Nothing: the names are this class's alone."""
        return []


def _counter(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(f"hutong_router_{name}", text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
