"""Faust's consumer made safe: where it begins, how records get out of it, and what it says of those that were passed over."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from hutong.kafka.positions import position_of, stamped
from services.coordinator.app import _Table
from services.coordinator.inbox import INBOX, STATE, Inboxed
from services.coordinator.transport import Change, Consumer

DONE, NEW, NOUGHT, TABLE = TP(INBOX, 0), TP(INBOX, 1), TP(INBOX, 2), TP(STATE, 0)


class Thread:
    """The client's thread: a group that has done something of one partition only."""

    def __init__(self) -> None:
        self.sought: dict[TP, int] = {}

    def assignment(self) -> set[TP]:
        return {DONE, NEW, NOUGHT, TABLE}

    async def seek_to_committed(self) -> dict[TP, int | None]:
        return {DONE: 9, NEW: None, NOUGHT: 0, TABLE: None}

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        return dict.fromkeys(partitions, 4)

    async def seek_wait(self, positions: Mapping[TP, int]) -> None:
        self.sought |= positions


def consumer() -> tuple[Any, Thread]:
    made: Any = Consumer.__new__(Consumer)
    thread = made._thread = Thread()
    made._settled, made._stored, made._passed, made._committed_offset = {}, {}, {}, {}
    made._read_offset, made.flow_active = defaultdict(lambda: None), True
    recovery = SimpleNamespace(active_tps={TABLE}, standby_tps=set())
    made.app = SimpleNamespace(consumer_generation_id=7, tables=SimpleNamespace(recovery=recovery))
    made.arrivals, made.taken = asyncio.Queue(3), []
    made.take_changes = made.taken.extend
    return made, thread


def records(partition: TP, *offsets: int) -> list[Any]:
    made = {"topic": partition.topic, "partition": partition.partition, "key": b"k", "value": b"v", "headers": (), "timestamp": 5}
    return [SimpleNamespace(offset=offset, **made) for offset in offsets]


def arrived(made: Any) -> list[Inboxed]:
    return [made.arrivals.get_nowait() for _ in range(made.arrivals.qsize())]


def test_a_partition_of_which_nothing_is_done_begins_at_its_beginning() -> None:
    """The client would stay where it has read to while the partitions changed, and skip what was dropped then."""
    made, thread = consumer()
    found = asyncio.run(made.seek_to_committed())
    assert thread.sought == {NEW: 4, NOUGHT: 4}
    assert found == {DONE: 9, NEW: 4, NOUGHT: 4, TABLE: None}


def test_a_record_that_was_passed_and_is_not_done_is_known() -> None:
    """Done is what was settled, or stands in the group."""
    made, _ = consumer()
    made._committed_offset[DONE] = 9
    for partition, offset in ((DONE, 8), (NEW, 3)):
        assert asyncio.run(made._hand_on(partition, records(partition, offset), 7))
    assert made.passed_over([DONE, NEW, NOUGHT]) == [NEW]
    made.settle(NEW, 3)
    assert made.passed_over([DONE, NEW, NOUGHT]) == []


def fetches(made: Any, monkeypatch: pytest.MonkeyPatch, found: dict[TP, list[Any]], active: Any = None) -> Any:
    """What the consumer leaves of a fetch."""

    async def fetch(_self: Any, _timeout: float) -> tuple[Any, Any]:
        return found, active

    monkeypatch.setattr(driver.Consumer, "_wait_next_records", fetch)
    return asyncio.run(made._wait_next_records(1.0))[0]


def test_the_inbox_goes_to_the_work_and_the_changelog_into_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, each once, with the share of the cases that it was read with; Faust is told how far the changelog was read."""
    made, _ = consumer()
    fetched = {DONE: records(DONE, 8, 9, 11), TABLE: records(TABLE, 2, 3)}
    made._read_offset[DONE] = 9
    assert fetches(made, monkeypatch, fetched) == {TABLE: fetched[TABLE][1:]}
    assert made.taken == [Change(TABLE, offset, b"k", b"v") for offset in (2, 3)]
    assert arrived(made) == [Inboxed(0, offset, b"k", b"v", (), 5, 7) for offset in (9, 11)]
    assert made._read_offset[DONE] == 11


@pytest.mark.parametrize("change", ["flow", "generation", "meanwhile"])
def test_what_was_fetched_before_partitions_change_is_not_handed_on(change: str) -> None:
    """They may be another's: all is read again from where the group stands, and nothing counts as read."""
    made, _ = consumer()

    async def run() -> bool:
        handing = asyncio.create_task(made._hand_on(NEW, records(NEW, 1, 2, 3, 4, 5), 7))
        await asyncio.sleep(0)  # the queue is full now, after three
        if change == "flow":
            made.flow_active = False
        else:
            made.app.consumer_generation_id = 8
        if change == "meanwhile":
            made._read_offset.clear()
        made.arrivals.get_nowait()
        return bool(await handing)

    assert asyncio.run(run()) is False
    assert [one.offset for one in arrived(made)] == [2, 3, 4]
    assert made._read_offset[NEW] == {"flow": 4, "generation": 3, "meanwhile": None}[change]


def test_a_paused_partition_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As while the table is read."""
    made, _ = consumer()
    assert fetches(made, monkeypatch, {NEW: records(NEW, 1), DONE: records(DONE, 2)}, {DONE}) == {}
    assert [one.offset for one in arrived(made)] == [2]


@pytest.mark.parametrize("change", ["flow", "generation"])
def test_a_changelog_that_is_another_s_by_now_is_left_alone(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file may be in use by whoever has it now."""
    made, _ = consumer()

    def take(changes: list[Change]) -> None:
        made.taken += changes
        made.flow_active, made.app.consumer_generation_id = change != "flow", 7 + (change == "generation")

    made.take_changes = take
    assert fetches(made, monkeypatch, {TABLE: records(TABLE, *range(1_200))}) == {}
    assert len(made.taken) == 500
    made.app.tables.recovery.active_tps.clear()
    made.flow_active, made.app.consumer_generation_id = True, 7
    assert fetches(made, monkeypatch, {TABLE: records(TABLE, 5), NEW: records(NEW, 5)}) == {}
    assert (len(made.taken), [one.offset for one in arrived(made)]) == (500, [5])


class Store:
    """A table's store of one partition, with what was applied to it."""

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}
        self.offset: int | None = None
        self.applied = 0

    def persisted_offset(self, _partition: TP) -> int | None:
        return self.offset

    def set_persisted_offset(self, _partition: TP, offset: int) -> None:
        self.offset = offset

    def _db_for_partition(self, _partition: int) -> dict[bytes, bytes]:
        return self.held

    def apply_changelog_batch(self, batch: list[Change], **_: Any) -> None:
        self.applied += len(batch)
        self.held |= {one.message.key: one.message.value for one in batch}  # type: ignore[misc]


def test_the_table_takes_each_record_once_and_no_older_state() -> None:
    """It knows which cases' last record is an older one, until a newer comes."""
    store = Store()

    class Table(_Table):
        data = store  # type: ignore[assignment]

    table = Table.__new__(Table)
    table.overtaken = {}

    def change(offset: int, key: bytes, position: int) -> Change:
        return Change(TABLE, offset, key, stamped(b'{"a":1}', position))

    table.apply_changelog_batch([change(0, b"a", 5), change(1, b"b", 5), change(3, b"a", 4)])
    assert (store.offset, store.applied, table.overtaken) == (3, 2, {0: {b"a"}})
    table.apply_changelog_batch([change(3, b"a", 4), change(1, b"b", 5)])
    assert (store.offset, store.applied) == (3, 2)
    table.apply_changelog_batch([change(4, b"a", 5), change(6, b"b", 3)])
    assert (store.offset, table.overtaken) == (6, {0: {b"b"}})
    assert {key: position_of(value) for key, value in store.held.items()} == {b"a": 5, b"b": 5}
