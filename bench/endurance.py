"""What holds over time and through changes, at full load: memory, agreements that come and go, routers that come and go.

A feeder keeps events waiting for the router all the while. Neighbours: ``feeder`` publishes, ``contenders.hutong`` starts
routers.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from bench.bus import Bus, Declared, Progress, quiet
from bench.contenders.contender import Running, Task
from bench.contenders.hutong import Hutong, add_router
from bench.feeder import Feeder
from bench.measure import task_of
from hutong.control.desired import CONTROL_TOPIC
from hutong.kafka.compacted import read_all, write

__all__ = ["Endurance", "longest_pause"]

_SETTLE_SECONDS = 20.0
_SAMPLE_SECONDS = 1.0
_FORGET_SECONDS = 10.0
_TAIL_SECONDS = 5.0  # after this long nothing more comes under a revoked agreement, or it was not revoked
_LOOK_SECONDS = 0.05
_REBALANCE_SECONDS = 12.0
_PATIENCE_SECONDS = 120.0
_DEEP = 200_000  # events that wait for the router at full load: several of the largest transactions
_SHALLOW = 20_000  # as many as it takes at once: else it reads one partition for a while, then the other, and each seems to stall
_LAST = 200  # records before a partition's end, among which the last delivery is: markers take offsets too


class Endurance:
    """One router (or two) at full load on a case that is declared.

    Args:
        bus: the bus.
        declared: a case with one topic per agreement.
        folder: for logs.
    """

    def __init__(self, bus: Bus, declared: Declared, folder: Path) -> None:
        self._bus, self._declared = bus, declared
        self._task: Task = task_of(bus, declared, group="hutong.router.bench.endurance", folder=folder)
        self._places = bus.places([declared.topic])
        self._progress = Progress(bus.operator, self._task.group, self._places)

    def run(self, *, minutes: float, changes: int) -> dict[str, Any]:
        """Measure everything.

        Args:
            minutes: how long memory is watched.
            changes: how often an agreement is revoked and granted.
        """
        running = Hutong().start(self._task)
        try:
            with self._fed(_DEEP):
                self._await_work(running)
                document = {"memory": self._memory(running, minutes * 60)}
                effects = [self._change(running) for _ in range(changes)]
            document |= {name: _summary([effect[name] for effect in effects]) for name in effects[0]}
            with self._fed(_SHALLOW):
                self._watch(running, _SETTLE_SECONDS, lambda: None)
                document["rebalance"] = self._rebalance(running)
            return document
        finally:
            running.stop()
            self._forget()
            self._progress.close()

    @contextmanager
    def _fed(self, waiting: int) -> Iterator[None]:
        feeder = Feeder(self._bus, self._declared, self._task.group, waiting=waiting, folder=self._task.folder)
        try:
            yield
        finally:
            feeder.stop()

    def _await_work(self, running: Running) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not sum(self._progress.now()):
            running.check()
            if time.monotonic() > deadline:
                raise SystemExit(f"the router did not begin within {_PATIENCE_SECONDS:g} s; see {running.log}")
            time.sleep(_LOOK_SECONDS)

    def _memory(self, running: Running, seconds: float) -> dict[str, float]:
        """Resident memory; its growth is from the first quarter's median to the last quarter's, start-up left out."""
        self._watch(running, min(_SETTLE_SECONDS, seconds), lambda: None)
        sizes: list[float] = []
        began, before = time.monotonic(), sum(self._progress.now())
        self._watch(running, seconds, lambda: sizes.append(running.memory_mb()))
        done, took = sum(self._progress.now()) - before, time.monotonic() - began
        quarter = max(1, len(sizes) // 4)
        growth = statistics.median(sizes[-quarter:]) - statistics.median(sizes[:quarter])
        return {
            "minutes": round(took / 60, 1),
            "events_per_s": round(done / took),
            "most_mb": round(max(sizes), 1),
            "last_mb": round(sizes[-1], 1),
            "growth_mb": round(growth, 1),
        }

    def _watch(self, running: Running, seconds: float, look: Callable[[], None]) -> None:
        """Look once a second, and keep the disk from filling."""
        began = time.monotonic()
        forgotten = began
        while time.monotonic() < began + seconds:
            running.check()
            look()
            if time.monotonic() > forgotten + _FORGET_SECONDS:
                self._forget()
                forgotten = time.monotonic()
            time.sleep(_SAMPLE_SECONDS)

    def _forget(self) -> None:
        """Delete what was routed and what was delivered."""
        self._bus.forget(dict(zip(self._places, self._progress.now(), strict=True)))
        self._bus.forget(self._bus.ends(self._declared.destinations))

    def _change(self, running: Running) -> dict[str, float]:
        """Revoke one agreement, then grant it as if it were new; each in ms from writing the control record.

        What is asked is when the last delivery under it was routed and the first, by the deliveries' own time stamps; of the
        first also when a ``read_committed`` reader had it.
        """
        party = self._declared.parties[-1]
        document = read_all(self._bus.operator, CONTROL_TOPIC)[party.id]
        config = {"group.id": "hutong.bench", "isolation.level": "read_committed", "fetch.wait.max.ms": 10}
        consumer = Consumer(quiet(self._bus.operator) | config | {"enable.auto.commit": False})
        try:
            revoked_ms = time.time() * 1000
            write(self._bus.operator, CONTROL_TOPIC, {party.id: None})
            self._watch(running, _TAIL_SECONDS, lambda: None)
            ends = self._bus.ends([party.topic])
            last_ms = _last_stamp(consumer, {place: max(0, end - _LAST) for place, end in ends.items()})
            if self._bus.ends([party.topic]) != ends:
                raise SystemExit(f"deliveries still come {_TAIL_SECONDS:g} s after the agreement was revoked")
            consumer.assign([TopicPartition(*place, end) for place, end in ends.items()])
            consumer.poll(0.5)  # the reader has found its place
            granted_ms = time.time() * 1000
            write(self._bus.operator, CONTROL_TOPIC, {party.id: document})
            first = consumer.poll(_PATIENCE_SECONDS)
            read_ms = time.time() * 1000
            if first is None or first.error():
                raise SystemExit(f"nothing comes under a new agreement within {_PATIENCE_SECONDS:g} s")
            return {
                "revoked_last_routed_ms": round(max(0.0, last_ms - revoked_ms), 1),
                "granted_first_routed_ms": round(first.timestamp()[1] - granted_ms, 1),
                "granted_first_read_ms": round(read_ms - granted_ms, 1),
            }
        finally:
            consumer.close()

    def _rebalance(self, running: Running) -> dict[str, float]:
        """The longest time that a partition stood still: undisturbed, while a second router joins, and while it leaves."""
        found = {"undisturbed_s": longest_pause(self._moves(running, _REBALANCE_SECONDS))}
        add_router(running, self._task, "bench-2")
        found["join_s"] = longest_pause(self._moves(running, _REBALANCE_SECONDS))
        second = Running(log=running.log, processes=[running.processes.pop()])
        second.processes[0].terminate()
        found["leave_s"] = longest_pause(self._moves(running, _REBALANCE_SECONDS))
        second.stop()
        return {name: round(value, 2) for name, value in found.items()}

    def _moves(self, running: Running, seconds: float) -> list[tuple[float, tuple[int, ...]]]:
        """(seconds, committed events per partition), looked at all the while."""
        began = time.monotonic()
        moves = []
        while (now := time.monotonic() - began) < seconds:
            running.check()
            moves.append((now, self._progress.now()))
            time.sleep(_LOOK_SECONDS)
        return moves


def longest_pause(moves: list[tuple[float, tuple[int, ...]]]) -> float:
    """The longest time that any one partition did not move, in seconds, from the first look to the last."""
    longest = 0.0
    since = [moves[0][0]] * len(moves[0][1])
    for (_, before), (now, after) in itertools.pairwise(moves):
        for place, (old, new) in enumerate(zip(before, after, strict=True)):
            longest = max(longest, now - since[place])
            if new != old:
                since[place] = now
    return longest


def _last_stamp(consumer: Consumer, starts: dict[tuple[str, int], int]) -> float:
    """The newest time stamp behind these offsets, ms since the epoch; 0 where there is nothing."""
    consumer.assign([TopicPartition(*place, offset) for place, offset in starts.items()])
    newest = 0.0
    while (message := consumer.poll(1.0)) is not None:
        if not message.error():
            newest = max(newest, message.timestamp()[1])
    return newest


def _summary(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values), 1), "most": round(max(values), 1), "times": len(values)}
