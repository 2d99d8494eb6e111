"""Families whose income and assets are verified: what they apply with, what eight agencies answer, and what the report must say.

Neighbours: ``coordination`` publishes these and holds the reports against ``expected``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

__all__ = ["ANSWERS", "APPLIED", "answer", "application", "case_number", "expected", "number_of"]

APPLIED = "mca.assistance.application_accepted"
ANSWERS = {
    "household": "mps.population.household_answered",
    "vehicles": "mps.vehicle.vehicles_answered",
    "properties": "mohurd.housing.properties_answered",
    "insurance": "mohrss.insurance.insurance_answered",
    "income": "sta.tax.income_answered",
    "shareholdings": "samr.registry.shareholdings_answered",
    "contributions": "hpf.fund.contributions_answered",
    "balances": "nfra.bank.balances_answered",
}
"""The contract that answers each question."""

_PERSONS = ["110105196001010017", "110105196001010033"]
_WHEN = datetime(2026, 3, 2, 0, 30, tzinfo=UTC)
_USUAL: Mapping[str, Mapping[str, Any]] = {
    "household": {"relation": "OTHER", "deceased": False, "died_on": None},
    "vehicles": {"vehicles": 0, "highest_class": None, "value_band": "NONE"},
    "properties": {"properties": 0, "area": Decimal("0.00")},
    "insurance": {"monthly_pension": None, "employer": "某厂", "wage_base": Decimal("500.00")},
    "income": {"year": 2025, "yearly_income": Decimal("7500.00")},
    "shareholdings": {"companies": 0, "represented": 0, "capital": None},
    "contributions": {"base": Decimal("500.00"), "paying": True},
    "balances": {"balance_band": "UP_TO_10000", "as_of": date(2026, 3, 1)},
}
_FOUND: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("vehicle-undeclared", "vehicles", {"vehicles": 1, "highest_class": "CAR", "value_band": "UP_TO_50000"}),
    ("property-undeclared", "properties", {"properties": 2}),
    ("balance-above-limit", "balances", {"balance_band": "UP_TO_100000"}),
)
"""What an agency finds out about some families: the rule that must say so, the question, and the answer."""


def _who(number: str) -> dict[str, Any]:
    return {"identity_number": number, "identity_unverified": False, "name": "王小明"}


def application(number: int) -> dict[str, Any]:
    """A couple's application; every member has authorised the verification."""
    about = {"birth_date": date(1960, 1, 1), "authorised": True, "monthly_income": None}
    return {
        "application_number": f"SQ-{number:08d}",
        "region": "110105",
        "applicant": {**_who(_PERSONS[0]), "sex": "MALE", "birth_date": date(1960, 1, 1)},
        "kind": "SUBSISTENCE_ALLOWANCE",
        "population_class": "SUBSISTENCE",
        "address": "小店区",
        "members": [{**_who(one), "relation": "SELF" if one == _PERSONS[0] else "SPOUSE", **about} for one in _PERSONS],
        "declared_income": {"wages": Decimal("12000.00"), "transfers": Decimal("3000.00")},
        "authorisation_number": f"SQS-{number:08d}",
        "accepted_at": _WHEN,
        "declared_properties": 1,
    }


def case_number(number: int) -> str:
    """The case that an application opens."""
    return f"VER-SQ-{number:08d}"


def number_of(case: str) -> int:
    """The application of a case."""
    return int(case.removeprefix("VER-SQ-"))


def answer(case: str, ask: str) -> dict[str, Any]:
    """What the agency of a question answers about a case's couple."""
    rule = _FOUND[number_of(case) % 4] if number_of(case) % 4 < len(_FOUND) else None
    first = rule[2] if rule and rule[1] == ask else {}
    results = [{**_who(one), **_USUAL[ask], **(first if one == _PERSONS[0] else {})} for one in _PERSONS]
    return {
        "question_number": f"{case}-{ask}",
        "case_number": case,
        "persons": _PERSONS,
        "members" if ask == "household" else "results": results,
        "answered_at": _WHEN,
    }


def expected(number: int) -> dict[str, Any]:
    """What the report on an application must say; one family in four has nothing to hide."""
    return {
        "case_number": case_number(number),
        "application_number": f"SQ-{number:08d}",
        "result": "COMPLETE",
        "discrepancies": [_FOUND[number % 4][0]] if number % 4 < len(_FOUND) else [],
        "missing": [],
        "unjudged": [],
        "confirmed": sorted(ANSWERS),
        "declared_income": Decimal("15000.00"),
        "found_income": Decimal("15000.00"),
    }
