"""The coordinator under faults, on a bus of its own: no question under two ids, no report twice, no case lost, deadlines kept."""

from __future__ import annotations

import json
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from hutong import Publisher
from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.embedded import up
from hutong.embedded.process import processes
from hutong.event import Attributes
from hutong.flows.case import Case, Question, new_case
from tests.conftest import temporary_home
from tests.integration.coordinators import Agencies, Bus, CoordinatorProcess
from tests.integration.loan_flow import FLOW, LAND, OFFICE, QUESTION, REPORT, REQUESTED, TAX, flow
from tests.integration.routers import await_true

DAY_MS = 86_400_000

Start = Callable[..., CoordinatorProcess]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def bus() -> Iterator[Bus]:
    with temporary_home() as home, tempfile.TemporaryDirectory() as schemas:
        up(home, attached=True)
        yield Bus(home, Path(schemas))


@pytest.fixture
def start(bus: Bus) -> Iterator[Start]:
    """Starts coordinators, and ends them whatever happens."""
    started: list[CoordinatorProcess] = []

    def start(name: str = "a", *flags: str) -> CoordinatorProcess:
        started.append(CoordinatorProcess(bus.home, name, *flags))
        return started[-1]

    yield start
    for one in started:
        one.stop()
        print(*one.log()[-20:], sep="\n")  # shown where the test has failed


def ask_for(publisher: Publisher, loan: str, income: int = 5) -> str:
    return publisher.publish({"loan": loan, "person": "P", "income": income}, REQUESTED).event_id


def answer(bus: Bus, case: str, department: str, name: str, value: int = 5, question: str | None = None) -> str:
    data = {"question_number": question or f"{case}-{name}", "case_number": case, name: value}
    with bus.publisher(department) as publisher:
        return publisher.publish(data, f"{department}.answered").event_id


def reports(bus: Bus, case: str) -> list[tuple[str, dict[str, Any]]]:
    return [(id_, data) for id_, data in bus.events(REPORT) if data["case_number"] == case]


def questions(bus: Bus, case: str) -> list[tuple[str, dict[str, Any]]]:
    return [(id_, data) for id_, data in bus.events(QUESTION) if data["case_number"] == case]


def test_a_case_runs_through(bus: Bus, start: Start) -> None:
    """Opened, asked, answered, compared, reported; the state is on the changelog, the counts are on the metrics page."""
    coordinator = start().await_ready()
    with bus.publisher(OFFICE) as publisher:
        ask_for(publisher, "single-1", income=4)
    await_true(lambda: len(questions(bus, "LC-single-1")) == 2, "both agencies are asked")
    answer(bus, "LC-single-1", LAND, "houses")
    answer(bus, "LC-single-1", TAX, "income")
    await_true(lambda: reports(bus, "LC-single-1"), "the report is there")
    [(_, report)] = reports(bus, "LC-single-1")
    assert report == {"case_number": "LC-single-1", "result": "COMPLETE", "discrepancies": 1, "missing": 0}
    assert bus.cases()["LC-single-1"]["status"] == "closed"
    await_true(lambda: coordinator.metric("hutong_cases_closed_total", flow=FLOW, result="COMPLETE") == 1, "it is counted")
    assert coordinator.metric("hutong_answers_total", flow=FLOW, agency=TAX, outcome="in_time") == 1
    assert coordinator.metric("hutong_deadlines_total", flow=FLOW, kept="true") == 2
    seconds = coordinator.stop()
    print(f"stopped in {seconds:.1f} s")
    assert coordinator.process.returncode == 0
    assert seconds < 10


def test_killed_coordinators_ask_and_report_once(bus: Bus, start: Start) -> None:
    """Two coordinators under load, killed and started again: every case closes, with one id per question and per report."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    running = [start(name).await_ready() for name in ("a", "b")]
    numbers = [f"LC-load-{at}" for at in range(600)]
    with Agencies(bus), bus.publisher(OFFICE) as publisher:
        for at in range(3):
            for number in numbers[at * 200 : at * 200 + 200]:
                ask_for(publisher, number.removeprefix("LC-"))
            publisher.flush()
            time.sleep(chance.uniform(0.1, 2.0))  # the fault comes at a random moment of the work
            victim = chance.randrange(2)
            running[victim].kill()
            running[victim] = start("ab"[victim])

        def is_done() -> bool:
            cases = bus.cases()
            return all(cases.get(number, {}).get("status") == "closed" for number in numbers)

        await_true(is_done, "every case is closed", 100)
    check_once(bus, set(numbers))


def check_once(bus: Bus, numbers: set[str]) -> None:
    asked: dict[tuple[str, int], list[str]] = {}
    for id_, data in bus.events(QUESTION):
        if data["case_number"] in numbers:
            asked.setdefault((data["question_number"], data["reminder"]), []).append(id_)
    told: dict[str, list[str]] = {}
    for id_, data in bus.events(REPORT):
        if data["case_number"] in numbers:
            assert data["result"] == "COMPLETE"
            told.setdefault(data["case_number"], []).append(id_)
    assert {number for number, _ in asked} == {f"{one}-{name}" for one in numbers for name in ("houses", "income")}
    assert told.keys() == numbers
    everything = [*asked.values(), *told.values()]
    assert [ids for ids in everything if len(set(ids)) > 1] == []
    print(f"{len(everything)} events, {sum(map(len, everything)) - len(everything)} repeated under the same id")


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


def shares(coordinator: CoordinatorProcess) -> bool:
    known = [line["partitions"] for line in coordinator.log() if line["message"] == "cases are here"]
    return bool(known) and 0 < len(known[-1]) < 4


def test_an_aborted_transaction_on_the_inbox_does_not_happen(bus: Bus, start: Start) -> None:
    """What a transaction had written to the inbox before it was aborted opens no case; the next one's does."""
    start().await_ready()
    registered = bus.registry.latest(f"pub.{REQUESTED}-value")
    assert registered is not None
    schema = EventSchema(registered.schema)
    producer = Producer(bus.settings().client() | {"transactional.id": "hutong.test-abort"})
    producer.init_transactions(30)
    for commit in (False, True):
        key = f"single-commit-{commit}"
        producer.begin_transaction()
        data = schema.check({"loan": key, "person": "P", "income": 5})
        moment = Attributes(id=key, source=f"urn:hutong:{OFFICE}", type=REQUESTED, time=bus.now())
        meant = {"flow": FLOW, "does": "open", "spec": "0", "case_key": key, "place": f"pub.{REQUESTED}/0/0"}
        headers = [*moment.to_headers(), *((f"hutong_{name}", value.encode()) for name, value in meant.items())]
        producer.produce("ctl.cases.inbox", frame(registered.id) + schema.encode(data), f"LC-{key}", headers=headers, partition=0)  # type: ignore[arg-type]
        producer.flush()
        time.sleep(1)  # so that an uncommitted record would have been read
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    await_true(lambda: "LC-single-commit-True" in bus.cases(), "the committed one opens its case")
    assert "LC-single-commit-False" not in bus.cases()
    assert questions(bus, "LC-single-commit-False") == []


def test_an_answer_to_nothing_is_quarantined(bus: Bus, start: Start) -> None:
    """An answer to a case that is not there goes to quarantine, byte for byte, with the reason."""
    start().await_ready()
    id_ = answer(bus, "LC-nobody", LAND, "houses")
    await_true(lambda: bus.quarantined(f"{LAND}.answered"), "it is in quarantine")
    [(reason, record)] = bus.quarantined(f"{LAND}.answered")
    [original] = [one for one in bus.read(f"pub.{LAND}.answered") if dict(one.headers())["ce_id"].decode() == id_]
    assert reason == "unknown_case"
    assert (record.key(), record.value()) == (original.key(), original.value())
    headers = dict(record.headers())
    assert headers["hutong_source"] == f"pub.{LAND}.answered/{original.partition()}/{original.offset()}".encode()
    assert dict(original.headers()).items() <= headers.items()


def test_a_deadline_that_passed_while_it_was_down_is_kept_at_its_start(bus: Bus, start: Start) -> None:
    """After three days without any coordinator a case's deadline is found, and the case closes with what there is."""
    now_ms = time.time_ns() // 1_000_000
    case = old_case("LC-single-old", now_ms - 3 * DAY_MS)
    producer = Producer(bus.settings().client() | {"partitioner": "murmur2_random"})
    producer.produce("ctl.cases.state", json.dumps(case, separators=(",", ":")).encode(), case["number"])
    producer.flush()
    start("fresh").await_ready()
    await_true(lambda: reports(bus, "LC-single-old"), "its report is there", 20)
    [(_, report)] = reports(bus, "LC-single-old")
    assert (report["result"], report["missing"]) == ("PARTIAL", 1)
    assert {data["withdrawn"] for _, data in questions(bus, "LC-single-old")} == {True}
    closed = bus.cases()["LC-single-old"]
    assert closed["closed_ms"] == case["due_ms"]
    assert [one["what"] for one in closed["timeline"]] == ["LATE", "WITHDRAWN", "CLOSED"]


def old_case(number: str, opened_ms: int) -> Case:
    case = new_case(FLOW, number, number.removeprefix("LC-"), at_ms=opened_ms, due_ms=opened_ms + DAY_MS)
    case["status"], case["data"], case["done"] = "open", {"person": "P", "income": 5}, ["houses", "income"]
    case["questions"][f"{number}-houses"] = Question(
        number=f"{number}-houses",
        ask="houses",
        agency=LAND,
        stage="main",
        required=True,
        item=None,
        status="open",
        asked_ms=opened_ms,
        due_ms=opened_ms + DAY_MS // 2,
        remind_ms=[],
        reminded=0,
        escalate_ms=None,
        answer_id=None,
        answered_ms=None,
        answer=None,
    )
    return case


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


def test_a_flow_that_comes_and_goes(bus: Bus, start: Start) -> None:
    """A flow that is taken away leaves its cases at rest, and answers to them in quarantine; it goes on when it is back."""
    start().await_ready()
    with bus.publisher(OFFICE) as publisher:
        ask_for(publisher, "single-rest")
    await_true(lambda: len(questions(bus, "LC-single-rest")) == 2, "the agencies are asked")
    bus.revoke(FLOW)
    bus.apply(flow(id="loan-check-2", prefix="LD"))
    with bus.publisher(OFFICE) as publisher:
        ask_for(publisher, "single-second")
    await_true(lambda: len(questions(bus, "LD-single-second")) == 2, "the other flow asks", 60)
    assert questions(bus, "LC-single-second") == []
    bus.revoke("loan-check-2")
    bus.apply(flow())
    answer(bus, "LC-single-rest", TAX, "income")
    answer(bus, "LC-single-rest", LAND, "houses")
    await_true(lambda: reports(bus, "LC-single-rest"), "the first goes on", 60)
