"""What the router measures. Labels are bounded by the declarations and free of personal data.

Neighbours: ``account`` keeps the sums of events, deliveries and quarantine; here is the rest.
"""

from __future__ import annotations

from prometheus_client import Gauge, Histogram

__all__ = [
    "AGREEMENTS",
    "BATCH_EVENTS",
    "BATCH_SECONDS",
    "ROUTE_SECONDS",
    "TABLE_SECONDS",
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
