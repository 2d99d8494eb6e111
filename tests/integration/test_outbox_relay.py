"""The relay as a process against the real broker: killed at any moment, nothing is lost and nothing is out of order."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import psycopg
import pytest

from hutong import outbox
from hutong.contracts.schema import EventSchema
from hutong.embedded import postgres
from hutong.embedded.postgres import PostgresServer
from hutong.kafka.clients import KafkaTransport
from hutong.kafka.settings import Settings
from hutong.runtime.addresses import known
from hutong.transport import subject_of
from tests.behaviour.line import MOVED, collect, move
from tests.conftest import RunningBus, temporary_home
from tests.integration.processes import await_true
from tests.integration.test_straight_line import KafkaLine, routed_bus  # noqa: F401 - a fixture

COUNT, KEYS = 3000, 50


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with temporary_home() as home:
        yield postgres.start(home, databases=["dvv"])


def start_relay(bus: RunningBus, server: PostgresServer) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "connectors.sources.outbox", "--department", "dvv", "--batch", "100"]
    environment = {"PATH": "/usr/bin:/bin", **bus.environment, "HUTONG_OUTBOX_DATABASE": server.dsn("dvv")}
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def test_a_killed_relay_loses_nothing(routed_bus: RunningBus, server: PostgresServer) -> None:  # noqa: F811
    """Two relays side by side, both killed, started again: the ministry gets every event once, each key in order."""
    line = KafkaLine(routed_bus)
    registered = KafkaTransport(line.settings("dvv")).schemas().latest(subject_of(MOVED))
    assert registered is not None
    schema, base = EventSchema(registered.schema), time.time_ns() // 1000
    relays: list[subprocess.Popen[bytes]] = []
    try:
        with line.subscription("kela", "population") as kela, psycopg.connect(server.dsn("dvv")) as connection:
            outbox.create_table(connection)
            street = move(0)["to_address"]
            events = [move(base + i % KEYS, to_address=street | {"street": str(i)}) for i in range(COUNT)]
            outbox.add_many(connection, events, schema)
            connection.commit()
            relays = [start_relay(routed_bus, server) for _ in range(2)]
            first = collect(kela, 200)
            for relay in relays:
                relay.kill()
                relay.wait()
            relays = [start_relay(routed_bus, server)]
            received = [*first, *collect(kela, COUNT - len(first), 60)]
            assert kela.poll(0.5) is None
            deadline = time.monotonic() + 20  # the last batch is deleted after it was confirmed
            while connection.execute("SELECT count(*) FROM hutong_outbox").fetchone() != (0,):
                assert time.monotonic() < deadline
                time.sleep(0.1)
        # It may have found nothing left to do, and be starting still: then it does not listen to signals yet.
        await_true(lambda: relays[0].pid in {one.pid for one in known(routed_bus.home)}, "the last relay is at work")
        relays[0].terminate()
        assert relays[0].wait(20) == 0
    finally:
        for relay in relays:
            relay.kill()
            relay.wait()
    for key in range(KEYS):
        streets = [int(e.data["to_address"]["street"]) for e in received if e.data["notice_number"] == base + key]
        assert streets == list(range(key, COUNT, KEYS))


def test_settings_of_another_department_do_not_open_the_bus(routed_bus: RunningBus, server: PostgresServer) -> None:  # noqa: F811
    """A relay of a department that the bus does not know ends with one line."""
    command = [sys.executable, "-m", "connectors.sources.outbox", "--department", "no.such"]
    environment = {"PATH": "/usr/bin:/bin", **routed_bus.environment, "HUTONG_OUTBOX_DATABASE": server.dsn("dvv")}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert "no password for no.such" in ended.stderr
    assert "Traceback" not in ended.stderr
    with pytest.raises(Exception, match="no password"):
        Settings.resolve("no.such", routed_bus.environment)
