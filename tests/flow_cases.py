"""Random cases of the sample flow: what people, agencies and registers publish, early, late, twice, wrongly or never.

Neighbours: ``flow_samples`` is the flow; ``unit/test_flow_oracle`` runs the cases.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from tests.flow_course import Event
from tests.flow_samples import DAY_MS, START_MS, application, reply

__all__ = ["KEY", "NUMBER", "random_case"]

KEY = "A1"
NUMBER = f"AID-{KEY}"
_STARTS_MS = START_MS - 56 * DAY_MS  # 5 January: the Spring Festival and the Labour Day with their make-up days come after it
_OFFICES = {"cars": "cars.office", "tax": "tax.office", "bank": "banks.union", "undo-cars": "cars.office"}
_TOWNS = ["north.town", "south.town"]
_ANSWERED_IN_DAYS = ((0, 2), (0, 2), (2, 12), (12, 40), (30, 75))
_PROMPT = ((0, 14), (14, 20))  # towns and those who undo are asked later
_MONEY = [None, "0.00", "10.10", "4989.90", "4999.99", "5000.00", "123456.78"]
_HELD = ("aid.office.signed", "aid.office.took_back")
_HELD_DAYS = 38  # an application that comes more than 30 working days after what came early is for tests of its own


def random_case(random: Random) -> list[Event]:
    """The events of one case, as the inbox has them."""
    starts_ms = _STARTS_MS + random.randrange(170 * DAY_MS)
    members = [{"id": f"p{at}", "signed": random.random() < 0.75} for at in range(1, random.choice([2, 3, 4]))]
    told = [*_opening(random, members), *_authorisations(random, members), *_decisions(random)]
    prompt = random.random() < 0.5
    for ask in (*_OFFICES, "town-1", "town-2", "town-3"):
        told += _answers(random, ask, prompt=prompt)
    told = told or [(0, "aid.office.applied", application(KEY))]
    events = [
        Event(contract, f"e{at}", starts_ms + _moment(random, contract, starts_ms, days), data)
        for at, (days, contract, data) in enumerate(told)
    ]
    events += [_repeated(random, random.choice(events)) for _ in range(random.choice([0, 1, 3]))]
    events.sort(key=lambda one: one.at_ms)
    _out_of_step(random, events)
    until_ms = min(one.at_ms for one in events) + _HELD_DAYS * DAY_MS
    if not any(one.contract == "aid.office.applied" and one.data["members"] and one.at_ms < until_ms for one in events):
        events = [one for one in events if one.at_ms < until_ms]
    return events


Told = tuple[float, str, dict[str, Any]]
"""Days since the application, contract, data."""


def _opening(random: Random, members: list[dict[str, Any]]) -> list[Told]:
    since = random.choice([None, date(2026, 2, 1), date(2026, 2, 1)])
    values: dict[str, Any] = {"cars": random.randrange(3), "income": Decimal(random.choice(_MONEY[1:]) or 0), "since": since}
    told: list[Told] = [(0, "aid.office.applied", application(KEY, **{"members": members, **values}))]
    if random.random() < 0.15:  # another source, which says something else
        other = [{"id": "p1", "signed": True}, {"id": "p9", "signed": False}]
        told.append((random.uniform(0, 70), "aid.office.applied", application(KEY, members=other, cars=7)))
    if random.random() < 0.05:  # not the flow's: about nobody
        told.append((random.uniform(-1, 1), "aid.office.applied", application(KEY, members=[])))
    return told[1:] if random.random() < 0.03 else told


def _authorisations(random: Random, members: list[dict[str, Any]]) -> list[Told]:
    told: list[Told] = []
    for one in members:
        if random.random() < (0.05 if one["signed"] else 0.9):
            days = random.choice([(-10, 0), (0, 3), (0, 30), (20, 60)])
            told.append((random.uniform(*days), "aid.office.signed", {"number": KEY, "person": one["id"]}))
        if random.random() < 0.08:
            told.append((random.uniform(-5, 70), "aid.office.took_back", {"number": KEY, "person": one["id"]}))
    for contract in ("aid.office.signed", "aid.office.took_back"):
        if random.random() < 0.1:
            told.append((random.uniform(-3, 60), contract, {"number": KEY, "person": "p9"}))
    return told


def _decisions(random: Random) -> list[Told]:
    told: list[Told] = []
    for _ in range(random.choice([0, 0, 0, 1, 2])):
        days = random.uniform(-2, 60)
        on = date(2026, 2, 1) + timedelta(days=random.randrange(-2, 4))
        pair = [KEY, "B2"] if random.random() < 0.5 else ["B2", KEY]
        told.append((days, "reg.weddings.married", {"one": pair[0], "other": pair[1], "on": on}))
        if random.random() < 0.8:
            resumed = days + random.choice([0.2, 3, 12, 40]) * random.random()
            told.append((resumed, "aid.office.decided", {"number": KEY, "decision": "resume"}))
    for decision, chance in (("revoke", 0.15), ("revoke", 0.05), ("resume", 0.05), ("wait", 0.1)):
        if random.random() < chance:
            told.append((random.uniform(-3, 70), "aid.office.decided", {"number": KEY, "decision": decision}))
    return told


def _answers(random: Random, ask: str, *, prompt: bool) -> list[Told]:
    told: list[Told] = []
    patience = _PROMPT[min(len(ask.partition("-")[2]), 1)] if prompt else random.choice(_ANSWERED_IN_DAYS)
    for _ in range(random.choice([1, 1, 1, 2] if prompt else [0, 1, 1, 1, 2, 3])):
        days = random.uniform(*patience)
        office = _OFFICES.get(ask) or random.choice(_TOWNS)
        paid = random.choice(_MONEY)
        places = random.choice([[], [], ["north.town"], ["south.town", "north.town"], ["north.town", "north.town", "no.town"]])
        values: dict[str, Any] = {
            "count": random.choice([0, 0, 1, 2, 3]),
            "places": places if ask == "tax" else [],
            "persons": random.choice([["p1"], ["p1"], ["p1"], ["p1"], ["p1"], ["p1"], [], ["p2"], ["p1", "p7"]]),
            "paid": None if paid is None else Decimal(paid),
        }
        if random.random() < 0.06:
            office = random.choice([*_OFFICES.values(), *_TOWNS])
        if random.random() < 0.08:
            days = random.choice([-0.5, 0.01, 50])
        asked = random.choice([ask, ask, "nothing", "tax", "town-9"]) if random.random() < 0.06 else ask
        told.append((days, f"{office}.answered", reply(NUMBER, asked, **values)))
    return told


def _moment(random: Random, contract: str, starts_ms: int, days: float) -> int:
    """Milliseconds from the application; sometimes the very end of a day, when much is due."""
    ms = int(days * DAY_MS)
    if not contract.endswith(".answered") and random.random() < 0.15:
        ms -= (starts_ms + ms) % DAY_MS - 16 * DAY_MS // 24  # 16:00 UTC is 24:00 in Shanghai
    return ms


def _repeated(random: Random, event: Event) -> Event:
    """The same event once more; a careless producer gives its id to something else."""
    later = event._replace(at_ms=event.at_ms + int(random.choice([0.01, 5, 40]) * DAY_MS * random.random()) + 1)
    if event.contract.endswith(".answered") and random.random() < 0.3:
        return later._replace(data={**event.data, "count": 99})
    return later


def _out_of_step(random: Random, events: list[Event]) -> None:
    """Some come with a time before that of the one before: brokers' clocks differ."""
    for at in range(len(events) - 1):
        if events[at + 1].at_ms % 60_000 and random.random() < 0.05:
            events[at], events[at + 1] = events[at + 1], events[at]
