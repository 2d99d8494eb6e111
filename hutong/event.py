"""The attributes of a change event, and how they travel as Kafka headers.

CloudEvents 1.0, Kafka protocol binding, binary content mode: the Avro value is the Kafka value, the attributes are ``ce_``
headers. The W3C trace context travels beside them in plain ``traceparent`` / ``tracestate`` headers, where tracers look for it.
Neighbours: ``publisher`` writes these, the router and ``subscription`` read them.

No attribute is derived from the event's data: headers are seen by every party that sees the event, data is not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hutong.errors import MalformedEvent
from hutong.frozen import maker
from hutong.stamps import new_event_id, rfc3339

__all__ = [
    "CONTENT_TYPE",
    "PERIOD_REPLAY",
    "REPLAY_HEADER",
    "Attributes",
    "Headers",
    "check_attributes",
    "harmless_id",
    "header",
    "is_traceparent",
    "new_event_id",
    "rfc3339",
    "source_of",
]

Headers = Sequence[tuple[str, bytes]]
"""Kafka headers as this package passes them on."""

CONTENT_TYPE = "application/avro"

REPLAY_HEADER = "hutong_replay"
"""On deliveries that a replay has made: its id."""

PERIOD_REPLAY = "period-"
"""What the id of a replay begins with that delivers a period once more: its events are wanted, be it that they came before."""

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_REQUIRED = ("ce_id", "ce_source", "ce_type", "ce_time")
_READ = frozenset({*_REQUIRED, "ce_agreement", "ce_corrects", "traceparent", "tracestate"})
_REMEMBERED = 10_000  # more than there are pairs of a contract and an agreement
_good: set[tuple[bytes | None, ...]] = set()  # what events share with others, where it has passed every check
_MAX_ATTRIBUTE_BYTES = 1024  # identifiers and times; anything longer is not one


def source_of(department: str) -> str:
    """The CloudEvents ``source`` of a department's events, a URI."""
    return f"urn:hutong:{department}"


def header(headers: Headers, name: str) -> bytes | None:
    """The last value of a header, as Kafka clients read repeated keys, or None."""
    found = None
    for key, value in headers:
        if key == name:
            found = value
    return found


def harmless_id(event_id: str) -> str | None:
    """An event id, for logs and traces: itself where it is a UUID, else None.

    Any other id is an application's own, and may hold somebody's number; a hash of it would too, since numbers can be tried out.
    """
    return event_id if _UUID.fullmatch(event_id) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """CloudEvents attributes of one event.

    Attributes:
        id: unique within ``source``; the same on every delivery of the event.
        source: URI of the publishing department, ``urn:hutong:<department>``.
        type: the contract's name, ``<department>.<event>``.
        time: when the change happened at the source, with a time zone.
        agreement: on deliveries, the agreement that granted it (extension attribute).
        traceparent: W3C trace context, where the publisher has one.
        tracestate: W3C trace context, vendors' part.
        corrects: id of the event of the same contract that this one puts right (extension attribute).
        replay: on deliveries that a replay has made, the replay (``docs/replay.md``).
    """

    id: str
    source: str
    type: str
    time: datetime
    agreement: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    corrects: str | None = None
    replay: str | None = None

    def to_headers(self) -> list[tuple[str, bytes]]:
        """Kafka headers in the CloudEvents binary mode, UTF-8."""
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", self.id.encode()),
            ("ce_source", self.source.encode()),
            ("ce_type", self.type.encode()),
            ("ce_time", rfc3339(self.time).encode()),
            ("content-type", CONTENT_TYPE.encode()),
        ]
        if self.agreement:
            headers.append(("ce_agreement", self.agreement.encode()))
        if self.traceparent:
            headers.append(("traceparent", self.traceparent.encode()))
        if self.tracestate:
            headers.append(("tracestate", self.tracestate.encode()))
        if self.corrects:
            headers.append(("ce_corrects", self.corrects.encode()))
        return headers

    @classmethod
    def from_headers(cls, headers: Headers) -> Attributes:
        """Read the attributes back.

        Raises:
            MalformedEvent: a required attribute is missing, too long or unreadable; reason ``not_a_cloudevent``.
        """
        fields, moment = check_attributes(headers)
        return _attributes(
            fields["ce_id"].decode(),
            fields["ce_source"].decode(),
            fields["ce_type"].decode(),
            moment,
            _optional(fields, "ce_agreement"),
            _optional(fields, "traceparent"),
            _optional(fields, "tracestate"),
            _optional(fields, "ce_corrects"),
            _replay(fields),
        )


_attributes = maker(Attributes)


def is_traceparent(text: str) -> bool:
    """Whether a text has the form of a W3C ``traceparent`` (Trace Context, section 3.2)."""
    return _TRACEPARENT.fullmatch(text) is not None


def check_attributes(headers: Headers) -> tuple[dict[str, bytes], datetime]:
    """The headers by name, and ``ce_time``; cheap, for whoever passes headers on without reading them all.

    Raises:
        MalformedEvent: as ``Attributes.from_headers``.
    """
    fields = dict(headers)
    if _what_is_shared(fields) in _good:
        moment = _moment_if_good(fields)
        if moment is not None:
            return fields, moment
    return _check_each(headers)


def _what_is_shared(fields: dict[str, bytes]) -> tuple[bytes | None, ...]:
    find = fields.get
    return find("ce_specversion"), find("ce_source"), find("ce_type"), find("ce_agreement")


def _moment_if_good(fields: dict[str, bytes]) -> datetime | None:
    """``ce_time``, if what an event has of its own is beyond doubt; everything else is for ``_check_each`` to tell."""
    event_id, trace, state = fields.get("ce_id"), fields.get("traceparent"), fields.get("tracestate")
    if not event_id or len(event_id) > _MAX_ATTRIBUTE_BYTES or not event_id.isascii() or None in fields.values():
        return None
    if (trace and (len(trace) > _MAX_ATTRIBUTE_BYTES or not trace.isascii())) or state or "ce_corrects" in fields:
        return None
    try:
        moment = datetime.fromisoformat(fields["ce_time"].decode())
    except (ValueError, KeyError):
        return None
    return None if moment.tzinfo is None else moment


def _check_each(headers: Headers) -> tuple[dict[str, bytes], datetime]:
    fields = {name: value or b"" for name, value in headers}
    if fields.get("ce_specversion") != b"1.0":
        raise MalformedEvent("not_a_cloudevent", "header ce_specversion is not 1.0")
    for name in _REQUIRED:
        if not fields.get(name):
            raise MalformedEvent("not_a_cloudevent", f"header {name} is missing or empty")
    for name in fields.keys() & _READ:
        value = fields[name]
        if len(value) > _MAX_ATTRIBUTE_BYTES:
            raise MalformedEvent("not_a_cloudevent", f"header {name} is longer than {_MAX_ATTRIBUTE_BYTES} bytes")
        if not value.isascii() and not _is_utf8(value):
            raise MalformedEvent("not_a_cloudevent", f"header {name} is not UTF-8")
    try:
        moment = datetime.fromisoformat(fields["ce_time"].decode())
    except ValueError:
        raise MalformedEvent("not_a_cloudevent", "header ce_time is not an RFC 3339 time") from None
    if moment.tzinfo is None:
        raise MalformedEvent("not_a_cloudevent", "header ce_time has no time zone")
    if len(_good) < _REMEMBERED:
        _good.add(_what_is_shared(fields))
    return fields, moment


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _optional(fields: dict[str, bytes], name: str) -> str | None:
    value = fields.get(name)
    return value.decode() if value else None


def _replay(fields: dict[str, bytes]) -> str | None:
    """Only the bus writes this header onto deliveries; on anything else it says nothing, and is no reason to refuse an event."""
    value = fields.get(REPLAY_HEADER)
    return value.decode() if value and value.isascii() and len(value) <= _MAX_ATTRIBUTE_BYTES else None
