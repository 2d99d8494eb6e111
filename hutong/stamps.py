"""What a new event is stamped with, its id and the time: worked out once per millisecond, random bytes taken many at a time.

Neighbours: ``event`` says how they travel, ``publisher`` puts a stamp on every event that brings none of its own.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

__all__ = ["Stamp", "new_event_id", "new_tail", "rfc3339", "stamp"]

_BATCH = 512  # ids made at a time: asking the system for randomness costs more than all the rest of an id
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Stamp(NamedTuple):
    """A millisecond.

    Attributes:
        millisecond: since 1970.
        prefix: what the ids of this millisecond begin with.
        header: the ``ce_time`` header.
    """

    millisecond: int
    prefix: str
    header: tuple[str, bytes]


_current = Stamp(0, "", ("ce_time", b""))
_tails: list[str] = []


def stamp() -> Stamp:
    """The present millisecond."""
    global _current
    millisecond = time.time_ns() // 1_000_000
    found = _current
    if found.millisecond != millisecond:
        text = f"{millisecond:012x}"
        moment = rfc3339(_EPOCH + timedelta(milliseconds=millisecond))
        _current = found = Stamp(millisecond, f"{text[:8]}-{text[8:]}-", ("ce_time", moment.encode()))
    return found


def new_event_id() -> str:
    """A new UUID version 7 (RFC 9562, section 5.7): unique, and sorted by the millisecond it was made in."""
    return stamp().prefix + new_tail()


def new_tail() -> str:
    """What follows an id's millisecond: version, variant and 74 random bits that no other id has."""
    try:
        return _tails.pop()
    except IndexError:
        tails = _random_tails()
        last = tails.pop()
        _tails.extend(tails)
        return last


def _random_tails() -> list[str]:
    middle = int.from_bytes(os.urandom(4 * _BATCH), "big") & int("0fff3fff" * _BATCH, 16) | int("70008000" * _BATCH, 16)
    groups = middle.to_bytes(4 * _BATCH, "big").hex("-", 2)  # 7xxx-8xxx-7xxx-...
    ends = os.urandom(6 * _BATCH).hex("-", 6).split("-")
    return [f"{groups[10 * n : 10 * n + 9]}-{end}" for n, end in enumerate(ends)]


def rfc3339(moment: datetime) -> str:
    """A time as CloudEvents writes it: UTC, milliseconds, ``Z``."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


# A forked process would give the same ids as its parent.
os.register_at_fork(after_in_child=_tails.clear)
