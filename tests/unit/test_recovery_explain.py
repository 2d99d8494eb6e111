"""What became of an event under each agreement, and why: every verdict, and the rows that left it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from hutong.agreements.keys import KeyPeriod
from hutong.errors import ConfigurationError
from hutong.event import header
from hutong.memory import MemoryRecord
from hutong.recovery.ledger import Author
from hutong.recovery.quarantine import replay_quarantine
from hutong.recovery.selection import Selection
from hutong.recovery.trace import Trace, moment_of, trace
from hutong.recovery.verdict import Verdict, rows_that_fail
from hutong.stamps import new_event_id
from hutong.transcode.routing import RoutingTable
from tests.recovering import NOW, PUB, MemoryBus, event, park
from tests.unit.test_routing import DAY, V1, V2, grant, record

ALL = grant("all", [{"field": "id"}])
SHANXI = grant("shanxi", [{"field": "id"}], rows=({"field": "region", "prefix": "14"}, {"field": "code", "equals": "a"}))
MAPPING = grant("mapping", [{"field": "code", "transform": "map", "code_list": "codes"}])

CONDITIONS = [
    {"field": "region", "equals": "14"},
    {"field": "region", "in": ["14", "15"]},
    {"field": "region", "prefix": "1"},
    {"field": "region", "at_least": "14", "at_most": "15"},
    {"field": "code", "at_most": "b"},
    {"cel": "region != code"},
]


@settings(max_examples=60, deadline=None)
@given(
    rows=some.lists(some.sampled_from(CONDITIONS), max_size=4),
    region=some.sampled_from(["13", "14", "15", "2", "a"]),
    code=some.sampled_from(["a", "c", "14"]),
    newer=some.booleans(),
)
def test_rows_are_told_exactly_where_routing_filters(rows: list[Any], region: str, code: str, newer: bool) -> None:
    """Some row fails if and only if the router's function makes no delivery; also for an event older than the agreement."""
    one = grant("one", [{"field": "id"}], rows=tuple(rows), reader=V2 if newer else V1)
    inbound = record({"region": region, "code": code})
    schemas = {7: V1}
    routed = RoutingTable({"one": one}, {"one": b"k" * 32}).route(inbound, schemas.get, NOW)
    told = list(rows_that_fail(one, inbound, schemas.get, NOW))
    assert bool(told) == (not routed.deliveries)


def test_a_row_is_told_in_words() -> None:
    """Of each kind, with the agreement's values and none of the event's."""
    told = []
    for row in CONDITIONS:
        one = grant("one", [{"field": "id"}], rows=(row,))
        told += rows_that_fail(one, record({"region": "~~", "code": "~~"}), {7: V1}.get, NOW)
    assert told == [
        "rows[0]: region is not 14",
        "rows[0]: region is none of 14, 15",
        "rows[0]: region does not begin with 1",
        "rows[0]: region is not at least 14 and at most 15",
        "rows[0]: code is not at most b",
        "rows[0]: the condition 'region != code' does not hold",
    ]


def test_rows_are_judged_without_the_agreements_own_key() -> None:
    """Whoever asks may not have it; and what it is known by would not fit another."""
    one = grant("one", [{"field": "id"}], rows=(CONDITIONS[0],))
    keyed = one.model_copy(
        update={"pseudonym_keys": (KeyPeriod(name="one", fingerprint="0" * 16), KeyPeriod(name="one_2", from_ms=1))}
    )
    for each in (one, keyed):
        assert list(rows_that_fail(each, record({"region": "13"}), {7: V1}.get, NOW)) == ["rows[0]: region is not 14"]
        assert list(rows_that_fail(each, record({"region": "14"}), {7: V1}.get, NOW)) == []


def published(bus: MemoryBus, one: Any) -> str:
    """Its id, once it lies on its topic."""
    bus.log.append(PUB, one.key, one.value, list(one.headers))
    return (header(one.headers, "ce_id") or b"").decode()


def look(bus: MemoryBus, event_id: str, **options: Any) -> Trace:
    return trace(bus, event_id, **({"group": "hutong.router", "since_ms": DAY} | options))


def verdicts(found: Trace) -> dict[str, Verdict]:
    return {one.agreement: one.verdict for one in found.answers}


def deliver(bus: MemoryBus, agreement: str, event_id: str) -> MemoryRecord:
    topic = bus.table.grants[agreement].agreement.topic
    return bus.log.append(topic, b"k", b"v", [("ce_id", event_id.encode()), ("ce_agreement", agreement.encode())])


def test_every_agreement_has_its_verdict(tmp_path: Path) -> None:
    """One event, and all that can have become of it."""
    ended, later = grant("ended", [{"field": "id"}], until=DAY), grant("later", [{"field": "id"}], since=3 * DAY)
    missed = grant("missed", [{"field": "id"}])
    bus = MemoryBus(tmp_path, ALL, SHANXI, MAPPING, ended, later, missed)
    one = event(1, {"region": "15", "code": "zz"}, key="SECRET")
    parked = park(bus, one, "transform_failed", "mapping")
    event_id = (header(one.headers, "ce_id") or b"").decode()
    deliver(bus, "all", event_id)
    found = look(bus, event_id)
    assert verdicts(found) == {
        "all": Verdict.DELIVERED,
        "shanxi": Verdict.FILTERED,
        "mapping": Verdict.QUARANTINED,
        "ended": Verdict.NOT_IN_FORCE,
        "later": Verdict.NOT_IN_FORCE,
        "missed": Verdict.PASSED_BY,
    }
    why = {answer.agreement: answer.why for answer in found.answers}
    assert why["shanxi"] == "rows[0]: region does not begin with 14; rows[1]: code is not a"
    assert "transform_failed" in why["mapping"]
    assert "hutong replay missed" in why["missed"]
    assert (found.place, found.is_kept) == (found.quarantined[0].source, True)
    assert "SECRET" not in str(why)
    assert parked.key() == b"SECRET"


def test_an_event_that_the_router_has_not_reached_is_pending(tmp_path: Path) -> None:
    """Where the group stands decides, not what today's table would do."""
    bus = MemoryBus(tmp_path, ALL, SHANXI)
    event_id = published(bus, event(1))
    bus.scan.committed = lambda _, places: dict.fromkeys(places, -1)  # type: ignore[method-assign]
    assert set(verdicts(look(bus, event_id)).values()) == {Verdict.PENDING}


def test_what_is_wrong_as_a_whole_is_told_for_every_agreement(tmp_path: Path) -> None:
    """In quarantine, or, where it is not kept there any more, by what routing says today."""
    bus = MemoryBus(tmp_path, ALL, SHANXI)
    one = event(1)._replace(key=b"other")
    event_id = published(bus, one)
    assert set(verdicts(look(bus, event_id)).values()) == {Verdict.FAILS}
    park(bus, one, "wrong_key", publish=False)
    assert set(verdicts(look(bus, event_id)).values()) == {Verdict.QUARANTINED}


def test_a_replay_is_told_with_who_did_it(tmp_path: Path) -> None:
    """The delivery names the replay, the ledger its author; the record in quarantine is settled."""
    bus = MemoryBus(tmp_path, ALL)
    one = event(1)
    park(bus, one, "no_destination", "all")
    event_id = (header(one.headers, "ce_id") or b"").decode()
    replay, _ = replay_quarantine(bus, Selection(), Author(who="li"))
    found = look(bus, event_id)
    assert verdicts(found) == {"all": Verdict.DELIVERED}
    assert [made.replay for made in found.answers[0].deliveries] == [replay]
    assert found.ledger.is_settled(found.quarantined[0])
    assert found.ledger.runs[replay]["who"] == "li"


def test_what_a_flow_refused_is_no_matter_of_an_agreement(tmp_path: Path) -> None:
    """Its record is told, and the agreement's verdict is its own."""
    bus = MemoryBus(tmp_path, SHANXI)
    one = event(1, {"region": "15"})
    park(bus, one, "unknown_case")
    found = look(bus, (header(one.headers, "ce_id") or b"").decode())
    assert verdicts(found) == {"shanxi": Verdict.FILTERED}
    assert [record.reason for record in found.quarantined] == ["unknown_case"]


def test_an_agreement_that_is_gone_is_found_where_asked_for(tmp_path: Path) -> None:
    """Its deliveries lie on a topic that no agreement names any more."""
    bus = MemoryBus(tmp_path, ALL, SHANXI)
    event_id = published(bus, event(1))
    deliver(bus, "all", event_id)
    bus.grant(SHANXI)
    assert "all" not in verdicts(look(bus, event_id))
    assert verdicts(look(bus, event_id, everywhere=True))["all"] == Verdict.DELIVERED


def test_an_event_that_is_not_kept_any_more_is_known_from_quarantine(tmp_path: Path) -> None:
    """Retention may have passed it on its own topic."""
    bus = MemoryBus(tmp_path, ALL)
    one = event(1)
    park(bus, one, "transform_failed", "all", publish=False)
    found = look(bus, (header(one.headers, "ce_id") or b"").decode())
    assert (found.is_kept, verdicts(found)) == (False, {"all": Verdict.QUARANTINED})


def test_an_event_that_is_not_there_is_said(tmp_path: Path) -> None:
    """Also that an id without a time needs one."""
    bus = MemoryBus(tmp_path, ALL)
    with pytest.raises(ConfigurationError, match="was published since"):
        look(bus, "nothing")
    with pytest.raises(ConfigurationError, match="--since"):
        look(bus, "nothing", since_ms=None)


@settings(deadline=None)
@given(some.integers(0, 2**48 - 1))
def test_an_id_says_when_it_was_made(moment: int) -> None:
    """As RFC 9562 has it; ids of other versions say nothing."""
    assert moment_of(f"{moment >> 16:08x}-{moment & 0xFFFF:04x}-7abc-8def-0123456789ab") == moment
    assert moment_of(f"{moment >> 16:08x}-{moment & 0xFFFF:04x}-4abc-8def-0123456789ab") is None
    assert moment_of("a" * 36) is None
    assert moment_of(new_event_id()) is not None
