"""What a second attempt makes of a record in quarantine, and what is written down of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hutong.contracts.framing import frame
from hutong.errors import DeclarationError
from hutong.event import Attributes
from hutong.recovery.judge import Judgement, Outcome
from hutong.recovery.ledger import MOST_ATTEMPTS, Author, Ledger, access
from hutong.recovery.record import QuarantineRecord
from hutong.recovery.survey import judged
from tests.recovering import PUB, MemoryBus, event, park
from tests.unit.test_routing import DAY, grant

ALL = grant("all", [{"field": "id"}])
SHANXI = grant("shanxi", [{"field": "id"}], rows=({"field": "region", "prefix": "14"},))
MAPPING = grant("mapping", [{"field": "code", "transform": "map", "code_list": "codes"}])


def look(bus: MemoryBus, record: Any, ledger: Ledger | None = None, *, done: Any = frozenset(), again: bool = False) -> Judgement:
    return judged(bus, QuarantineRecord.read(record), ledger or Ledger(), lambda *key: key in done, again=again)


def test_an_event_as_a_whole_goes_to_all_that_grant_it(tmp_path: Path) -> None:
    """As if the router saw it for the first time: delivered, filtered, and failed for one agreement."""
    bus = MemoryBus(tmp_path, ALL, SHANXI, MAPPING)
    found = look(bus, park(bus, event(1, {"region": "15", "code": "zz"}), "unknown_schema"))
    assert [one.agreement for one in found.deliveries] == ["all"]
    assert [(one.agreement, one.reason) for one in found.failed] == [("mapping", "transform_failed")]
    assert found.counts() == {Outcome.DELIVERED: 1, Outcome.FILTERED: 1, Outcome.FAILED: 1}
    assert not found.is_settled


def test_an_agreement_s_own_record_goes_to_that_agreement_alone(tmp_path: Path) -> None:
    """The others have had it."""
    bus = MemoryBus(tmp_path, ALL, MAPPING)
    found = look(bus, park(bus, event(1), "transform_failed", "mapping"))
    assert ([one.agreement for one in found.deliveries], found.counts()) == (["mapping"], {Outcome.DELIVERED: 1})
    assert found.is_settled


def test_what_is_not_granted_any_more_is_not_delivered(tmp_path: Path) -> None:
    """Neither under an agreement that is gone, nor under one that has ended, nor under one that began after the event."""
    bus = MemoryBus(tmp_path, ALL)
    parked = park(bus, event(1), "transform_failed", "mapping")
    assert look(bus, parked).counts() == {Outcome.NOT_GRANTED: 1}
    for changes in ({"until": DAY}, {"since": 3 * DAY}):
        bus.grant(grant("mapping", [{"field": "id"}], **changes))
        assert look(bus, parked).counts() == {Outcome.NOT_GRANTED: 1}
    bus.grant(grant("mapping", [{"field": "id"}], rows=({"field": "region", "prefix": "99"},)))
    assert look(bus, parked).counts() == {Outcome.FILTERED: 1}


def test_what_was_delivered_is_not_delivered_again(tmp_path: Path) -> None:
    """It counts as done, and the record as settled."""
    bus = MemoryBus(tmp_path, ALL, SHANXI)
    parked = park(bus, event(1), "unknown_schema")
    found = look(bus, parked, done={("all", QuarantineRecord.read(parked).event_id)})
    assert ([one.agreement for one in found.deliveries], found.done) == (["shanxi"], 1)


def test_a_topic_that_is_still_missing_fails_again(tmp_path: Path) -> None:
    """It is found before anything is written, so it stops nothing else."""
    bus = MemoryBus(tmp_path, ALL, SHANXI)
    del bus.log.topics[SHANXI.agreement.topic]
    found = look(bus, park(bus, event(1), "no_destination", "shanxi"))
    assert [(one.reason, one.agreement) for one in found.failed] == [("no_destination", "shanxi")]
    assert found.deliveries == ()


@pytest.mark.parametrize("reason", ["null_key", "wrong_key", "undecodable"])
def test_what_can_never_pass_fails_again(tmp_path: Path, reason: str) -> None:
    """The very bytes are routed, and refused for the same reason."""
    bus = MemoryBus(tmp_path, ALL)
    sound = event(1)
    spoilt = {"null_key": {"key": None}, "wrong_key": {"key": b"other"}, "undecodable": {"value": frame(7) + b"\x02"}}[reason]
    found = look(bus, park(bus, sound._replace(**spoilt), reason))
    assert [(one.reason, one.agreement) for one in found.failed] == [(reason, None)]
    assert found.counts() == {Outcome.FAILED: 1}


def test_what_only_a_flow_refused_is_left_out(tmp_path: Path) -> None:
    """Recipients have had it: routing it once more would be a second delivery."""
    bus = MemoryBus(tmp_path, ALL)
    assert look(bus, park(bus, event(1), "unknown_case"), again=True).counts() == {Outcome.OF_A_FLOW: 1}


def test_a_value_that_was_left_out_is_read_where_it_was_published(tmp_path: Path) -> None:
    """As long as it is there."""
    bus = MemoryBus(tmp_path, ALL)
    sound = event(1)
    source = bus.log.append(PUB, sound.key, sound.value, list(sound.headers))
    place = f"{PUB}/{source.partition()}/{source.offset()}"
    facts = [("hutong_reason", b"unknown_schema"), ("hutong_source", place.encode()), ("hutong_appended_ms", str(DAY).encode())]
    parked = bus.log.append(f"quarantine.{PUB[4:]}", sound.key, None, facts)
    assert [one.key for one in look(bus, parked).deliveries] == [sound.key]
    facts[1] = ("hutong_source", f"{PUB}/0/12345".encode())
    gone = bus.log.append(f"quarantine.{PUB[4:]}", sound.key, None, facts)
    assert [one.reason for one in look(bus, gone).failed] == ["original_gone"]


def test_after_some_failures_it_is_left_out_until_asked_for(tmp_path: Path) -> None:
    """A replay that cannot help is not repeated for ever."""
    bus, ledger = MemoryBus(tmp_path, ALL), Ledger()
    parked = park(bus, event(1)._replace(key=b"other"), "wrong_key")
    record = QuarantineRecord.read(parked)
    for number in range(MOST_ATTEMPTS):
        assert look(bus, parked, ledger).counts() == {Outcome.FAILED: 1}
        ledger.fail(record, "wrong_key", f"quarantine-{number}")
    assert look(bus, parked, ledger).counts() == {Outcome.GIVEN_UP: 1}
    assert look(bus, parked, ledger, again=True).counts() == {Outcome.FAILED: 1}


def test_the_ledger_is_what_its_records_say(tmp_path: Path) -> None:
    """Read back from the topic, it knows everything that was noted."""
    bus, ledger, author = MemoryBus(tmp_path, ALL), Ledger(), Author(who="li", why="ticket 17")
    record = QuarantineRecord.read(park(bus, event(1), "unknown_schema"))
    other = QuarantineRecord.read(park(bus, event(2), "no_destination", "all"))
    entries = [
        *ledger.deliver("all", record.event_id, record.source, "quarantine-1"),
        *ledger.settle(record, "quarantine-1"),
        *ledger.fail(other, "no_destination", "quarantine-1"),
        *ledger.run("quarantine-1", author, kind="quarantine", status="done"),
        access(author, record.place, "2026-01-01T00:00:00.000Z"),
    ]
    again = Ledger.read(dict(entries))
    assert again == ledger
    assert (again.is_settled(record), again.is_settled(other), again.attempts(other).times) == (True, False, 1)
    assert again.runs["quarantine-1"]["why"] == "ticket 17"


def test_the_ledger_holds_no_id_that_may_be_somebodys_number(tmp_path: Path) -> None:
    """A delivery of an event with an application's own id is known by the event's place, after a restart too."""
    bus, ledger, own = MemoryBus(tmp_path, ALL), Ledger(), "11010519491231002X/7"
    parked = park(bus, event(1, id=own), "no_destination", "all")
    entries = ledger.deliver("all", own, QuarantineRecord.read(parked).source, "quarantine-1")
    assert own not in str(entries)
    for known in (ledger, Ledger.read(dict(entries))):
        assert look(bus, parked, known, done=known.done).counts() == {Outcome.DONE: 1}


def test_a_ledger_of_another_version_is_refused() -> None:
    """Rather than misread."""
    with pytest.raises(DeclarationError, match="another version"):
        Ledger.read({"run/x": b'{"format": 2}'})


def test_the_replay_of_a_delivery_is_read_and_that_of_an_event_is_not_judged() -> None:
    """The header says which replay; one that makes no sense says nothing, and spoils no event."""
    headers = event(1).headers
    assert Attributes.from_headers(headers).replay is None
    assert Attributes.from_headers([*headers, ("hutong_replay", b"period-1")]).replay == "period-1"
    for value in (b"\xff", b"x" * 5000, b""):
        assert Attributes.from_headers([*headers, ("hutong_replay", value)]).replay is None
