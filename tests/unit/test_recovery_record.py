"""A record in quarantine read back: the event byte for byte, and the bus's own facts whatever a publisher writes among them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from hutong.errors import EventTooLarge
from hutong.kafka.chunk import PolledChunk
from hutong.memory import MemoryRecord
from hutong.recovery.record import Place, QuarantineRecord, told_id
from hutong.recovery.remedies import REMEDIES, remedy_of
from hutong.recovery.selection import Selection
from hutong.transcode.routing import Inbound
from tests.recovering import PUB, QUARANTINE
from tests.unit.test_router_service import Message, router
from tests.unit.test_routing import grant, record

DOCS = Path(__file__).parents[2] / "docs"
ALL = grant("all", [{"field": "id"}])
MAPPING = grant("mapping", [{"field": "code", "transform": "map", "code_list": "codes"}])


class Output:
    """What the router writes; refuses values as a broker with a small limit does."""

    is_fast = False

    def __init__(self, most: int = 1_000_000) -> None:
        self.written: list[MemoryRecord] = []
        self._most = most

    def produce(self, topic: str, key: bytes | None, value: bytes | None, headers: Any) -> None:
        if value is not None and len(value) > self._most:
            raise EventTooLarge("too large")
        self.written.append(MemoryRecord(topic, (0, len(self.written)), key, value, list(headers), 5))


def quarantined(tmp_path: Path, message: Message, *grants: Any, most: int = 1_000_000) -> list[QuarantineRecord]:
    """What the router puts into quarantine of a message, read back."""
    made, _, _ = router(tmp_path, *grants)
    output = Output(most)
    made.begin()
    made.handle(PolledChunk([message]), output)  # type: ignore[list-item,arg-type]
    return [QuarantineRecord.read(one) for one in output.written if one.topic() == QUARANTINE]


names = some.sampled_from(
    ["ce_id", "hutong_reason", "hutong_agreement", "hutong_source", "hutong_left_out", "hutong_replay", "x"]
)
headers = some.lists(some.tuples(names, some.binary(max_size=8)), max_size=8)


@settings(max_examples=50, deadline=None)  # no test depends on speed
@given(headers=headers, key=some.binary(max_size=4), value=some.none() | some.binary(max_size=12))
def test_the_event_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, headers: list[tuple[str, bytes]], key: bytes, value: bytes | None
) -> None:
    """Whatever headers a publisher makes up, key, value and headers are its own, and the facts are the router's."""
    message = Message(value, headers, key=key)
    (found,) = quarantined(tmp_path_factory.mktemp("home"), message, ALL)
    assert (found.key, found.value, list(found.headers)) == (key, value, headers)
    assert found.event == Inbound(PUB, key, value, headers, message.timestamp()[1])
    assert (found.contract, found.source, found.agreement) == ("x.y.thing_changed", Place(PUB, 0, 7), None)
    assert (found.quarantined_ms, found.left_out) == (5, None)
    assert found.reason in REMEDIES


def test_one_agreement_s_part_names_the_agreement(tmp_path: Path) -> None:
    """The header of the router is read, not one that the event came with."""
    inbound = record({"code": "zz"})
    message = Message(inbound.value, [*inbound.headers, ("hutong_agreement", b"all")], key=b"k1")
    (found,) = quarantined(tmp_path, message, ALL, MAPPING)
    assert (found.reason, found.agreement, found.event_id) == ("transform_failed", "mapping", "e1")


def test_a_value_that_was_too_large_is_known_by_its_fingerprint(tmp_path: Path) -> None:
    """Only the very event counts as its original."""
    value = b"\x01" * 200
    (found,) = quarantined(tmp_path, Message(value, []), ALL, most=100)
    assert not found.is_whole
    assert found.left_out == f"200 bytes, sha256 {hashlib.sha256(value).hexdigest()}"
    assert found.is_original(Message(value, []))
    assert not found.is_original(Message(value + b"\x01", []))


def test_what_the_bus_did_not_write_is_read_as_far_as_it_goes() -> None:
    """A record without the facts has no reason, and no place that could be read by mistake."""
    found = QuarantineRecord.read(MemoryRecord(QUARANTINE, (0, 3), b"k", b"v", None, 9))
    assert (found.reason, found.source.offset, found.place) == ("", -1, Place(QUARANTINE, 0, 3))
    assert remedy_of("").meaning.startswith("this version does not know")


@settings(deadline=None)
@given(some.text(some.characters(categories=["L", "N", "P"]), max_size=40))
def test_an_id_of_an_application_s_own_is_not_printed(text: str) -> None:
    """Neither is anything that could be tried out."""
    assert not text or text not in told_id(text) or told_id(text).startswith("(")
    assert told_id("0190abcd-0000-7000-8000-000000000001") == "0190abcd-0000-7000-8000-000000000001"


@pytest.mark.parametrize("text", ["pub.a.b/0/7", "pub.a.b[0]@7"])
def test_a_place_is_read_as_it_is_written(text: str) -> None:
    """In the form of headers, and in that of Kafka's tools."""
    assert Place.read(text) == Place("pub.a.b", 0, 7)
    assert str(Place("pub.a.b", 0, 7)) == "pub.a.b/0/7"
    assert Place.read("pub.a.b/x/7") is None


def selected(found: QuarantineRecord, **conditions: Any) -> bool:
    return Selection(**conditions).takes(found)


def test_every_condition_must_hold(tmp_path: Path) -> None:
    """Each alone takes and leaves; together one that does not hold is enough."""
    inbound = record({"code": "zz"})
    (found,) = quarantined(tmp_path, Message(inbound.value, list(inbound.headers), key=b"k1"), MAPPING)
    right: dict[str, Any] = {
        "contracts": frozenset({"x.y.thing_changed"}),
        "reasons": frozenset({"transform_failed"}),
        "agreements": frozenset({"mapping"}),
        "since_ms": 5,
        "until_ms": 6,
        "event": "e1",
    }
    wrong: dict[str, Any] = {
        "contracts": frozenset({"x.y.other"}),
        "reasons": frozenset({"wrong_key"}),
        "agreements": frozenset({"all"}),
        "since_ms": 6,
        "until_ms": 5,
        "event": "e2",
    }
    assert selected(found)
    assert selected(found, **right)
    for name in right:
        assert selected(found, **{name: right[name]})
        assert not selected(found, **{**right, name: wrong[name]})
    assert selected(found, event=str(found.source))
    assert selected(found, event=str(found.place))
    assert not selected(found, event=f"{PUB}/0/8")


def test_the_page_tells_every_remedy() -> None:
    """The table of the documentation is the one that the command prints, row by row."""
    rows = [row for row in (DOCS / "quarantine.md").read_text(encoding="utf-8").splitlines() if re.match(r"\| `\w+` \|", row)]
    told = {row.split("|")[1].strip(" `"): [cell.strip() for cell in row.split("|")[2:4]] for row in rows[-len(REMEDIES) :]}
    assert told == {name: [one.meaning, one.remedy] for name, one in REMEDIES.items()}
