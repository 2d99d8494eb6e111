"""The coordinator under faults: no question under two ids, no report twice, no case lost, whoever is killed, asleep or away."""

from __future__ import annotations

import json
import random
import signal
import time

import pytest
from confluent_kafka import Producer

from hutong.embedded import up
from hutong.embedded.process import processes
from hutong.errors import HutongError
from hutong.flows.case import Case
from hutong.kafka.positions import position_of
from services.coordinator.cases import encode
from tests.integration.coordinating import (
    Start,
    all_closed,
    answer,
    ask_for,
    bus,
    check_once,
    old_case,
    questions,
    shares,
    start,
)
from tests.integration.coordinators import Agencies, Bus
from tests.integration.loan_flow import OFFICE, QUESTION, REQUESTED, TAX
from tests.integration.routers import await_true, hutong

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]

__all__ = ["bus", "start"]  # fixtures, found by name


def test_killed_coordinators_ask_and_report_once(bus: Bus, start: Start) -> None:
    """Two coordinators under load, killed and started again: every case closes, with one id per question and per report."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    running = [start(name).await_ready() for name in ("a", "b")]
    numbers = [f"LC-load-{at}" for at in range(750)]
    with Agencies(bus), bus.publisher(OFFICE) as publisher:
        for at in range(5):
            for number in numbers[at * 150 : at * 150 + 150]:
                ask_for(publisher, number.removeprefix("LC-"))
            publisher.flush()
            time.sleep(chance.uniform(0.1, 2.0))  # the fault comes at a random moment of the work
            victim = chance.randrange(2)
            running[victim].kill()
            running[victim] = start("ab"[victim])

        await_true(lambda: all_closed(bus, numbers), "every case is closed", 120)
    check_once(bus, set(numbers))


def test_another_takes_over_a_killed_ones_cases(bus: Bus, start: Start) -> None:
    """The cases of a killed coordinator go on with the other one in less than 15 seconds."""
    first = start("a").await_ready()
    second = start("b").await_ready()
    await_true(lambda: all(shares(one) for one in (first, second)), "both have cases", 60)
    with bus.publisher(OFFICE) as publisher:
        first.kill()
        killed = time.monotonic()
        numbers = [f"LC-single-over-{at}" for at in range(40)]
        for number in numbers:
            ask_for(publisher, number.removeprefix("LC-"))
    wanted = {f"{number}-{name}" for number in numbers for name in ("houses", "income")}
    await_true(lambda: wanted <= {data["question_number"] for _, data in bus.events(QUESTION)}, "all are asked", 60)
    seconds = time.monotonic() - killed
    print(f"taken over in {seconds:.1f} s")
    assert seconds < 15


def test_a_registry_outage_makes_it_wait(bus: Bus, start: Start) -> None:
    """Without the registry a new coordinator can read nothing: it says so, and goes on when the registry is back."""
    with bus.publisher(OFFICE) as publisher:
        publisher.prepare({"loan": "", "person": "", "income": 1}, REQUESTED)
        coordinator = start().await_ready()
        registry = next(process for process in processes(bus.home.run) if process.name == "registry")
        registry.signal(signal.SIGSTOP)
        try:
            ask_for(publisher, "single-outage")
            publisher.flush()
            await_true(lambda: "registry" in coordinator.get("/health/ready")[1], "it says that it waits", 40)
            assert coordinator.get("/health/ready")[0] == 503
        finally:
            registry.signal(signal.SIGCONT)
        await_true(lambda: len(questions(bus, "LC-single-outage")) == 2, "the agencies are asked", 60)
        assert coordinator.process.poll() is None


def test_one_that_sleeps_and_wakes_changes_nothing(bus: Bus, start: Start) -> None:
    """A coordinator that is stopped in the middle of its work, beyond its session, comes back to cases that are others' now."""
    first, second = start("a").await_ready(), start("b").await_ready()
    await_true(lambda: all(shares(one) for one in (first, second)), "both have cases", 60)
    numbers = [f"LC-sleep-{at}" for at in range(400)]
    with Agencies(bus), bus.publisher(OFFICE) as publisher:
        for number in numbers[:300]:
            ask_for(publisher, number.removeprefix("LC-"))
        publisher.flush()
        await_true(lambda: first.metric("hutong_coordinator_inbox_records_total") > 20, "it is in the middle of it", 30)
        first.process.send_signal(signal.SIGSTOP)
        try:
            for number in numbers[300:]:
                ask_for(publisher, number.removeprefix("LC-"))
            publisher.flush()
            await_true(lambda: all_closed(bus, numbers), "the other one does it all", 100)
            ends = bus.ends("ctl.cases.state")
        finally:
            first.process.send_signal(signal.SIGCONT)
        await_true(lambda: all(shares(one) or one.process.poll() is not None for one in (first, second)), "it is back", 60)
        time.sleep(3)
    states: dict[str, int] = {}
    for one in bus.read("ctl.cases.state"):
        states[one.key().decode()] = position_of(one.value())
        if one.offset() >= ends[one.partition()]:
            assert json.loads(one.value())["status"] == "closed", "an old state was written after the newer one"
    assert all_closed(bus, numbers)
    assert all(states[number] > 0 for number in numbers)
    check_once(bus, set(numbers))


def test_an_older_state_on_the_changelog_does_not_count(bus: Bus, start: Start) -> None:
    """What a sleeper wrote after its successor is neither recovered by a new coordinator nor shown, and is written over."""
    now_ms = time.time_ns() // 1_000_000
    newer, older = old_case("LC-single-stale", now_ms - 1_000), old_case("LC-single-stale", now_ms - 1_000)
    newer["data"] = {"person": "P", "income": 9}
    with_answer = answered(newer)
    producer = Producer(bus.settings().client() | {"partitioner": "murmur2_random"})
    for case, position in ((with_answer, 0), (older, -1)):
        producer.produce("ctl.cases.state", encode(case, position), case["number"])
    producer.flush()
    shown = json.loads(hutong(bus.home, "cases", "show", "LC-single-stale", "--json", "--reveal"))["cases"]
    assert [one["data"]["income"] for one in shown] == [9]
    start("stale").await_ready()
    await_true(lambda: last_state(bus, "LC-single-stale")["data"]["income"] == 9, "compaction would keep the newer one")
    answer(bus, "LC-single-stale", TAX, "income", 9)
    await_true(lambda: bus.cases()["LC-single-stale"]["entries"] > 0, "it is stepped")
    assert bus.cases()["LC-single-stale"]["data"]["income"] == 9


def last_state(bus: Bus, number: str) -> Case:
    """What stands last on the changelog."""
    found: Case = json.loads([one.value() for one in bus.read("ctl.cases.state") if one.key() == number.encode()][-1])
    return found


def answered(case: Case) -> Case:
    one = case["questions"][f"{case['number']}-houses"]
    one["status"], one["answer"], one["answered_ms"], one["answer_id"] = "answered", {"houses": 1}, case["opened_ms"], "x"
    return case


def start_again(bus: Bus) -> None:
    """Its port may be a client's own for a moment: one that looks for the dead broker connects to itself."""
    deadline = time.monotonic() + 60
    while True:
        try:
            up(bus.home, attached=True)
        except HutongError:
            assert time.monotonic() < deadline, "the broker does not start again"
            time.sleep(1)
        else:
            return


def test_the_broker_dies_and_comes_back(bus: Bus, start: Start) -> None:
    """Its process killed in the middle of the work and started again: every case closes, with the coordinator or its next one."""
    coordinator = start().await_ready()
    numbers = [f"LC-broker-{at}" for at in range(200)]
    with bus.publisher(OFFICE) as publisher:
        for number in numbers:
            ask_for(publisher, number.removeprefix("LC-"))
        publisher.flush()
        broker = next(process for process in processes(bus.home.run) if process.name.startswith("kafka"))
        broker.signal(signal.SIGKILL)
        await_true(lambda: broker.name not in {one.name for one in processes(bus.home.run)}, "the broker is dead")
        start_again(bus)
    with Agencies(bus):
        if coordinator.process.poll() is not None:  # who supervises it starts it again
            coordinator = start()
        deadline = time.monotonic() + 100
        while not all_closed(bus, numbers):
            if coordinator.process.poll() is not None:
                coordinator = start()
            assert time.monotonic() < deadline, "every case is closed"
            time.sleep(0.5)
    check_once(bus, set(numbers))
