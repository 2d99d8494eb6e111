"""One stimulus at work on one case: what it changes, what it has to say, and what goes out because of it.

Neighbours: ``step`` begins and ends it; ``asking``, ``answering`` and ``report`` do their part through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from hutong.errors import ContractViolation
from hutong.flows.case import Case, Question, event_id, rfc3339_ms
from hutong.flows.plan import EmissionPlan, FlowPlan
from hutong.frozen import maker

__all__ = ["Emitted", "Work"]

_TIMELINE = 2_000  # entries kept; a case with more has hundreds of agencies, and its report says what counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """An event to be published in the flow owner's name.

    Attributes:
        contract, version, shape: its contract, which version of it, and the fingerprint of that.
        data: as the contract wants it.
        key, body: the same as it is sent.
        id: deterministic: the same event, whoever emits it and how often.
        time: when it came about.
        traceparent: of the event that opened the case.
    """

    contract: str
    version: int
    shape: str
    data: dict[str, Any]
    key: str
    body: bytes
    id: str
    time: datetime
    traceparent: str | None


_emitted = maker(Emitted)


@lru_cache(1_000)  # a step has several events of one moment
def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


@dataclass(slots=True, kw_only=True)
class Work:
    """A case in hand.

    Attributes:
        plan: its flow.
        case: changed in place.
        at_ms: the moment that is being dealt with.
        emitted: what goes out, in order.
    """

    plan: FlowPlan
    case: Case
    at_ms: int
    emitted: list[Emitted] = field(default_factory=list)

    def context(self, **more: Any) -> dict[str, Any]:
        """What expressions see."""
        case = self.case
        about = {
            "number": case["number"],
            "key": case["key"],
            "status": case["status"],
            "opened_at": rfc3339_ms(case["opened_ms"]),
            "due_at": rfc3339_ms(case["due_ms"]),
            "sources": case["sources"],
        }
        return {"flow": self.plan.about, "case": about, "data": case["data"], "item": None, **more}

    def answers(self) -> dict[str, Any]:
        """The answers so far, by question; a list for a question that goes to many; null where there is none."""
        found: dict[str, Any] = {name: [] if ask.each else None for name, ask in self.plan.asks.items()}
        for question in self.case["questions"].values():
            if question["answer"] is None or question["ask"] not in found:
                continue
            answer = {
                **question["answer"],
                "agency": question["agency"],
                "answered_at": rfc3339_ms(question["answered_ms"]),
                "late": (question["answered_ms"] or 0) >= question["due_ms"],
            }
            if self.plan.asks[question["ask"]].each:
                found[question["ask"]].append(answer)
            else:
                found[question["ask"]] = answer
        return found

    def note(self, what: str, question: Question | None = None, *, detail: str | None = None, to: str | None = None) -> None:
        """Put something on the timeline, and publish it as the case's progress."""
        case = self.case
        ask, agency = (question["ask"], question["agency"]) if question else (None, None)
        if len(case["timeline"]) < _TIMELINE:
            case["timeline"].append({"at_ms": self.at_ms, "what": what, "ask": ask, "agency": agency, "detail": detail})
        case["entries"] += 1
        if self.plan.progress is None:
            return
        step = {
            **{"what": what, "ask": ask, "agency": agency, "to": to, "detail": detail},
            **{"at": rfc3339_ms(self.at_ms), "number": case["entries"]},
        }
        self.emit(self.plan.progress, {**self.context(), "step": step}, "progress", case["entries"])

    def emit(self, emission: EmissionPlan, context: Mapping[str, Any], *name: object) -> bool:
        """Make an event; where its flow makes a wrong one, that is said on the timeline, and the case goes on."""
        try:
            data, key, body = emission.make(context)
        except (ValueError, ContractViolation) as error:
            if emission is not self.plan.progress:  # which would only fail again
                self.failed(f"{emission.contract} cannot be made: {error}")
            return False
        id_, time = event_id(self.case["number"], *name), _moment(self.at_ms)
        made = _emitted(emission.contract, emission.version, emission.shape, data, key, body, id_, time, self.case["trace"])
        self.emitted.append(made)
        return True

    def failed(self, detail: str, question: Question | None = None) -> None:
        """An expression or an emission of the flow has failed on this case's values."""
        self.note("RULE_FAILED", question, detail=detail)
