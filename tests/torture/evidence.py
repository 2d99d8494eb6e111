"""What the judge of the torture run looks at, and what he says. Pure data.

Neighbours: ``reading`` and ``world`` bring the evidence, ``judge`` makes a verdict of it, ``report`` shows that.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.torture.ledger import Account

__all__ = ["FAULTS", "Evidence", "Found", "Place", "Verdict"]

FAULTS = (
    "lost",
    "duplicated",
    "misordered",
    "over_granted",
    "torn",
    "aborted_read",
    "conflicting",
    "unaccounted",
)
"""What is counted, and must be 0."""

_SHOWN = 5

Place = tuple[str, int, int]
"""Topic, partition, offset."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A record that a reader of committed records finds.

    Attributes:
        topic: where.
        partition: where.
        offset: where.
        id: its ``ce_id``.
        key: its key.
        agreement: its ``ce_agreement``, or the agreement for which it is in quarantine; "" for neither.
        reason: of its quarantine; "" elsewhere.
        data: a delivery's data, times as ms; None elsewhere, and where it cannot be read.
        headers: names of its headers.
        at_ms: its timestamp.
        fingerprint: of the whole record; equal for equal ones.
    """

    topic: str
    partition: int
    offset: int
    id: str
    key: str
    agreement: str = ""
    reason: str = ""
    data: Mapping[str, Any] | None = None
    headers: frozenset[str] = frozenset()
    at_ms: int = 0
    fingerprint: int = 0

    @property
    def place(self) -> Place:
        """Where it lies."""
        return self.topic, self.partition, self.offset


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that the judge looks at.

    Attributes:
        account: the book.
        records: everything on the publisher's, the recipients' and the quarantine topics since the load began.
        glimpsed: what somebody who read along saw: place -> (event id, fingerprint).
        secrets: agreement -> pseudonym key.
    """

    account: Account
    records: Sequence[Found]
    glimpsed: Mapping[Place, tuple[str, int]] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Verdict:
    """What came of it.

    Attributes:
        events: on the publisher's topics.
        acknowledged: of the book.
        asked: events times the agreements on their contract = delivered + filtered + quarantined, where nothing is unaccounted.
        delivered: deliveries.
        filtered: events that an agreement does not grant.
        quarantined: events that are in quarantine for an agreement, or whole, for each of their contract's agreements.
        late_ms: the longest time after an agreement's change was acknowledged that a delivery was still made as before it.
        faults: what must be 0.
        shown: of each fault the first few, by id and place.
    """

    events: int = 0
    acknowledged: int = 0
    asked: int = 0
    delivered: int = 0
    filtered: int = 0
    quarantined: int = 0
    late_ms: int = 0
    faults: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(FAULTS, 0)))
    shown: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def is_clean(self) -> bool:
        """Whether every count is 0."""
        return not any(self.faults.values())

    def offence(self, fault: str, what: str) -> None:
        """Count one."""
        self.faults[fault] += 1
        if len(self.shown[fault]) < _SHOWN:
            self.shown[fault].append(what)
