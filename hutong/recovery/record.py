"""A record in quarantine, read back: the event as it was published, byte for byte, and what the bus has noted beside it. Pure.

The bus notes its facts behind the event's own headers, so those before the last ``hutong_reason`` are the event's, whatever a
publisher wrote among them. Neighbours: ``services/router`` and ``services/coordinator`` write these records; ``judge`` runs the
agreements over them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import NamedTuple, Self

from hutong.event import Headers, harmless_id, header
from hutong.recovery.remedies import remedy_of
from hutong.transcode.routing import Inbound
from hutong.transport import Record

__all__ = ["PREFIX", "Place", "QuarantineRecord", "headers_of", "told_id"]

PREFIX = "quarantine."
_FACTS_BEGIN = "hutong_reason"
_PLACE = re.compile(r"(?P<topic>[\w.-]+)(?:/(?P<p>\d+)/|\[(?P<q>\d+)\]@)(?P<offset>\d+)", re.ASCII)


class Place(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def read(cls, text: str) -> Place | None:
        """A place as it is written, ``topic/partition/offset``; None where it is none."""
        found = _PLACE.fullmatch(text)
        return found and cls(found["topic"], int(found["p"] or found["q"]), int(found["offset"]))


def headers_of(record: Record) -> Headers:
    """A record's headers, as the router takes them: none where they cannot be read."""
    try:
        found: Headers = record.headers() or []
    except Exception:  # noqa: BLE001 - the client raises SystemError where a header's name is not UTF-8
        return []
    return found


def told_id(event_id: str) -> str:
    """An event id as it may be printed: an application may give ids of its own, and a person's number may be one."""
    return harmless_id(event_id) or ("(an id of the publisher's own)" if event_id else "(none)")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineRecord:
    """An event in quarantine.

    Attributes:
        contract: whose quarantine it is in.
        place: where in there.
        reason: the code, see ``remedies``.
        problem: the same in words.
        agreement: the agreement that could not be served; None where the event as a whole is meant.
        source: where it was published.
        appended_ms: when it was published, by the broker's clock.
        quarantined_ms: since when it lies here.
        key: the event's key.
        value: the event's value; None too where it was too large for quarantine.
        headers: the event's own headers.
        left_out: what is known of a value that was too large, as it was noted.
        flow: the flow that could not take it; recipients have had it then. None where it is no matter of a flow, or not said.
    """

    contract: str
    place: Place
    reason: str
    problem: str
    agreement: str | None
    source: Place
    appended_ms: int
    quarantined_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    left_out: str | None
    flow: str | None = None

    @classmethod
    def read(cls, record: Record) -> Self:
        """The record as it lies in quarantine. What the bus has not noted is empty."""
        headers = headers_of(record)
        begin = max((at for at, (name, _) in enumerate(headers) if name == _FACTS_BEGIN), default=len(headers))
        facts = headers[begin:]
        topic = str(record.topic())
        contract, moment = topic.removeprefix(PREFIX), _text(facts, "hutong_appended_ms")
        return cls(
            contract=contract,
            place=Place(topic, record.partition() or 0, record.offset() or 0),
            reason=_text(facts, "hutong_reason"),
            problem=_text(facts, "hutong_problem"),
            agreement=_text(facts, "hutong_agreement") or None,
            source=Place.read(_text(facts, "hutong_source")) or Place(f"pub.{contract}", 0, -1),
            appended_ms=int(moment) if moment.isdecimal() else record.timestamp()[1],
            quarantined_ms=record.timestamp()[1],
            key=record.key(),
            value=record.value(),
            headers=headers[:begin],
            left_out=_text(facts, "hutong_left_out") or None,
            flow=_text(facts, "hutong_flow") or None,
        )

    @property
    def event_id(self) -> str:
        """The event's id; empty where it has none."""
        return (header(self.headers, "ce_id") or b"").decode("utf-8", "replace")

    @property
    def is_of_a_flow(self) -> bool:
        """Whether only a flow could not take it."""
        return self.flow is not None or remedy_of(self.reason).way == "flow"

    @property
    def is_whole(self) -> bool:
        """Whether the event lies here whole; else only its place is known."""
        return self.value is not None or (self.reason == "null_value" and self.left_out is None)

    @property
    def event(self) -> Inbound:
        """The event as the router read it."""
        return Inbound(f"pub.{self.contract}", self.key, self.value, self.headers, self.appended_ms)

    def is_original(self, record: Record) -> bool:
        """Whether what lies at the source is the event whose value was left out here."""
        value = record.value() or b""
        return self.left_out is None or self.left_out == f"{len(value)} bytes, sha256 {hashlib.sha256(value).hexdigest()}"


def _text(headers: Headers, name: str) -> str:
    return (header(headers, name) or b"").decode("utf-8", "replace")
