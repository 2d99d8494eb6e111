"""Families that apply for assistance, and what eight agencies know of them: the truth, or something that contradicts it. Seeded.

Neighbours: ``families`` makes cases of them; ``verdict`` holds one against the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from demo import names
from demo.population import Numbering
from demo.regions import counties

__all__ = ["AGENCIES", "STRANGER", "Family", "application", "contradict", "imagine", "known_of"]

AGENCIES = {
    "household": "mps.population.household_answered",
    "vehicles": "mps.vehicle.vehicles_answered",
    "properties": "mohurd.housing.properties_answered",
    "insurance": "mohrss.insurance.insurance_answered",
    "income": "sta.tax.income_answered",
    "shareholdings": "samr.registry.shareholdings_answered",
    "contributions": "hpf.fund.contributions_answered",
    "balances": "nfra.bank.balances_answered",
}
"""Question -> the contract that answers it."""

STRANGER = "110105196001010017"
"""Somebody who is of no family."""

_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    number: str
    region: str
    members: Sequence[dict[str, Any]]
    wages: Decimal
    pension: Decimal
    transfers: Decimal
    things: Mapping[str, int]
    moment: datetime

    @property
    def ids(self) -> list[str]:
        return [member["identity_number"] or member["name"] for member in self.members]

    def who(self) -> list[dict[str, Any]]:
        return [{name: one[name] for name in ("identity_number", "identity_unverified", "name")} for one in self.members]


def imagine(random: Random, numbering: Numbering, number: int, moment: datetime) -> Family:
    place, surname = random.choice(counties()), names.surname(random)
    relations = ("SELF", "SPOUSE", *random.choices(("SON", "DAUGHTER", "PARENT"), k=3))[: random.randint(1, 5)]
    members = []
    for at, relation in enumerate(relations):
        sex = {"SON": "MALE", "DAUGHTER": "FEMALE"}.get(relation) or random.choice(("MALE", "FEMALE"))
        born = date(random.randint(1940, 1984) if at < 2 else random.randint(1986, 2015), random.randint(1, 12), 15)
        unknown = at > 0 and random.random() < 0.04  # records before 1985 may lack a number
        members.append(
            {
                "identity_number": None if unknown else numbering.new(place.code, born, sex),
                "identity_unverified": unknown,
                "name": surname + names.given_name(random, sex) + (str(at) if unknown else ""),
                "relation": relation,
                "birth_date": born,
                "sex": sex,
            }
        )
    return Family(
        number=f"SQ-{number:08d}",
        region=place.code,
        members=members,
        wages=Decimal(12 * random.randint(1_000, 3_000)),
        pension=Decimal(12 * random.choice((0, 0, random.randint(90, 900)))),
        transfers=Decimal(random.randint(0, 3_000)),
        things={name: random.choice((0, 0, 0, 1)) for name in ("vehicles", "properties", "companies")},
        moment=moment,
    )


def application(family: Family, *, signed: bool) -> dict[str, Any]:
    first = family.members[0]
    declared = {"wages": family.wages, "transfers": family.transfers} | ({"pension": family.pension} if family.pension else {})
    common = ("identity_number", "identity_unverified", "name")
    members = [
        {**{name: one[name] for name in (*common, "relation", "birth_date")}, "authorised": signed, "monthly_income": None}
        for one in family.members
    ]
    return {
        "application_number": family.number,
        "region": family.region,
        "applicant": {name: first[name] for name in (*common, "sex", "birth_date")},
        "kind": "SUBSISTENCE_ALLOWANCE",
        "population_class": "SUBSISTENCE",
        "address": "幸福路1号",
        "members": members,
        "declared_income": {source: amount.quantize(_CENT) for source, amount in declared.items()},
        "authorisation_number": f"SQS-{family.number}" if signed else None,
        "accepted_at": family.moment,
        **{f"declared_{name}": number for name, number in family.things.items()},
    }


def known_of(family: Family) -> dict[str, list[dict[str, Any]]]:
    """What each agency knows of a family that told the truth: all of it is the first member's."""
    month = (family.wages / 12).quantize(_CENT)
    pension = (family.pension / 12).quantize(_CENT) if family.pension else None
    nothing, first = _nothing(family.moment.date()), _nothing(family.moment.date())
    first["vehicles"]["vehicles"], first["properties"]["properties"] = family.things["vehicles"], family.things["properties"]
    first["insurance"] |= {"monthly_pension": pension, "employer": "某厂", "wage_base": month}
    first["income"]["yearly_income"] = (family.wages + family.transfers).quantize(_CENT)
    first["shareholdings"]["companies"] = family.things["companies"]
    first["contributions"] = {"base": month, "paying": True}
    who = family.who()
    known = {
        ask: [{**one, **(nothing if at else first)[ask]} for at, one in enumerate(who)] for ask in AGENCIES if ask != "household"
    }
    household = [
        {**one, "relation": member["relation"], "deceased": False, "died_on": None}
        for one, member in zip(who, family.members, strict=True)
    ]
    return {"household": household, **known}


def _nothing(today: date) -> dict[str, dict[str, Any]]:
    return {
        "vehicles": {"vehicles": 0, "highest_class": None, "value_band": "NONE"},
        "properties": {"properties": 0, "area": Decimal("0.00")},
        "insurance": {"monthly_pension": None, "employer": None, "wage_base": None},
        "income": {"year": today.year - 1, "yearly_income": None},
        "shareholdings": {"companies": 0, "represented": 0, "capital": None},
        "contributions": {"base": None, "paying": False},
        "balances": {"balance_band": "UP_TO_10000", "as_of": today - timedelta(days=1)},
    }


def contradict(random: Random, family: Family, known: Mapping[str, list[dict[str, Any]]]) -> None:
    """One to three agencies know something else than the family said."""
    for ask in random.sample(list(AGENCIES), random.randint(1, 3)):
        first, last = known[ask][0], known[ask][-1]
        match ask:
            case "household":
                _contradict_register(random, family, known[ask])
            case "vehicles":
                last |= {"vehicles": last["vehicles"] + 1, "highest_class": "CAR", "value_band": "UP_TO_50000"}
            case "properties":
                last |= {"properties": last["properties"] + random.randint(1, 2), "area": Decimal("88.50")}
            case "insurance" if random.random() < 0.5:
                first["wage_base"] = (first["wage_base"] * 3 / 2).quantize(_CENT)
            case "insurance":
                first["monthly_pension"] = (first["monthly_pension"] or 0) + Decimal("431.37")
            case "income":
                first["yearly_income"] = (first["yearly_income"] * 8 / 5).quantize(_CENT)
            case "shareholdings":
                last |= {"companies": last["companies"] + 1, "represented": 1, "capital": Decimal("500000.00")}
            case "contributions":
                first["base"] = (first["base"] * 3 / 2).quantize(_CENT)
            case _:
                last["balance_band"] = random.choice(("UP_TO_100000", "ABOVE_100000"))


def _contradict_register(random: Random, family: Family, registered: list[dict[str, Any]]) -> None:
    someone = {"name": "路人", "relation": "OTHER", "deceased": False, "died_on": None, "identity_unverified": False}
    kind = random.choice(("deceased", "gone", "more"))
    if kind == "deceased":
        registered[-1] |= {"deceased": True, "died_on": family.moment.date() - timedelta(days=90)}
    elif kind == "more":
        registered.append({**someone, "identity_number": STRANGER})
    else:
        registered.pop()
