"""Three brokers with TLS, as on a cluster: the line on them, strangers kept out, everything replaced one by one under load."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from hutong import Publisher, Subscription
from hutong.certificates import Authority
from hutong.embedded import Wish, down, status, up
from hutong.embedded.process import processes
from hutong.errors import BrokerUnavailable, ConfigurationError
from hutong.event import header
from hutong.home import Home
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings
from tests.behaviour.line import FI, MOVED, move
from tests.conftest import temporary_home
from tests.integration.coordinators import Agencies, Bus, CoordinatorProcess
from tests.integration.loan_flow import OFFICE, REPORT, REQUESTED
from tests.integration.routers import RouterProcess, await_true, hutong
from tests.integration.test_router import POPULATION, Load, all_delivered, check_exactly_once, ends, starting_points

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Home]:
    """Three brokers with TLS."""
    with temporary_home() as home:
        up(home, wish=Wish(brokers=3, security="tls"), attached=True)
        yield home


def settings(home: Home, principal: str) -> Settings:
    return Settings.resolve(principal, {"HUTONG_HOME": str(home.root)})


@pytest.mark.long
def test_the_line_and_a_case_run_over_tls(cluster: Home) -> None:
    """Applied, published, routed, received; a case opened, asked, answered and reported: with no setting but the home."""
    with tempfile.TemporaryDirectory() as schemas:
        bus = Bus(cluster, Path(schemas))
        coordinator = CoordinatorProcess(cluster, "tls")
        try:
            coordinator.await_ready()
            with Agencies(bus), bus.publisher(OFFICE) as office:
                office.publish({"loan": "tls-1", "person": "P", "income": 4}, REQUESTED).result(30)
                await_true(lambda: bus.events(REPORT), "the case is reported")
        finally:
            coordinator.stop()
    hutong(cluster, "apply", "--schemas", str(FI), "--partitions", "2")
    router = RouterProcess(cluster, "tls")
    try:
        router.await_ready()
        with (
            Subscription("kela", "population", settings=settings(cluster, "kela"), group="kela.tls") as kela,
            Publisher("dvv", settings=settings(cluster, "dvv")) as dvv,
        ):
            kela.join(30)
            sent = dvv.publish(move(7), MOVED)
            sent.result(30)
            event = next(iter(kela))
        assert (event.attributes.id, event.data["notice_number"]) == (sent.event_id, 7)
    finally:
        router.stop()


@pytest.mark.long
def test_strangers_to_the_authority_get_nothing(cluster: Home, tmp_path: Path) -> None:
    """Without TLS, or trusting another authority, there is no metadata; the messages say what is wrong."""
    ours = settings(cluster, "operator")
    for changes in ({"security_protocol": "SASL_PLAINTEXT"}, {"security_protocol": "PLAINTEXT"}):
        plain = ours.model_copy(update=changes)
        with pytest.raises(KafkaException):
            AdminClient(plain.client() | {"log_level": 0}).list_topics(timeout=2)
        subscription = Subscription("kela", "population", settings=plain)
        with pytest.raises(BrokerUnavailable):
            subscription.join(3)
        subscription.close()
    other = str(Authority(directory=tmp_path).ensure())
    subscription = Subscription("kela", "population", settings=ours.model_copy(update={"ssl_ca_location": other}))
    with pytest.raises(ConfigurationError, match="HUTONG_KAFKA_SSL_CA_LOCATION"):
        subscription.join(20)
    subscription.close()
    with pytest.raises(ConfigurationError, match="HUTONG_REGISTRY_SSL_CA_LOCATION"):
        Registry.of(ours.model_copy(update={"registry_ca_location": other})).subjects()


class TimedLoad(Load):
    """A load that remembers when each event was handed to the publisher."""

    def __init__(self, home: Home, *, rate: float, keys: int) -> None:
        super().__init__(home, rate=rate, keys=keys)
        self.published: dict[str, float] = {}

    def _run(self) -> None:
        number = 0
        # In bursts: a steady trickle makes the routers commit a hundred times a second, and two cores have brokers to start.
        while not self._stop.wait(0.25):
            for _ in range(int(self._rate / 4)):
                key, moment = number % self._keys, time.monotonic()
                handle = self._publisher.publish(move(key), MOVED)
                self.published[handle.event_id] = moment
                self.acknowledged.append((handle.event_id, key))
                number += 1


class Reader:
    """A recipient that notes when it could read each event first."""

    def __init__(self, home: Home, topic: str) -> None:
        self._config = settings(home, "operator").client() | {"group.id": "t.rolling", "isolation.level": "read_committed"}
        self._from = [TopicPartition(topic, partition, offset) for partition, offset in ends(home, topic).items()]
        self._stop = threading.Event()
        self.read: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with Consumer(self._config) as consumer:
            consumer.assign(self._from)
            while not self._stop.is_set():
                for message in consumer.consume(1000, 0.05):
                    if message.error() is None:
                        id_ = (header(message.headers(), "ce_id") or b"").decode()
                        self.read.setdefault(id_, time.monotonic())


def await_in_sync(home: Home, what: str) -> None:
    """Wait until every partition has all of its copies, so that the next broker may go."""
    admin = AdminClient(settings(home, "operator").client() | {"log_level": 0})

    def in_sync() -> bool:
        topics = admin.list_topics(timeout=10).topics.values()
        return all(len(one.isrs) == len(one.replicas) for topic in topics for one in topic.partitions.values())

    await_true(in_sync, what, 60)


def replace_broker(home: Home, name: str) -> None:
    """Stop it as an operator does, and start it again."""
    broker = next(process for process in processes(home.run) if process.name == name)
    broker.signal(signal.SIGTERM)
    await_true(lambda: not broker.alive, f"{name} ends", 60)
    up(home, attached=True)
    await_in_sync(home, f"{name} has caught up")


@pytest.mark.long
def test_everything_is_replaced_one_by_one_under_load(cluster: Home) -> None:
    """Three brokers and two routers, each stopped and started again: nothing lost, nothing twice, and how long events waited."""
    hutong(cluster, "apply", "--schemas", str(FI), "--partitions", "2")
    routers = {name: RouterProcess(cluster, name) for name in "ab"}
    phases: list[tuple[str, float]] = []

    @contextmanager
    def phase(what: str) -> Iterator[None]:
        phases.append((what, time.monotonic()))
        print(f"{time.strftime('%X')} {what}", flush=True)  # shown where the test has failed
        yield
        before = list(load.published)  # the next only when the last is well: what was published till now is read
        await_true(lambda: reader.read.keys() >= set(before), f"{what}: read again", 60)

    try:
        for router in routers.values():
            router.await_ready()
        since = starting_points(cluster)
        with Reader(cluster, POPULATION) as reader, TimedLoad(cluster, rate=200, keys=50) as load:
            with phase("undisturbed"):
                await_true(lambda: len(reader.read) > 600, "deliveries are read")
            for number in (1, 2, 3):
                with phase(f"broker {number} replaced"):
                    replace_broker(cluster, f"kafka-{number}")
            for name in routers:
                with phase(f"router {name} replaced"):
                    routers[name].stop()
                    assert routers[name].process.returncode == 0
                    routers[name] = RouterProcess(cluster, name).await_ready()
            phases.append(("end", time.monotonic()))
            load.end()
            print(f"{time.strftime('%X')} {len(load.published)} published, {len(reader.read)} read", flush=True)
            await_true(lambda: load.published.keys() <= reader.read.keys(), "everything is read", 60)
        await_true(lambda: all_delivered(cluster, load, since), "everything is delivered", 60)
        check_exactly_once(cluster, load, since)
        print(table(load, reader, phases))
    finally:
        for router in routers.values():
            router.stop()


def table(load: TimedLoad, reader: Reader, phases: list[tuple[str, float]]) -> str:
    """Events, lost, duplicated (checked before), and the longest wait of those published in each phase."""
    lines = [f"{'phase':<20} {'seconds':>8} {'events':>8} {'lost':>5} {'twice':>5} {'worst freshness':>16}"]
    waits = {id_: (at, reader.read[id_] - at) for id_, at in load.published.items()}
    for (what, begins), (_, until) in pairwise(phases):
        inside = [wait for at, wait in waits.values() if begins <= at < until]
        lines.append(f"{what:<20} {until - begins:>8.1f} {len(inside):>8} {0:>5} {0:>5} {max(inside, default=0):>14.2f} s")
    worst = max(wait for _, wait in waits.values())
    lines.append(f"{'all':<20} {phases[-1][1] - phases[0][1]:>8.1f} {len(waits):>8} {0:>5} {0:>5} {worst:>14.2f} s")
    return "\n".join(lines)


@pytest.mark.long
def test_a_bus_with_mutual_tls_outlives_its_certificate(own_home: Home, tmp_path: Path) -> None:
    """Who shows no certificate is refused; an expired one of the server is renewed by the next start, for the same clients."""
    up(own_home, wish=Wish(security="mutual"), attached=True)
    hutong(own_home, "apply", "--schemas", str(FI))
    ours = settings(own_home, "dvv")
    Publisher("dvv", settings=ours).close()
    nothing: dict[str, Any] = {"ssl_certificate_location": None, "ssl_key_location": None}
    stranger = Authority(directory=tmp_path).client("dvv")
    another = {"ssl_certificate_location": str(stranger.certificate), "ssl_key_location": str(stranger.key)}
    for changes in (nothing, another):
        with pytest.raises(KafkaException):
            AdminClient(ours.model_copy(update=changes).client() | {"log_level": 0}).list_topics(timeout=3)
    assert AdminClient(ours.client()).list_topics(timeout=10).brokers

    past = datetime.now(UTC) - timedelta(days=400)
    (own_home.tls / "server.crt").unlink()
    Authority(directory=own_home.tls, now=past).server(["127.0.0.1", "localhost"])
    running = {process.pid for process in processes(own_home.run)}
    up(own_home, attached=True)  # as it runs: the file is what tells
    assert status(own_home).up
    assert running.isdisjoint(process.pid for process in processes(own_home.run))
    ends = Authority(directory=own_home.tls).server_ends()
    assert ends is not None
    assert ends > datetime.now(UTC) + timedelta(days=300)
    with Publisher("dvv", settings=ours) as dvv:
        dvv.publish(move(1), MOVED).result(30)
    down(own_home)
