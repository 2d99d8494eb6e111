"""What the SDK counts about itself, in the process's own Prometheus registry: the application that embeds it exports it or not.

Neighbours: ``publisher`` and ``subscription`` count here; services have their own pages under ``runtime``.
"""

from __future__ import annotations

from prometheus_client import Counter, Histogram

__all__ = ["DUPLICATES", "FAILURES", "PUBLISHED", "PUBLISH_SECONDS", "RECEIVED", "UNDECODABLE", "VIOLATIONS"]

PUBLISHED = Counter("hutong_published_events", "Events that the brokers have confirmed.", ["contract"])
VIOLATIONS = Counter(
    "hutong_contract_violations", "Events that were refused before sending, by the rule they broke.", ["contract", "rule"]
)
FAILURES = Counter("hutong_publish_failures", "Events that were sent and not confirmed.", ["contract"])
PUBLISH_SECONDS = Histogram(
    "hutong_publish_seconds",
    "Time from publish to the brokers' confirmation.",
    # A confirmation takes a few milliseconds; a minute means that a broker was away.
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
RECEIVED = Counter("hutong_received_events", "Events handed to the application.", ["topic"])
DUPLICATES = Counter("hutong_duplicate_events", "Events that came again and were left out.", ["topic"])
UNDECODABLE = Counter("hutong_undecodable_events", "Records that are no readable event and were skipped.", ["topic"])
