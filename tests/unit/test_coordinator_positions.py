"""Older states never replace newer ones: stamps, readers, the writer's time, cases that grow too large."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.errors import BrokerUnavailable
from hutong.flows.control import FlowRecord, since_of
from hutong.kafka import changelog_writer as writer_module
from hutong.kafka.changelog_writer import ChangelogWriter
from hutong.kafka.positions import Newest, position_of, stamped
from hutong.kafka.settings import Settings
from services.coordinator import cases as cases_module
from services.coordinator.cases import decode
from tests.integration.loan_flow import FLOW, LAND, TAX, flow
from tests.unit.test_coordinator_service import Line

SETTINGS = Settings(bootstrap_servers="nowhere:1", registry_url="http://nowhere")


@given(st.dictionaries(st.text(), st.text(), min_size=1), st.integers(0, 2**63))
def test_a_stamp_is_read_back(document: dict[str, str], position: int) -> None:
    """Whatever the state holds, also the stamp's own words; the state stays JSON."""
    document["z"] = ',"position":7}'
    made = stamped(json.dumps(document).encode(), position)
    assert position_of(made) == position
    assert json.loads(made) == {**document, "position": position}
    assert position_of(json.dumps(document).encode()) == -1


def test_an_older_state_does_not_count() -> None:
    """An equal one does: it is the same batch, tried again; and of another key any."""
    newest = Newest()
    taken = [newest.takes(key, stamped(b'{"a":1', at)) for key, at in ((b"k", 5), (b"k", 4), (b"k", 5), (b"l", 1), (b"k", 6))]
    assert taken == [True, False, True, True, True]


class Client:
    """A producer that confirms what its test lets it."""

    latest: Client

    def __init__(self, *_: Any, **__: Any) -> None:
        self.purged, self.full, self.error, self.slow = False, 0, None, 0
        self._waiting: list[Any] = []
        Client.latest = self

    def produce(self, _topic: str, _value: bytes, _key: bytes, *, partition: int, on_delivery: Any) -> None:
        if self.full:
            raise BufferError
        self._waiting.append((partition, on_delivery))

    def poll(self, _seconds: float) -> None:
        self.full -= 1

    def flush(self, seconds: float) -> int:
        if self.slow:
            return len(self._waiting)
        for offset, (partition, settle) in enumerate(self._waiting):
            settle(self.error, Confirmed(partition, offset))
        self._waiting.clear()
        return 0

    def purge(self) -> None:
        self.purged = True
        self._waiting.clear()


class Confirmed:
    def __init__(self, partition: int, offset: int) -> None:
        self.partition, self.offset = lambda: partition, lambda: offset


@pytest.fixture
def writer(monkeypatch: pytest.MonkeyPatch) -> ChangelogWriter:
    monkeypatch.setattr(writer_module, "Producer", Client)
    made = ChangelogWriter(SETTINGS, "t", seconds=1)
    made.write([], until=time.monotonic() + 60)
    return made


def test_the_writer_says_how_far_it_has_come(writer: ChangelogWriter) -> None:
    """The offsets in each partition, also where the client's queue was full for a while."""
    Client.latest.full = 3
    states = [(0, b"a", b"{}"), (1, b"b", b"{}"), (0, b"c", b"{}")]
    assert writer.write(states, until=time.monotonic() + 60) == {0: [0, 2], 1: [1]}


@pytest.mark.parametrize("trouble", ["error", "slow", "over"])
def test_the_writer_gives_up_in_time(writer: ChangelogWriter, trouble: str) -> None:
    """What is refused, not confirmed, or begun too late is thrown away, and the next attempt has a new client."""
    client = Client.latest
    if trouble != "over":
        setattr(client, trouble, "refused" if trouble == "error" else 1)
    with pytest.raises(BrokerUnavailable):
        writer.write([(0, b"a", b"{}")], until=time.monotonic() + (60 if trouble != "over" else 0))
    assert client.purged
    assert writer.write([(0, b"a", b"{}")], until=time.monotonic() + 60) == {0: [0]}
    assert Client.latest is not client


def test_a_case_is_stamped_with_its_last_record(tmp_path: Path) -> None:
    """Not with the batch's: so a repetition in other batches gives the same."""
    line = Line(tmp_path)
    line.run(line.opened("1"), line.opened("2"), line.answered("1", "houses", department=LAND))
    assert {number: position_of(case) for number, case in line.store.items()} == {"LC-1": 3, "LC-2": 2}
    line.flows.update({})
    line.run(line.opened("2"))
    assert position_of(line.store["LC-2"]) == 2


def test_a_case_that_grows_too_large_refuses_the_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event goes to quarantine before anything of it goes out; the other cases of the batch go on, and so does this one."""
    line = Line(tmp_path)
    line.run(line.opened("1"))
    monkeypatch.setattr(cases_module, "_HEAVY", 0)
    monkeypatch.setattr(cases_module, "_ROOM", 1_000)
    monkeypatch.setattr(cases_module, "LARGEST_STATE", len(line.store["LC-1"]) + 1_010)
    line.outbound.events.clear()
    line.run(line.answered("1", "houses", department=LAND), line.answered("9", "income", department=TAX))
    assert [headers["hutong_reason"] for *_, headers in line.outbound.records] == [b"case_too_large", b"unknown_case"]
    assert line.outbound.events == []
    assert [one["status"] for one in decode(line.store["LC-1"])["questions"].values()] == ["open", "open"]
    monkeypatch.setattr(cases_module, "LARGEST_STATE", len(line.store["LC-1"]) + 4_000)
    line.run(line.clock("1", at_ms=10**7))
    assert decode(line.store["LC-1"])["status"] == "closed"


def test_the_timeline_of_a_large_case_is_cut_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its latest entries stay."""
    line = Line(tmp_path)
    line.run(line.opened("1"))
    case = decode(line.store["LC-1"])
    case["timeline"] = case["timeline"] * 200
    line.store["LC-1"] = cases_module.encode(case, 1)
    monkeypatch.setattr(cases_module, "_HEAVY", 0)
    monkeypatch.setattr(cases_module, "_ROOM", 1_000)
    monkeypatch.setattr(cases_module, "LARGEST_STATE", 30_000)
    line.run(line.answered("1", "houses", department=LAND))
    timeline = decode(line.store["LC-1"])["timeline"]
    assert timeline[-1]["what"] == "ANSWERED"
    assert len(timeline) == 50
    assert line.outbound.records == []


def test_flow_record_keeps_its_moment() -> None:
    """Set when a flow is new, kept when it is changed."""
    first = FlowRecord(flow=flow(), schemas={}, timezone="UTC").after(None, 77)  # type: ignore[arg-type]
    changed = FlowRecord(flow=flow(prefix="LD"), schemas={}, timezone="UTC").after(first.to_json(), 99)  # type: ignore[arg-type]
    assert (first.since, changed.since, first.flow.id) == (77, 77, FLOW)
    assert since_of(b"[]") == since_of(b"?") == since_of(b'{"since":"x"}') == 0
