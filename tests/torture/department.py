"""A department with a database of its own for the torture run: PostgreSQL, an application that writes the outbox, two relays.

Neighbours: ``faults/outbox`` kills its parts; ``clerk`` is the application.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from hutong import outbox
from hutong.embedded import postgres
from hutong.kafka.registry import Registry
from hutong.runtime.addresses import known
from tests.integration.processes import await_true
from tests.torture import places
from tests.torture.clerk import BUSINESS_TABLE
from tests.torture.story import DEPARTMENT, PERSON

if TYPE_CHECKING:
    from tests.torture.world import World

__all__ = ["Department"]

_SERVER, _DATABASE = "torture", "people"
_RELAYS = ("one", "two")
_ENDS_SECONDS = 30.0
_TAKEN = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'hutong outbox relay' AND state = 'idle in transaction' AND backend_xid IS NOT NULL
"""
"""A transaction gets an id when it locks its first row."""


class Department:
    """It is at work from ``start`` to ``close``.

    Args:
        world: whose bus it publishes on.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._schema = world.place / "person_changed.json"
        self._clerks = 0
        self._clerk: subprocess.Popen[bytes] | None = None
        self._relays: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start all of it, with empty tables."""
        self._server = postgres.start(self._world.home, name=_SERVER, databases=[_DATABASE], attached=True)
        registered = Registry.of(self._world.settings()).latest(f"pub.{PERSON}-value")
        assert registered is not None
        self._schema.write_text(json.dumps(registered.schema), encoding="utf-8")
        with self.connect() as connection:
            connection.execute("DROP TABLE IF EXISTS people, hutong_outbox")
            connection.execute(BUSINESS_TABLE)
            outbox.create_table(connection)
        self.start_clerk()
        self.start_relays()
        await_true(lambda: self.count("people"), "the application has committed something")

    def connect(self) -> psycopg.Connection[Any]:
        """A connection to the database."""
        return psycopg.connect(self._server.dsn(_DATABASE), connect_timeout=5)

    def count(self, table: str) -> int:
        """Rows that are committed."""
        with self.connect() as connection:
            return self._one(connection, f"SELECT count(*) FROM {table}")  # noqa: S608 - a test's own table

    def committed(self) -> set[str]:
        """Ids of the events whose business rows are committed."""
        with self.connect() as connection:
            return {row[0] for row in connection.execute("SELECT event_id FROM people")}

    # The application

    def start_clerk(self) -> None:
        """Start the application, and wait until it works; its sequences go on above those of the one before."""
        self._clerks += 1
        facts: dict[str, object] = {"seed": self._world.seed, "ledger": self._world.ledger.directory, "schema": self._schema}
        facts |= {"name": f"clerk-{self._clerks}", "sequence": self._clerks * 10_000_000}
        command = ["tests.torture.clerk", *(f"--{name}={fact}" for name, fact in facts.items())]
        self._clerk = self._start(f"clerk-{self._clerks}", command, CLERK_DATABASE=self._server.dsn(_DATABASE))
        book = self._world.ledger.directory / f"clerk-{self._clerks}.jsonl"
        await_true(lambda: book.exists() and book.stat().st_size, "the application has begun")

    def kill_clerk(self) -> None:
        """End the application without warning."""
        assert self._clerk is not None
        self._clerk.kill()
        self._clerk.wait()

    # The relays

    def start_relays(self) -> None:
        """Start those that do not run, and wait until they work."""
        for name in _RELAYS:
            if name not in self._relays:
                command = ["connectors.sources.outbox", f"--department={DEPARTMENT}", f"--instance=relay-{name}", "--batch=100"]
                self._relays[name] = self._start(f"relay-{name}", command, HUTONG_OUTBOX_DATABASE=self._server.dsn(_DATABASE))
        pids = {relay.pid for relay in self._relays.values()}
        await_true(lambda: pids <= {one.pid for one in known(self._world.home)}, "the relays have begun")

    def kill_relays_within_a_batch(self) -> None:
        """End both relays while at least one has taken rows, and has neither deleted them nor given them back."""
        with self.connect() as connection:
            connection.autocommit = True

            def stopped_within() -> bool:
                with self.relays_stopped():
                    if not self._one(connection, _TAKEN):
                        return False
                    for relay in self._relays.values():
                        relay.kill()
                        relay.wait()
                    self._relays.clear()
                    return True

            await_true(stopped_within, "a relay is in the middle of a batch")

    @contextmanager
    def relays_stopped(self) -> Iterator[None]:
        """SIGSTOP, and SIGCONT afterwards."""
        for relay in self._relays.values():
            relay.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for relay in self._relays.values():
                relay.send_signal(signal.SIGCONT)

    # The database

    def kill_database(self) -> None:
        """End all of PostgreSQL's processes without warning."""
        server = self._world.process(f"postgres-{_SERVER}")
        server.signal(signal.SIGSTOP)  # it has no more children than are found now
        children = [int(pid) for pid in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]
        server.signal(signal.SIGKILL)
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def start_database(self) -> None:
        """Start it again; the application and the relays find it where it was."""
        before = self._server.port
        self._server = postgres.start(self._world.home, name=_SERVER, attached=True)
        assert self._server.port == before, "the database has another port now"

    # The end

    def finish(self) -> None:
        """The application ends, and the relays when they have published everything; all of them must end well."""
        ended = {name: relay.returncode for name, relay in self._relays.items() if relay.poll() is not None}
        assert not ended, f"relays have ended by themselves: {ended}"
        assert self._clerk is not None
        self._clerk.terminate()
        assert self._clerk.wait(_ENDS_SECONDS) == 0, "the application has failed; see its log"
        await_true(lambda: not self.count("hutong_outbox"), "the outbox is empty", 60)
        # They are gone when the run's end is looked through for personal data.
        self._world.places += [*places.processes(self._world.home), *places.pages(self._world.home)]
        for relay in self._relays.values():
            relay.terminate()
        codes = {name: relay.wait(_ENDS_SECONDS) for name, relay in self._relays.items()}
        assert not any(codes.values()), f"relays ended with {codes}"

    def close(self) -> None:
        """End whatever still runs."""
        for process in filter(None, (self._clerk, *self._relays.values())):
            process.kill()
            process.wait()
        postgres.stop(self._world.home, name=_SERVER)

    def _start(self, name: str, command: list[str], **variables: str) -> subprocess.Popen[bytes]:
        environment = {name: text for name, text in os.environ.items() if not name.startswith("HUTONG_")}
        environment |= {"HUTONG_HOME": str(self._world.home.root), **variables}
        with (self._world.home.log / f"{self._world.ledger.directory.name}-{name}.log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-m", *command], env=environment, stdout=log, stderr=log)

    @staticmethod
    def _one(connection: psycopg.Connection[Any], statement: str) -> int:
        row = connection.execute(statement.encode()).fetchone()
        assert row is not None
        return int(row[0])
