"""What the tests of the coordinator on a real bus share: their bus, their coordinators, questions and answers by hand."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hutong import Publisher
from hutong.embedded import up
from hutong.flows.case import Case, Question, new_case
from tests.conftest import temporary_home
from tests.integration.coordinators import Bus, CoordinatorProcess
from tests.integration.loan_flow import FLOW, LAND, QUESTION, REPORT, REQUESTED

DAY_MS = 86_400_000

__all__ = [
    "DAY_MS",
    "Start",
    "all_closed",
    "answer",
    "ask_for",
    "bus",
    "check_once",
    "old_case",
    "questions",
    "reports",
    "shares",
    "start",
]

Start = Callable[..., CoordinatorProcess]


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


def shares(coordinator: CoordinatorProcess) -> bool:
    known = [line["partitions"] for line in coordinator.log() if line["message"] == "cases are here"]
    return bool(known) and 0 < len(known[-1]) < 8


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
        withdrawn_ms=None,
        answer_id=None,
        answered_ms=None,
        answer=None,
    )
    return case


def all_closed(bus: Bus, numbers: list[str]) -> bool:
    cases = bus.cases()
    return all(cases.get(number, {}).get("status") == "closed" for number in numbers)
