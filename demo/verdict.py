"""What the report of a case must be, worked out from its plot in plain Python. It reads no flow, and shares no code with the bus.

Neighbours: ``plot`` says what happens, ``case_account`` compares with what the recipients hold.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from demo.deceased import ACTS
from demo.plot import VERIFICATION, Plot

__all__ = ["expected"]

Answers = Mapping[str, Mapping[str, Any]]


def expected(plot: Plot) -> dict[str, Any]:
    """What the report must say: of each field that the demo judges, the value."""
    answers = {} if plot.result == "WITHDRAWN" else plot.answers()
    missing = [] if plot.result in ("WITHDRAWN", "REVOKED") else [ask for ask in plot.asked if ask not in answers]
    common = {
        "result": plot.result,
        "missing": sorted((ask, plot.asked[ask], "late") for ask in missing),
        "confirmed": sorted((ask, plot.asked[ask]) for ask in answers),
    }
    return common | (_verification(plot, answers) if plot.flow == VERIFICATION else _death(plot, answers))


def _verification(plot: Plot, answers: Answers) -> dict[str, Any]:
    application = plot.deeds[0].data
    declared = {"pension": Decimal(0), "wages": Decimal(0), **application["declared_income"]}
    people = [one["identity_number"] for one in application["members"] if one["identity_number"]]
    found = None
    if {"income", "insurance"} <= answers.keys():
        found = _total(answers["income"], "yearly_income") + 12 * _total(answers["insurance"], "monthly_pension")
    facts = {"people": people, "income": sum(declared.values(), Decimal(0)), "wages": declared["wages"], "found": found}
    facts |= {"pension": declared["pension"], **{name: application[f"declared_{name}"] for name in _THINGS}}
    discrepancies, unjudged = [], []
    for rule, (needs, source, compare) in _RULES.items():
        if not set(needs) <= answers.keys():
            unjudged.append(rule)
        elif (differing := compare(facts, answers)) is not None:
            discrepancies.append((rule, source, plot.asked[source], *map(_text, differing)))
    return {
        "discrepancies": sorted(discrepancies),
        "unjudged": sorted(unjudged),
        "declared_income": facts["income"],
        "found_income": found,
    }


_THINGS = ("vehicles", "properties", "companies")
_Differing = tuple[Any, Any] | None
_Compare = Callable[[Mapping[str, Any], Answers], _Differing]


def _total(answer: Mapping[str, Any], name: str) -> Decimal:
    return sum((Decimal(one[name]) for one in answer["results"] if one[name] is not None), Decimal(0))


def _more(thing: str, ask: str, name: str) -> _Compare:
    def compare(facts: Mapping[str, Any], answers: Answers) -> _Differing:
        counted = _total(answers[ask], name)
        return (facts[thing], counted) if counted > facts[thing] else None

    return compare


def _above(declared: str, value: Callable[[Mapping[str, Any], Answers], Decimal]) -> _Compare:
    """More than a tenth, and ten yuan, above what was declared."""

    def compare(facts: Mapping[str, Any], answers: Answers) -> _Differing:
        found = value(facts, answers)
        return (facts[declared], found) if found > facts[declared] * Decimal("1.1") + 10 else None

    return compare


def _a_year(ask: str, name: str) -> Callable[[Mapping[str, Any], Answers], Decimal]:
    return lambda _, answers: 12 * _total(answers[ask], name)


def _registered(answers: Answers) -> tuple[list[str], list[str]]:
    members = answers["household"]["members"]
    dead = [one["identity_number"] or one["name"] for one in members if one["deceased"]]
    return [one["identity_number"] for one in members if one["identity_number"]], dead


def _unregistered(facts: Mapping[str, Any], answers: Answers) -> _Differing:
    registered, _ = _registered(answers)
    return (facts["people"], registered) if set(facts["people"]) - set(registered) else None


def _undeclared(facts: Mapping[str, Any], answers: Answers) -> _Differing:
    registered, dead = _registered(answers)
    return (facts["people"], registered) if set(registered) - set(facts["people"]) - set(dead) else None


def _deceased(facts: Mapping[str, Any], answers: Answers) -> _Differing:
    _, dead = _registered(answers)
    return (facts["people"], dead) if set(dead) & set(facts["people"]) else None


def _rich(_: Mapping[str, Any], answers: Answers) -> _Differing:
    bands = [one["balance_band"] for one in answers["balances"]["results"]]
    return ("limit 30000", bands) if {"UP_TO_100000", "ABOVE_100000"} & set(bands) else None


_RULES: Mapping[str, tuple[Sequence[str], str, _Compare]] = {
    "member-not-registered": (["household"], "household", _unregistered),
    "member-not-declared": (["household"], "household", _undeclared),
    "member-deceased": (["household"], "household", _deceased),
    "vehicle-undeclared": (["vehicles"], "vehicles", _more("vehicles", "vehicles", "vehicles")),
    "property-undeclared": (["properties"], "properties", _more("properties", "properties", "properties")),
    "income-above-declared": (["income", "insurance"], "income", _above("income", lambda facts, _: Decimal(facts["found"]))),
    "wage-above-declared": (["insurance"], "insurance", _above("wages", _a_year("insurance", "wage_base"))),
    "pension-undeclared": (["insurance"], "insurance", _above("pension", _a_year("insurance", "monthly_pension"))),
    "shares-undeclared": (["shareholdings"], "shareholdings", _more("companies", "shareholdings", "companies")),
    "contribution-above-declared": (["contributions"], "contributions", _above("wages", _a_year("contributions", "base"))),
    "balance-above-limit": (["balances"], "balances", _rich),
}
"""Rule -> the questions that it needs, the one whose answer contradicts, and the comparison."""


def _death(plot: Plot, answers: Answers) -> dict[str, Any]:
    sources = [deed for deed in plot.deeds if deed.contract in _DAY_OF]
    days = [day for deed in sources if (day := deed.data[_DAY_OF[deed.contract]]) is not None]
    died = days[0] if days else None
    over = {ask: _overpaid(died, answers.get(ask)) for ask in ACTS}
    lives = plot.result == "REVOKED"
    known = [amount for amount in over.values() if amount is not None]
    return {
        "died_on": died.isoformat() if died else None,
        "sources": [(deed.contract, deed.id) for deed in sources],
        "actions": sorted(
            (plot.asked[ask], *(str(answer[name]) for name in ("action", "benefit_number", "monthly_amount", "paid_until")))
            for ask, answer in answers.items()
        ),
        "discrepancies": sorted(
            (f"{ask}-after-death", ask, plot.asked[ask], str(died), str(answers[ask]["paid_until"]))
            for ask, amount in over.items()
            if amount and not lives
        ),
        **{f"overpaid_{ask}": None if lives else amount for ask, amount in over.items()},
        "overpaid_total": None if lives else sum(known, Decimal(0)),
    }


_DAY_OF = {
    "nhc.health.death_certificate_issued": "death_date",
    "mca.funeral.cremation_recorded": "death_date",
    "mps.population.register_cancelled": "event_date",
    "spc.court.death_declared": "effective_on",
}
"""Contract of a source -> its field with the day of death."""


def _overpaid(died: date | None, answer: Mapping[str, Any] | None) -> Decimal | None:
    """The monthly amount for each whole month from the death to the day until which it was paid."""
    if died is None or answer is None:
        return None
    until, amount = answer["paid_until"], answer["monthly_amount"]
    if until is None or amount is None or until <= died:
        return Decimal(0)
    months = 12 * (until.year - died.year) + until.month - died.month
    last_day = monthrange(until.year, until.month)[1]
    if until.day < min(died.day, last_day):
        months -= 1
    overpaid: Decimal = amount * months
    return overpaid


def _text(value: Any) -> str:
    """A value as reports write it."""
    if isinstance(value, Decimal):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return ", ".join(value) if isinstance(value, list) else str(value)
