"""What must have come out of one case of the sample flow: a plain function over all of its events, with no code of the step.

Figures, rules and reasons are written here by hand. Neighbours: ``flow_course`` works out when what happened;
``unit/test_flow_oracle`` holds the step against this, with the random cases of ``flow_cases``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf
from typing import Any

from tests.flow_course import NEVER, Course, Event, Fate, Moment, Stage, Told, department, end_of, heard

__all__ = ["Expected", "expected"]

_RESULTS = {"COMPLETE": "REVOKED", "PARTIAL": "REVOKED", "WITHDRAWN": "WITHDRAWN"}  # of a case that was revoked
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(kw_only=True)
class Expected:
    """What must have come out.

    Attributes:
        status: the case's.
        reports: the data of its reports.
        fates: question number -> (status, when asked, when answered).
        asked: (ms, number, agency, reminder, due ms) of every question and reminder that was published.
        withdrawn: (ms, number) of every question that was published as withdrawn.
        deeds: (ms, what, ask) of everything that questions went through until they were answered.
        refusals: (ms, reason and department).
        quarantined: how many answers came before there was a case.
    """

    status: str
    reports: list[dict[str, Any]] = field(default_factory=list)
    fates: dict[str, tuple[str, float, float | None]] = field(default_factory=dict)
    asked: list[tuple[float, str, str, int, int]] = field(default_factory=list)
    withdrawn: list[tuple[float, str]] = field(default_factory=list)
    deeds: list[tuple[float, str, str]] = field(default_factory=list)
    refusals: list[tuple[float, str]] = field(default_factory=list)
    quarantined: int = 0


def expected(document: Mapping[str, Any], key: str, events: list[Event], until_ms: int) -> Expected:
    """What must have become of the case of a key.

    Args:
        document: the sample flow.
        key: the case's.
        events: all events, in the order in which they came, repetitions too.
        until_ms: up to when; nothing comes later.
    """
    told, unknown = heard(key, events)
    opening = next((one for one in told if one.does == "open"), None)
    if opening is None:
        over = bool(told) and end_of(told[0].at.ms, document["deadline"]) <= until_ms
        refusals = [(one.at.ms, f"unknown_question from {department(one)}") for one in told if one.does == "answer"]
        return Expected(status="closed" if over else "expected" if told else "unknown", refusals=refusals, quarantined=unknown)
    course = Course(document, f"{document['prefix']}-{key}", told, opening, Moment(until_ms, inf))
    stages = [one for one in (course.main, course.undo) if one]
    return Expected(
        status=_status(course, stages[-1]),
        reports=list(_reports(course)),
        fates=dict(_fates(course)),
        asked=sorted(one for stage in stages for fate in stage.fates for one in _published(fate)),
        withdrawn=sorted((ms, one.number) for ms, one in _withdrawn(course, stages)),
        deeds=sorted(_deeds(course, stages)),
        refusals=list(_refusals(course, stages)),
        quarantined=unknown,
    )


def _status(course: Course, last: Stage) -> str:
    if last.ends != NEVER:
        return "closed"
    if any(begins < course.until < ends for begins, ends in last.reviews):
        return "review"
    return "open" if course.authorised != NEVER or course.undo else "waiting"


def _fate(fate: Fate, how: str) -> tuple[str, float, float | None]:
    if fate.answered != NEVER:
        return "answered", fate.asked.ms, fate.answered.ms
    unanswered = {"COMPLETE": "late", "PARTIAL": "late", "": "late" if fate.late != NEVER else "open"}
    return unanswered.get(how, "withdrawn"), fate.asked.ms, None


def _fates(course: Course) -> Iterator[tuple[str, tuple[str, float, float | None]]]:
    for one in course.main.fates:
        yield one.number, _fate(one, "revoked" if course.undo else course.main.how)
    for one in course.undo.fates if course.undo else []:
        yield one.number, _fate(one, course.undo.how if course.undo else "")


def _deeds(course: Course, stages: list[Stage]) -> Iterator[tuple[float, str, str]]:
    for one in (fate for stage in stages for fate in stage.fates):
        yield one.asked.ms, "ASKED", one.ask
        yield from ((at.ms, what, one.ask) for at, what in one.deeds)
        if one.answered != NEVER:
            yield one.answered.ms, "ANSWERED" if one.late == NEVER else "ANSWERED_LATE", one.ask


def _published(fate: Fate) -> Iterator[tuple[float, str, str, int, int]]:
    moments = [fate.asked, *(at for at, what in fate.deeds if what == "REMINDED")]
    yield from ((at.ms, fate.number, fate.agency, reminder, fate.due_ms) for reminder, at in enumerate(moments))


def _withdrawn(course: Course, stages: list[Stage]) -> Iterator[tuple[float, Fate]]:
    for stage in stages:
        if stage.how not in ("COMPLETE", ""):
            yield from ((stage.ends.ms, one) for one in stage.fates if one.answered == NEVER)
    if course.undo and course.main.how == "COMPLETE":  # what was late is not wanted any more; at a deadline it was told
        yield from ((course.undo.starts.ms, one) for one in course.main.fates if one.answered == NEVER)


def _refusals(course: Course, stages: list[Stage]) -> Iterator[tuple[float, str]]:
    asked = {fate.number: (fate, stage) for stage in stages for fate in stage.fates}
    for one in course.told:
        if one.does == "answer" and (reason := _refusal(course, asked, one)):
            yield one.at.ms, f"{reason} from {department(one)}"


def _refusal(course: Course, asked: Mapping[str, tuple[Fate, Stage]], told: Told) -> str | None:
    found = asked.get(told.event.data["question_number"])
    if found is None or found[0].asked > told.at:
        return "unknown_question"
    fate, stage = found
    if department(told) != fate.agency:
        return "not_asked"
    if fate.answered == told.at:
        return None
    if fate.answered < told.at:
        return "twice"
    revoked = course.undo is not None and stage is course.main and course.undo.starts < told.at
    if revoked or (stage.ends < told.at and stage.how in ("WITHDRAWN", "revoked")):
        return "withdrawn"
    return "closed" if stage.ends < told.at else "another_person"


def _reports(course: Course) -> Iterator[dict[str, Any]]:
    main, undo = course.main, course.undo
    if main.how in _RESULTS:
        yield _report(course, main.ends, main.how, [] if main.how == "WITHDRAWN" else main.fates)
    if undo and undo.how in _RESULTS:
        result = _RESULTS[undo.how]
        yield _report(course, undo.ends, result, undo.fates if result == "REVOKED" else [])


def _report(course: Course, at: Moment, result: str, fates: list[Fate]) -> dict[str, Any]:
    dropped = result == "WITHDRAWN"
    cars, tax, bank = (None if dropped else course.kept(one) for one in ("cars", "tax", "bank"))
    found: list[dict[str, Any]] = []
    unjudged: list[str] = []
    if cars is None:
        unjudged.append("more-cars")
    elif cars["count"] > course.data["cars"]:
        found.append(_discrepancy("more-cars", "cars.office", course.data["cars"], cars["count"]))
    if tax is None or bank is None or tax["paid"] is None or bank["paid"] is None:
        unjudged.append("richer")
    else:
        together, income = float(tax["paid"]) + float(bank["paid"]), float(course.data["income"])
        if together > income:
            found.append(_discrepancy("richer", "tax.office", income, together))
    paid = tax["paid"] if tax is not None and tax["paid"] is not None else Decimal(0)
    return {
        "case_number": course.number,
        "result": result,
        "overpaid": (2 * paid).quantize(Decimal("0.01")),
        "discrepancies": found,
        "missing": [{"ask": one.ask, "agency": one.agency} for one in fates if one.answered == NEVER],
        "unjudged": unjudged,
        "purpose": course.document["purpose"],
        "at": _EPOCH + timedelta(milliseconds=at.ms),
    }


def _discrepancy(rule: str, agency: str, declared: float, found: float) -> dict[str, Any]:
    return {"rule": rule, "agency": agency, "declared": f"{declared:.15g}", "found": f"{found:.15g}"}
