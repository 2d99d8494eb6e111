"""Faust's consumer made safe: where it begins, and what it says of records that were passed over."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from services.coordinator.inbox import INBOX, STATE
from services.coordinator.transport import Consumer

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
    return made, thread


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
        made.ack(SimpleNamespace(tp=partition, offset=offset))
    assert made.passed_over([DONE, NEW, NOUGHT]) == [NEW]
    made.settle(NEW, 3)
    assert made.passed_over([DONE, NEW, NOUGHT]) == []
