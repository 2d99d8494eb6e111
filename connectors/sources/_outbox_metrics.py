"""What the outbox relay measures, and the one question that tells it how the outbox stands.

Labels are bounded: a department's code, and the names of errors. Neighbour: ``outbox`` counts and asks.
"""

from __future__ import annotations

from typing import Any

import psycopg
from prometheus_client import Counter, Gauge

from hutong.outbox import BUCKETS

__all__ = ["FAILED", "LOCKS", "OUTAGES", "PRESENT", "RELAYED", "look"]

RELAYED = Counter("hutong_outbox_relayed_events", "Outbox events that the brokers have confirmed.", ["department"])
FAILED = Counter("hutong_outbox_failed_events", "Outbox events that cannot be published, by the error.", ["department", "error"])
OUTAGES = Counter("hutong_outbox_outages", "Times that the relay lost the database or the bus and waited.", ["department"])
OLDEST = Gauge("hutong_outbox_oldest_seconds", "Age of the oldest event in the outbox; 0 when it is empty.", ["department"])
UNPUBLISHABLE = Gauge("hutong_outbox_unpublishable_events", "Failed events that are in the outbox now.", ["department"])
PENDING = Gauge("hutong_outbox_pending_rows", "Events in the outbox, counted up to 10,000.", ["department"])

LOCKS = "'hutong_outbox'::regclass::oid::integer"  # the advisory locks' first number: one set per outbox table
PRESENT = BUCKETS  # the lock that every relay holds, shared, to be counted
_COUNTED = 10_000  # more of them make counting, once a second, a burden to the department's database

_LOOK = f"""
SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = {PRESENT}
            AND classid = 'hutong_outbox'::regclass::oid
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
       (SELECT extract(epoch FROM now() - added)::float FROM hutong_outbox ORDER BY position LIMIT 1),
       (SELECT count(*) FROM hutong_outbox WHERE failed IS NOT NULL),
       (SELECT count(*) FROM (SELECT FROM hutong_outbox LIMIT {_COUNTED}) AS counted)
"""  # noqa: S608 - put together from constants


def look(connection: psycopg.Connection[Any], department: str) -> int:
    """Show how the outbox stands; returns how many relays there are."""
    relays, oldest, failed, pending = connection.execute(_LOOK).fetchone() or (1, None, 0, 0)
    OLDEST.labels(department).set(oldest or 0.0)
    UNPUBLISHABLE.labels(department).set(failed)
    PENDING.labels(department).set(pending)
    return max(1, int(relays))
