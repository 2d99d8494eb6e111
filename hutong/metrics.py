"""What the SDK counts about itself, in the process's own Prometheus registry: the application that embeds it exports it or not.

Neighbours: ``publisher`` and ``subscription`` count here; services have their own pages under ``runtime``.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterable
from functools import cache
from typing import Protocol
from weakref import WeakSet

from prometheus_client import Counter, Gauge, Histogram, Metric

__all__ = [
    "DUPLICATES",
    "FAILURES",
    "PUBLISHED",
    "PUBLISH_SECONDS",
    "RECEIVED",
    "RECEIVED_SECONDS",
    "UNDECODABLE",
    "VIOLATIONS",
    "Confirmations",
    "confirmations",
    "count_pending",
]


class _Published(Counter):
    """Counts what is waiting to be counted whenever somebody looks."""

    def collect(self) -> Iterable[Metric]:
        for waiting in list(_EVERY):
            waiting.count()
        return super().collect()


class _Seconds(Histogram):
    def observe_all(self, amounts: list[float]) -> None:
        """As ``observe`` for each: one bucket at a time, not one amount. One below 0, of clocks that differ, counts as 0."""
        ordered, done = sorted(amounts), 0
        if ordered and ordered[0] < 0:
            ordered = [max(0.0, amount) for amount in ordered]
        self._sum.inc(sum(ordered))
        for number, bound in enumerate(self._upper_bounds):
            below = bisect_right(ordered, bound)
            if below > done:
                self._buckets[number].inc(below - done)
                done = below


PUBLISHED = _Published("hutong_published_events", "Events that the brokers have confirmed.", ["contract"])
VIOLATIONS = Counter(
    "hutong_contract_violations", "Events that were refused before sending, by the rule they broke.", ["contract", "rule"]
)
FAILURES = Counter("hutong_publish_failures", "Events that were sent and not confirmed.", ["contract"])
PUBLISH_SECONDS = _Seconds(
    "hutong_publish_seconds",
    "Time from publish to the brokers' confirmation.",
    # A confirmation takes a few milliseconds; a minute means that a broker was away.
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
QUEUE_DEPTH = Gauge("hutong_publish_queue_depth", "Events of this process that are neither confirmed nor refused yet.")
RECEIVED = Counter("hutong_received_events", "Events handed to the application.", ["topic"])
RECEIVED_SECONDS = _Seconds(
    "hutong_received_latency_seconds",
    "From the event's time, which is the publisher's, until it was handed to the application.",
    ["agreement"],
    # Milliseconds where all is well; minutes where somebody was away; a day where an event tells of yesterday.
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60, 600, 3600, 86_400),
)
DUPLICATES = Counter("hutong_duplicate_events", "Events that came again and were left out.", ["topic"])
UNDECODABLE = Counter("hutong_undecodable_events", "Records that are no readable event and were skipped.", ["topic"])


class _Pending(Protocol):
    @property
    def pending(self) -> int: ...


_publishers: WeakSet[_Pending] = WeakSet()
_lock = threading.Lock()


def count_pending(publisher: _Pending) -> None:
    """Count this publisher's events among those of the process that wait for the brokers, for as long as it lives."""
    with _lock:
        _publishers.add(publisher)


def _all_pending() -> int:
    with _lock:
        return sum(publisher.pending for publisher in _publishers)


QUEUE_DEPTH.set_function(_all_pending)

_MANY = 250  # counted together: each metric has a lock, and confirmations come tens of thousands a second
_EVERY: list[Confirmations] = []


class Confirmations:
    """Confirmations of one contract's events, counted many at a time. May be used from several threads."""

    def __init__(self, contract: str) -> None:
        self._published = PUBLISHED.labels(contract)
        self._latencies: list[float] = []
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        """One event was confirmed so long after it was published."""
        latencies = self._latencies
        latencies.append(seconds)
        if len(latencies) >= _MANY:
            self.count()

    def count(self) -> None:
        """Put into the metrics what was added."""
        if not self._latencies:
            return
        with self._lock:
            some = self._latencies[:]
            del self._latencies[: len(some)]  # another thread may have added since
        self._published.inc(len(some))
        PUBLISH_SECONDS.observe_all(some)


@cache
def confirmations(contract: str) -> Confirmations:
    """The one of a contract."""
    found = Confirmations(contract)
    _EVERY.append(found)
    return found
