"""The book of what was published, kept outside the bus: one file of JSON lines for each process that writes.

A line is written before an event is handed to the publisher, and another once the brokers have acknowledged it. So an event
without the second line may be on the bus or not; one with it must be, and one whose transaction was aborted must not. Lines
survive the death of the process that wrote them (they are in the file at once); ``sync`` is for the death of the machine.
Neighbours: ``load`` and some faults write, ``judge`` reads.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, Literal, Self

__all__ = ["Account", "Book", "Entry", "Ledger", "Terms"]

State = Literal["attempted", "acknowledged", "aborted"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One event.

    Attributes:
        id: its ``ce_id``.
        contract: its contract.
        key: key of the event's record.
        sequence: rises with every event of the key, in the order of publishing.
        data: its data, as JSON has them; what decides who is granted what.
        broken: "" for an event; else why the whole of it must go to quarantine.
        repeats: whether it may be published more than once under this id, as an outbox's relay does after a death: each copy is
            then an event of its own.
        state: "attempted" may be on the bus or not, "acknowledged" is, "aborted" is not.
        at_ms: when it was attempted, ms since the epoch.
    """

    id: str
    contract: str
    key: str
    sequence: int
    data: Mapping[str, Any]
    broken: str = ""
    repeats: bool = False
    state: State = "attempted"
    at_ms: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """From when on an agreement has other terms.

    Attributes:
        agreement: its id.
        terms: name of its terms in ``granted``; "" after its revocation.
        began_ms: when the change was begun: from here on either may hold.
        acknowledged_ms: when it was acknowledged.
        grace_ms: how long after that it may take to be in force: 0 where the acknowledgement says that it is.
    """

    agreement: str
    terms: str
    began_ms: int
    acknowledged_ms: int
    grace_ms: int = 0


class Book:
    """One writer's file. May be used from several threads.

    Args:
        path: the file; lines are appended.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._lock = Lock()

    def attempted(self, *entries: Entry) -> None:
        """Before these are published."""
        self._write({"what": "attempted", **asdict(one), "at_ms": one.at_ms or now_ms()} for one in entries)

    def acknowledged(self, *ids: str) -> None:
        """The brokers have these, or the transaction that they are part of was committed."""
        self._write({"what": "acknowledged", "id": one} for one in ids)

    def aborted(self, *ids: str) -> None:
        """The transaction that these were part of was aborted, certainly."""
        self._write({"what": "aborted", "id": one} for one in ids)

    def terms(self, one: Terms) -> None:
        """An agreement's terms were changed."""
        self._write([{"what": "terms", **asdict(one)}])

    def sync(self) -> None:
        """Bring it to the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """No more lines; what is acknowledged later is not noted."""
        if not self._file.closed:
            self.sync()
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, lines: Iterable[Mapping[str, Any]]) -> None:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        with self._lock:
            if not self._file.closed:
                self._file.write(text.encode())


@dataclass(frozen=True, kw_only=True)
class Account:
    """All that a ledger says.

    Attributes:
        entries: event id -> entry.
        terms: in the order in which they were changed.
    """

    entries: Mapping[str, Entry]
    terms: tuple[Terms, ...] = ()


class Ledger:
    """The books of one fault's time.

    Args:
        directory: where they lie; not below the bus's home, since they hold what must not be found there.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def book(self, writer: str) -> Book:
        """The book of one writer, by its name."""
        return Book(self.directory / f"{writer}.jsonl")

    def account(self) -> Account:
        """Read all of them; a last line that a killed process has left unfinished says nothing."""
        entries: dict[str, Entry] = {}
        states: dict[str, State] = {}
        terms: list[Terms] = []
        for path in sorted(self.directory.glob("*.jsonl")):
            for line in path.read_bytes().splitlines(keepends=True):
                if not line.endswith(b"\n"):
                    continue
                facts = json.loads(line)
                what = facts.pop("what")
                if what == "attempted":
                    assert facts["id"] not in entries, f"{path.name}: an id twice"
                    entries[facts["id"]] = Entry(**facts)
                elif what == "terms":
                    terms.append(Terms(**facts))
                else:
                    states[facts["id"]] = what
        entries |= {event_id: replace(entries[event_id], state=state) for event_id, state in states.items()}
        return Account(entries=entries, terms=tuple(sorted(terms, key=lambda one: one.began_ms)))


def now_ms() -> int:
    """This machine's clock, ms since the epoch."""
    return time.time_ns() // 1_000_000
