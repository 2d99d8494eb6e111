"""Chapters of the demo's history at the social assistance counter: applications, grants, adjustments, stops.

Amounts are verified anew twice a year. A benefit is sometimes paid on after the last member died, until somebody notices.
Neighbours: ``living`` is the state, ``life`` turns the pages.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from demo.changes import BenefitAdjusted, BenefitApplied, BenefitGranted, BenefitStopped, Party
from demo.living import Aid, Home, Month, Town

__all__ = ["applications", "old_recipients", "reverifications"]

_CENT = Decimal("0.01")
_STANDARD = 735  # yuan a month and person, near the urban average of recent years
_ROUND = 6  # months between two verifications

_CLASS_OF = {
    "SUBSISTENCE_ALLOWANCE": "SUBSISTENCE",
    "EXTREME_HARDSHIP_SUPPORT": "EXTREME_HARDSHIP",
    "MEDICAL": "RIGID_EXPENDITURE",
    "EDUCATION": "NEAR_SUBSISTENCE",
    "HOUSING": "NEAR_SUBSISTENCE",
}


def old_recipients(town: Town, share: float) -> None:
    """This share of the households receives a benefit on the first day already."""
    for home in town.homes:
        if home.members and town.random.random() < share:
            home.aid = _aid(town, home)


def applications(town: Town, month: Month, count: int) -> None:
    """Households apply; most are granted a benefit four to six weeks later."""
    for _ in range(count):
        head = town.someone(
            lambda somebody: (
                somebody.kinship == "SELF"
                and town.free(somebody, month)
                and somebody.age(month.first) >= 18
                and town.home_of(somebody).aid is None
            )
        )
        if head is None:
            continue
        home, day = town.home_of(head), month.day(town.random)
        aid, people = _aid(town, home), town.parties(home)
        _apply(town, home, aid, people, day)
        head.busy = month.index
        if town.random.random() < 0.85:
            home.aid = aid
            _grant(town, home, aid, people, day + timedelta(days=town.random.randint(28, 42)))


def _apply(town: Town, home: Home, aid: Aid, people: tuple[Party, ...], day: date) -> None:
    incomes = [
        Decimal(town.random.randint(0, _STANDARD * 150)) * _CENT if day.year - one.born.year >= 18 else Decimal(0)
        for one in people
    ]
    town.record(
        BenefitApplied(
            day=day,
            case=aid.case,
            applicant=people[0],
            region=home.region,
            kind=aid.kind,
            population_class=aid.population_class,
            size=len(people),
            members=people,
            address=home.address,
            incomes=tuple(incomes),
            signed=town.random.random() < 0.9,
        )
    )


def _grant(town: Town, home: Home, aid: Aid, people: tuple[Party, ...], day: date) -> None:
    town.record(
        BenefitGranted(
            day=day,
            case=aid.case,
            applicant=people[0],
            region=home.region,
            kind=aid.kind,
            population_class=aid.population_class,
            size=len(people),
            amount=aid.amount,
            begins=_next_month(day),
        )
    )


def reverifications(town: Town, month: Month) -> None:
    """A part of the recipients is verified every month: adjusted, left as it is, or stopped."""
    for home in town.homes:
        if home.aid is None or (home.number + month.index) % _ROUND:
            continue
        chance = town.random.random()
        if not home.members:
            if chance < 0.7:  # nobody lives there any more, and only now somebody sees it
                _stop(town, home, home.aid, month, "DEATH")
        elif chance < 0.05:
            reason = town.random.choice(("INCOME_ABOVE_LINE", "WITHDRAWN", "MOVED_AWAY", "NO_LONGER_ELIGIBLE"))
            _stop(town, home, home.aid, month, reason)
        elif chance < 0.95:
            _adjust(town, home, home.aid, month)


def _adjust(town: Town, home: Home, aid: Aid, month: Month) -> None:
    day = month.day(town.random)
    old, aid.amount = aid.amount, _amount(town, len(home.members))
    if month.first.month == 7:
        reason = "STANDARD_CHANGED"
    else:
        reason = town.random.choices(("INCOME_CHANGED", "HOUSEHOLD_CHANGED", "CORRECTION"), (85, 13, 2))[0]
    if aid.applicant not in home.members:
        aid.applicant = home.members[0]
    town.record(
        BenefitAdjusted(
            day=day,
            case=aid.case,
            applicant=town.party(town.people[aid.applicant]),
            region=home.region,
            kind=aid.kind,
            population_class=aid.population_class,
            size=len(home.members),
            old_amount=old,
            amount=aid.amount,
            begins=_next_month(day),
            reason=reason,
        )
    )


def _stop(town: Town, home: Home, aid: Aid, month: Month, reason: str) -> None:
    home.aid = None
    day = month.day(town.random)
    town.record(
        BenefitStopped(
            day=day,
            case=aid.case,
            applicant=town.party(town.people[aid.applicant]),
            region=home.region,
            kind=aid.kind,
            population_class=aid.population_class,
            size=max(1, len(home.members)),
            amount=aid.amount,
            ends=_next_month(day),
            reason=reason,
        )
    )


def _aid(town: Town, home: Home) -> Aid:
    town.cases += 1
    head = town.people[home.members[0]]
    if len(home.members) == 1 and head.born.year < 1960 and town.random.random() < 0.5:
        kind = "EXTREME_HARDSHIP_SUPPORT"
    else:
        kinds = ("SUBSISTENCE_ALLOWANCE", "MEDICAL", "EDUCATION", "HOUSING")
        kind = town.random.choices(kinds, (70, 14, 8, 8))[0]
    return Aid(
        case=town.cases,
        kind=kind,
        population_class=_CLASS_OF[kind],
        applicant=head.number,
        amount=_amount(town, len(home.members)),
    )


def _amount(town: Town, members: int) -> Decimal:
    return Decimal(town.random.randint(80 * 100, _STANDARD * 100) * members) * _CENT


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)
