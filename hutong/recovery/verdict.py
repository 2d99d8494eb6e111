"""What became of one event under one agreement, and why, in words that hold none of its values. Pure.

Which row condition left an event out is found by routing it under each of them alone, so no rule is told twice. Neighbours:
``trace`` brings the facts together, ``routing`` decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from hutong.agreements.agreement import CelRow, FieldRow, Row
from hutong.agreements.grant import Grant
from hutong.event import rfc3339
from hutong.recovery.deliveries import Made
from hutong.recovery.ledger import Ledger
from hutong.recovery.record import QuarantineRecord
from hutong.transcode.routing import Inbound, Routed, RoutingTable, SchemaOf

__all__ = ["TROUBLE", "Answer", "Facts", "Verdict", "answer", "row_words", "rows_that_fail", "when"]

_ANY_KEY = b"\0" * 32
"""Row conditions are judged without a pseudonym key; so is an agreement whose key is somewhere else."""


class Verdict(StrEnum):
    """What became of it."""

    DELIVERED = "delivered"
    FILTERED = "filtered"
    NOT_IN_FORCE = "not_in_force"
    QUARANTINED = "quarantined"
    FAILS = "fails"
    PENDING = "pending"
    PASSED_BY = "passed_by"
    REVOKED = "revoked"


TROUBLE = frozenset({Verdict.QUARANTINED, Verdict.FAILS, Verdict.PASSED_BY})
"""What somebody has to see to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of an event under an agreement.

    Attributes:
        agreement: its id.
        recipient: its recipient; empty where the agreement is not there any more.
        verdict: what became of the event.
        why: the same in words.
        deliveries: where it went, replays included.
    """

    agreement: str
    recipient: str
    verdict: Verdict
    why: str
    deliveries: tuple[Made, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of the event.

    Attributes:
        event: as it was published.
        routed: what today's table makes of it.
        deliveries: all that were made of it.
        quarantined: its records in quarantine.
        ledger: what was replayed.
        is_passed: whether the router has passed it.
        now_ms: the clock that it was routed by.
    """

    event: Inbound
    routed: Routed
    deliveries: tuple[Made, ...]
    quarantined: tuple[QuarantineRecord, ...]
    ledger: Ledger
    is_passed: bool
    now_ms: int


def answer(name: str, grant: Grant | None, facts: Facts, schema_of: SchemaOf) -> Answer:
    """What became of an event under one agreement.

    Args:
        name: the agreement.
        grant: as it is today; None where it is not there any more.
        facts: the event's.
        schema_of: finds the writer's schema.
    """
    made = tuple(one for one in facts.deliveries if one.agreement == name)
    recipient = grant.agreement.recipient if grant else ""
    verdict, why = _verdict(name, grant, facts, made, schema_of)
    return Answer(agreement=name, recipient=recipient, verdict=verdict, why=why, deliveries=made)


def _verdict(name: str, grant: Grant | None, facts: Facts, made: tuple[Made, ...], schema_of: SchemaOf) -> tuple[Verdict, str]:
    here = (one for one in facts.quarantined if one.agreement in (None, name) and not one.is_of_a_flow)
    parked = next(here, None)
    if made:
        last = made[-1]
        return Verdict.DELIVERED, f"it lies at {last.place} since {when(last.at_ms)}"
    if parked is not None and not facts.ledger.is_settled(parked):
        return Verdict.QUARANTINED, f"{parked.reason}: {parked.problem}; see `hutong quarantine explain {parked.source}`"
    if grant is None:
        return Verdict.REVOKED, "the agreement is not on the bus any more"
    if not facts.is_passed:
        return Verdict.PENDING, "the router has not come to it yet"
    if why := _not_in_force(grant, facts):
        return Verdict.NOT_IN_FORCE, why
    failed = [one for one in facts.routed.quarantined if one.agreement in (None, name)]
    if failed:
        return Verdict.FAILS, f"{failed[0].reason}: {failed[0].problem}"
    if rows := list(rows_that_fail(grant, facts.event, schema_of, facts.now_ms)):
        return Verdict.FILTERED, "; ".join(rows)
    replay = f"`hutong replay {name}` delivers it"
    return Verdict.PASSED_BY, f"the router passed it, or its delivery is not kept any more; today's agreement grants it: {replay}"


def _not_in_force(grant: Grant, facts: Facts) -> str:
    """Why an agreement does not count for the event; empty where it does."""
    at = facts.event.appended_ms
    if at < grant.valid_from_ms:
        return f"published {when(at)}, and the agreement began {when(grant.valid_from_ms)}"
    until = grant.valid_until_ms
    if until is not None and at >= until:
        return f"published {when(at)}, and the agreement ended {when(until)}"
    if until is not None and facts.now_ms >= until:
        return f"the agreement ended {when(until)}, before the event was delivered"
    return ""


def rows_that_fail(grant: Grant, event: Inbound, schema_of: SchemaOf, now_ms: int) -> Iterator[str]:
    """The row conditions that do not hold for an event that is sound, in words."""
    name = grant.agreement.id
    for at, row in enumerate(grant.agreement.rows):
        agreement = grant.agreement.model_copy(update={"rows": (row,)})
        alone = grant.model_copy(update={"agreement": agreement, "pseudonym_keys": None})
        routed = RoutingTable({name: alone}, {name: _ANY_KEY}).route(event, schema_of, now_ms)
        if not routed.deliveries and not routed.quarantined:
            yield f"rows[{at}]: {row_words(row)}"


def row_words(row: Row) -> str:
    """How a row condition fails, in words; the values in it are the agreement's."""
    match row:
        case CelRow(cel=text):
            return f"the condition {text!r} does not hold"
        case FieldRow(field=path, one_of=values) if values is not None:
            return f"{path} is none of {', '.join(map(str, values))}"
        case FieldRow(field=path, prefix=text) if text is not None:
            return f"{path} does not begin with {text}"
        case FieldRow(field=path, equals=value) if value is not None:
            return f"{path} is not {value}"
        case FieldRow(field=path, at_least=low, at_most=high):
            bounds = [f"at least {low}"] if low is not None else []
            bounds += [f"at most {high}"] if high is not None else []
            return f"{path} is not {' and '.join(bounds)}"


def when(at_ms: int) -> str:
    """A moment for people: UTC, since whoever reads it may be anywhere."""
    return rfc3339(datetime.fromtimestamp(at_ms / 1000, UTC))
