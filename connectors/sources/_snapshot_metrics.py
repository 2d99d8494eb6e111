"""What taking snapshots measures. Labels are bounded: a contract's name, and what became of a change.

Neighbours: ``snapshot`` counts; a nightly job leaves a file for node_exporter's textfile collector (``snapshot_files``).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Metric, write_to_textfile

__all__ = ["REFUSED", "count", "write"]

CHANGES = Counter(
    "hutong_snapshot_changes",
    "Rows that differed from the snapshot before: created, changed, withdrawn; or not published: left_out, broken.",
    ["contract", "outcome"],
)
REFUSED = Counter("hutong_snapshot_refused", "Snapshots that looked truncated or broken and were not taken.", ["contract"])
TAKEN = Gauge("hutong_snapshot_last_taken_timestamp_seconds", "When the last snapshot was taken.", ["contract"])


def count(contract: str, outcomes: Mapping[str, int]) -> None:
    """A snapshot was taken, with so many rows of each outcome."""
    for outcome, number in outcomes.items():
        CHANGES.labels(contract, outcome).inc(number)
    TAKEN.labels(contract).set(time.time())


class _Own:
    """Hutong's metrics alone: node_exporter has its own ones of its process."""

    def collect(self) -> Iterator[Metric]:
        return (family for family in REGISTRY.collect() if family.name.startswith("hutong_"))


def write(file: Path) -> None:
    """Leave all that was counted, in one step."""
    own = CollectorRegistry()
    own.register(_Own())
    write_to_textfile(str(file), own)
