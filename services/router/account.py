"""The router's account: every event and what became of it, kept as plain sums and told when the metrics page is asked for.

It adds up for every agreement at every moment: events asked = delivered + filtered + quarantined for it. ``filtered`` is not
counted but is what is left, so a batch costs what it delivers, not how many agreements there are. Neighbours: ``handler`` fills a
``Tally`` per batch and enters it once the batch is committed; ``metrics`` has what is no sum.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from hutong.transcode.routing import RoutingTable

__all__ = ["Account", "Tally"]


class Tally:
    """Sums of one batch, entered only when it is committed: an aborted transaction counts nothing.

    Attributes:
        events: topic -> events read.
        delivered: agreement -> deliveries.
        failed: agreement -> events quarantined for it alone.
        quarantined: (contract, reason) -> quarantine records.
        asked: the tables that the batch was routed by, in order, each with topic -> events that its agreements were asked about.
        oldest_ms: append time of the oldest event.
    """

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.delivered: dict[str, int] = {}
        self.failed: Counter[str] = Counter()
        self.quarantined: Counter[tuple[str, str]] = Counter()
        self.asked: list[tuple[RoutingTable, Counter[str]]] = []
        self.oldest_ms = 2**63

    def under(self, table: RoutingTable) -> Counter[str]:
        """Where to count, by topic, the events that this table's agreements are asked about."""
        if not self.asked or self.asked[-1][0] is not table:
            self.asked.append((table, Counter()))
        return self.asked[-1][1]


class Account(Collector):
    """All sums since the router began.

    Args:
        registry: where the page finds it.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lock = threading.Lock()  # the page is made in another thread; it must not see half a batch
        self._events: Counter[str] = Counter()
        self._delivered: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._quarantined: Counter[tuple[str, str]] = Counter()
        self._asked: Counter[str] = Counter()  # topic -> events, since the router began
        self._table: RoutingTable | None = None
        self._entered: dict[str, tuple[str, int]] = {}  # agreement in the table -> (its topic, what that had when it came)
        self._settled: Counter[str] = Counter()  # agreement -> events asked in the times before, when it came and went
        registry.register(self)

    def enter(self, tally: Tally) -> None:
        """Add a committed batch."""
        with self._lock:
            self._events.update(tally.events)
            self._delivered.update(tally.delivered)
            self._failed.update(tally.failed)
            self._quarantined.update(tally.quarantined)
            for table, asked in tally.asked:
                if table is not self._table:
                    self._change(table)
                self._asked.update(asked)

    def _change(self, table: RoutingTable) -> None:
        """Agreements come and go: what was asked before an agreement came, or after it went, is nothing to it."""
        topics = {name: f"pub.{contract}" for name, contract in table.contracts().items()}
        for name, (topic, since) in list(self._entered.items()):
            if topics.get(name) != topic:
                self._settled[name] += self._asked[topic] - since
                del self._entered[name]
        for name, topic in topics.items():
            if name not in self._entered:
                self._entered[name] = (topic, self._asked[topic])
        self._table = table

    def collect(self) -> Iterator[Metric]:
        """The sums as Prometheus counters."""
        with self._lock:
            events, delivered, failed = dict(self._events), dict(self._delivered), dict(self._failed)
            quarantined, filtered, now = dict(self._quarantined), dict(self._settled), dict(self._asked)
            entered = dict(self._entered)
        for name, (topic, since) in entered.items():
            filtered[name] = filtered.get(name, 0) + now.get(topic, 0) - since
        for name in filtered:
            filtered[name] -= delivered.get(name, 0) + failed.get(name, 0)
        by_contract = {(topic.removeprefix("pub."),): count for topic, count in events.items()}
        yield _family("events", "Events read from publishers' topics.", ["contract"], by_contract)
        yield _family("deliveries", "Deliveries made, in committed transactions.", ["agreement"], _alone(delivered))
        yield _family("filtered", "Events that an agreement does not grant.", ["agreement"], _alone(filtered))
        yield _family("quarantined", "Events put into quarantine, by reason.", ["contract", "reason"], quarantined)

    def describe(self) -> list[Metric]:
        """Nothing: the names are this class's alone, and the registry need not collect to find them."""
        return []


def _alone(counts: dict[str, int]) -> dict[tuple[str], int]:
    return {(name,): count for name, count in counts.items()}


def _family(name: str, text: str, labels: list[str], counts: dict[tuple[str], int] | dict[tuple[str, str], int]) -> Metric:
    family = CounterMetricFamily(f"hutong_router_{name}", text, labels=labels)
    for values, count in counts.items():
        family.add_metric(list(values), count)
    return family
