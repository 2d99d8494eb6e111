"""The router under faults, on a bus of its own: exactly once, in order, nothing after a revocation, waiting, not skipping."""

from __future__ import annotations

import random
import shutil
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from hutong import Publisher
from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.embedded.process import processes
from hutong.event import Attributes, header
from hutong.home import Home
from hutong.kafka.compacted import write
from hutong.kafka.control import AGREEMENTS_TOPIC
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings
from tests.behaviour.line import FI, MOVED, move
from tests.integration.routers import Start, await_true, hutong

POPULATION, STATISTICS = "sub.kela.population", "sub.stat.moves-for-statistics"

pytestmark = pytest.mark.timeout(240)


def settings(home: Home, principal: str = "operator") -> Settings:
    return Settings.resolve(principal, {"HUTONG_HOME": str(home.root)})


def ends(home: Home, topic: str) -> dict[int, int]:
    with Consumer(settings(home).client() | {"group.id": "t.ends"}) as consumer:
        partitions = consumer.list_topics(topic, 10).topics[topic].partitions
        return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), 10)[1] for p in partitions}


def read(home: Home, topic: str, since: dict[int, int]) -> list[Any]:
    """Everything that a read_committed reader sees from these offsets to where the topic ends now, also while it grows."""
    limits = ends(home, topic)
    config = {
        "group.id": "t.read",
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "enable.auto.commit": False,
    }
    found: list[Any] = []
    with Consumer(settings(home).client() | config) as consumer:
        consumer.assign([TopicPartition(topic, p, offset) for p, offset in since.items()])
        open_partitions = set(since)
        while open_partitions:
            message = consumer.poll(15)
            assert message is not None, f"{topic} has no end"
            beyond = message.offset() >= limits[message.partition()]
            if message.error() or beyond:
                open_partitions.discard(message.partition())
            elif message.partition() in open_partitions:
                found.append(message)
    return found


def ids(messages: list[Any]) -> list[str]:
    return [(header(m.headers(), "ce_id") or b"").decode() for m in messages]


class Load:
    """Publishes valid events from a thread until told to stop; ``acknowledged`` are those that the broker has."""

    def __init__(self, home: Home, *, rate: float, keys: int) -> None:
        self._publisher = Publisher("dvv", settings=settings(home, "dvv"))
        self._rate, self._keys, self._stop = rate, keys, threading.Event()
        self.acknowledged: list[tuple[str, int]] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()
        self._publisher.close()

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(0.01):
            for _ in range(int(self._rate / 100)):
                key = number % self._keys
                handle = self._publisher.publish(move(key), MOVED)
                self.acknowledged.append((handle.event_id, key))
                number += 1


def check_exactly_once(home: Home, load: Load, since: dict[str, dict[int, int]]) -> None:
    order: dict[int, list[str]] = {}
    for event_id, key in load.acknowledged:
        order.setdefault(key, []).append(event_id)
    for topic, offsets in since.items():
        messages = read(home, topic, offsets)
        counted = Counter(ids(messages))
        assert [i for i, n in counted.items() if n > 1] == [], f"{topic}: duplicated"
        assert set(order_ids := [i for i, _ in load.acknowledged]) - set(counted) == set(), f"{topic}: lost"
        assert set(counted) - set(order_ids) == set(), f"{topic}: from nowhere"
        by_key: dict[bytes, list[str]] = {}
        for message, event_id in zip(messages, ids(messages), strict=True):
            by_key.setdefault(message.key(), []).append(event_id)
        assert sorted(by_key.values()) == sorted(order.values()), f"{topic}: out of order"


def starting_points(home: Home) -> dict[str, dict[int, int]]:
    return {topic: ends(home, topic) for topic in (POPULATION, STATISTICS)}


@pytest.mark.long
@pytest.mark.long  # the short torture does it too
def test_killed_routers_lose_and_repeat_nothing(home: Home, start: Start) -> None:
    """Two routers under load, killed (SIGKILL) at random moments and started again: every event once, in order per key."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    since = starting_points(home)
    routers = [start(name, "--transaction-seconds", "5") for name in ("a", "b")]
    for router in routers:
        router.await_ready()
    with Load(home, rate=1000, keys=50) as load:
        for _ in range(4):
            time.sleep(chance.uniform(0.5, 2.5))  # the fault comes at a random moment of the load
            victim = chance.randrange(2)
            routers[victim].kill()
            routers[victim] = start("ab"[victim], "--transaction-seconds", "5")
    await_true(lambda: all_delivered(home, load, since), "everything is delivered", 90)
    check_exactly_once(home, load, since)


def all_delivered(home: Home, load: Load, since: dict[str, dict[int, int]]) -> bool:
    wanted = {i for i, _ in load.acknowledged}
    return all(wanted <= set(ids(read(home, topic, offsets))) for topic, offsets in since.items())


@pytest.mark.long
@pytest.mark.long  # the short torture does it too
def test_routers_that_come_and_go_lose_and_repeat_nothing(home: Home, start: Start) -> None:
    """Joining and leaving under load moves partitions between routers without a gap or a repetition."""
    since = starting_points(home)
    start().await_ready()
    with Load(home, rate=1000, keys=50) as load:
        for _ in range(2):
            second = start("b").await_ready()
            await_true(lambda r=second: r.metric("hutong_router_batch_events_count") > 0, "the second router works")
            second.stop()
    await_true(lambda: all_delivered(home, load, since), "everything is delivered", 60)
    check_exactly_once(home, load, since)


def test_a_revoked_agreement_stops_within_a_second(home: Home, start: Start) -> None:
    """Under load: nothing is delivered later than one second after the revocation was written; a new grant begins again."""
    start().await_ready()
    beginning = ends(home, STATISTICS)
    with Load(home, rate=1000, keys=50) as load:
        before = sum(ends(home, POPULATION).values())
        await_true(lambda: sum(ends(home, POPULATION).values()) > before, "deliveries are made")
        write(settings(home), AGREEMENTS_TOPIC, {"moves-to-benefits": None})
        revoked_ms = time.time() * 1000
        since = ends(home, POPULATION)
        statistics = sum(ends(home, STATISTICS).values())
        await_true(lambda: sum(ends(home, STATISTICS).values()) > statistics + 3000, "the others go on")
        late = [m.timestamp()[1] - revoked_ms for m in read(home, POPULATION, since)]
        assert max(late, default=0) < 1000
        hutong(home, "apply", "--schemas", str(FI))
        stopped = sum(ends(home, POPULATION).values())
        await_true(lambda: sum(ends(home, POPULATION).values()) > stopped, "the new grant is in force", 10)
    await_true(lambda: all_delivered(home, load, {STATISTICS: beginning}), "the other agreement got everything", 60)


def test_a_registry_outage_makes_it_wait_not_skip(home: Home, start: Start) -> None:
    """An event with a schema that is not known yet waits for the registry, and is delivered when that is back."""
    with Publisher("dvv", settings=settings(home, "dvv")) as publisher:
        publisher.prepare(move(1), MOVED)
        registry = next(process for process in processes(home.run) if process.name == "registry")
        router = start().await_ready()
        since = starting_points(home)
        registry.signal(signal.SIGSTOP)
        try:
            event_id = publisher.publish(move(1), MOVED).event_id
            publisher.flush()
            await_true(lambda: router.get("/health/ready")[0] == 503, "the router says that it waits", 40)
            assert "registry" in router.get("/health/ready")[1]
            assert read(home, POPULATION, since[POPULATION]) == []
        finally:
            registry.signal(signal.SIGCONT)
        await_true(lambda: ids(read(home, POPULATION, since[POPULATION])) == [event_id], "the event is delivered", 60)
        assert ids(read(home, STATISTICS, since[STATISTICS])) == [event_id]
        assert router.get("/health/ready")[0] == 200
        router.stop()


def test_an_aborted_publication_is_never_routed(home: Home, start: Start) -> None:
    """A connector's transaction that is aborted leaves no delivery behind."""
    registered = Registry.of(settings(home)).latest(f"pub.{MOVED}-value")
    assert registered is not None
    schema = EventSchema(registered.schema)
    since = starting_points(home)
    start().await_ready()
    producer = Producer(settings(home).client() | {"transactional.id": "hutong.test-abort"})
    producer.init_transactions(30)
    for commit in (False, True):
        producer.begin_transaction()
        data = schema.check(move(900 + commit))
        headers = Attributes(id=f"commit-{commit}", source="urn:hutong:dvv", type=MOVED, time=data["received_at"]).to_headers()
        value = frame(registered.id) + schema.encode(data)
        producer.produce(f"pub.{MOVED}", value, schema.key_of(data).encode(), headers=headers)  # type: ignore[arg-type]
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    await_true(lambda: ids(read(home, POPULATION, since[POPULATION])) == ["commit-True"], "the committed one is delivered")
    assert ids(read(home, STATISTICS, since[STATISTICS])) == ["commit-True"]


def test_a_new_contract_is_picked_up_by_a_running_router(home: Home, start: Start, tmp_path: Path) -> None:
    """Declarations applied while a router runs take effect without a restart."""
    schemas = tmp_path / "schemas"
    shutil.copytree(FI, schemas)
    shutil.copytree(schemas / "contracts/dvv/person_moved", schemas / "contracts/dvv/person_returned")
    folder = schemas / "contracts/dvv/person_returned"
    for file in folder.iterdir():
        file.write_text(file.read_text().replace("person_moved", "person_returned").replace("PersonMoved", "PersonReturned"))
    agreement = (schemas / "agreements/kela/moves-to-benefits.yaml").read_text()
    agreement = agreement.replace("moves-to-benefits", "returns-to-benefits").replace("person_moved", "person_returned")
    (schemas / "agreements/kela/returns-to-benefits.yaml").write_text(agreement.replace("channel: population\n", ""))
    start().await_ready()
    hutong(home, "apply", "--schemas", str(schemas))
    with Publisher("dvv", settings=settings(home, "dvv")) as publisher:
        event_id = publisher.publish(move(5), "dvv.person_returned").event_id
    topic = "sub.kela.returns-to-benefits"
    await_true(lambda: ids(read(home, topic, dict.fromkeys(ends(home, topic), 0))) == [event_id], "it is delivered", 15)


def test_it_says_how_it_is(home: Home, start: Start) -> None:
    """Liveness, readiness and metrics have a page each; SIGTERM ends it in order; a second of its name on its port is refused."""
    router = start().await_ready()
    assert router.get("/health/live")[0] == 200
    assert router.get("/nothing")[0] == 404
    events, filtered = (
        router.metric("hutong_router_events_total"),
        router.metric("hutong_router_filtered_total", agreement="moves-to-benefits"),
    )
    with Publisher("dvv", settings=settings(home, "dvv")) as publisher:
        publisher.publish(move(1, municipality="049"), MOVED)
        publisher.publish(move(2, municipality="837"), MOVED)
    await_true(lambda: router.metric("hutong_router_events_total", contract=MOVED) == events + 2, "both are counted")
    assert router.metric("hutong_router_deliveries_total", agreement="moves-to-benefits") >= 1
    assert router.metric("hutong_router_filtered_total", agreement="moves-to-benefits") == filtered + 1
    other = start("other", "--port", str(router.port))
    assert other.process.wait(20) == 1
    assert "choose another with --port" in str(other.log())
    router.stop()
    assert router.process.returncode == 0
    assert router.log()[-1]["message"] == "stopped"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--batch-events", "0"), "HUTONG_ROUTER_BATCH_EVENTS"),
        (("--port", "99999"), "HUTONG_ROUTER_PORT"),
        (("--group", "mine"), "HUTONG_ROUTER_GROUP"),
    ],
)
def test_settings_that_make_no_sense_are_named(home: Home, start: Start, flags: tuple[str, ...], words: str) -> None:
    """The error names flag and variable, and the process ends."""
    router = start("wrong", *flags)
    assert router.process.wait(20) == 1
    assert words in str(router.log())
