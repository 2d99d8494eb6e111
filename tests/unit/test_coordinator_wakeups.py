"""The heap of moments: what is due when, how often it comes again, and what is never looked at."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from hutong.flows.case import Case, Question, new_case
from services.coordinator.cases import decode, encode
from services.coordinator.metrics import Standing
from services.coordinator.wakeups import Wakeups, is_closed


def case(number: str = "LC-1", *, flow: str = "f", due_ms: int = 1_000, opened_ms: int = 0, status: str = "open") -> Case:
    made = new_case(flow, number, number, at_ms=opened_ms, due_ms=due_ms)
    made["status"] = status  # type: ignore[typeddict-item]
    return made


def question(status: str, due_ms: int) -> Question:
    return Question(
        number="q",
        ask="a",
        agency="b.c",
        stage="main",
        required=True,
        item=None,
        status=status,  # type: ignore[typeddict-item]
        asked_ms=0,
        due_ms=due_ms,
        remind_ms=[],
        reminded=0,
        escalate_ms=None,
        withdrawn_ms=None,
        answer_id=None,
        answered_ms=None,
        answer=None,
    )


def test_cases_come_in_the_order_of_their_moments() -> None:
    """Of three cases those whose moment has passed come, the earliest first."""
    wakeups = Wakeups()
    for number, due_ms in (("LC-3", 300), ("LC-1", 100), ("LC-2", 200)):
        wakeups.watch(number, case(number, due_ms=due_ms))
    assert wakeups.due(99, {"f"}) == []
    assert wakeups.due(200, {"f"}) == [("LC-1", "f", 100), ("LC-2", "f", 200)]
    assert len(wakeups) == 3


def test_what_changes_nothing_comes_again_later_and_later() -> None:
    """A clock's record may be lost: it is sent again after 5 s, 10 s, 20 s."""
    wakeups = Wakeups()
    wakeups.watch("LC-1", case(due_ms=0))
    moments = [second for second in range(0, 40) if wakeups.due(second * 1000, {"f"})]
    assert moments == [0, 5, 15, 35]


def test_a_new_moment_replaces_the_old_one() -> None:
    """After a case has changed, only its new moment counts."""
    wakeups = Wakeups()
    wakeups.watch("LC-1", case(due_ms=100))
    wakeups.watch("LC-1", case(due_ms=500))
    assert wakeups.due(499, {"f"}) == []
    assert wakeups.due(500, {"f"}) == [("LC-1", "f", 500)]


def test_closed_cases_and_those_under_review_do_not_come() -> None:
    """A closed case is forgotten; one with a person waits for that person."""
    wakeups = Wakeups()
    wakeups.watch("LC-1", case(due_ms=100))
    wakeups.watch("LC-1", case(due_ms=100, status="closed"))
    wakeups.watch("LC-2", case("LC-2", due_ms=100, status="review"))
    assert wakeups.due(10_000, {"f"}) == []
    assert len(wakeups) == 1


def test_cases_of_a_flow_that_is_gone_rest() -> None:
    """Nothing is sent for them, and they come when the flow is back."""
    wakeups = Wakeups()
    wakeups.watch("LC-1", case(due_ms=0))
    assert wakeups.due(0, set()) == []
    assert wakeups.due(5_000, {"f"}) == [("LC-1", "f", 0)]


def test_what_has_come_along_is_newer_than_what_is_found() -> None:
    """While the store is looked through, a case that was just changed is not put back."""
    wakeups = Wakeups()
    wakeups.watch("LC-1", case(due_ms=500))
    wakeups.find("LC-1", case(due_ms=100))
    wakeups.find("LC-2", case("LC-2", due_ms=100))
    assert wakeups.due(100, {"f"}) == [("LC-2", "f", 100)]


def test_standing() -> None:
    """Open cases, those with an overdue question, and the oldest, by flow."""
    wakeups = Wakeups()
    late = case("LC-2", opened_ms=5)
    late["questions"]["q"] = question("late", 10)
    wakeups.watch("LC-1", case(opened_ms=9))
    wakeups.watch("LC-2", late)
    wakeups.watch("X-1", case("X-1", flow="g", opened_ms=7))
    assert wakeups.standing() == {"f": Standing(2, 1, 5), "g": Standing(1, 0, 7)}
    wakeups.clear()
    assert wakeups.standing() == {}
    assert wakeups.due(10_000, {"f", "g"}) == []


@given(st.text(), st.sampled_from(["expected", "waiting", "open", "review", "closed"]), st.text())
def test_a_closed_case_is_known_by_its_bytes(key: str, status: str, value: str) -> None:
    """Whatever key and data hold, also the very words that are looked for."""
    for text in (key, f'{key}"status":"closed"', '"status":"closed"'):
        made = case(status=status)
        made["key"], made["data"] = text, {"status": "closed", "value": value}
        stored = encode(made)
        assert is_closed(stored) == (status == "closed")
        assert decode(stored) == json.loads(json.dumps(made))
