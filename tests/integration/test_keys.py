"""Keys, passwords and quotas on a real bus, changed while routers, publishers and recipients are at work."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from hutong import Subscription
from hutong.agreements.transforms import pseudonym
from hutong.contracts.framing import FRAME_BYTES
from hutong.contracts.schema import EventSchema
from hutong.embedded import up
from hutong.embedded.process import processes, stop
from hutong.errors import BrokerUnavailable, NotAuthorised
from hutong.home import Home
from hutong.kafka.admin import Admin
from hutong.kafka.probe import brokers_in_service
from hutong.kafka.quotas import PUBLISH, RECEIVE, read_quotas
from hutong.kafka.registry import Registry
from tests.behaviour.line import FI, MOVED
from tests.declaring import Declarations
from tests.integration.processes import ServiceProcess
from tests.integration.routers import Start, await_true, hutong
from tests.integration.test_router import STATISTICS, Load, check_exactly_once, ends, ids, read, settings, starting_points

HETU, AGREEMENT = "131052-308T", "moves-for-statistics"

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]


@pytest.fixture
def elsewhere(home: Home, tmp_path: Path) -> Home:
    """Another machine: it has the keys that were there when it was set up, and its own principal's password."""
    other = Home(root=tmp_path / "elsewhere")
    for part in (home.keys, home.secrets):
        shutil.copytree(part, other.root / part.name)
    shutil.copytree(home.run, other.run)
    return other


def keys(home: Home) -> list[dict[str, Any]]:
    """What ``hutong keys list`` says of the agreement."""
    found = json.loads(hutong(home, "keys", "list", "--json", codes=(0, 1)))["keys"]
    return [one for one in found if one["agreement"] == AGREEMENT]


def published_ms(home: Home, since: dict[int, int]) -> dict[str, int]:
    """Event id -> the broker's stamp."""
    messages = read(home, f"pub.{MOVED}", since)
    return dict(zip(ids(messages), [message.timestamp()[1] for message in messages], strict=True))


def persons(home: Home, since: dict[int, int]) -> dict[str, str]:
    """Event id -> the pseudonym in its delivery."""
    registry, schemas = Registry.of(settings(home)), dict[int, EventSchema]()
    found = {}
    messages = read(home, STATISTICS, since)
    for event_id, message in zip(ids(messages), messages, strict=True):
        id_ = int.from_bytes(message.value()[1:FRAME_BYTES], "big")
        if id_ not in schemas:
            schema = registry.by_id(id_)
            assert schema is not None
            schemas[id_] = EventSchema({**schema, "hutong": {"contract": "x.y", "version": 1, "key": []}})
        found[event_id] = schemas[id_].decode(message.value()[FRAME_BYTES:])["members"][0]["person"]
    return found


def test_routers_change_over_at_one_moment(home: Home, elsewhere: Home, start: Start) -> None:
    """Two routers on two machines, under load, one of which gets the key as a copy: every event has the pseudonym of the moment
    of its publication, each once and in order; and forgetting the old key lets nothing of it stay behind."""
    points, since = starting_points(home), ends(home, f"pub.{MOVED}")
    start("here")
    start("there", HUTONG_HOME=str(elsewhere.root))
    with Load(home, rate=200, keys=12) as load:
        await_true(lambda: len(load.acknowledged) > 200, "the load runs")
        told = json.loads(hutong(home, "keys", "rotate", AGREEMENT, "--json"))
        (new,) = told["keys"]
        shutil.copy(home.keys / new, elsewhere.keys / new)
        old, now = keys(home)
        moment = now["from"]
        assert (told["from"], old["until"], old["here"], now["here"]) == (moment, moment, "yes", "yes")
        await_true(lambda: time.time() > _seconds(moment) + 2, "the moment passes", seconds=30)
    await_true(lambda: len(read(home, STATISTICS, points[STATISTICS])) >= len(load.acknowledged), "all is delivered")
    made, at = persons(home, points[STATISTICS]), published_ms(home, since)
    secret = {name: bytes.fromhex(home.read_key(name) or "") for name in (old["key"], new)}
    expected = {
        one: pseudonym(secret[new if ms >= round(_seconds(moment) * 1000) else old["key"]], HETU) for one, ms in at.items()
    }
    assert made == expected
    assert len(set(made.values())) == 2
    points.pop(STATISTICS)  # its keys are pseudonyms too: there are two for each of the event's
    check_exactly_once(home, load, points)

    assert hutong(home, "plan", "--schemas", str(FI)).strip().endswith("nothing to do")
    assert "1 key is forgotten" in hutong(home, "keys", "forget", AGREEMENT)
    assert [one["key"] for one in keys(home)] == [new]
    assert home.read_key(old["key"]) is None
    at_once = json.loads(hutong(home, "keys", "rotate", AGREEMENT, "--forget", "--json"))
    assert (at_once["from"], [one["key"] for one in keys(home)]) == (None, at_once["keys"])


def _seconds(moment: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(moment).timestamp()


def test_a_key_that_comes_late_is_taken_up(home: Home, elsewhere: Home, start: Start) -> None:
    """A router without the key quarantines, and delivers nothing wrong; with the key it goes on, not started anew."""
    router = start("late", HUTONG_HOME=str(elsewhere.root))
    router.await_ready()
    (new,) = json.loads(hutong(home, "keys", "rotate", AGREEMENT, "--forget", "--json"))["keys"]
    await_true(lambda: any(new in str(line.get("error")) for line in router.log()), "the router says which key it lacks")
    points = starting_points(home)
    with Load(home, rate=100, keys=3) as load:
        await_true(lambda: len(load.acknowledged) >= 20, "the load runs")
        await_true(lambda: _quarantined(router) >= 1, "what cannot be delivered goes to quarantine")
        shutil.copy(home.keys / new, elsewhere.keys / new)
        await_true(lambda: len(read(home, STATISTICS, points[STATISTICS])) > 20, "the router goes on with the key")
    assert set(persons(home, points[STATISTICS]).values()) == {pseudonym(bytes.fromhex(home.read_key(new) or ""), HETU)}


def _quarantined(router: Any) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in router.get("/metrics")[1].splitlines() if "unusable_agreement" in line)


class Receiving:
    """A recipient that reads its channel all the time, and keeps the ids."""

    def __init__(self, home: Home) -> None:
        self.seen: list[str] = []
        self.failed: Exception | None = None
        self._stop = threading.Event()
        self._subscription = Subscription(
            "kela", "population", settings=settings(home, "kela"), group="kela.keys", remembered_ids=0
        )
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Receiving:
        self._subscription.join()
        self._thread.start()
        return self

    def _run(self) -> None:
        try:
            with self._subscription as subscription:
                while not self._stop.is_set():
                    with suppress(BrokerUnavailable):  # as every recipient does while the brokers are away
                        event = subscription.poll(0.2)
                        if event is not None:
                            self.seen.append(event.attributes.id)
        except Exception as error:  # noqa: BLE001 - told by the test
            self.failed = error

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)


def restart_broker(home: Home) -> None:
    """Every connection breaks, and every client logs in anew."""
    stop([process for process in processes(home.run) if process.name == "kafka-1"], patience=15)
    up(home, attached=True)


@pytest.fixture
def others(home: Home) -> Iterator[list[ServiceProcess]]:
    """A coordinator and a monitor at work."""
    started = [ServiceProcess(home, service, "k", "--port", "0") for service in ("coordinator", "monitor")]
    try:
        for one in started:
            one.await_ready()
        yield started
    finally:
        for one in started:
            one.stop()


def test_passwords_change_under_running_clients(home: Home, start: Start, others: list[ServiceProcess]) -> None:
    """Services, publisher and recipient get new passwords, then all connections break: nobody is started anew, nothing is lost or
    comes twice. The same where the change was broken off in the middle, at the worst moment."""
    points = starting_points(home)
    services = [start("a").await_ready(), *others]
    principals = ("router", "coordinator", "monitor", "dvv", "kela", "operator")
    before = {name: home.read_secret(name) for name in principals}
    with Receiving(home) as receiving, Load(home, rate=100, keys=6) as load:
        await_true(lambda: len(receiving.seen) > 50, "deliveries arrive")
        hutong(home, "keys", "password", *before)
        assert all(home.read_secret(name) != password for name, password in before.items())
        for name, password in before.items():
            with pytest.raises(NotAuthorised):
                brokers_in_service(_with(home, name, password), seconds=5)
        restart_broker(home)
        count = len(receiving.seen)
        await_true(lambda: len(receiving.seen) > count + 100, "all go on with the new passwords", seconds=90)
        await_work(services)

        staged = {name: home.stage_secret(name) for name in principals}
        Admin(settings(home)).set_passwords(staged)  # and here the command is killed
        restart_broker(home)
        count = len(receiving.seen)
        await_true(lambda: len(receiving.seen) > count + 100, "all find the password that is not settled", seconds=90)
        await_work(services)
        hutong(home, "keys", "password", *staged)
        assert {name: home.read_secret(name) for name in staged} == staged
    await_true(lambda: receiving.failed is not None or not receiving._thread.is_alive(), "the recipient ends")
    assert receiving.failed is None
    acknowledged = [event_id for event_id, _ in load.acknowledged]
    await_true(lambda: len(read(home, STATISTICS, points[STATISTICS])) >= len(acknowledged), "all is delivered")
    points.pop(STATISTICS)
    check_exactly_once(home, load, points)
    assert not [path.name for path in home.secrets.iterdir() if path.name.startswith(".")]


def await_work(services: list[ServiceProcess]) -> None:
    """Every one is the process that it was, and ready."""
    for one in services:
        one.await_ready()
        assert one.process.poll() is None


def _with(home: Home, name: str, password: str | None) -> Any:
    variables = {"HUTONG_HOME": str(home.root), "HUTONG_KAFKA_PASSWORD": password or ""}
    return settings(home, name).resolve(name, variables)


def test_departments_have_quotas_that_hold(home: Home, tmp_path: Path) -> None:
    """Set by apply, in step afterwards, changed with the declarations, and a flood is slowed down by the broker."""
    wanted = {PUBLISH: 5e5, RECEIVE: 20e6}
    found = read_quotas(settings(home)) or {}
    assert {kind: found["dvv"][kind] for kind in wanted} == wanted
    assert {"router", "coordinator", "monitor", "operator"}.isdisjoint(found)
    fi = Declarations(tmp_path)
    file = fi.directory / "departments.yaml"
    file.write_text(file.read_text().replace("- code: dvv\n", "- code: dvv\n    quota: {publish_mb_per_s: 0.05}\n"))
    plan = hutong(home, "plan", "--schemas", str(fi.directory), codes=(1,))
    assert "quota dvv: publish 0.5 MB/s, receive 20 MB/s, 100 % of a thread -> publish 0.05 MB/s" in plan
    hutong(home, "apply", "--schemas", str(fi.directory))
    assert (read_quotas(settings(home)) or {})["dvv"][PUBLISH] == 5e4

    slowed = threading.Event()
    producer = Producer(settings(home, "dvv").client() | {"throttle_cb": lambda _: slowed.set(), "linger.ms": 5})
    deadline = time.monotonic() + 30
    while not slowed.is_set() and time.monotonic() < deadline:
        producer.produce(f"pub.{MOVED}", b"x" * 10_000, b"flood")
        producer.poll(0.005)
    producer.purge()
    producer.flush(5)
    assert slowed.is_set()
    hutong(home, "apply", "--schemas", str(FI))
