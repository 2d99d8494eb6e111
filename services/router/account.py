"""The router's account: every event and what became of it, kept as plain sums and told when the metrics page is asked for.

It adds up for every agreement at every moment: events asked = delivered + filtered + quarantined for it. ``filtered`` is not
counted but is what is left, so a batch costs what it delivers, not how many agreements there are. Deliveries are counted in the
bucket of their latency, those of about the same age together, so latency costs nothing beside. Neighbours: ``handler`` fills a
``Tally`` per batch and enters it once the batch is committed; ``metrics`` has what is no sum.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from hutong.transcode.routing import RoutingTable

__all__ = ["Account", "Tally"]

_BOUNDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0)  # seconds; few, since each agreement has a series for each
_NAMES = (*map(str, _BOUNDS), "+Inf")
_LATENCY = "From an event's append to its topic until its delivery is committed; of events of about one age, as the oldest."
_ABOUT_MS, _ABOUT_PART = 5, 8  # ages that differ by less than this, or by less than this part, are "about the same"


class Tally:
    """Sums of one batch, entered only when it is committed: an aborted transaction counts nothing.

    Attributes:
        events: topic -> events read.
        delivered: agreement -> deliveries, of the events that are being handled.
        made: all deliveries, those of events of about one age together: append time of the oldest, and agreement -> deliveries.
        failed: agreement -> events quarantined for it alone.
        quarantined: (contract, reason) -> quarantine records.
        asked: the tables that the batch was routed by, in order, each with topic -> events that its agreements were asked about.
        oldest_ms: append time of the oldest event.
    """

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        self.delivered: dict[str, int] = {}
        self.made: list[tuple[int, dict[str, int]]] = [(2**63, self.delivered)]
        self.failed: Counter[str] = Counter()
        self.quarantined: Counter[tuple[str, str]] = Counter()
        self.asked: list[tuple[RoutingTable, Counter[str]]] = []
        self.oldest_ms = 2**63

    def of_age(self, oldest_ms: int, now_ms: int) -> None:
        """What is delivered from here on is of events of which the oldest was appended then.

        Args:
            oldest_ms: ms since the epoch.
            now_ms: the router's clock.
        """
        self.oldest_ms = min(self.oldest_ms, oldest_ms)
        known, delivered = self.made[-1]
        if not delivered:
            self.made[-1] = (oldest_ms, delivered)
        elif abs(known - oldest_ms) <= max(_ABOUT_MS, (now_ms - oldest_ms) // _ABOUT_PART):
            self.made[-1] = (min(known, oldest_ms), delivered)
        else:
            self.delivered = {}
            self.made.append((oldest_ms, self.delivered))

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
        self._delivered: dict[str, list[int]] = {}  # agreement -> deliveries in each bucket of latency, not yet added up
        self._latency_ms: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()
        self._quarantined: Counter[tuple[str, str]] = Counter()
        self._asked: Counter[str] = Counter()  # topic -> events, since the router began
        self._table: RoutingTable | None = None
        self._entered: dict[str, tuple[str, int]] = {}  # agreement in the table -> (its topic, what that had when it came)
        self._settled: Counter[str] = Counter()  # agreement -> events asked in the times before, when it came and went
        registry.register(self)

    def enter(self, tally: Tally, now_ms: int) -> None:
        """Add a committed batch.

        Args:
            tally: the batch.
            now_ms: when it was committed.
        """
        with self._lock:
            self._events.update(tally.events)
            for oldest_ms, delivered in tally.made:
                self._deliver(max(0, now_ms - oldest_ms), delivered)
            self._failed.update(tally.failed)
            self._quarantined.update(tally.quarantined)
            for table, asked in tally.asked:
                if table is not self._table:
                    self._change(table)
                self._asked.update(asked)

    def _deliver(self, latency_ms: int, delivered: dict[str, int]) -> None:
        bucket = bisect_left(_BOUNDS, latency_ms / 1000)
        known, sums = self._delivered, self._latency_ms
        for name, count in delivered.items():
            row = known.get(name)
            if row is None:
                row = known[name] = [0] * len(_NAMES)
            row[bucket] += count
            sums[name] += count * latency_ms

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
            events, failed = dict(self._events), dict(self._failed)
            buckets, latency_ms = {name: row.copy() for name, row in self._delivered.items()}, dict(self._latency_ms)
            quarantined, filtered, now = dict(self._quarantined), dict(self._settled), dict(self._asked)
            entered = dict(self._entered)
        delivered = {name: sum(row) for name, row in buckets.items()}
        for name, (topic, since) in entered.items():
            filtered[name] = filtered.get(name, 0) + now.get(topic, 0) - since
        for name in filtered:
            filtered[name] -= delivered.get(name, 0) + failed.get(name, 0)
        by_contract = {(topic.removeprefix("pub."),): count for topic, count in events.items()}
        yield _family("events", "Events read from publishers' topics.", ["contract"], by_contract)
        yield _family("deliveries", "Deliveries made, in committed transactions.", ["agreement"], _alone(delivered))
        yield _family("filtered", "Events that an agreement does not grant.", ["agreement"], _alone(filtered))
        yield _family("quarantined", "Events put into quarantine, by reason.", ["contract", "reason"], quarantined)
        yield _latencies(buckets, latency_ms)

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


def _latencies(buckets: dict[str, list[int]], latency_ms: dict[str, int]) -> Metric:
    family = HistogramMetricFamily("hutong_router_delivery_latency_seconds", _LATENCY, labels=["agreement"])
    for name, row in buckets.items():
        shown = list(zip(_NAMES, accumulate(row), strict=True))
        family.add_metric([name], buckets=shown, sum_value=latency_ms[name] / 1000)
    return family
