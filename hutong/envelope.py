"""From a department's data to bytes that may be sent: the event checked, encoded, keyed, and given its id and time.

The one way in: ``publisher`` sends the result at once, ``outbox`` stores it beside the business change. Nothing here does I/O.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from hutong.contracts.schema import EventSchema
from hutong.errors import ContractViolation
from hutong.event import is_traceparent, new_event_id
from hutong.model import ChangeEvent
from hutong.plain import packer

__all__ = ["Sealed", "checked_id", "checked_time", "checked_trace", "contract_of", "current_trace", "seal"]

_EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
"""No register in use reaches further back; an earlier time is a unit that was mistaken."""

_CLOCK_DRIFT = timedelta(minutes=5)
_MAX_ID_BYTES = 255


class Sealed(NamedTuple):
    """An event that is ready to be sent.

    Attributes:
        id: the event id.
        key: the Kafka key.
        body: Avro binary, without a frame.
        time: when the change happened.
        traceparent: W3C trace context, if any.
        corrects: id of the event of the same contract that this one puts right, if any.
    """

    id: str
    key: str
    body: bytes
    time: datetime
    traceparent: str | None
    corrects: str | None = None


def contract_of(event: ChangeEvent | Mapping[str, Any], contract: str | None) -> str:
    """The name of the contract that an event is published under.

    Raises:
        ContractViolation: it is no event at all, or it does not say of which contract.
    """
    if isinstance(event, ChangeEvent):
        if contract is not None and contract != event.contract:
            raise ContractViolation(
                contract, "", "contract", f"the event is a {type(event).__name__}, of contract {event.contract}"
            )
        return event.contract
    if not isinstance(event, Mapping):
        raise ContractViolation(
            contract or "(no contract)", "", "type", f"expected a generated model or a mapping, got {type(event).__name__}"
        )
    if not contract:
        raise ContractViolation(
            "(no contract)", "", "contract", "a mapping needs the contract's name: publish(event, '<department>.<event>')"
        )
    return contract


def seal(
    schema: EventSchema,
    event: ChangeEvent | Mapping[str, Any],
    *,
    id: str | None = None,
    time: datetime | None = None,
    traceparent: str | None = None,
    corrects: str | None = None,
) -> Sealed:
    """Check and encode an event.

    Raises:
        ContractViolation: the data or an attribute breaks a rule.
    """
    key, body = packer(type(event))(event) if isinstance(event, ChangeEvent) else schema.pack(event)
    return Sealed(
        id=new_event_id() if id is None else checked_id(schema.contract, id),
        key=key,
        body=body,
        time=datetime.now(UTC) if time is None else checked_time(schema.contract, time),
        traceparent=current_trace() if traceparent is None else checked_trace(schema.contract, traceparent),
        corrects=None if corrects is None else checked_id(schema.contract, corrects),
    )


def checked_id(contract: str, event_id: str) -> str:
    """An event id that the application gave.

    Raises:
        ContractViolation: it is none.
    """
    if (
        not isinstance(event_id, str)
        or not 0 < len(event_id.encode(errors="replace")) <= _MAX_ID_BYTES
        or not event_id.isprintable()
    ):
        raise ContractViolation(contract, "id", "attribute", f"an event id is printable text of 1 to {_MAX_ID_BYTES} bytes")
    return event_id


def checked_time(contract: str, moment: datetime) -> datetime:
    """When the application says that the change happened.

    Raises:
        ContractViolation: it cannot be.
    """
    now = datetime.now(UTC)
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ContractViolation(contract, "time", "time_zone", "the event's time is a datetime with a time zone")
    if moment > now + _CLOCK_DRIFT:
        raise ContractViolation(
            contract, "time", "range", "the event's time is more than 5 minutes in the future: a clock or a time zone is wrong"
        )
    if moment < _EARLIEST:
        raise ContractViolation(
            contract, "time", "range", "the event's time is before 1900: it is when the change happened, not a date in it"
        )
    return moment


def checked_trace(contract: str, traceparent: str) -> str:
    """A trace context that the application gave.

    Raises:
        ContractViolation: it is none.
    """
    if not isinstance(traceparent, str) or not is_traceparent(traceparent):
        raise ContractViolation(contract, "traceparent", "attribute", "is not a W3C traceparent")
    return traceparent


def current_trace() -> str | None:
    """The current span's context, if the application has OpenTelemetry; Hutong itself does not need it."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
