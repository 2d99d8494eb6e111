"""What the sources committed: read from the departments' own tables and from the register's issues, never from the bus.

Neighbours: ``systems`` know how a row becomes an event, ``register`` knows the issues, ``account`` compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import psycopg
from psycopg.rows import dict_row

from demo.account import Committed
from demo.register import Revision
from demo.systems.application import System

__all__ = ["DIVISIONS", "committed_by", "refused_by", "register_changes", "register_events"]

DIVISIONS = "mca.divisions.division_changed"
"""The contract of the register's changes."""


def committed_by(system: System, connection: psycopg.Connection) -> Iterator[Committed]:
    """The events of a department, each computed from its row, in the order of entry per contract."""
    for book in system.books:
        with connection.cursor(row_factory=dict_row) as cursor:
            for row in cursor.execute(book.journal.encode()):
                data = book.event(row)
                key = str(data[book.key])
                yield Committed(id=row["event_id"], contract=book.contract, key=key, key_field=book.key, data=data)


def refused_by(connection: psycopg.Connection) -> int:
    """How many entries the contracts refused at the counter."""
    row = connection.execute("SELECT count(*) FROM refused_entry").fetchone()
    return int(row[0]) if row else 0


def register_changes(issues: Sequence[Revision]) -> Iterator[dict[str, str | None]]:
    """The changes from one issue of the register to the next, from an empty register on."""
    empty = Revision(issue="", divisions={})
    for before, after in pairwise([empty, *issues]):
        for code in sorted(before.divisions.keys() | after.divisions.keys()):
            old, new = before.divisions.get(code), after.divisions.get(code)
            if old != new:
                change = "CREATED" if old is None else "WITHDRAWN" if new is None else "RENAMED"
                yield {"code": code, "name": new, "change": change, "revision": after.issue, "previous_name": old}


def register_events(issues: Sequence[Revision], ids: Mapping[tuple[str, str], str]) -> Iterator[Committed]:
    """The register's changes as events.

    Args:
        issues: the issues, the oldest first.
        ids: (code, issue) -> the event id that the connector gave it; a change without one was never published.
    """
    for data in register_changes(issues):
        code, issue = str(data["code"]), str(data["revision"])
        event_id = ids.get((code, issue), f"unpublished {code} {issue}")
        yield Committed(id=event_id, contract=DIVISIONS, key=code, key_field="code", data=data)
