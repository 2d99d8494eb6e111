"""Which records of quarantine are meant: by contract, reason, agreement, time, or one event. Pure.

Neighbours: ``hutong quarantine`` makes these of its options; ``survey`` asks.
"""

from __future__ import annotations

from dataclasses import dataclass

from hutong.recovery.record import Place, QuarantineRecord, told_id

__all__ = ["Selection"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Conditions that all must hold; what is not given is left open.

    Attributes:
        contracts: one of these.
        reasons: one of these.
        agreements: the event was quarantined for one of these alone.
        since_ms: it came into quarantine at this moment or later.
        until_ms: it came into quarantine before this moment.
        event: the event's id, or where it was published, or where it lies in quarantine.
    """

    contracts: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    agreements: frozenset[str] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None
    event: str | None = None

    def takes(self, record: QuarantineRecord) -> bool:
        """Whether a record is meant."""
        return (
            (not self.contracts or record.contract in self.contracts)
            and (not self.reasons or record.reason in self.reasons)
            and (not self.agreements or record.agreement in self.agreements)
            and (self.since_ms is None or record.quarantined_ms >= self.since_ms)
            and (self.until_ms is None or record.quarantined_ms < self.until_ms)
            and (self.event is None or self._is_event(record, self.event))
        )

    def topics(self, known: list[str]) -> list[str]:
        """Those of the quarantine's topics where such records may lie."""
        return [name for name in known if not self.contracts or name.removeprefix("quarantine.") in self.contracts]

    def to_json(self) -> dict[str, object]:
        """The conditions that are given, for the record; of the event only what may be printed."""
        given = {
            "contracts": sorted(self.contracts),
            "reasons": sorted(self.reasons),
            "agreements": sorted(self.agreements),
            "since_ms": self.since_ms,
            "until_ms": self.until_ms,
            "event": self.event and (self.event if Place.read(self.event) else told_id(self.event)),
        }
        return {name: value for name, value in given.items() if value}

    def _is_event(self, record: QuarantineRecord, event: str) -> bool:
        place = Place.read(event)
        if place is not None and place in (record.source, record.place):
            return True
        return event == record.event_id != ""
