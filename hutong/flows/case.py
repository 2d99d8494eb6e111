"""A case as it is kept: JSON-plain, so that a table, a changelog and a terminal hold the same thing.

Neighbours: ``step`` changes it; ``services/coordinator`` stores it; ``hutong cases`` shows it.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, TypedDict, cast

from hutong.errors import ConfigurationError

__all__ = [
    "FORMAT",
    "Case",
    "Entry",
    "Held",
    "Person",
    "Question",
    "Source",
    "event_id",
    "new_case",
    "next_due",
    "number_of",
    "open_questions",
    "restored",
    "rfc3339_ms",
]

FORMAT = 1
"""Version of a case as it is kept; it changes when an older program cannot go on with it. The first ones say none."""

Status = Literal["expected", "waiting", "open", "review", "closed"]
"""Heard of before it was opened; not all have authorised; asking; with a person; over."""

_NAMES = uuid.uuid5(uuid.NAMESPACE_URL, "urn:hutong:flows")
_NUMBER_DIGITS = 20


class Person(TypedDict):
    """Somebody whom the case is about."""

    item: Any
    authorised_ms: int | None
    withdrawn_ms: int | None
    authorisation: dict[str, Any] | None


class Source(TypedDict):
    """An event that opened the case, or stands beside the one that did."""

    contract: str
    id: str
    at: str
    kept: dict[str, Any]


class Question(TypedDict):
    """A question to an agency."""

    number: str
    ask: str
    agency: str
    stage: Literal["main", "undo"]
    required: bool
    item: Any
    status: Literal["open", "answered", "late", "withdrawn", "failed"]
    asked_ms: int
    due_ms: int
    remind_ms: list[int]
    reminded: int
    escalate_ms: int | None
    withdrawn_ms: int | None
    answer_id: str | None
    answered_ms: int | None
    answer: dict[str, Any] | None


class Entry(TypedDict):
    """Something that happened."""

    at_ms: int
    what: str
    ask: str | None
    agency: str | None
    detail: str | None


class Held(TypedDict):
    """An event that came before the one that opens its case."""

    does: str
    spec: str
    id: str
    contract: str
    at_ms: int
    person: Any
    kept: dict[str, Any]


class Case(TypedDict):
    """One run of a flow; times are milliseconds since the epoch."""

    format: int
    flow: str
    number: str
    key: str
    status: Status
    stage: Literal["main", "undo"]
    now_ms: int
    opened_ms: int
    due_ms: int
    closed_ms: int | None
    trace: str | None
    data: dict[str, Any]
    sources: list[Source]
    people: dict[str, Person]
    done: list[str]
    questions: dict[str, Question]
    held: list[Held]
    report: dict[str, Any] | None
    reports: int
    timeline: list[Entry]
    entries: int
    seen: list[str]
    calendar_assumed: bool


def new_case(flow: str, number: str, key: str, *, at_ms: int, due_ms: int) -> Case:
    """A case of which nothing is known but that it is expected."""
    return Case(
        format=FORMAT,
        flow=flow,
        number=number,
        key=key,
        status="expected",
        stage="main",
        now_ms=at_ms,
        opened_ms=at_ms,
        due_ms=due_ms,
        closed_ms=None,
        trace=None,
        data={},
        sources=[],
        people={},
        done=[],
        questions={},
        held=[],
        report=None,
        reports=0,
        timeline=[],
        entries=0,
        seen=[],
        calendar_assumed=False,
    )


def restored(stored: dict[str, Any]) -> Case:
    """A case as it was kept, with what has been added to cases since, as it would have been.

    Raises:
        ConfigurationError: a newer program has kept it, and this one would lose what it does not know.
    """
    if stored.get("format", 0) > FORMAT:
        text = f"the case {stored.get('number')} was kept by a newer version (format {stored['format']})"
        raise ConfigurationError(f"{text}; run that version, or a newer one")
    if stored.get("format") != FORMAT:
        opened_ms = stored.get("opened_ms", stored.get("now_ms", 0))
        empty = new_case(stored["flow"], stored["number"], stored.get("key", ""), at_ms=opened_ms, due_ms=opened_ms)
        stored = {**empty, **stored, "format": FORMAT}
        for one in stored["people"].values():
            _complete(one, {"item": None, "authorised_ms": None, "withdrawn_ms": None, "authorisation": None})
        for one in stored["questions"].values():
            _complete(one, _QUESTION)
        for one in stored["timeline"]:
            _complete(one, {"ask": None, "agency": None, "detail": None})
        for one in stored["held"]:
            _complete(one, {"person": None, "kept": {}})
    return cast(Case, stored)


_QUESTION: dict[str, Any] = {
    **{"stage": "main", "required": True, "item": None, "remind_ms": [], "reminded": 0, "escalate_ms": None},
    **{"withdrawn_ms": None, "answer_id": None, "answered_ms": None, "answer": None},
}


def _complete(part: dict[str, Any], defaults: dict[str, Any]) -> None:
    for name, value in defaults.items():
        part.setdefault(name, deepcopy(value))


def number_of(prefix: str, key: str, secret: bytes | None) -> str:
    """A case's number; with a secret it does not show the key, and only who has the secret can tell it from the key."""
    if secret is None:
        return f"{prefix}-{key}"
    return f"{prefix}-{hmac.new(secret, key.encode(), hashlib.sha256).hexdigest()[:_NUMBER_DIGITS]}"


def event_id(*parts: object) -> str:
    """The id of an event that a case emits: the same for the same thing, whenever and by whomever it is emitted."""
    name = "/".join(map(str, parts))
    # What ``str(uuid.uuid5(_NAMES, name))`` is, in a fifth of the time: a step makes several.
    made = hashlib.sha1(_NAMES.bytes + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(made[16], 16) & 3]
    return f"{made[:8]}-{made[8:12]}-5{made[13:16]}-{variant}{made[17:20]}-{made[20:32]}"


def open_questions(case: Case) -> Iterator[Question]:
    """The questions whose answer may still come."""
    return (one for one in case["questions"].values() if one["status"] in ("open", "late"))


def next_due(case: Case) -> int | None:
    """When the case has to be looked at next though nothing came; None where never."""
    if case["status"] in ("closed", "review"):
        return None
    moments = [case["due_ms"]]
    for one in case["questions"].values():
        if one["status"] in ("open", "late"):
            moments += one["remind_ms"][one["reminded"] :][:1]
            if one["escalate_ms"] is not None:
                moments.append(one["escalate_ms"])
            if one["status"] == "open":
                moments.append(one["due_ms"])
    return min(moments)


@lru_cache(10_000)  # every step of a case says again when it was opened and is due
def rfc3339_ms(moment_ms: int | None) -> str | None:
    """A moment as expressions see it."""
    if moment_ms is None:
        return None
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
