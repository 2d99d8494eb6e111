"""What the sample's flows have in common, and the flows of a death and of a correction played on the in-memory bus.

What a flow's step does in general is the business of ``test_flow_step``; the verification is ``test_sample_verification``'s.
"""

from __future__ import annotations

import json

from hutong.contracts.contract import described
from hutong.flows.case import Case, Question
from hutong.flows.flow import Duration
from hutong.simulation.simulation import Simulation
from tests.unit.test_sample_verification import A, B, catalogue, person, published, started, who


def _die(simulation: Simulation, on: str = "2026-01-20") -> Case:
    issued = {
        "certificate_number": "SW-00000001",
        "region": "110105",
        "institution": {"name": "医院", "credit_code": "91110000600037341L"},
        "deceased": person(A),
        "death_date": on,
        "cause": "NATURAL",
        "icd10": None,
        "issued_at": "2026-03-02T00:30:00Z",
    }
    simulation.publish("nhc.health.death_certificate_issued", issued)
    return simulation.case(A)


def _act(simulation: Simulation, case: Case, question: Question, amount: str | None, until: str | None) -> None:
    action = "RESUMED" if question["stage"] == "undo" else "STOPPED" if amount else "NOTHING_TO_STOP"
    acted = {"question_number": question["number"], "case_number": case["number"], "identity_number": A, "action": action}
    paid = {"benefit_number": None, "monthly_amount": amount, "paid_until": until, "acted_at": "2026-03-03T01:00:00Z"}
    simulation.publish(f"{question['agency']}.death_acted", {**acted, "identity_unverified": False, **paid})


def _declare(simulation: Simulation) -> Case:
    declared = {"case_number": "2026-民特-0001", "court": "法院", "region": "110105", "person": person(A), "revoked": False}
    simulation.publish("spc.court.death_declared", {**declared, "missing_since": None, "effective_on": "2026-02-01"})
    return simulation.case(A)


def _come_back(simulation: Simulation) -> None:
    about = {"declared_number": "2026-民特-0001", "person": who(A), "court": "法院"}
    simulation.publish(
        "spc.court.declaration_revoked", {**about, "revoked_on": "2026-03-02", "revoked_at": "2026-03-02T02:00:00Z"}
    )


def _object(simulation: Simulation) -> tuple[Case, str]:
    """A household register's event that assistance objects to: the case, and the event's id."""
    cancelled = {"cancellation_number": "ZX-00000001", "region": "110105", "person": person(A), "reason": "DEATH"}
    days = {"event_date": "2026-01-21", "evidence_number": None, "cancelled_on": "2026-03-01"}
    id_ = simulation.publish("mps.population.register_cancelled", {**cancelled, **days})
    objection = {
        "objection_number": "YY-00000001",
        "raised_by": "mca.assistance",
        "source_department": "mps.population",
        "contract": "mps.population.register_cancelled",
        "event_id": id_,
        "event_time": "2026-03-02T01:00:00Z",
        "field": "event_date",
        "claimed": "2026-01-20",
        "reason": "死亡证明所载日期不同",
        "raised_at": "2026-03-02T01:00:00Z",
    }
    simulation.publish("mca.assistance.objection_raised", objection)
    return simulation.case("YY-00000001"), id_


def _decide(simulation: Simulation, case: Case, event: str, correction: str | None) -> None:
    (question,) = case["questions"].values()
    decided = {"question_number": question["number"], "case_number": case["number"], "corrects": event, "reason": "核实"}
    decision = {"decision": "CORRECTED" if correction else "REJECTED", "correction_id": correction}
    simulation.publish("mps.population.objection_decided", {**decided, **decision, "decided_at": "2026-03-03T01:00:00Z"})


def test_progress_tells_of_nobody() -> None:
    """A ministry that follows cases learns no personal data, by the classification of every field."""
    for name in ("mca.verification.case_progressed", "mca.information.case_progressed"):
        fields = list(described(catalogue().contracts[name].document))
        assert {one.description.classification for one in fields} == {"internal"}


def test_every_flow_speaks_two_languages() -> None:
    """Titles, questions and discrepancies, in English and in Chinese."""
    for flow in catalogue().flows.values():
        words = [flow.title, *(ask.question for ask in flow.ask), *(rule.says for rule in flow.rules)]
        assert all(one.keys() == {"en", "zh"} for one in words)


def test_what_was_paid_after_a_death_is_counted_in_whole_months_and_is_never_negative() -> None:
    """Two months of allowance and one of pension; the subsidy ended before the death, and there was no assistance."""
    simulation = started()
    case = _die(simulation)
    paid = {"allowance": ("100.00", "2026-03-31"), "assistance": (None, None)}
    paid |= {"subsidy": ("50.00", "2025-11-30"), "pension": ("3000.00", "2026-02-28")}
    for question in list(case["questions"].values()):
        _act(simulation, case, question, *paid[question["ask"]])
    (report,) = published(simulation, "mca.information.death_concluded")
    over = {name: float(report[f"overpaid_{name}"]) for name in (*paid, "total")}
    assert over == {"allowance": 200, "assistance": 0, "subsidy": 0, "pension": 3000, "total": 3200}
    assert {one["rule"] for one in report["discrepancies"]} == {"allowance-after-death", "pension-after-death"}
    assert A not in json.dumps(published(simulation, "mca.information.case_progressed"), default=str)


def test_who_marries_after_their_death_is_a_persons_business() -> None:
    """The case rests until somebody has looked, then goes on or is undone; a marriage before the death changes nothing."""
    for day, decision, status in (("2026-01-19", None, "open"), ("2026-03-01", None, "review"), ("2026-03-01", "RESUME", "open")):
        simulation = started()
        case = _die(simulation)
        register = {"certificate_number": "J110105-2026-000001", "region": "110105", "office": "婚姻登记处"}
        couple = {"husband": person(A), "wife": {**person(B), "identity_number": None, "identity_unverified": True}}
        before = {"husband_previous_status": "SINGLE", "wife_previous_status": "SINGLE", "registered_on": day}
        married = {**register, **couple, **before, "registered_at": "2026-03-02T01:00:00Z"}
        simulation.publish("mca.marriage.marriage_registered", married)
        if decision:
            decided = {"identity_number": A, "identity_unverified": False, "decision": decision, "decided_by": "处长"}
            review = {**decided, "reason": "同名", "decided_at": "2026-03-02T02:00:00Z"}
            simulation.publish("mca.information.review_decided", review)
        assert (case["status"], simulation.quarantined) == (status, [])


def test_a_revoked_declaration_is_undone_where_something_was_stopped() -> None:
    """Only who had stopped a payment is asked to resume it, and nothing counts as overpaid."""
    simulation = started()
    case = _declare(simulation)
    _act(simulation, case, next(iter(case["questions"].values())), "100.00", "2026-04-30")
    _come_back(simulation)
    (undo,) = [one for one in case["questions"].values() if one["stage"] == "undo"]
    assert (undo["agency"], undo["status"]) == ("mca.ageing", "open")
    _act(simulation, case, undo, None, None)
    (report,) = published(simulation, "mca.information.death_concluded")
    assert (report["result"], report["overpaid_total"], report["discrepancies"]) == ("REVOKED", None, [])


def test_a_correction_reaches_everybody_who_had_got_the_wrong_value() -> None:
    """The source answers, each receiver is asked to take it in, and the case shows who has not."""
    simulation = started()
    case, wrong = _object(simulation)
    _decide(simulation, case, wrong, "right")
    asked = {one["agency"]: one for one in case["questions"].values() if one["ask"] == "apply"}
    assert asked.keys() == {"mca.ageing", "mca.assistance", "mca.marriage", "mohrss.insurance"}
    for agency in ("mca.ageing", "mca.assistance", "mohrss.insurance"):
        applied = {"question_number": asked[agency]["number"], "case_number": case["number"], "correction_id": "right"}
        simulation.publish(f"{agency}.correction_applied", {**applied, "applied_at": "2026-03-04T01:00:00Z"})
    simulation.advance(by=Duration(working_days=21))
    (report,) = published(simulation, "mca.information.correction_concluded")
    assert (report["result"], report["decision"], report["discrepancies"]) == ("PARTIAL", "CORRECTED", [])
    assert [one["agency"] for one in report["missing"]] == ["mca.marriage"]


def test_a_rejected_objection_asks_nobody_to_correct_anything() -> None:
    """The source stands by its value: the case is complete."""
    simulation = started()
    case, value = _object(simulation)
    _decide(simulation, case, value, None)
    (report,) = published(simulation, "mca.information.correction_concluded")
    assert (report["result"], report["decision"], len(case["questions"])) == ("COMPLETE", "REJECTED", 1)


def test_a_revoked_declaration_beside_a_certificate_goes_to_a_person() -> None:
    """One source says dead, the other alive: no machine decides."""
    simulation = started()
    case = _declare(simulation)
    _die(simulation)
    _come_back(simulation)
    assert case["status"] == "review"
