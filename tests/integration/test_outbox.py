"""The outbox and its relay on a real PostgreSQL: with the change or not at all, in order per key, through kills and outages."""

from __future__ import annotations

import asyncio
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY

from connectors.sources.outbox import Relay
from hutong import outbox
from hutong.contracts.schema import EventSchema
from hutong.embedded import postgres
from hutong.embedded.postgres import PostgresServer
from hutong.errors import BrokerUnavailable, ConfigurationError, ContractViolation, DatabaseUnavailable
from hutong.testing import Bus
from hutong.transport import Limits
from tests.behaviour.line import eventually
from tests.conftest import temporary_home
from tests.samples import CONTRACT, PERSON_REGISTERED, contract_root, generated, person

Model = generated(contract_root(PERSON_REGISTERED)).PersonRegistered
SCHEMA = EventSchema(PERSON_REGISTERED)
DEPARTMENT = "kin.registry"

Connect = Callable[[], psycopg.Connection[Any]]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with temporary_home() as home:
        yield postgres.start(home, databases=["registry"])


@pytest.fixture
def connect(server: PostgresServer) -> Connect:
    """Connections to a database with an empty outbox."""
    with psycopg.connect(server.dsn("registry")) as connection:
        connection.execute("DROP TABLE IF EXISTS hutong_outbox, business")
        outbox.create_table(connection)
        outbox.create_table(connection)  # harmless
        connection.execute("CREATE TABLE business (number text)")
    return lambda: psycopg.connect(server.dsn("registry"))


@pytest.fixture
def bus() -> Bus:
    return Bus(models=[Model], limits=Limits(max_event_bytes=2000))


def relay(connect: Connect, bus: Bus, **options: Any) -> Relay:
    return Relay(DEPARTMENT, connect, lambda: bus.publisher(DEPARTMENT), **options)


def drain(one: Relay) -> None:
    while one.step():
        pass


def numbers(bus: Bus) -> list[str]:
    return [data["number"] for _, data in bus.published(CONTRACT)]


def left(connect: Connect) -> int:
    with connect() as connection:
        row = connection.execute("SELECT count(*) FROM hutong_outbox").fetchone()
        return int(row[0]) if row else -1


def test_the_event_stands_and_falls_with_the_business_change(connect: Connect, bus: Bus) -> None:
    """Committed together, rolled back together; a violation leaves neither."""
    with connect() as connection:
        with connection.transaction():
            connection.execute("INSERT INTO business VALUES ('A-1')")
            name = outbox.add(connection, Model(**person(1)))
        with pytest.raises(ZeroDivisionError), connection.transaction():  # noqa: PT012
            outbox.add(connection, person(2), SCHEMA)
            _ = 1 / 0
        with pytest.raises(ContractViolation), connection.transaction():  # noqa: PT012
            connection.execute("INSERT INTO business VALUES ('A-3')")
            outbox.add(connection, person(3, region="x"), SCHEMA)
        assert connection.execute("SELECT array_agg(number) FROM business").fetchone() == (["A-1"],)
    one = relay(connect, bus)
    assert one.step()
    assert not one.step()
    one.close()
    assert [(attributes.id, data["number"]) for attributes, data in bus.published(CONTRACT)] == [(name, "A-1")]
    assert left(connect) == 0


def test_what_is_relayed_is_what_the_publisher_would_send(connect: Connect, bus: Bus) -> None:
    """Key, bytes and headers are those of a direct publish; attributes given at the business change are kept."""
    options = {"id": "e1", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "corrects": "e0"}
    with connect() as connection:
        outbox.add(connection, person(), SCHEMA, **options)
    one = relay(connect, bus)
    drain(one)
    one.close()
    with bus.publisher(DEPARTMENT) as publisher:
        publisher.publish(person(), CONTRACT, **options)
    relayed, direct = bus.records(f"pub.{CONTRACT}")
    assert (relayed.key(), relayed.value()) == (direct.key(), direct.value())
    assert [header for header in relayed.headers() if header[0] != "ce_time"] == [
        header for header in direct.headers() if header[0] != "ce_time"
    ]


def test_a_table_of_an_earlier_version_serves_until_it_is_brought_up_to_date(connect: Connect, bus: Bus) -> None:
    """Without the column for it there are no corrections, and all else goes on; one relay goes along with the change."""
    with connect() as connection:
        connection.execute("ALTER TABLE hutong_outbox DROP COLUMN corrects")
    one = relay(connect, bus)
    for number in range(1, 9):  # often enough for the database to have prepared the statement
        with connect() as connection:
            outbox.add(connection, person(number), SCHEMA)
        assert one.step()
    with connect() as connection, pytest.raises(psycopg.errors.UndefinedColumn):
        outbox.add(connection, person(1), SCHEMA, corrects="e0")
    with connect() as connection:
        outbox.create_table(connection)
        outbox.add(connection, person(1), SCHEMA, corrects="e0")
    drain(one)
    one.close()
    assert Counter(attributes.corrects for attributes, _ in bus.published(CONTRACT)) == {None: 8, "e0": 1}
    assert left(connect) == 0


def test_many_at_once_and_asyncio(connect: Connect, server: PostgresServer, bus: Bus) -> None:
    """add_many writes all or nothing; add_async is the same on an asynchronous connection."""
    with connect() as connection:
        assert len(outbox.add_many(connection, [person(n) for n in range(1, 4)], SCHEMA)) == 3
        connection.commit()
        with pytest.raises(ContractViolation):
            outbox.add_many(connection, [person(4), person(5, region="x")], SCHEMA)

    async def add() -> None:
        async with await psycopg.AsyncConnection.connect(server.dsn("registry")) as connection:
            await outbox.add_async(connection, Model(**person(9)))

    asyncio.run(add())
    one = relay(connect, bus)
    drain(one)
    one.close()
    assert sorted(numbers(bus)) == ["A-1", "A-2", "A-3", "A-9"]


def test_misuse_is_said(connect: Connect) -> None:
    """Autocommit outside a transaction, and a mapping without its contract."""
    with connect() as connection:
        with pytest.raises(ConfigurationError, match="EventSchema"):
            outbox.add(connection, person())
        connection.autocommit = True
        with pytest.raises(ConfigurationError, match="stand or fall"):
            outbox.add(connection, person(), SCHEMA)
        with connection.transaction():
            outbox.add(connection, person(), SCHEMA)


def test_a_poisonous_row_holds_up_its_own_key_only(connect: Connect, bus: Bus) -> None:
    """It is marked with the reason; its key waits behind it; once it is cured, both go, in order."""
    foreign = EventSchema({**PERSON_REGISTERED, "hutong": {**PERSON_REGISTERED["hutong"], "contract": "kin.other.thing"}})
    newer = EventSchema({**PERSON_REGISTERED, "hutong": {**PERSON_REGISTERED["hutong"], "version": 2}})
    with connect() as connection:
        outbox.add(connection, person(1), newer)
        outbox.add(connection, person(1), SCHEMA, id="after")
        outbox.add(connection, person(2), SCHEMA)
        outbox.add(connection, person(3), foreign)
        outbox.add(connection, person(4, tags=["x" * 3000]), SCHEMA)
        outbox.add(connection, person(5), SCHEMA)
    one = relay(connect, bus)
    drain(one)
    assert sorted(numbers(bus)) == ["A-2", "A-5"]
    with connect() as connection:
        failed = dict(connection.execute("SELECT key || contract, failed FROM hutong_outbox WHERE failed IS NOT NULL").fetchall())
        assert "version 2 is not on the bus" in failed["A-1" + CONTRACT]
        assert "may not publish kin.other.thing" in failed["A-3kin.other.thing"]
        assert "limit of 2000" in failed["A-4" + CONTRACT]
        connection.execute("DELETE FROM hutong_outbox WHERE event_id <> 'after' AND key <> 'A-1'")
    bus._declare(newer)
    one._next_retry = 0.0
    drain(one)
    one.close()
    assert [data["number"] for _, data in bus.published(CONTRACT)].count("A-1") == 2
    assert [record for record in bus.records(f"pub.{CONTRACT}") if record.key() == b"A-1"][1].headers()[1] == ("ce_id", b"after")
    assert left(connect) == 0


def test_several_relays_share_the_work_and_keep_the_order(connect: Connect, bus: Bus) -> None:
    """Three relays, writers at the same time, one relay dropped half-way: all there once, each key in order."""
    stop = threading.Event()
    problems: list[BaseException] = []
    relays = [relay(connect, bus, batch=50) for _ in range(3)]

    def work(one: Relay) -> None:
        try:
            while not stop.is_set():
                if not one.step():
                    time.sleep(0.005)
        except BaseException as problem:  # noqa: BLE001 - shown below
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(one,)) for one in relays]
    for thread in threads:
        thread.start()
    with connect() as connection:
        for i in range(1500):
            outbox.add(connection, person(i % 20, tags=[str(i)]), SCHEMA)
            if i % 10 == 9:
                connection.commit()
            if i == 700:
                shared = eventually(lambda: all(0 < len(one._held) < outbox.BUCKETS for one in relays))
    deadline = time.monotonic() + 30
    while left(connect) and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    for one in relays:
        one.close()
    assert problems == []
    assert shared
    events = [(data["number"], int(data["tags"][0])) for _, data in bus.published(CONTRACT)]
    assert len(events) == 1500
    for key in range(20):
        assert [i for number, i in events if number == f"A-{key}"] == list(range(key, 1500, 20))


def test_a_lost_database_connection_loses_and_repeats_nothing_that_ids_do_not_show(connect: Connect, bus: Bus) -> None:
    """The backend is killed between publish and delete: the events come twice, with the same ids, in order."""
    with connect() as connection:
        for i in range(10):
            outbox.add(connection, person(i % 2, tags=[str(i)]), SCHEMA)
    one = relay(connect, bus)

    def killed(*_: Any) -> None:
        with connect() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'hutong outbox relay'"
            )

    one._mark = killed  # type: ignore[method-assign]
    with pytest.raises(DatabaseUnavailable):
        one.step()
    del one._mark
    drain(one)
    one.close()
    ids = [attributes.id for attributes, _ in bus.published(CONTRACT)]
    assert len(ids) == 20
    assert len(set(ids)) == 10
    seen: set[str] = set()
    first = [(d["number"], int(d["tags"][0])) for a, d in bus.published(CONTRACT) if not (a.id in seen or seen.add(a.id))]  # type: ignore[func-returns-value]
    assert [i for key, i in first if key == "A-0"] == [0, 2, 4, 6, 8]


def test_an_outage_of_the_bus_makes_it_wait(connect: Connect, bus: Bus) -> None:
    """Nothing is deleted, nothing marked; when the bus is back, all goes."""
    with connect() as connection:
        outbox.add(connection, person(1), SCHEMA)
    publisher = bus.publisher(DEPARTMENT)

    def away(*_: Any, **__: Any) -> None:
        raise BrokerUnavailable("away")

    publisher._sender.send = away  # type: ignore[method-assign]
    publishers = [publisher, bus.publisher(DEPARTMENT)]
    one = Relay(DEPARTMENT, connect, lambda: publishers.pop(0))
    with pytest.raises(BrokerUnavailable):
        one.step()
    assert left(connect) == 1
    drain(one)
    one.close()
    assert numbers(bus) == ["A-1"]


def test_a_database_without_the_table_is_said(server: PostgresServer, bus: Bus) -> None:
    """With what to do."""
    one = relay(lambda: psycopg.connect(server.dsn()), bus)
    with pytest.raises(ConfigurationError, match="create_table"):
        one.step()
    one.close()


def test_crashes_at_random_lose_nothing(connect: Connect, bus: Bus) -> None:
    """Relays that die at any moment: every event arrives, first copies in order per key."""
    rng = random.Random(7)
    with connect() as connection:
        for i in range(400):
            outbox.add(connection, person(i % 7, tags=[str(i)]), SCHEMA)
    while left(connect):
        one = relay(connect, bus, batch=rng.randint(1, 60))
        for _ in range(rng.randint(1, 3)):
            if rng.random() < 0.5:
                one.step()
                continue
            one._mark = lambda *_: (_ for _ in ()).throw(BrokerUnavailable("crash"))  # type: ignore[method-assign]
            with pytest.raises(BrokerUnavailable):
                one.step()
            break
        one.close()
    seen: set[str] = set()
    first = [(d["number"], int(d["tags"][0])) for a, d in bus.published(CONTRACT) if not (a.id in seen or seen.add(a.id))]  # type: ignore[func-returns-value]
    assert len(first) == 400
    for key in range(7):
        assert [i for number, i in first if number == f"A-{key}"] == list(range(key, 400, 7))


def test_the_page_tells_how_the_outbox_stands(connect: Connect, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that wait, the age of the oldest, what was relayed; counting ends where it would burden the database."""
    monkeypatch.setattr("connectors.sources.outbox._SHARE_SECONDS", 0.0)

    def shown(name: str) -> float:
        return REGISTRY.get_sample_value(f"hutong_outbox_{name}", {"department": DEPARTMENT}) or 0.0

    with connect() as connection:
        outbox.add_many(connection, [person(number) for number in range(1, 8)], SCHEMA)
    before, one = shown("relayed_events_total"), relay(connect, bus, batch=5)
    one.step()
    assert shown("pending_rows") == 7
    assert shown("oldest_seconds") > 0
    drain(one)
    assert (shown("pending_rows"), shown("oldest_seconds"), shown("relayed_events_total") - before) == (0, 0, 7)
    one.close()


def test_the_process_says_what_is_wrong_and_stops_at_sigterm(server: PostgresServer, connect: Connect, tmp_path: Any) -> None:
    """No bus configured: exit 1 with one line. Otherwise it runs until SIGTERM and exits 0."""
    command = [sys.executable, "-m", "connectors.sources.outbox", "--department", DEPARTMENT]
    environment = {"HUTONG_HOME": str(tmp_path), "HUTONG_OUTBOX_DATABASE": server.dsn("registry"), "PATH": "/usr/bin"}
    failed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert failed.returncode == 1
    assert "HUTONG_KAFKA_BOOTSTRAP_SERVERS" in failed.stderr
    away = {"HUTONG_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "HUTONG_REGISTRY_URL": "http://127.0.0.1:1"}
    with subprocess.Popen(command, env=environment | away, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
