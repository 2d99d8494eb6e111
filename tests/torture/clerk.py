"""A department's application for the torture run: a process that changes its own database and writes the events into its outbox.

Each transaction changes business rows and adds their events; some are rolled back, by an error or by the database. The book has
a line before COMMIT and another once it has returned; where the connection broke in between, the business table tells afterwards
what was committed. Neighbours: ``faults/outbox`` starts and kills these.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import psycopg

from demo.population import Population, populate
from hutong import outbox
from hutong.contracts.schema import EventSchema
from hutong.errors import ContractViolation
from tests.torture.ledger import Book, Entry, Ledger
from tests.torture.load import PERSONS, data_of
from tests.torture.story import person

__all__ = ["BUSINESS_TABLE", "CLERKS_PERSONS"]

BUSINESS_TABLE = """
CREATE TABLE people (
    identity_number text,
    sequence        bigint,
    name            text NOT NULL,
    event_id        text NOT NULL,
    PRIMARY KEY (identity_number, sequence)
)
"""
CLERKS_PERSONS = 40
"""So many persons, the last ones of the population, are the clerk's alone."""

_PAUSE_SECONDS = 0.01  # between two transactions: some hundred events a second
_AWAY_SECONDS = 0.1  # before it looks again whether the database is back
_MOST = 5  # events of one transaction
_GIVEN_UP, _REFUSED, _AGAIN = 8, 12, 16  # one in so many transactions is rolled back, for this reason


class _GivenUpError(Exception):
    """The application changes its mind."""


class _Clerk:
    """What the process does."""

    def __init__(self, population: Population, schema: EventSchema, book: Book, random: Random, sequence: int) -> None:
        self._population, self._schema, self._book, self._random = population, schema, book, random
        self._sequence = sequence

    def work(self, connection: psycopg.Connection[object]) -> None:
        """One transaction: committed, or rolled back by somebody."""
        entries = [self._entry() for _ in range(self._random.randint(1, _MOST))]
        ids = [one.id for one in entries]
        self._book.attempted(*entries)
        try:
            with connection.transaction():
                for entry in entries:
                    self._change(connection, entry)
                self._may_fail(connection, entries[-1])
        except (_GivenUpError, ContractViolation, psycopg.errors.UniqueViolation):
            self._book.aborted(*ids)
        else:
            self._book.acknowledged(*ids)

    def _entry(self) -> Entry:
        self._sequence += 1
        number = len(self._population.persons) - 1 - self._random.randrange(CLERKS_PERSONS)
        entry = person(self._population, number, self._sequence, size=self._random.randint(1, 9))
        return replace(entry, repeats=True)  # what a relay publishes may come again

    def _change(self, connection: psycopg.Connection[object], entry: Entry) -> None:
        row = (entry.key, entry.sequence, entry.data["name"], entry.id)
        connection.execute("INSERT INTO people VALUES (%s, %s, %s, %s)", row)
        outbox.add(connection, data_of(entry), self._schema, id=entry.id)

    def _may_fail(self, connection: psycopg.Connection[object], last: Entry) -> None:
        """By the application's own will, by the contract, or by the database, whose words then quote the row."""
        chance = self._random.randrange
        if chance(_GIVEN_UP) == 0:
            raise _GivenUpError
        if chance(_REFUSED) == 0:
            outbox.add(connection, data_of(last) | {"region": last.key}, self._schema)
        if chance(_AGAIN) == 0:
            self._change(connection, last)


def _work(clerk: _Clerk, dsn: str, stop: threading.Event) -> None:
    """Until told to stop, through outages of the database."""
    while not stop.is_set():
        try:
            with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as connection:
                while not stop.wait(_PAUSE_SECONDS):
                    clerk.work(connection)
        except psycopg.OperationalError:
            stop.wait(_AWAY_SECONDS)


def main(arguments: Sequence[str]) -> None:
    """Work until SIGTERM. Where the database is comes with the environment: it holds a password."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.clerk")
    for name, kind in (("seed", int), ("ledger", Path), ("schema", Path), ("name", str), ("sequence", int)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    own = parser.parse_args(arguments)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    schema = EventSchema(json.loads(own.schema.read_text(encoding="utf-8")))
    with Ledger(own.ledger).book(own.name) as book:
        clerk = _Clerk(populate(own.seed, PERSONS), schema, book, Random(f"{own.seed}/{own.name}"), own.sequence)
        _work(clerk, os.environ["CLERK_DATABASE"], stop)


if __name__ == "__main__":
    main(sys.argv[1:])
