"""Deaths: one to three sources that may differ, four departments that stop payments, weddings of the dead, judgments revoked.

Neighbours: ``plot`` has the shapes, ``families`` does the same for applications, ``verdict`` says what each report must be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from demo import names
from demo.plot import DEATH, Deed, Mark, Plot, new_id, shares
from demo.population import Numbering
from demo.regions import counties

__all__ = ["ACTS", "STORIES", "deaths"]

ACTS = {"allowance": "mca.ageing", "assistance": "mca.assistance", "subsidy": "mca.disability", "pension": "mohrss.insurance"}
"""Question -> the department that stops it."""

STORIES = {
    "late": 0.05,
    "missing": 0.05,
    "same id again": 0.04,
    "twice": 0.04,
    "another person": 0.04,
    "not asked": 0.04,
    "unknown case": 0.03,
    "closed": 0.03,
    "wedding": 0.08,
    "wedding, not dead": 0.06,
    "judgment revoked": 0.08,
    "judgment revoked beside a certificate": 0.05,
}
"""What may be special about a death's case, and how often; the others are plain."""

_HELD = "pension"  # the answer that misbehaves, and that comes last
_UNDONE = ("wedding, not dead", "judgment revoked", "judgment revoked beside a certificate")
_STRANGER = "110105196001010033"
_COURT = "spc.court.death_declared"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dead:
    number: int
    region: str
    person: Mapping[str, Any]
    died: date
    moment: datetime

    @property
    def id(self) -> str:
        return str(self.person["identity_number"])

    @property
    def who(self) -> dict[str, Any]:
        return {name: self.person[name] for name in ("identity_number", "identity_unverified", "name")}


def deaths(random: Random, numbering: Numbering, count: int, moment: datetime) -> list[Plot]:
    """So many deaths.

    Args:
        random: decides everything.
        numbering: gives out identity numbers.
        count: how many.
        moment: when it all happens.
    """
    return [
        _plot(random, _dead(random, numbering, number, moment), story)
        for number, story in enumerate(shares(STORIES, count, "plain"), 1)
    ]


def _dead(random: Random, numbering: Numbering, number: int, moment: datetime) -> _Dead:
    place, sex = random.choice(counties()), random.choice(("MALE", "FEMALE"))
    born = date(random.randint(1935, 1965), random.randint(1, 12), random.randint(1, 28))
    person = {
        "identity_number": numbering.new(place.code, born, sex),
        "identity_unverified": False,
        "name": names.surname(random) + names.given_name(random, sex),
        "sex": sex,
        "birth_date": born,
    }
    return _Dead(
        number=number,
        region=place.code,
        person=person,
        died=moment.date() - timedelta(days=random.randint(20, 200)),
        moment=moment,
    )


def _plot(random: Random, dead: _Dead, story: str) -> Plot:
    sources = _sources(random, dead, story)
    answers = {ask: _answer(random, dead, ask, agency) for ask, agency in ACTS.items()}
    answers[_HELD] = replace(answers[_HELD], after={**answers[_HELD].after, **_confirmed(len(sources))})
    silent = (_HELD,) if story in ("missing", "closed", *_UNDONE) else ()
    kept = {ask: deed for ask, deed in answers.items() if ask not in silent}
    more = _mishaps(random, dead, story, answers, kept)
    undo = []
    if story in _UNDONE:
        more += _revocation(random, dead, story, kept, len(sources))
        more.append(replace(answers[_HELD], id=new_id(random), fate="withdrawn", after={("WITHDRAWN", _HELD): 1}))
        undo = [_resumed(random, ask, deed) for ask, deed in kept.items() if deed.data["action"] == "STOPPED"]
    partial = story in ("missing", "closed")
    return Plot(
        flow=DEATH,
        story=story,
        key=dead.id,
        slow=partial or story == "late",
        deeds=(*sources, *kept.values(), *more, *undo),
        asked=ACTS | {deed.ask: deed.department for deed in undo},
        recalled=frozenset(silent),
        result="REVOKED" if story in _UNDONE else "PARTIAL" if partial else "COMPLETE",
    )


def _confirmed(sources: int) -> dict[Mark, int]:
    """What is seen of a case when all its sources are known to it."""
    return {("OPENED", ""): 1} | ({("CONFIRMED", ""): sources - 1} if sources > 1 else {})


def _sources(random: Random, dead: _Dead, story: str) -> list[Deed]:
    kinds = random.sample(["certificate", "cremation", "register"], random.choice((1, 1, 2, 2, 3)))
    if story.startswith("judgment"):
        kinds = ["court"] if story == "judgment revoked" else ["court", "certificate"]
    found = []
    for at, kind in enumerate(kinds):
        died: date | None = dead.died + timedelta(days=random.choice((-2, -1, 1, 3)) if random.random() < 0.2 else 0)
        if kind == "register" and random.random() < 0.3 and not story.startswith("wedding"):
            died = None  # the register does not know the day
        contract, data = _source(dead, kind, died)
        found.append(Deed(id=new_id(random), contract=contract, data=data, after=_confirmed(at) if at else {}))
    return found


def _source(dead: _Dead, kind: str, died: date | None) -> tuple[str, dict[str, Any]]:
    place = {"name": "某单位", "credit_code": "91110000600037341L"}
    common = {"certificate_number": f"A3-{dead.number:06d}", "region": dead.region, "deceased": dead.person}
    match kind:
        case "certificate":
            about = {"institution": place, "death_date": died, "cause": "NATURAL", "icd10": None, "issued_at": dead.moment}
            return "nhc.health.death_certificate_issued", common | about
        case "cremation":
            about = {"facility": place, "death_date": died, "cause": "NATURAL", "cremated_at": dead.moment}
            return "mca.funeral.cremation_recorded", {
                **common,
                **about,
                "applicant": None,
                "death_certificate_number": None,
                "ashes_disposal": "NOT_STATED",
            }
        case "register":
            cancelled = {"cancellation_number": f"A3-{dead.number:06d}", "reason": "DEATH", "evidence_number": None}
            days = {"event_date": died, "cancelled_on": dead.moment.date()}
            return "mps.population.register_cancelled", {**cancelled, "region": dead.region, "person": dead.person, **days}
        case _:
            court = {"case_number": _judgment(dead), "court": "某区人民法院", "region": dead.region, "person": dead.person}
            return _COURT, {**court, "revoked": False, "missing_since": None, "effective_on": died}


def _judgment(dead: _Dead) -> str:
    return f"2026-民特-{dead.number:04d}"


def _answer(random: Random, dead: _Dead, ask: str, agency: str) -> Deed:
    paid = random.random() < 0.6
    until = dead.died + timedelta(days=random.randint(-40, 130))
    data = {
        "identity_number": dead.id,
        "identity_unverified": False,
        "action": "STOPPED" if paid else "NOTHING_TO_STOP",
        "benefit_number": f"B-{dead.number:06d}" if paid else None,
        "monthly_amount": Decimal(random.randint(8_000, 450_000)) / 100 if paid else None,
        "paid_until": until if paid else None,
        "acted_at": dead.moment,
    }
    return Deed(
        id=new_id(random), contract=f"{agency}.death_acted", data=_cents(data), ask=ask, after={("ASKED", ask): 1}, fate="counts"
    )


def _cents(data: dict[str, Any]) -> dict[str, Any]:
    amount = data["monthly_amount"]
    return data | {"monthly_amount": None if amount is None else amount.quantize(Decimal("0.01"))}


def _resumed(random: Random, ask: str, stopped: Deed) -> Deed:
    data = {**stopped.data, "action": "RESUMED", "paid_until": None}
    name = f"{ask}-resumed"
    return replace(stopped, id=new_id(random), data=data, ask=name, after={("ASKED", name): 1})


def _mishaps(random: Random, dead: _Dead, story: str, answers: Mapping[str, Deed], kept: dict[str, Deed]) -> list[Deed]:
    """What is special: deeds to add; ``kept`` may be changed."""
    held = answers[_HELD]

    def again(fate: str, after: Mapping[Mark, int], **changes: Any) -> Deed:
        return replace(held, **{"id": new_id(random), "fate": fate, "after": after, **changes})

    match story:
        case "late":
            kept[_HELD] = replace(held, after={**held.after, ("LATE", _HELD): 1})
        case "same id again":
            return [again("same", {("ANSWERED", _HELD): 1}, id=held.id)]
        case "twice":
            return [again("twice", {("ANSWERED", _HELD): 1})]
        case "another person":
            kept[_HELD] = replace(held, after={**held.after, ("REFUSED", _HELD): 1})
            return [again("another_person", held.after, data={**held.data, "identity_number": _STRANGER})]
        case "not asked":
            return [again("not_asked", held.after, contract=answers["allowance"].contract)]
        case "unknown case":
            return [again("unknown_case", held.after)]
        case "closed":
            return [again("closed", {("CLOSED", ""): 1})]
        case "wedding":
            after = {**held.after, ("RESUMED", ""): 1}
            kept[_HELD] = replace(held, after=after)
            return [*_wedding(random, dead, held.after), _decision(random, dead, "RESUME", {("REFERRED", ""): 1})]
    return []


def _revocation(random: Random, dead: _Dead, story: str, kept: Mapping[str, Deed], sources: int) -> list[Deed]:
    """The dead live: by a wedding, by the court's own word, or by that beside a certificate, on which a person decides."""
    answered: dict[Mark, int] = {("ANSWERED", ask): 1 for ask in kept}
    after = {**answered, **_confirmed(sources)}
    decided = _decision(random, dead, "REVOKE", {("REFERRED", ""): 1})
    if story.startswith("wedding"):
        return [*_wedding(random, dead, after), decided]
    revoked = {"declared_number": _judgment(dead), "person": dead.who, "court": "某区人民法院"}
    data = {**revoked, "revoked_on": dead.moment.date(), "revoked_at": dead.moment}
    deed = Deed(id=new_id(random), contract="spc.court.declaration_revoked", data=data, after=after)
    return [deed] if story == "judgment revoked" else [deed, decided]


def _wedding(random: Random, dead: _Dead, after: Mapping[Mark, int]) -> Sequence[Deed]:
    other = {"identity_number": None, "identity_unverified": True, "name": "路人", "sex": "NOT_STATED", "birth_date": None}
    couple = {"husband": dead.person, "husband_previous_status": "SINGLE", "wife": other, "wife_previous_status": "SINGLE"}
    number = {"certificate_number": f"JA3-{dead.number:06d}", "region": dead.region, "office": "婚姻登记处"}
    days = {"registered_on": dead.moment.date() - timedelta(days=1), "registered_at": dead.moment}
    return [Deed(id=new_id(random), contract="mca.marriage.marriage_registered", data={**number, **couple, **days}, after=after)]


def _decision(random: Random, dead: _Dead, decision: str, after: Mapping[Mark, int]) -> Deed:
    about = {"identity_number": dead.id, "identity_unverified": False, "decision": decision}
    data = {**about, "decided_by": "处长", "reason": "核实", "decided_at": dead.moment}
    return Deed(id=new_id(random), contract="mca.information.review_decided", data=data, after=after)
