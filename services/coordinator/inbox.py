"""A record of the inbox: an event under the number of the case that it happens to, or the clock's word that something is due.

The value is the event's own, byte for byte; what the intake found out about it stands in headers. Neighbours: ``intake`` and
``wakeups`` write these, ``cases`` reads them.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from hutong.event import Headers
from hutong.flows.intake import Meant
from hutong.kafka.topics import CASES_INBOX, CASES_STATE

__all__ = ["INBOX", "STATE", "Inboxed", "clock_headers", "own_headers", "to_inbox"]

INBOX = CASES_INBOX
STATE = CASES_STATE

_PREFIX = "hutong_"


class Inboxed(NamedTuple):
    """A record as it was read.

    Attributes:
        partition: where it lies.
        offset: where it lies.
        key: the case's number.
        value: the event's own.
        headers: the event's own, and what it means.
        at_ms: when the broker had it.
        generation: which share of the cases it was read with, see ``app.CasesApp.generation``.
    """

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    at_ms: int
    generation: int = 0


def to_inbox(
    meant: Meant, headers: Headers, *, key: bytes | None, place: str, appended_ms: int, receivers: list[dict[str, str]] | None
) -> list[tuple[str, bytes]]:
    """The headers of an event in the inbox: its own, and what it means.

    Args:
        meant: what it does, and to which case.
        headers: its own.
        key: its own key; the record's is the case's number.
        place: ``topic/partition/offset`` where it lies.
        appended_ms: since when it lies there.
        receivers: who had got the event that it objects to, where the flow asks for that.
    """
    made = [
        *own_headers(headers),
        ("hutong_flow", meant.flow.encode()),
        ("hutong_does", meant.does.encode()),
        ("hutong_spec", meant.spec.encode()),
        ("hutong_case_key", meant.key.encode()),
        ("hutong_key", key or b""),
        ("hutong_place", place.encode()),
        ("hutong_appended_ms", str(appended_ms).encode()),
    ]
    if receivers is not None:
        made.append(("hutong_receivers", json.dumps(receivers).encode()))
    return made


def clock_headers(flow: str, due_ms: int) -> list[tuple[str, bytes]]:
    """The headers of the clock's record."""
    return [("hutong_flow", flow.encode()), ("hutong_does", b"clock"), ("hutong_due", str(due_ms).encode())]


def own_headers(headers: Headers) -> list[tuple[str, bytes]]:
    """The headers that an event came with: nobody but the intake says what it means."""
    return [(name, value) for name, value in headers if not name.startswith(_PREFIX)]
