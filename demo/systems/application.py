"""A department's application: it records cases in its own database and tells the bus, both in one transaction.

The event is computed from the row that the department keeps, so whoever reads the department's tables later can compute what
the bus was told. Neighbours: the departments' files declare a ``System``; ``hutong.outbox`` is the only thing used of the bus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from demo.changes import Change
from hutong import ContractViolation, outbox
from hutong.contracts.schema import EventSchema

__all__ = ["BATCH", "Book", "Desk", "Row", "System", "Tally", "create_tables", "serve"]

Row = Mapping[str, Any]
"""Column -> value."""

BATCH = 100
"""Most cases in one transaction. A real application commits each case; the demo has five years to go through in seconds."""

_REFUSED = """
CREATE TABLE refused_entry (
    entry_no   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contract   text NOT NULL,
    field      text NOT NULL,
    rule       text NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT now()
)"""


_REFUSE = "INSERT INTO refused_entry (contract, field, rule) VALUES (%(contract)s, %(field)s, %(rule)s)"


class Desk:
    """A counter and its database: gives out running numbers, looks up records, and writes rows down, many with one trip."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.number = 0
        self._waiting: dict[str, list[Row]] = {}

    def look_up(self, query: str, parameters: Sequence[object]) -> tuple[Any, ...] | None:
        """The first row of a query on the department's tables."""
        self.flush()
        return self.connection.execute(query.encode(), parameters).fetchone()

    def write(self, statement: str, row: Row) -> None:
        """A row for a statement; rows of one statement keep their order, and statements that of their first row."""
        self._waiting.setdefault(statement, []).append(row)

    def flush(self) -> None:
        """Send what is written."""
        for statement, rows in self._waiting.items():
            self.connection.cursor().executemany(statement.encode(), rows)
        self._waiting.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """One kind of case: how it is written down, and what the bus is told.

    Attributes:
        contract: the contract whose events these are.
        change: the kind of change.
        entry: the case -> the row, as the department keeps it.
        writes: statements with the row's columns (and ``event_id``) as named parameters, in order.
        event: the row -> the event's data.
        key: name of the field that is the event's key.
        journal: query for all rows with the same columns, ``event_id`` first, in the order of entry.
    """

    contract: str
    change: type[Change]
    entry: Callable[[Any, Desk], dict[str, Any]]
    writes: tuple[str, ...]
    event: Callable[[Row], dict[str, Any]]
    key: str
    journal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A department's system.

    Attributes:
        department: the department's code.
        database: the database's name.
        tables: its data definition.
        books: its kinds of cases.
    """

    department: str
    database: str
    tables: str
    books: tuple[Book, ...]


@dataclass(slots=True, kw_only=True)
class Tally:
    """What an application did: cases committed, and cases that its contract refused."""

    committed: int = 0
    refused: int = 0


def create_tables(system: System, connection: psycopg.Connection) -> None:
    """The department's tables and the outbox, in an empty database."""
    connection.execute(system.tables.encode())
    connection.execute(_REFUSED.encode())
    outbox.create_table(connection)
    connection.commit()


def serve(
    system: System,
    connection: psycopg.Connection,
    contracts: Mapping[str, EventSchema],
    work: Iterable[Sequence[Change]],
    report: Callable[[Tally], None],
) -> Tally:
    """Record every case in order; ``report`` is called after each transaction.

    Args:
        system: the department's system.
        connection: to the department's database.
        contracts: contract name -> the version that the department publishes.
        work: the cases, those of one transaction together.
        report: is told how far the work is.
    """
    books = {book.change: book for book in system.books}
    desk, tally = Desk(connection), Tally()
    for batch in work:
        with connection.transaction(), connection.pipeline():
            for change in batch:
                book = books[type(change)]
                _record(book, contracts[book.contract], change, desk, tally)
            desk.flush()
        report(tally)
    return tally


def _record(book: Book, contract: EventSchema, change: Change, desk: Desk, tally: Tally) -> None:
    desk.number += 1
    row = book.entry(change, desk)
    try:
        # First the event: what breaks the contract must not stand in the department's records either.
        event_id = outbox.add(desk.connection, book.event(row), contract)
    except ContractViolation as violation:
        tally.refused += 1
        desk.write(_REFUSE, {"contract": book.contract, "field": violation.path, "rule": violation.rule})
        return
    row["event_id"] = event_id
    for statement in book.writes:
        desk.write(statement, row)
    tally.committed += 1
