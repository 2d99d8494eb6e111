"""The verification of a low-income family, as the sample declares it, played on the in-memory bus.

What a flow's step does in general is the business of ``test_flow_step``; the other two flows are ``test_sample_flows``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from hutong.catalogue.catalogue import Catalogue
from hutong.catalogue.load import load
from hutong.flows.case import Case
from hutong.simulation.simulation import Simulation
from tests.unit.test_sample_declarations import SCHEMAS

A, B, C = "110105196001010017", "110105196001010033", "11010519600101005X"
VERIFICATION = "low-income-verification"
EVENTS = {
    "household": "mps.population.household_answered",
    "vehicles": "mps.vehicle.vehicles_answered",
    "properties": "mohurd.housing.properties_answered",
    "insurance": "mohrss.insurance.insurance_answered",
    "income": "sta.tax.income_answered",
    "shareholdings": "samr.registry.shareholdings_answered",
    "contributions": "hpf.fund.contributions_answered",
    "balances": "nfra.bank.balances_answered",
}


@cache
def catalogue() -> Catalogue:
    return load(SCHEMAS)


def started() -> Simulation:
    return Simulation.of(catalogue(), datetime(2026, 3, 2, 9))


def published(simulation: Simulation, contract: str) -> list[dict[str, Any]]:
    return [data for _, data in simulation.bus.published(contract)]


def who(number: str) -> dict[str, Any]:
    return {"identity_number": number, "identity_unverified": False, "name": "王小明"}


def person(number: str) -> dict[str, Any]:
    return {**who(number), "sex": "MALE", "birth_date": "1960-01-01"}


def _apply(simulation: Simulation, *, authorised: bool = True) -> Case:
    """A couple that declares 12,000 yuan of wages, 3,000 of transfers and one property."""
    about = {"birth_date": "1960-01-01", "authorised": authorised, "monthly_income": None}
    application = {
        "application_number": "SQ-00000001",
        "region": "110105",
        "applicant": person(A),
        "kind": "SUBSISTENCE_ALLOWANCE",
        "population_class": "SUBSISTENCE",
        "address": "小店区",
        "members": [{**who(A), "relation": "SELF", **about}, {**who(B), "relation": "SPOUSE", **about}],
        "declared_income": {"wages": "12000.00", "transfers": "3000.00"},
        "authorisation_number": "SQS-00000001" if authorised else None,
        "accepted_at": "2026-03-02T00:30:00Z",
        "declared_properties": 1,
    }
    simulation.publish("mca.assistance.application_accepted", application)
    return simulation.case("SQ-00000001")


def _found(ask: str, **first: Any) -> dict[str, Any]:
    """What an agency answers about the couple; ``first`` is what it says otherwise about the first of them."""
    nothing: dict[str, dict[str, Any]] = {
        "household": {"relation": "OTHER", "deceased": False, "died_on": None},
        "vehicles": {"vehicles": 0, "highest_class": None, "value_band": "NONE"},
        "properties": {"properties": 0, "area": "0.00"},
        "insurance": {"monthly_pension": None, "employer": "某厂", "wage_base": "500.00"},
        "income": {"year": 2025, "yearly_income": "7500.00"},
        "shareholdings": {"companies": 0, "represented": 0, "capital": None},
        "contributions": {"base": "500.00", "paying": True},
        "balances": {"balance_band": "UP_TO_10000", "as_of": "2026-03-01"},
    }
    results = [{**who(A), **nothing[ask], **first}, {**who(B), **nothing[ask]}]
    return {"members" if ask == "household" else "results": results}


def _answer(simulation: Simulation, case: Case, said: Mapping[str, Mapping[str, Any]]) -> None:
    """All agencies answer; ``said`` has what is not as usual."""
    for question in list(case["questions"].values()):
        numbers = {"question_number": question["number"], "case_number": case["number"], "persons": [A, B]}
        data = {**numbers, **_found(question["ask"], **said.get(question["ask"], {})), "answered_at": "2026-03-03T01:00:00Z"}
        simulation.publish(EVENTS[question["ask"]], data)


def test_what_is_for_one_purpose_is_used_for_no_other() -> None:
    """Question, report and all eight answers of the verification are bound to its purpose, and so is every right to them."""
    flow = catalogue().flows[VERIFICATION]
    bound = {name for name, one in catalogue().contracts.items() if one.only_for_purpose == flow.purpose}
    assert bound == {*EVENTS.values(), flow.question.contract, flow.outcome.contract}
    granted = [one for one in catalogue().agreements.values() if one.contract in bound]
    assert {one.purpose for one in granted} == {flow.purpose}
    assert {one.contract for one in granted} == {flow.question.contract, flow.outcome.contract}


def test_an_honest_family_has_no_discrepancy() -> None:
    """Eight agencies are asked at once, each gets its question, and the report says nothing against the family."""
    simulation = started()
    case = _apply(simulation)
    assert [one["ask"] for one in case["questions"].values()] == [*EVENTS]
    assert all(simulation.reached.values())
    _answer(simulation, case, {})
    (report,) = published(simulation, "mca.verification.verification_reported")
    assert (report["result"], report["discrepancies"], report["missing"], report["unjudged"]) == ("COMPLETE", [], [], [])
    assert (report["declared_income"], report["found_income"]) == (Decimal("15000.00"), Decimal("15000.00"))
    assert simulation.quarantined == []


SAYS: dict[str, tuple[str, dict[str, Any]]] = {
    "member-not-registered": ("household", {"identity_number": C}),
    "member-not-declared": ("household", {"identity_number": C}),
    "member-deceased": ("household", {"deceased": True}),
    "vehicle-undeclared": ("vehicles", {"vehicles": 1, "highest_class": "CAR", "value_band": "UP_TO_50000"}),
    "property-undeclared": ("properties", {"properties": 2}),
    "income-above-declared": ("income", {"yearly_income": "9100.00"}),
    "wage-above-declared": ("insurance", {"wage_base": "700.00"}),
    "pension-undeclared": ("insurance", {"monthly_pension": "50.00"}),
    "shares-undeclared": ("shareholdings", {"companies": 1}),
    "contribution-above-declared": ("contributions", {"base": "700.00"}),
    "balance-above-limit": ("balances", {"balance_band": "UP_TO_100000"}),
}


@pytest.mark.parametrize("rule", SAYS)
def test_each_rule_finds_its_discrepancy(rule: str) -> None:
    """One answer that differs is one discrepancy, with its source; a stranger in a member's place is two."""
    ask, said = SAYS[rule]
    simulation = started()
    _answer(simulation, _apply(simulation), {ask: said})
    (report,) = published(simulation, "mca.verification.verification_reported")
    beside = {"member-not-registered", "member-not-declared"} if "identity_number" in said else {rule}
    assert {one["rule"] for one in report["discrepancies"]} == beside
    assert {one["agency"] for one in report["discrepancies"]} == {EVENTS[ask].rpartition(".")[0]}


def test_every_rule_of_the_verification_is_shown() -> None:
    """A rule that is added needs an answer that it finds."""
    assert {rule.id for rule in catalogue().flows[VERIFICATION].rules} == SAYS.keys()


def test_nobody_is_asked_before_all_have_signed_and_a_withdrawal_ends_it() -> None:
    """A guardian signs for the second; the report after a withdrawal has nothing of what was answered before."""
    simulation = started()
    case = _apply(simulation, authorised=False)
    signed = {"application_number": "SQ-00000001", "signed_at": "2026-03-03T01:00:00Z"}
    guardian = {**who(C), "relation": "SON"}
    for number, member, by in (("SQS-00000001", A, None), ("SQS-00000002", B, guardian)):
        assert case["questions"] == {}
        data = {**signed, "authorisation_number": number, "person": who(member), "guardian": by}
        simulation.publish("mca.assistance.authorisation_signed", data)
    _answer(simulation, {**case, "questions": {k: q for k, q in case["questions"].items() if q["ask"] == "income"}}, {})
    withdrawn = {"application_number": "SQ-00000001", "authorisation_number": None, "person": who(B)}
    simulation.publish("mca.assistance.authorisation_withdrawn", {**withdrawn, "withdrawn_at": "2026-03-04T01:00:00Z"})
    (report,) = published(simulation, "mca.verification.verification_reported")
    assert (report["result"], report["confirmed"], report["found_income"]) == ("WITHDRAWN", [], None)
