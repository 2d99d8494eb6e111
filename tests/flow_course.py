"""The course of one case of the sample flow, worked out from all of its events at once; it shares no code with the step.

Nothing here has a state: each fact (when a question was asked, which answer counted, when the case ended) is worked out from the
whole list, by comparing moments. Durations and agencies are the document's; conditions are written here by hand.

Neighbours: ``flow_samples`` is the flow; ``flow_oracle`` tells from the course what must have come out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from math import inf
from typing import Any, NamedTuple

import chinese_calendar  # type: ignore[import-untyped]  # tables of dates

__all__ = ["NEVER", "Course", "Event", "Fate", "Moment", "Stage", "Told", "department", "end_of", "heard"]

_HOUR_MS = 3_600_000
_ZONE_MS = 8 * _HOUR_MS  # Shanghai has not changed its clocks since 1991
_PASS = "~"  # after all that has a name: when a case looks at what is to be asked, and whether it is over
_HELD = ("authorise", "withdraw", "revoke")
_DOES = {"aid.office.signed": "authorise", "aid.office.took_back": "withdraw", "reg.weddings.married": "refer"}


class Event(NamedTuple):
    """A published event."""

    contract: str
    id: str
    at_ms: int
    data: Mapping[str, Any]


class Moment(NamedTuple):
    """A place in the order of things: a time, an event (none: before all events of that time), what was due, and its name."""

    ms: float
    event: float = -1
    due: float = 0
    name: str = ""


NEVER = Moment(inf)


@dataclass(kw_only=True)
class Fate:
    """What became of a question."""

    number: str
    ask: str
    agency: str
    required: bool
    asked: Moment
    due_ms: int
    reminders: list[int]
    escalation: int | None
    answered: Moment = NEVER
    answer: Mapping[str, Any] | None = None
    deeds: list[tuple[Moment, str]] = field(default_factory=list)

    @property
    def late(self) -> Moment:
        """When it was known to be late."""
        return next((at for at, what in self.deeds if what == "LATE"), NEVER)


def end_of(start_ms: float, duration: Mapping[str, int]) -> int:
    """When a duration ends, by counting days one after the other."""
    ((unit, count),) = duration.items()
    if unit != "working_days":
        return int(start_ms) + count * {"hours": 1, "days": 24}[unit] * _HOUR_MS
    day = (datetime(1970, 1, 1) + timedelta(milliseconds=start_ms + _ZONE_MS)).date()
    while count:
        day += timedelta(days=1)
        if chinese_calendar.is_workday(day):
            count -= 1
    return (day - date(1970, 1, 1)).days * 24 * _HOUR_MS + 24 * _HOUR_MS - _ZONE_MS


class Stage(NamedTuple):
    """The course of a case, or its undoing: from when, what was asked, and how and when it ended."""

    starts: Moment
    ends: Moment
    how: str
    fates: list[Fate]
    reviews: list[tuple[Moment, Moment]]


class Told(NamedTuple):
    """An event that the case takes note of for the first time."""

    at: Moment
    does: str
    event: Event


def heard(key: str, events: list[Event]) -> tuple[list[Told], int]:
    """The events as the case hears them, each id once, times never going back; and how many came before there was a case."""
    told: list[Told] = []
    seen: set[str] = set()
    now, unknown = 0, 0
    for place, event in enumerate(events):
        does = _does(key, event)
        if does is None:
            continue
        if not told and does in ("refer", "resume", "answer"):
            unknown += does == "answer"
        elif event.id not in seen:  # else its time is not even looked at
            now = max(now, event.at_ms)
            told.append(Told(Moment(now, place), does, event))
            seen.add(event.id)
    return told, unknown


def _does(key: str, event: Event) -> str | None:
    data = event.data
    if event.contract.endswith(".answered"):
        return "answer" if data["case_number"] == f"AID-{key}" else None
    if event.contract == "reg.weddings.married":
        return "refer" if key in (data["one"], data["other"]) else None
    if data["number"] != key:
        return None
    if event.contract == "aid.office.applied":
        return "open" if data["members"] else None
    if event.contract == "aid.office.decided":
        return {"resume": "resume", "revoke": "revoke"}.get(data["decision"])
    return _DOES[event.contract]


def _held_back(told: list[Told], opening: Told) -> list[Told]:
    """Authorisations, withdrawals and revocations from before the opening happen at the opening, in their order."""
    held = [one for one in told if one.at < opening.at and one.does in _HELD]
    early = [one for one in told if one.at < opening.at and one.does == "answer"]
    moved = [one._replace(at=opening.at._replace(name=f"{place:04}")) for place, one in enumerate(held)]
    return [*early, *moved, *(one for one in told if one.at > opening.at)]


def department(told: Told) -> str:
    return told.event.contract.removesuffix(".answered")


def _passed(moment: Moment) -> Moment:
    """When the case looks at what is to be asked after something happened."""
    return moment._replace(name=_PASS) if moment < NEVER else NEVER


class Course:
    """All that is known of a case that was opened.

    Args:
        document: the sample flow.
        number: the case's.
        told: what it heard, in order.
        opening: the one of these that opened it.
        until: the end of the story.
    """

    def __init__(self, document: Mapping[str, Any], number: str, told: list[Told], opening: Told, until: Moment) -> None:
        self.document, self.number, self.opening, self.until = document, number, opening, until
        self.told = _held_back(told, opening)
        self.data = opening.event.data
        self.people = {one["id"]: one["signed"] for one in self.data["members"]}
        self.authorised = NEVER
        self.main = self._course()
        revoked = self._first(opening.at, "revoke")
        self.undo = self._undoing(revoked) if revoked < until else None

    def _all(self, after: Moment, does: str) -> Iterator[Told]:
        return (one for one in self.told if one.at > after and one.does == does)

    def _first(self, after: Moment, does: str) -> Moment:
        return next((one.at for one in self._all(after, does)), NEVER)

    def _took_back(self, after: Moment) -> Moment:
        return next((one.at for one in self._all(after, "withdraw") if one.event.data["person"] in self.people), NEVER)

    def _reviews(self, starts: Moment) -> list[tuple[Moment, Moment]]:
        """From when to when a person decided: during it nothing is due, nobody is asked and nothing ends."""
        reviews: list[tuple[Moment, Moment]] = []
        after, since = starts, self.data["since"]
        while since is not None:
            married = (one.at for one in self._all(after, "refer") if one.event.data["on"] > since)
            begins = next(married, NEVER)
            if begins == NEVER:
                break
            reviews.append((begins, after := self._first(begins, "resume")))
        return reviews

    def _due(self, ms: int, name: str, reviews: list[tuple[Moment, Moment]]) -> Moment:
        """When something happens that is due then: after the review, where it falls into one."""
        moment = Moment(ms, -1, ms, name)
        for begins, ends in reviews:
            if begins < moment < ends:
                return ends._replace(due=ms, name=name) if ends != NEVER else NEVER
        return moment

    def _look(self, moment: Moment, reviews: list[tuple[Moment, Moment]], deeds: list[Moment]) -> Moment:
        """When the case looks again after something happened: in a review, after the first of what is due when it ends."""
        for begins, ends in reviews:
            if begins < moment < ends:
                waiting = [one for one in deeds if one[:2] == ends[:2]]
                return _passed(min(waiting, default=ends._replace(due=inf)))
        return _passed(moment)

    def _authorised(self) -> Moment:
        """When the last person authorised it."""
        moments = [self.opening.at]
        for person in (person for person, signed in self.people.items() if not signed):
            signed = (one.at for one in self._all(self.opening.at, "authorise") if one.event.data["person"] == person)
            moments.append(next(signed, NEVER))
        return max(moments)

    def _asked(self, ask: Mapping[str, Any], agency: str, suffix: str, at: Moment, reviews: list[tuple[Moment, Moment]]) -> Fate:
        """A question and, were there no end of the case, its answer and what was due until then."""
        fate = Fate(
            number=f"{self.number}-{ask['id']}{suffix}",
            ask=ask["id"],
            agency=agency,
            required=ask.get("required", True),
            asked=at,
            due_ms=end_of(at.ms, ask["within"]),
            reminders=[end_of(at.ms, one) for one in ask.get("remind", [])],
            escalation=end_of(at.ms, ask["escalate"]["after"]) if "escalate" in ask else None,
        )
        for one in self._all(at, "answer"):
            if self._answers(one, fate):
                fate.answered, fate.answer = one.at, one.event.data
                break
        due = [(ms, "REMINDED") for ms in fate.reminders] + [(fate.due_ms, "LATE")]
        due += [(fate.escalation, "ESCALATED")] if fate.escalation is not None else []
        deeds = [(self._due(ms, f"{fate.number}/{what}", reviews), what) for ms, what in due]
        fate.deeds = sorted(one for one in deeds if one[0] < fate.answered)
        return fate

    def _answers(self, told: Told, fate: Fate) -> bool:
        data = told.event.data
        mine = data["question_number"] == fate.number and department(told) == fate.agency
        return mine and all(person in self.people for person in data["persons"])

    def _course(self) -> Stage:
        """From the opening to the first of: all answered, deadline, withdrawal, revocation."""
        opened = self.opening.at
        reviews = self._reviews(opened)
        deadline = self._due(end_of(opened.ms, self.document["deadline"]), "", reviews)
        asks = {one["id"]: one for one in self.document["ask"]}
        fates: list[Fate] = []
        self.authorised = self._authorised()
        first = self._look(self.authorised, reviews, [deadline])
        if first != NEVER:
            wanted = ["cars", "tax", *(["bank"] if self.data["income"] < 5000 else [])]
            fates = [self._asked(asks[one], asks[one]["agency"], "", first, reviews) for one in wanted]
            tax = fates[1]
            if tax.answer is not None:
                look = self._look(tax.answered, reviews, [deadline, *(at for one in fates for at, _ in one.deeds)])
                places = enumerate(tax.answer["places"] if look != NEVER else [], 1)
                fates += [self._asked(asks["town"], place, f"-{at}", look, reviews) for at, place in places]
        return self._ended(opened, fates, reviews, deadline, self._first(opened, "revoke"))

    def _undoing(self, revoked: Moment) -> Stage:
        """From the revocation on; who had acted is asked to undo it."""
        reviews = self._reviews(revoked)
        deadline = self._due(end_of(revoked.ms, self.document["deadline"]), "", reviews)
        ask = self.document["ask"][-1]
        cars = self.kept("cars")
        wanted = cars is not None and cars["count"] > 0
        fates = [self._asked(ask, ask["agency"], "", _passed(revoked), reviews)] if wanted else []
        return self._ended(revoked, fates, reviews, deadline, NEVER)

    def _ended(
        self, starts: Moment, fates: list[Fate], reviews: list[tuple[Moment, Moment]], deadline: Moment, revoked: Moment
    ) -> Stage:
        done = [max(one.asked, one.answered if one.required else min(one.answered, one.late)) for one in fates]
        deeds = [deadline, *(at for one in fates for at, _ in one.deeds)]
        asked = fates or starts != self.opening.at  # else not all have authorised it
        complete = self._look(max(done, default=starts), reviews, deeds) if asked else NEVER
        ends = {"COMPLETE": complete, "PARTIAL": deadline, "WITHDRAWN": self._took_back(starts), "revoked": revoked}
        how = min(ends, key=lambda one: ends[one])
        if ends[how] > self.until:
            return Stage(starts, NEVER, "", _until(fates, self.until), reviews)
        if how == "PARTIAL" and asked and max(done, default=starts) < deadline:
            how, ends["COMPLETE"] = "COMPLETE", deadline  # answered during a review that outlasted it: nothing is missing
        return Stage(starts, ends[how], how, _until(fates, ends[how]), reviews)

    def kept(self, ask: str) -> Mapping[str, Any] | None:
        """The answer that counts in the course of the case; of a case that was withdrawn none is kept."""
        if self.main.how == "WITHDRAWN":
            return None
        return next((one.answer for one in self.main.fates if one.ask == ask), None)


def _until(fates: list[Fate], end: Moment) -> list[Fate]:
    """What was asked, done and answered before the end."""
    asked = [one for one in fates if one.asked < end]
    for one in asked:
        one.deeds = [deed for deed in one.deeds if deed[0] < end]
        if one.answered > end:
            one.answered, one.answer = NEVER, None
    return asked
