"""The pseudonym keys of an agreement: which of them is used for which events. Pure; the keys themselves are not here.

The moment of an event's publication decides, as the broker has stamped it: so every router takes the same key for it, at the
first try and at every later one, and a key that is rotated changes nothing for what was published before. Neighbours: ``grant``
carries the periods to the routers, ``hutong.control.keys`` makes new ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from pydantic import BaseModel, ConfigDict

__all__ = ["ALWAYS", "KeyPeriod", "Published", "fingerprint", "newest_name", "next_name", "windows"]

Published = tuple[int, int]
"""First and first-no-more instant of publication that something is for, ms since the epoch."""

ALWAYS: Final[Published] = (-(2**63), 2**63 - 1)

_HEX = 16  # 64 bits: enough to tell keys apart by mistake; of a key of 256 random bits they give nothing away


class KeyPeriod(BaseModel):
    """From when on a key is used.

    Attributes:
        name: the key's name, which is that of its file.
        fingerprint: what the key is known by: a router with another one of this name must not use it. None where the agreement
            was granted before there were fingerprints.
        from_ms: for events published from this instant on, ms since the epoch; None: from the first one on.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    fingerprint: str | None = None
    from_ms: int | None = None


def fingerprint(key: bytes) -> str:
    """What a key is known by where the key itself must not be."""
    return hashlib.sha256(b"hutong pseudonym key " + key).hexdigest()[:_HEX]


def windows(periods: Iterable[KeyPeriod]) -> list[tuple[KeyPeriod, Published]]:
    """Each period with the publications that it is for: it ends where the next one begins."""
    ordered = list(periods)
    begins = [ALWAYS[0] if one.from_ms is None else one.from_ms for one in ordered]
    ends = [*begins[1:], ALWAYS[1]]
    return list(zip(ordered, zip(begins, ends, strict=True), strict=True))


def next_name(agreement: str, taken: Iterable[str]) -> str:
    """The name of an agreement's next key; neither agreements' nor flows' ids have an underscore."""
    return f"{agreement}_{max((_number(agreement, name) for name in taken), default=0) + 1}"


def newest_name(agreement: str, there: Iterable[str]) -> str | None:
    """The newest of an agreement's keys among the names of all keys; None where there is none."""
    own = [name for name in there if _number(agreement, name)]
    return max(own, key=lambda name: _number(agreement, name), default=None)


def _number(agreement: str, name: str) -> int:
    """1 for the first key, which has the agreement's own name; 0 for another agreement's."""
    if name == agreement:
        return 1
    head, mark, tail = name.rpartition("_")
    return int(tail) if head == agreement and mark and tail.isascii() and tail.isdigit() else 0
