"""Flows: the difference between what is declared and what stands on ``ctl.flows``, and what it means for running cases. Pure.

Neighbours: ``diff`` puts these changes after all others, since a coordinator must find everything that a flow speaks of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hutong.control.changes import Change
from hutong.control.desired import Desired
from hutong.control.observed import Observed
from hutong.control.words import counted
from hutong.errors import DeclarationError
from hutong.flows.control import FlowRecord, key_name
from hutong.flows.flow import Ask, Duration, Flow

__all__ = ["flow_changes", "flow_key_changes"]

_RENUMBERED = "new cases; running ones keep their numbers, take no event by their key any more, and end with what they have"
_LATER = {
    "deadline": "cases that are opened from now on",
    "events": "what is published from now on",
    "people": "cases that are opened from now on",
    "figures": "reports from now on",
    "rules": "reports from now on",
    "question": "questions from now on",
    "progress": "steps from now on",
    "outcome": "reports from now on",
    "title": "what is published from now on",
    "legal_basis": "what is published from now on",
    "purpose": "what is published from now on, of running cases too",
    "owner": "what is published from now on, of running cases too",
    "prefix": _RENUMBERED,
    "personal_key": _RENUMBERED,
}
"""Part of a flow -> what a change of it is for."""


def flow_changes(wanted: Desired, found: Observed) -> Iterator[Change]:
    """Flows to send to the coordinators, and what has gone from the declarations."""
    for id_, record in wanted.flows.items():
        there = found.flows.get(id_)
        old = None if there is None else _readable(there)
        if old is not None and there is not None and _same(there, record):
            continue
        yield Change(
            step="flow",
            action="create" if there is None else "change",
            name=id_,
            text=_words(record.flow),
            details=tuple(_details(old, record)) if there is not None else (),
        )
    for id_ in sorted(found.flows.keys() - wanted.flows.keys()):
        details = ("its running cases rest: nothing is asked, taken or reported until the flow is declared again",)
        yield Change(step="flow", action="remove", name=id_, text="opens no more cases", details=details, prune=True)


def flow_key_changes(wanted: Desired, found: Observed) -> Iterator[Change]:
    """Keys that hide the numbers of cases."""
    for id_, record in wanted.flows.items():
        if record.flow.personal_key and key_name(id_) not in found.keys:
            yield Change(step="key", action="create", name=key_name(id_), text="32 random bytes")


def _readable(document: bytes) -> FlowRecord | None:
    try:
        return FlowRecord.from_json(document)
    except DeclarationError:
        return None  # written by another version of Hutong; it is written anew


def _same(there: bytes, wanted: FlowRecord) -> bool:
    """Whether two records say the same; the order of keys in a schema differs from process to process."""
    return bool(json.loads(there) == json.loads(wanted.after(there, 0).to_json()))


def _words(flow: Flow) -> str:
    asked = counted(sum(ask.stage == "main" for ask in flow.ask), "question")
    return f"{flow.owner} asks {asked}, ends after {_span(flow.deadline)}"


def _span(span: Duration) -> str:
    ((unit, number),) = span.model_dump(exclude_unset=True).items()
    return f"{number} {unit.replace('_', ' ').removesuffix('s') if number == 1 else unit.replace('_', ' ')}"


def _details(old: FlowRecord | None, new: FlowRecord) -> Iterator[str]:
    if old is None:
        yield "what stands on the bus cannot be read; it is written anew"
        return
    was, now = _parts(old.flow), _parts(new.flow)
    yield from _ask_details(old.flow, new.flow)
    for part, whom in _LATER.items():
        if was.get(part) != now.get(part):
            yield f"~ {part.replace('_', ' ')}: for {whom}"
    names = sorted(name for name in new.schemas if name in old.schemas and new.schemas[name] != old.schemas[name])
    if names:
        yield f"~ the newest version of {', '.join(names)}"
    if old.timezone != new.timezone:
        yield f"~ time zone {old.timezone} -> {new.timezone}: for spans that begin from now on"


def _ask_details(old: Flow, new: Flow) -> Iterator[str]:
    was, now = {one.id: one for one in old.ask}, {one.id: one for one in new.ask}
    for id_ in [one for one in now if one not in was]:
        yield f"+ question {id_} to {_agency(now[id_])}: running cases ask it too"
    for id_ in [one for one in was if one not in now]:
        yield f"- question {id_} to {_agency(was[id_])}: not asked any more; what was asked counts no answer"
    for id_ in [one for one in now if one in was and was[one] != now[one]]:
        before, after = was[id_].model_dump(), now[id_].model_dump()
        parts = ", ".join(part.replace("_", " ") for part in after if before[part] != after[part])
        yield f"~ question {id_} ({parts}): when it is asked from now on; what was asked keeps its times"


def _agency(ask: Ask) -> str:
    agency = ask.agency if isinstance(ask.agency, str) else ask.agency.constant
    return agency if isinstance(agency, str) else "whom the case names"


def _parts(flow: Flow) -> dict[str, Any]:
    return flow.model_dump(exclude={"id", "ask"})
