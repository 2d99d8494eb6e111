"""Act two: four departments' systems live through five years; relays, routers and ministries do the rest.

Neighbours: ``systems`` are the departments, ``ministries`` read, ``processes`` keeps everybody's id; ``sources`` reads the books
afterwards.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg

from demo.account import Committed
from demo.broken import write_broken
from demo.clock import Clock
from demo.ministries import Ministries
from demo.processes import Crew
from demo.sources import committed_by, refused_by
from demo.systems import systems
from demo.systems.application import create_tables
from hutong.contracts.framing import frame
from hutong.embedded.postgres import PostgresServer
from hutong.embedded.process import last_words
from hutong.errors import HutongError, UnknownContract
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings
from hutong.transport import subject_of

__all__ = ["await_holdings", "books", "create_databases", "live", "start_relays", "tally_of", "write_garbage"]

GARBAGE_ON = "mca.funeral.cremation_recorded"
"""The contract whose topic somebody writes to without the SDK."""

_LOOK_SECONDS = 0.3
_STALLED_SECONDS = 20.0  # nothing more has arrived for so long: nothing will


def create_databases(server: PostgresServer) -> None:
    """Each department's tables, in its own database."""
    for system in systems():
        with psycopg.connect(server.dsn(system.database)) as connection:
            create_tables(system, connection)


def start_relays(crew: Crew, server: PostgresServer) -> None:
    """A relay beside each department's database."""
    for system in systems():
        crew.start(
            f"relay-{system.department}",
            "connectors.sources.outbox",
            f"--department={system.department}",
            environment={"HUTONG_OUTBOX_DATABASE": server.dsn(system.database)},
        )


def live(crew: Crew, server: PostgresServer, cases: Path, clock: Clock, tell: Callable[[int], None]) -> None:
    """Run all four applications until they have recorded every case.

    Args:
        crew: keeps the processes.
        server: has the departments' databases.
        cases: directory with each department's cases.
        clock: how fast simulated time passes.
        tell: called with the number of cases recorded so far.
    """
    names = {system.department: f"application-{system.department}" for system in systems()}
    for system in systems():
        crew.start(
            names[system.department],
            "demo.systems",
            system.department,
            str(cases),
            *clock.arguments(),
            environment={"DEMO_DATABASE": server.dsn(system.database)},
            ends=True,
        )
    working = set(names.values())
    while working:
        time.sleep(_LOOK_SECONDS)
        working -= {name for name in working if crew.has_ended(name)}
        crew.look()
        tell(sum(_recorded(crew.log_of(name)) for name in names.values()))
    for department, name in names.items():
        if not tally_of(crew.log_of(name)).get("done"):
            raise HutongError(f"the application of {department} failed: {last_words(crew.log_of(name))}")


def _recorded(log: Path) -> int:
    tally = tally_of(log)
    return int(tally.get("committed", 0)) + int(tally.get("refused", 0))


def tally_of(log: Path) -> dict[str, Any]:
    """What a process last said of its work, from the last whole line of its log."""
    for line in reversed(log.read_text("utf-8").splitlines()[-2:]):
        try:
            tally = json.loads(line)
        except ValueError:  # half a line, or something else that went wrong there
            continue
        if isinstance(tally, dict):
            return tally
    return {}


def write_garbage() -> dict[str, Sequence[str]]:
    """What a careless producer writes: contract -> the event ids that its records claim."""
    department = GARBAGE_ON.rpartition(".")[0]
    settings = Settings.resolve(department)
    registered = Registry.of(settings).latest(subject_of(GARBAGE_ON))
    if registered is None:
        raise UnknownContract(f"the bus has no contract {GARBAGE_ON}; apply the declarations")
    return {GARBAGE_ON: write_broken(settings, GARBAGE_ON, frame(registered.id))}


def books(server: PostgresServer) -> tuple[list[Committed], int]:
    """What the departments' own tables say: the events, and how many entries were refused at the counter."""
    committed: list[Committed] = []
    refused = 0
    for system in systems():
        with psycopg.connect(server.dsn(system.database)) as connection:
            connection.execute("SET TIME ZONE 'UTC'")
            committed.extend(committed_by(system, connection))
            refused += refused_by(connection)
    return committed, refused


def await_holdings(crew: Crew, ministries: Ministries, expected: int, tell: Callable[[int], None]) -> None:
    """Wait until the ministries hold so many deliveries, or nothing more comes; which of both, the account will say."""
    held, changed = -1, time.monotonic()
    while held < expected and time.monotonic() - changed < _STALLED_SECONDS:
        crew.look()
        now = ministries.count()
        if now != held:
            held, changed = now, time.monotonic()
        tell(held)
        time.sleep(0.1)
    time.sleep(0.5)  # a delivery too many would come now
