"""A rehearsal of the demo on the in-memory bus: a small world lives, and the demo's own account of it adds up."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from demo.account import Account, Committed, Held, Published, Quarantined, settle
from demo.broken import broken_records
from demo.changes import Change
from demo.life import live
from demo.population import populate
from demo.rights import Right, canonical, read_rights
from demo.systems import systems
from demo.systems.application import Book
from hutong import ContractViolation
from hutong.testing import Bus

SCHEMAS = Path(__file__).parents[2] / "schemas"
GARBAGE_FOR = "mca.funeral.cremation_recorded"


class Desk:
    """A counter without a database."""

    number = 0

    def look_up(self, *_: object) -> None:
        return None


class Rehearsal:
    """Everybody's changes published on the in-memory bus, and what everybody holds afterwards."""

    def __init__(self) -> None:
        self.committed: list[Committed] = []
        self.refused = 0
        self.history = live(populate(11, 3000), 11, months=18)
        self.bus = Bus(SCHEMAS)
        desks = {system.department: Desk() for system in systems()}
        books = {book.change: book for system in systems() for book in system.books}
        publishers = {department: self.bus.publisher(department) for department in desks}
        for change in self.history:
            book, desk = books[type(change)], desks[change.department]
            desk.number += 1
            data = book.event(book.entry(change, desk))  # type: ignore[arg-type]
            self._publish(publishers[change.department], book, data)
        for publisher in publishers.values():
            publisher.close()
        frame = self.bus.records(f"pub.{GARBAGE_FOR}")[0].value()[:5]  # type: ignore[index]
        self.claims = []
        for key, value, headers in broken_records(GARBAGE_FOR, frame):
            self.bus.append(f"pub.{GARBAGE_FOR}", key, value, headers)
            self.claims.append(dict(headers).get("ce_id", b"").decode())

    def _publish(self, publisher: object, book: Book, data: dict[str, object]) -> None:
        try:
            handle = publisher.publish(data, book.contract)  # type: ignore[attr-defined]
        except ContractViolation:
            self.refused += 1
            return
        key = str(data[book.key])
        self.committed.append(Committed(id=handle.event_id, contract=book.contract, key=key, key_field=book.key, data=data))

    def rights(self) -> tuple[Right, ...]:
        return read_rights(SCHEMAS, lambda agreement: hashlib.sha256(agreement.encode()).hexdigest())

    def held(self) -> list[Held]:
        found = []
        for recipient, channel in {(right.recipient, right.channel) for right in self.rights()}:
            with self.bus.subscription(recipient, channel, from_beginning=True, idle_timeout=0.0) as subscription:
                for event in subscription:
                    attributes = event.attributes
                    found.append(
                        Held(
                            agreement=attributes.agreement or "",
                            id=attributes.id,
                            key=event.key or "",
                            data=canonical(event.data),
                            delivered_ms=0,
                            received_ms=event.timestamp_ms,
                        )
                    )
        return found

    def account(self) -> Account:
        contracts = {book.contract for system in systems() for book in system.books}
        records = [record for contract in contracts for record in self.bus.records(f"pub.{contract}")]
        published = [
            Published(id=dict(record.headers())["ce_id"].decode(), contract="", made_ms=0, appended_ms=record.timestamp()[1])
            for record in records
            if "ce_id" in dict(record.headers())
        ]
        quarantined = [
            Quarantined(
                contract=one.record.topic().removeprefix("pub."),
                reason=one.reason,
                id=dict(one.record.headers()).get("ce_id", b"").decode(),
            )
            for one in self.bus.quarantined()
        ]
        return settle(self.rights(), self.committed, published, self.held(), {GARBAGE_FOR: self.claims}, quarantined)


@pytest.fixture(scope="module")
def rehearsal() -> Rehearsal:
    return Rehearsal()


def test_every_slip_is_refused_and_nothing_else(rehearsal: Rehearsal) -> None:
    """The contracts refuse exactly the entries with a slip."""
    slips = sum(change.defect is not None for change in rehearsal.history)
    assert rehearsal.refused == slips > 0
    assert len(rehearsal.committed) == len(rehearsal.history) - slips


def test_the_account_adds_up(rehearsal: Rehearsal) -> None:
    """Everything committed is held by whom it is granted to, exactly as granted; the garbage is in quarantine."""
    account = rehearsal.account()
    for one in account.agreements:
        assert one.adds_up, (one.right.agreement, one)
    assert account.adds_up
    assert account.quarantined == len(rehearsal.claims) > 0
    assert account.delivered > len(rehearsal.committed)
    assert account.filtered > 0


def test_entries_survive_their_own_code_lists() -> None:
    """What an entry says in codes is said again in the contract's words."""
    change: Change = next(iter(live(populate(2, 400), 2, months=3)))
    books = {book.change: book for system in systems() for book in system.books}
    book = books[type(change)]
    row = book.entry(change, Desk())  # type: ignore[arg-type]
    assert "CODE_" not in str(book.event(row))
