"""Who has replayed what: the compacted topic ``ctl.replays`` as a value, and the records that go onto it. Pure.

Every record goes there in the same transaction as the deliveries that it tells of, so what it says is so. It holds places, ids of
events where they are UUIDs, and no data of any event: another id is an application's own, and may be somebody's number.
Neighbours: ``quarantine`` and ``period`` write it, ``trace`` reads it.

| key | says |
| --- | --- |
| ``run/<replay>`` | a replay: who, when, why, of what, and how far it has got |
| ``done/<agreement>/<event id, or its source>`` | this delivery was made by a replay of quarantine |
| ``settled/<source>/<agreement or *>/<reason>`` | nothing of this record in quarantine is left to do |
| ``tried/<source>/<agreement or *>/<reason>`` | a replay of it failed again: how often, and why |
| ``access/<id>`` | somebody has looked at the values of a record in quarantine |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hutong.errors import DeclarationError
from hutong.event import PERIOD_REPLAY, harmless_id, new_event_id
from hutong.recovery.record import QuarantineRecord

__all__ = ["MOST_ATTEMPTS", "PERIOD", "QUARANTINE", "SETTLED", "Author", "Entry", "Ledger", "Tried", "access", "new_replay"]

PERIOD, QUARANTINE, SETTLED = PERIOD_REPLAY, "quarantine-", "settled-"
"""What ids of replays begin with. An event of a period was perhaps delivered before, and is wanted again; one of quarantine was
not, and comes once."""

MOST_ATTEMPTS = 3
"""After so many replays that failed, a record is left out unless it is asked for: something else must be mended first."""

_FORMAT = 1


def new_replay(kind: str) -> str:
    """The id of a replay that begins."""
    return kind + new_event_id()


class Entry(NamedTuple):
    """A record for ``ctl.replays``."""

    key: str
    value: bytes


class Tried(NamedTuple):
    """What is known of a record that failed again."""

    times: int
    reason: str
    replay: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who replays, and why.

    Attributes:
        who: the user's name, or the one that was given.
        why: in words; empty where nothing was said.
    """

    who: str
    why: str = ""


def _entry(key: str, **facts: Any) -> Entry:
    return Entry(key, json.dumps({"format": _FORMAT, **facts}, ensure_ascii=False, separators=(",", ":")).encode())


def _of(record: QuarantineRecord) -> str:
    return f"{record.source}/{record.agreement or '*'}/{record.reason}"


@dataclass(slots=True, kw_only=True)
class Ledger:
    """All that was replayed.

    Attributes:
        runs: replay -> what its record says.
        done: (agreement, event id or source) -> replay.
        settled: records in quarantine with nothing left to do -> replay.
        tried: records that failed again.
    """

    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    done: dict[tuple[str, str], str] = field(default_factory=dict)
    settled: dict[str, str] = field(default_factory=dict)
    tried: dict[str, Tried] = field(default_factory=dict)

    @classmethod
    def read(cls, entries: Mapping[str, bytes]) -> Ledger:
        """Read the topic's newest value of every key.

        Raises:
            DeclarationError: a later version has written it.
        """
        ledger = cls()
        for key, value in entries.items():
            kind, _, rest = key.partition("/")
            facts = json.loads(value)
            if facts.get("format") != _FORMAT:
                raise DeclarationError("ctl.replays was written by another version of hutong; use that one, or a later one")
            match kind:
                case "run":
                    ledger.runs[rest] = facts
                case "done":
                    agreement, _, event_id = rest.partition("/")
                    ledger.done[agreement, event_id] = facts["replay"]
                case "settled":
                    ledger.settled[rest] = facts["replay"]
                case "tried":
                    ledger.tried[rest] = Tried(facts["times"], facts["reason"], facts["replay"])
                case _:
                    pass  # access: for people to read
        return ledger

    def is_settled(self, record: QuarantineRecord) -> bool:
        """Whether nothing of a record is left to do."""
        return _of(record) in self.settled

    def attempts(self, record: QuarantineRecord) -> Tried:
        """How often replays of a record have failed, and why the last one did."""
        return self.tried.get(_of(record), Tried(0, "", ""))

    def settle(self, record: QuarantineRecord, replay: str) -> list[Entry]:
        """Note that nothing of a record is left to do."""
        self.settled[_of(record)] = replay
        return [_entry(f"settled/{_of(record)}", replay=replay)]

    def fail(self, record: QuarantineRecord, reason: str, replay: str) -> list[Entry]:
        """Note that a replay of a record failed again."""
        found = self.tried[_of(record)] = Tried(self.attempts(record).times + 1, reason, replay)
        return [_entry(f"tried/{_of(record)}", **found._asdict())]

    def deliver(self, agreement: str, event_id: str, source: object, replay: str) -> list[Entry]:
        """Note a delivery."""
        self.done[agreement, event_id] = replay
        return [_entry(f"done/{agreement}/{harmless_id(event_id) or source}", replay=replay, source=str(source))]

    def run(self, replay: str, author: Author, **facts: Any) -> list[Entry]:
        """Note a replay, and how far it has got."""
        self.runs[replay] = {"format": _FORMAT, "who": author.who, "why": author.why, **facts}
        return [_entry(f"run/{replay}", **{name: value for name, value in self.runs[replay].items() if name != "format"})]


def access(author: Author, place: object, at: str) -> Entry:
    """Note that somebody looks at the values of a record in quarantine."""
    return _entry(f"access/{new_event_id()}", who=author.who, why=author.why, place=str(place), at=at)
