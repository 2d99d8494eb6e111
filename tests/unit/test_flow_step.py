"""The step of a case: asked, answered, late, refused, withdrawn, referred, revoked; and the same however often it is repeated."""

from __future__ import annotations

import copy
import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from hutong.flows.case import Case, next_due
from hutong.flows.plan import FlowPlan
from hutong.flows.step import Outcome, Stimulus, step
from hutong.flows.work import Emitted
from tests.flow_samples import DAY_MS, START_MS, application, plan, reply, stimuli

CASE = "AID-A1"


class Desk:
    """A case, fed with events; keeps all that went out."""

    def __init__(self, plan: FlowPlan) -> None:
        self.plan = plan
        self.case: Case | None = None
        self.out: list[Emitted] = []
        self.count = 0
        self.refused: list[str] = []

    def take(self, contract: str, data: dict[str, Any], days: float, id: str | None = None) -> list[Outcome]:
        self.count += 1
        at_ms = START_MS + int(days * DAY_MS)
        return [self.feed(one) for one in stimuli(self.plan, contract, data, id=id or f"e{self.count}", at_ms=at_ms)]

    def clock(self, days: float) -> Outcome:
        return self.feed(Stimulus(case=CASE, does="clock", at_ms=START_MS + int(days * DAY_MS), data={}))

    def feed(self, stimulus: Stimulus) -> Outcome:
        stored = json.loads(json.dumps(self.case))  # as a table gives it back
        outcome = step(self.plan, stored, stimulus)
        again = step(self.plan, json.loads(json.dumps(self.case)), stimulus)
        assert [(one.id, one.data, one.time) for one in outcome.events] == [(one.id, one.data, one.time) for one in again.events]
        if outcome.case is not None:
            self.case = outcome.case
            repeated = step(self.plan, copy.deepcopy(outcome.case), stimulus)
            assert not repeated.events
            assert not repeated.changed or stimulus.does == "clock"
        self.out += outcome.events
        if outcome.refused:
            self.refused.append(outcome.refused.reason)
        return outcome

    def answer(self, agency: str, question: str, days: float, id: str | None = None, **values: Any) -> None:
        self.take(f"{agency}.answered", reply(CASE, question, **values), days, id)

    def whats(self) -> list[str]:
        assert self.case is not None
        return [f"{one['what']}:{one['ask']}" if one["ask"] else one["what"] for one in self.case["timeline"]]

    def of(self, contract: str) -> list[dict[str, Any]]:
        return [one.data for one in self.out if one.contract == f"aid.centre.{contract}"]

    @property
    def status(self) -> str:
        assert self.case is not None
        return self.case["status"]


@pytest.fixture
def desk() -> Desk:
    return Desk(plan())


def test_a_case_runs_from_application_to_report(desk: Desk) -> None:
    """Asked in parallel, a question that follows an answer, a discrepancy with both values, a figure."""
    desk.take("aid.office.applied", application(), 0)
    assert [(one["agency"], one["reminder"]) for one in desk.of("question_asked")] == [
        ("cars.office", 0), ("tax.office", 0), ("banks.union", 0),
    ]  # fmt: skip
    desk.answer("cars.office", "cars", 0.1, count=2)
    desk.answer("tax.office", "tax", 0.2, places=["north.town", "south.town"], paid=Decimal("800.00"))
    assert [one["agency"] for one in desk.of("question_asked")[3:]] == ["north.town", "south.town"]
    desk.answer("banks.union", "bank", 0.3, paid=Decimal("300.00"))
    desk.answer("north.town", "town-1", 0.4)
    assert desk.status == "open"
    desk.answer("south.town", "town-2", 0.5)
    (report,) = desk.of("reported")
    assert (report["result"], report["overpaid"], report["missing"]) == ("COMPLETE", Decimal("1600.00"), [])
    assert report["discrepancies"] == [
        {"rule": "more-cars", "agency": "cars.office", "declared": "0", "found": "2"},
        {"rule": "richer", "agency": "tax.office", "declared": "1000", "found": "1100"},
    ]
    assert report["purpose"] == "Aid"
    assert [one["number"] for one in desk.of("case_progressed")] == list(range(1, len(desk.of("case_progressed")) + 1))
    assert desk.case is not None
    assert next_due(desk.case) is None


def test_nobody_is_asked_before_all_have_authorised(desk: Desk) -> None:
    """Also where an authorisation overtakes the application."""
    desk.take("aid.office.signed", {"number": "A1", "person": "p1"}, 0)
    assert desk.status == "expected"
    desk.take("aid.office.applied", application(signed=False), 0.1)
    assert desk.status == "open"
    other = Desk(plan())
    other.take("aid.office.applied", application(signed=False), 0)
    assert (other.status, other.of("question_asked")) == ("waiting", [])
    other.take("aid.office.signed", {"number": "A1", "person": "p9"}, 0.1)
    assert other.of("question_asked") == []
    other.take("aid.office.signed", {"number": "A1", "person": "p1"}, 0.2)
    assert len(other.of("question_asked")) == 3


def test_reminders_escalation_and_overdue_come_at_their_time_whenever_the_clock_is_read(desk: Desk) -> None:
    """Three weeks without a look, and one look each day: the same events."""
    slow, often = desk, Desk(plan())
    for one in (slow, often):
        one.take("aid.office.applied", application(), 0)
    for day in range(1, 21):
        often.clock(day)
    slow.clock(20)
    assert slow.out == often.out
    assert slow.whats() == often.whats()
    assert slow.whats()[4:] == ["REMINDED:cars", "LATE:bank", "REMINDED:cars", "LATE:cars", "ESCALATED:cars", "LATE:tax"]
    assert [one["told"] for one in slow.of("case_progressed") if one["what"] == "ESCALATED"] == ["aid.office"]
    assert [one["reminder"] for one in slow.of("question_asked") if one["agency"] == "cars.office"] == [0, 1, 2]


def test_a_late_answer_counts_until_the_deadline_and_not_after(desk: Desk) -> None:
    """An optional answer does not hold the case; a required one does until the deadline, then the report is partial."""
    desk.take("aid.office.applied", application(), 0)
    desk.answer("tax.office", "tax", 1)
    desk.answer("cars.office", "cars", 20, count=1)
    assert "ANSWERED_LATE:cars" in desk.whats()
    (report,) = desk.of("reported")
    assert (report["result"], [one["ask"] for one in report["missing"]], report["unjudged"]) == ("COMPLETE", ["bank"], ["richer"])
    desk.answer("banks.union", "bank", 21)
    assert desk.whats()[-1] == "REFUSED:bank"
    never = Desk(plan())
    never.take("aid.office.applied", application(), 0)
    never.clock(60)
    (partial,) = never.of("reported")
    assert (partial["result"], len(partial["missing"])) == ("PARTIAL", 3)
    never.answer("tax.office", "tax", 61)
    assert never.case is not None
    assert never.case["timeline"][-1]["detail"] == "closed from tax.office"


def test_a_withdrawn_authorisation_stops_questions_and_blocks_answers(desk: Desk) -> None:
    """Agencies are told, nothing of an answer stays, and the report has none."""
    desk.take("aid.office.applied", application(), 0)
    desk.answer("cars.office", "cars", 0.1, count=3)
    desk.take("aid.office.took_back", {"number": "A1", "person": "p2"}, 0.2)
    assert [one["agency"] for one in desk.of("question_asked") if one["withdrawn"]] == ["tax.office", "banks.union"]
    (report,) = desk.of("reported")
    assert (report["result"], report["discrepancies"]) == ("WITHDRAWN", [])
    desk.answer("tax.office", "tax", 0.3, paid=Decimal("700.00"))
    assert desk.whats()[-1] == "REFUSED:tax"
    assert all(one["answer"] is None for one in desk.case["questions"].values())  # type: ignore[index]
    early = Desk(plan())
    early.take("aid.office.took_back", {"number": "A1", "person": "p2"}, 0)
    early.take("aid.office.applied", application(), 0.1)
    assert early.of("question_asked") == []
    assert early.of("reported")[0]["result"] == "WITHDRAWN"


@pytest.mark.parametrize(
    ("agency", "question", "values", "detail"),
    [
        ("tax.office", "cars", {}, "not_asked from tax.office"),
        ("tax.office", "nothing", {}, "unknown_question from tax.office"),
        ("cars.office", "cars", {"persons": ["p1", "p7"]}, "another_person from cars.office"),
    ],
)
def test_an_answer_that_answers_nothing_is_refused_on_the_case(
    desk: Desk, agency: str, question: str, values: dict[str, Any], detail: str
) -> None:
    """With the reason, and without its content."""
    desk.take("aid.office.applied", application(), 0)
    desk.answer(agency, question, 0.1, count=987654321, **values)
    assert desk.case is not None
    assert (desk.case["timeline"][-1]["what"], desk.case["timeline"][-1]["detail"]) == ("REFUSED", detail)
    assert "987654321" not in json.dumps(desk.case["questions"]) + json.dumps(desk.case["timeline"])


def test_twice_and_unknown(desk: Desk) -> None:
    """The same event again is nothing, another one is refused, and one for no case goes to quarantine."""
    desk.answer("cars.office", "cars", 0)
    assert desk.refused == ["unknown_case"]
    desk.take("aid.office.applied", application(), 0)
    desk.answer("cars.office", "cars", 0.1, id="one", count=1)
    count = len(desk.whats())
    desk.answer("cars.office", "cars", 0.2, id="one", count=1)
    assert len(desk.whats()) == count
    desk.answer("cars.office", "cars", 0.3, id="two", count=5)
    assert desk.whats()[-1] == "REFUSED:cars"
    assert desk.case is not None
    assert desk.case["questions"][f"{CASE}-cars"]["answer"]["count"] == 1  # type: ignore[index]


def test_a_conflict_goes_to_a_person(desk: Desk) -> None:
    """While they decide nothing is due; resumed, it is; an earlier wedding is no conflict."""
    desk.take("aid.office.applied", application(since=date(2026, 2, 1)), 0)
    desk.take("reg.weddings.married", {"one": "A1", "other": "A2", "on": date(2026, 1, 1)}, 0.1)
    assert (desk.status, desk.whats()[-1]) == ("open", "NOTED")
    desk.take("reg.weddings.married", {"one": "A1", "other": "A2", "on": date(2026, 2, 20)}, 0.2)
    assert desk.status == "review"
    assert desk.case is not None
    assert next_due(desk.case) is None
    desk.clock(10)
    assert desk.whats()[-1] == "REFERRED"
    desk.take("aid.office.decided", {"number": "A1", "decision": "resume"}, 11)
    due = ["REMINDED:cars", "LATE:bank", "REMINDED:cars", "LATE:cars", "ESCALATED:cars"]
    assert desk.whats()[-6:] == ["RESUMED", *due]


def test_revoked_it_is_undone(desk: Desk) -> None:
    """Who had acted is asked to undo it; also after the case was closed, with a second report."""
    desk.take("aid.office.applied", application(income=Decimal("9000.00")), 0)
    desk.answer("cars.office", "cars", 0.1, count=1)
    desk.answer("tax.office", "tax", 0.2)
    desk.take("aid.office.decided", {"number": "A1", "decision": "revoke"}, 1)
    assert (desk.status, desk.of("question_asked")[-1]["words"]) == ("open", "Undo it.")
    desk.answer("cars.office", "undo-cars", 1.1)
    assert [one["result"] for one in desk.of("reported")] == ["COMPLETE", "REVOKED"]
    ids = [one.id for one in desk.out]
    assert len(set(ids)) == len(ids)


def test_a_rule_that_fails_on_a_value_is_said_and_stops_nothing(desk: Desk) -> None:
    """No figure, no judgement, and the case goes on."""
    desk.take("aid.office.applied", application(), 0)
    desk.answer("cars.office", "cars", 0.1)
    desk.answer("tax.office", "tax", 0.2)  # paid is null: adding it fails
    desk.answer("banks.union", "bank", 0.3)
    (report,) = desk.of("reported")
    assert report["unjudged"] == ["richer"]
    assert any(one.startswith("RULE_FAILED") for one in desk.whats())


def test_a_question_that_its_contract_refuses_is_missing_in_the_report() -> None:
    """A flow that makes a wrong event says so on the case; it neither crashes nor hangs."""
    from tests.flow_samples import DOCUMENT

    fields = {**DOCUMENT["question"]["fields"], "reminder": {"constant": "many"}}
    desk = Desk(plan(question={**DOCUMENT["question"], "fields": fields}))
    desk.take("aid.office.applied", application(), 0)
    (report,) = desk.of("reported")
    assert len(report["missing"]) == 3
    assert desk.whats().count("RULE_FAILED") == 3


def test_numbers_of_personal_keys_do_not_show_them() -> None:
    """The same key has the same number, and nobody can read it back."""
    hidden = plan(personal_key=True)
    assert hidden.number("11010519491231002X") == hidden.number("11010519491231002X")
    assert "1101" not in hidden.number("11010519491231002X")
    assert plan().number("A1") == CASE


def test_a_flow_edited_under_its_cases_goes_on(desk: Desk) -> None:
    """A question that is gone is withdrawn and its answers count no more; an event that is gone is noted."""
    from tests.flow_samples import DOCUMENT

    desk.take("aid.office.applied", application(), 0)
    desk.answer("cars.office", "cars", 0.1, count=1)
    married = stimuli(
        desk.plan, "reg.weddings.married", {"one": "A1", "other": "A1", "on": date(2026, 3, 3)}, id="w", at_ms=START_MS
    )
    late = stimuli(desk.plan, "banks.union.answered", reply(CASE, "bank"), id="b", at_ms=START_MS + DAY_MS)
    fewer = [one for one in DOCUMENT["ask"] if one["id"] not in ("bank", "cars", "undo-cars")]
    events = [one for one in DOCUMENT["events"] if one["does"] != "refer"]
    desk.plan = plan(ask=fewer, events=events, rules=())
    desk.feed(married[0])
    assert desk.whats()[-2:] == ["WITHDRAWN:bank", "NOTED"]
    desk.feed(late[0])
    assert desk.whats()[-1] == "REFUSED"
    desk.answer("tax.office", "tax", 1.2)
    assert [one["result"] for one in desk.of("reported")] == ["COMPLETE"]
