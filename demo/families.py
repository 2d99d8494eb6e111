"""Cases of families that apply for assistance: which agency answers what, and what goes wrong in between. Seeded.

Neighbours: ``household`` has the families, ``plot`` the shapes; ``deceased`` does the same for deaths, ``verdict`` says what each
report must be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from random import Random
from typing import Any

from demo.household import AGENCIES, STRANGER, Family, application, contradict, imagine, known_of
from demo.plot import VERIFICATION, Deed, Mark, Plot, new_id, shares
from demo.population import Numbering

__all__ = ["OPTIONAL", "STORIES", "families"]

OPTIONAL = ("contributions", "balances")
STORIES = {
    "late": 0.06,
    "missing": 0.05,
    "optional missing": 0.05,
    "same id again": 0.05,
    "twice": 0.05,
    "another person": 0.04,
    "not asked": 0.04,
    "unknown case": 0.03,
    "closed": 0.03,
    "signed late": 0.05,
    "never signed": 0.02,
    "withdrawn": 0.05,
}
"""What may be special about a family's case, and how often; the others are plain."""

_LAST = "household"  # answered when the optional answers are in, so that no case ends before them
_HELD = "income"  # the answer that misbehaves


def families(random: Random, numbering: Numbering, count: int, moment: datetime) -> list[Plot]:
    """So many families.

    Args:
        random: decides everything.
        numbering: gives out identity numbers.
        count: how many.
        moment: when it all happens.
    """
    return [
        _plot(random, imagine(random, numbering, number, moment), story)
        for number, story in enumerate(shares(STORIES, count, "plain"), 1)
    ]


def _answer(random: Random, family: Family, ask: str, known: Mapping[str, Any], after: Mapping[Mark, int] | None = None) -> Deed:
    data = {"persons": family.ids, "members" if ask == "household" else "results": known[ask], "answered_at": family.moment}
    seen = {("ASKED", ask): 1, **(after or {})}
    return Deed(id=new_id(random), contract=AGENCIES[ask], data=data, ask=ask, after=seen, fate="counts")


def _plot(random: Random, family: Family, story: str) -> Plot:
    known = known_of(family)
    if random.random() < 0.4:
        contradict(random, family, known)
    silent = _silent(random, story)
    before_last = {("ANSWERED", ask): 1 for ask in OPTIONAL if ask not in silent}
    answers = {ask: _answer(random, family, ask, known, before_last if ask == _LAST else None) for ask in AGENCIES}
    kept = {ask: deed for ask, deed in answers.items() if ask not in silent}
    opening = Deed(
        id=new_id(random),
        contract="mca.assistance.application_accepted",
        data=application(family, signed=story not in ("signed late", "never signed")),
    )
    more = _mishaps(random, family, story, answers, kept, silent)
    asked = {} if story == "never signed" else {ask: contract.rpartition(".")[0] for ask, contract in AGENCIES.items()}
    partial = story in ("missing", "closed", "never signed")
    return Plot(
        flow=VERIFICATION,
        story=story,
        key=family.number,
        slow=partial or story in ("late", "optional missing"),
        deeds=(opening, *([] if story == "never signed" else kept.values()), *more),
        asked=asked,
        recalled=frozenset(silent) if story in ("missing", "closed", "withdrawn") else frozenset(),
        result="PARTIAL" if partial else "WITHDRAWN" if story == "withdrawn" else "COMPLETE",
    )


def _silent(random: Random, story: str) -> tuple[str, ...]:
    """The questions that nobody answers, or nobody in time."""
    match story:
        case "missing":
            required = [ask for ask in AGENCIES if ask not in (*OPTIONAL, _LAST)]
            return (*random.sample(required, random.randint(1, 2)), *random.sample(OPTIONAL, random.randint(0, 1)))
        case "closed" | "withdrawn":
            return (_HELD,)
        case "optional missing":
            return tuple(random.sample(OPTIONAL, random.randint(1, 2)))
        case _:
            return ()


def _mishaps(
    random: Random,
    family: Family,
    story: str,
    answers: Mapping[str, Deed],
    kept: dict[str, Deed],
    silent: Sequence[str],
) -> list[Deed]:
    """What is special: deeds to add; ``kept`` may be changed."""
    held = answers[_HELD]

    def again(fate: str, after: Mapping[Mark, int], **changes: Any) -> Deed:
        return replace(held, **{"id": new_id(random), "fate": fate, "after": after, **changes})

    match story:
        case "late":
            kept[_HELD] = replace(held, after={("LATE", _HELD): 1})
        case "same id again":
            return [again("same", {("ANSWERED", _HELD): 1}, id=held.id)]
        case "twice":
            return [again("twice", {("ANSWERED", _HELD): 1})]
        case "another person":
            kept[_HELD] = replace(held, after={("REFUSED", _HELD): 1})
            return [again("another_person", held.after, data={**held.data, "persons": [*family.ids, STRANGER]})]
        case "not asked":
            vehicles = answers["vehicles"]
            return [again("not_asked", held.after, contract=vehicles.contract, data=vehicles.data)]
        case "unknown case":
            return [again("unknown_case", held.after)]
        case "closed":
            return [again("closed", {("CLOSED", ""): 1})]
        case "signed late" | "never signed":
            return _signatures(random, family, family.members[: -1 if story == "never signed" else None])
        case "withdrawn":
            person = random.choice(family.who())
            data = {
                "application_number": family.number,
                "authorisation_number": None,
                "person": person,
                "withdrawn_at": family.moment,
            }
            after: dict[Mark, int] = {("ANSWERED", ask): 1 for ask in AGENCIES if ask not in silent}
            taken_back = Deed(id=new_id(random), contract="mca.assistance.authorisation_withdrawn", data=data, after=after)
            return [taken_back, again("withdrawn", {("WITHDRAWN", _HELD): 1})]
    return []


def _signatures(random: Random, family: Family, members: Sequence[Mapping[str, Any]]) -> list[Deed]:
    """Authorisations that come by themselves, the first as the case begins, a child's by its guardian."""
    found = []
    for at, one in enumerate(members):
        person = {name: one[name] for name in ("identity_number", "identity_unverified", "name")}
        guardian = {**family.who()[0], "relation": "PARENT"} if one["relation"] in ("SON", "DAUGHTER") else None
        data = {
            "application_number": family.number,
            "authorisation_number": f"SQS-{family.number}-{at}",
            "person": person,
            "guardian": guardian,
            "signed_at": family.moment,
        }
        after: dict[Mark, int] = {("AUTHORISED", ""): at} if at else {}
        found.append(Deed(id=new_id(random), contract="mca.assistance.authorisation_signed", data=data, after=after))
    return found
