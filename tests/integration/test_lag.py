"""True lag on a real bus, held to a ledger that counts events by their ids and knows nothing of offsets."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from hutong import Subscription
from hutong.embedded import up
from hutong.embedded.process import processes, stop
from hutong.kafka.compacted import read_all
from hutong.kafka.control import AGREEMENTS_TOPIC
from hutong.kafka.registry import Registry
from hutong.kafka.schemas import WriterSchemas
from hutong.lag.concern import Concern
from hutong.lag.look import Onlooker
from hutong.lag.now import LagNow
from hutong.lag.pending import NOTHING, Waiting
from tests.behaviour.line import FI, MOVED
from tests.conftest import temporary_home
from tests.integration.ledger import CHANNELS, COMPANY, Ledger, text
from tests.integration.processes import ServiceProcess, await_true, hutong

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def ledger() -> Iterator[Ledger]:
    with temporary_home() as home:
        up(home, attached=True)
        hutong(home, "apply", "--schemas", str(FI))
        ledger = Ledger(home)
        yield ledger
        ledger.reader.close()


Start = Callable[..., ServiceProcess]


@pytest.fixture
def start(ledger: Ledger) -> Iterator[Start]:
    """Starts services, and ends them whatever happens."""
    started: list[ServiceProcess] = []

    def start(service: str, *flags: str) -> ServiceProcess:
        started.append(ServiceProcess(ledger.home, service, f"{service}-{len(started)}", *flags))
        return started[-1]

    yield start
    for process in started:
        process.stop()


@pytest.fixture(scope="module")
def look(ledger: Ledger) -> Iterator[LagNow]:
    """As the monitor's principal, and over the whole module: what it remembers must not deceive it."""
    with LagNow(ledger.settings("monitor")) as made:
        yield made


def drain(ledger: Ledger, start: Start) -> None:
    """A router does all there is, and stops."""
    router = start("router")
    await_true(lambda: not any(ledger.waiting().values()), "everything is delivered")
    router.stop()


def test_lag_is_exact_while_no_router_runs(ledger: Ledger, look: LagNow) -> None:
    """Two contracts with rows, an aborted transaction and records that are no events in between: counts and ages to the event."""
    ledger.publish(120)
    ledger.publish(30, abort=True)
    ledger.publish(80, broken=True)
    counts = ledger.check(look())
    assert counts["moves-for-statistics"] == counts["companies-to-tax"] == 200
    assert 0 < counts["moves-to-benefits"] < 200
    assert 0 < counts["companies-to-health"] < 200
    print("waiting with no router:", counts)


def test_a_drained_bus_has_exactly_nothing_waiting(ledger: Ledger, look: LagNow, start: Start) -> None:
    """Though every partition ends behind its group's position: markers and aborted records are nobody's lag."""
    drain(ledger, start)
    ledger.publish(10, abort=True)
    seen = look()
    ledger.check(seen)
    for agreement in CHANNELS:
        lag = seen.agreements[agreement]
        assert (lag.delivery, lag.freshness_seconds, lag.kept) == (NOTHING, 0.0, True)
    with LagNow(ledger.settings("monitor")) as another:  # one that remembers nothing says the same
        ledger.check(another())
    behind = sum(ledger.ends(f"pub.{MOVED}").values()) - sum(committed(ledger, "hutong.router", f"pub.{MOVED}").values())
    assert behind > 0


def committed(ledger: Ledger, group: str, topic: str) -> dict[int, int]:
    with Consumer(ledger.settings().client() | {"group.id": group}) as consumer:
        asked = [TopicPartition(topic, partition) for partition in ledger.ends(topic)]
        return {one.partition: max(0, one.offset) for one in consumer.committed(asked, 10)}


def test_untaken_is_what_lies_behind_the_groups_position(ledger: Ledger, look: LagNow, start: Start) -> None:
    """A channel with deliveries of several transactions, two groups half way and at the end: exact for each of them."""
    channel = CHANNELS["moves-to-benefits"]
    for group, count in (("kela.slow", 60), ("kela.quick", None)):
        options: Any = {"group": group, "from_beginning": True, "idle_timeout": 2.0, "settings": ledger.settings("kela")}
        with Subscription("kela", "population", **options) as subscription:
            for number, _ in enumerate(subscription, start=1):
                if number == count:
                    break
    taking = look().agreements["moves-to-benefits"].taking
    assert set(taking) == {"kela.slow", "kela.quick"}
    assert taking["kela.quick"] == NOTHING
    positions = committed(ledger, "kela.slow", channel)
    untaken = [one for one in ledger.read(channel) if one.offset() >= positions[one.partition()]]
    assert len(untaken) == len(ledger.delivered()["moves-to-benefits"]) - 60
    assert taking["kela.slow"].count == len(untaken)
    assert taking["kela.slow"].oldest_ms == min(one.timestamp()[1] for one in untaken)
    assert taking["kela.slow"].exact


def test_a_group_without_a_position_counts_from_the_beginning(ledger: Ledger, look: LagNow) -> None:
    """But only once it has a member there: before that nobody reads."""
    assert look().agreements["companies-to-tax"].taking == {}
    with Consumer(ledger.settings("vero").client() | {"group.id": "vero.new", "enable.auto.commit": False}) as consumer:
        consumer.subscribe([CHANNELS["companies-to-tax"]])
        await_true(lambda: consumer.poll(0.1) is None and consumer.assignment(), "it has its partitions")
        seen = look()
        assert seen.agreements["companies-to-tax"].taking["vero.new"].count == len(ledger.delivered()["companies-to-tax"])
        assert seen.groups["vero.new"].members == 1


def test_what_retention_took_is_told_and_no_more_waited_for(ledger: Ledger, look: LagNow, start: Start) -> None:
    """Deleted before they were passed, by the router and by a recipient: counted once, without markers; what is left is exact."""
    topic, channel = f"pub.{MOVED}", CHANNELS["moves-to-benefits"]
    ledger.publish(60)
    before = look()
    assert before.lost == 0
    unrouted, _ = delete_some(ledger, topic, "hutong.router")
    untaken, taken = delete_some(ledger, channel, "kela.slow")
    for event_id in unrouted | untaken | taken:  # the ledger cannot find on the channel what is deleted there
        ledger.owed.pop(event_id, None)
    seen = look()
    ledger.check(seen)
    assert seen.groups["hutong.router"].lost[topic] == len(unrouted)
    assert seen.groups["kela.slow"].lost[channel] == len(untaken)
    slow = seen.agreements["moves-to-benefits"].taking["kela.slow"]
    assert slow.count == before.agreements["moves-to-benefits"].taking["kela.slow"].count - len(untaken)
    told = json.loads(hutong(ledger.home, "lag", "--json", codes=(1,)))["lost_to_retention"]
    assert {(one["group"], one["topic"]) for one in told} == {("hutong.router", topic), ("kela.slow", channel)}
    drain(ledger, start)
    assert look().lost == len(unrouted) + len(untaken)


def delete_some(ledger: Ledger, topic: str, group: str) -> tuple[set[str], set[str]]:
    """Let retention take what a group has not passed yet, and what lies before that.

    Returns:
        Ids of the events that the group had not passed, and of those that it had.
    """
    positions = committed(ledger, group, topic)
    passed: dict[int, list[Any]] = {}
    left: dict[int, list[Any]] = {}
    for one in ledger.read(topic):
        (left if one.offset() >= positions[one.partition()] else passed).setdefault(one.partition(), []).append(one)
    # Preferably where the group stands in the middle: the harder case.
    place = min((place for place, some in left.items() if len(some) > 5), key=lambda place: (place not in passed, place))
    start = left[place][5].offset()
    lost, had = ({text(one, "ce_id") for one in some} for some in (left[place][:5], passed.get(place, ())))
    admin = AdminClient(ledger.settings().client())
    for deleted in admin.delete_records([TopicPartition(topic, place, start)]).values():
        assert deleted.result().low_watermark == start
    return lost, had


def test_a_transaction_that_nobody_ends_shows_as_a_stable_offset_that_stands(ledger: Ledger) -> None:
    """Nothing waits because of it, since nobody may see it; that it holds up what comes after it is seen all the same."""
    topic = f"pub.{COMPANY}"
    producer = Producer(ledger.settings().client() | {"transactional.id": "hutong.test-hanging"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"v", b"k")
    producer.flush(10)
    began = time.monotonic()
    with closing(concerned(ledger)) as onlooker:
        assert onlooker.look(seconds=5).standing_seconds[topic] == 0
        await_true(lambda: onlooker.look(seconds=5).standing_seconds[topic] > 0.3, "it stands")
        seen = onlooker.look(seconds=5)
        assert 0.3 < seen.standing_seconds[topic] <= time.monotonic() - began
        assert seen.agreements["companies-to-tax"].delivery == NOTHING
        producer.abort_transaction(30)  # its mark comes a moment after the answer
        await_true(lambda: onlooker.look(seconds=5).standing_seconds[topic] == 0, "it stands no more")


def concerned(ledger: Ledger, **more: str) -> Onlooker:
    """An onlooker as the monitor makes it, that reads no further ahead than has paid."""
    settings = ledger.settings("monitor")
    concern = Concern(WriterSchemas(Registry.of(settings)))
    concern.update(read_all(settings, AGREEMENTS_TOPIC))
    return Onlooker(settings, concern, **more)


def test_the_monitor_tells_it_on_its_page(ledger: Ledger, start: Start) -> None:
    """As its own principal, with no router alive: the ledger's numbers, ages that grow, facts to join with; it ends in order."""
    monitor = start("monitor", "--round-seconds", "0.2").await_ready()
    ledger.publish(20)
    waiting = {agreement: len(ids) for agreement, ids in ledger.waiting().items()}
    assert all(waiting.values())

    def tells() -> bool:
        return all(monitor.metric("hutong_pending_deliveries", agreement=name) == count for name, count in waiting.items())

    await_true(tells, "it tells what waits")
    age = monitor.metric("hutong_delivery_freshness_seconds", agreement="companies-to-tax")
    await_true(
        lambda: monitor.metric("hutong_delivery_freshness_seconds", agreement="companies-to-tax") > age + 0.3, "it grows older"
    )
    assert monitor.metric("hutong_pending_exact", agreement="companies-to-tax") == 1
    assert monitor.metric("hutong_freshness_objective_seconds", agreement="companies-to-tax") == 60
    assert monitor.metric("hutong_agreement_in_force", agreement="companies-to-tax") == 1
    until = monitor.metric("hutong_agreement_valid_until_timestamp_seconds", agreement="moves-for-statistics")
    assert until == 1_956_520_800
    info = monitor.metric("hutong_agreement_info", agreement="companies-to-tax", contract=COMPANY, recipient="vero")
    assert info == 1
    assert monitor.metric("hutong_freshness_sla_seconds_total", agreement="companies-to-tax", kept="true") > 0
    assert monitor.metric("hutong_untaken_deliveries", agreement="moves-to-benefits", group="kela.slow") > 0
    assert abs(monitor.metric("hutong_contract_last_event_timestamp_seconds", contract=COMPANY) - time.time()) < 60
    assert monitor.metric("hutong_quarantine_records", contract=MOVED) == len(ledger.read(f"quarantine.{MOVED}")) == 1
    assert monitor.metric("hutong_brokers_in_service") == monitor.metric("hutong_brokers_expected") == 1
    await_true(lambda: monitor.metric("hutong_registry_up") == 1, "the registry answers")
    document = json.loads(hutong(ledger.home, "lag", "--json", "companies-to-tax", codes=(0, 1)))
    assert document["format"] == 1
    (line,) = document["agreements"]
    assert (line["not_delivered"]["count"], line["not_delivered"]["exact"]) == (waiting["companies-to-tax"], True)
    assert "companies-to-tax" in hutong(ledger.home, "lag", codes=(0, 1))
    hutong(ledger.home, "lag", "no-such-agreement", codes=(2,))
    monitor.stop()
    assert monitor.process.returncode == 0


def test_a_killed_router_has_delivered_what_is_not_waiting(ledger: Ledger, look: LagNow, start: Start) -> None:
    """Wherever it was killed, published is delivered plus waiting, for every agreement."""
    ledger.publish(400)
    before = ledger.delivered()
    router = start("router", "--batch-events", "7", "--transaction-seconds", "2")
    await_true(lambda: ledger.delivered() != before, "some are delivered")
    router.kill()
    # A transaction that it left open is the brokers' to abort; nothing of it is delivered before or after.
    print("waiting after the kill:", ledger.check(look()))


def test_a_topic_that_was_made_anew_is_counted_anew(ledger: Ledger) -> None:
    """Deleted and made again under its name between two looks: what was known of its old records says nothing of the new ones."""
    topic = f"pub.{COMPANY}"
    with closing(concerned(ledger, router_group="hutong.router-that-never-ran")) as onlooker:

        def waiting() -> Waiting:
            return onlooker.look(seconds=5).agreements["companies-to-tax"].delivery

        assert waiting().count >= 200
        admin = AdminClient(ledger.settings().client())
        admin.delete_topics([topic])[topic].result(30)
        hutong(ledger.home, "apply", "--schemas", str(FI))
        anew = Ledger(ledger.home, number=ledger.number)
        anew.publish(3)
        oldest_ms = min(one.timestamp()[1] for one in anew.read(topic))
        seen = [waiting()]

        def is_counted() -> bool:
            seen[:] = [waiting()]
            return seen[0].exact and seen[0].count == 3

        try:
            await_true(is_counted, "the new topic's events are what waits")
        finally:
            assert seen == [Waiting(count=3, oldest_ms=oldest_ms, exact=True)]
            anew.reader.close()


@pytest.mark.long  # freezes the broker, and starts it anew
def test_a_broker_that_freezes_or_starts_anew_is_seen_to_go_and_to_come_back(ledger: Ledger, start: Start) -> None:
    """Frozen, it takes connections and answers nothing: the page says so after the first question that is left open.

    Started anew, it coordinates no group yet and says so: that must not end who asks it about one.
    """
    monitor = start("monitor", "--round-seconds", "0.2").await_ready()

    def await_brokers(count: int) -> float:
        began = time.monotonic()
        await_true(
            lambda: monitor.metric("hutong_brokers_in_service") == count and monitor.process.poll() is None, f"{count} are seen"
        )
        return time.monotonic() - began

    def await_sight() -> float:
        """Until all is told again, groups' positions too."""
        began = time.monotonic()
        await_true(
            lambda: monitor.metric("hutong_untaken_exact", agreement="moves-to-benefits", group="kela.slow") == 1,
            "it sees everything again",
        )
        monitor.await_ready()
        return time.monotonic() - began

    await_brokers(1)
    broker = next(one for one in processes(ledger.home.run) if one.name == "kafka-1")
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        print(f"a frozen broker is away after {await_brokers(0):.1f} s")
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    print(f"thawed, it is back after {await_brokers(1):.1f} s")
    await_sight()
    stop([broker], patience=15)
    print(f"a broker that was stopped is away after {await_brokers(0):.1f} s")
    up(ledger.home, attached=True)
    print(f"started anew, it is back after {await_brokers(1):.1f} s, and all is told after {await_sight():.1f} s more")
