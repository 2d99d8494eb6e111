"""``python -m bench.flood``: what one department that floods does to the events of the others, with quotas and without.

A department publishes 200 events a second, each to three recipients, and the time from its publication until a recipient can
read it is taken: alone; beside a department that publishes as fast as a bare producer can, under its quota; and beside the same
without a quota. Neighbours: ``latency`` publishes and reads, ``bus`` declares.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from bench.bus import Bus, Declared, Progress, quiet
from bench.cases import Case
from bench.contenders.contender import Running
from bench.contenders.hutong import Hutong
from bench.latency import Latency, Plan, steady
from bench.measure import task_of
from bench.workload import Workload
from hutong.embedded import down, up
from hutong.home import Home, write_private
from hutong.kafka.quotas import PUBLISH, read_quotas, write_quotas
from hutong.kafka.settings import Settings

__all__ = ["main"]

_FLOODER = "bench.flood"
_RATE = 200
_VALUES = 5_000
_IDLE_SECONDS, _BEGIN_SECONDS = 60.0, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Flood(Case):
    """The flooding department's own contract."""

    @property
    def contract(self) -> str:
        """Of another department than all other cases'."""
        return f"{_FLOODER}.recorded"


CALM = Case(name="calm", title="a department as ever", events=_VALUES, topics=3)
FLOOD = _Flood(name="flood", title="a department that floods", events=_VALUES, topics=3)


def main(arguments: list[str]) -> int:
    """Measure on a bus of its own, and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.flood", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of measurement, each time")
    parser.add_argument("--lead", type=float, default=15.0, help="for so long the flood runs before what is measured")
    parser.add_argument("--quota", type=float, nargs="*", default=[], help="MB/s that it may publish, one after the other")
    parser.add_argument("--skip-unlimited", action="store_true", help="leave out how bad it is without a quota")
    parser.add_argument("--fan-out", type=int, default=3, help="recipients of what floods")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as folder:
        home = Home(root=Path(folder))
        try:
            up(home, attached=True)
            _measure(Bus(home), Path(folder), options)
        finally:
            down(home)
    return 0


def _measure(bus: Bus, folder: Path, options: argparse.Namespace) -> None:
    flood = _Flood(
        name="flood", title=FLOOD.title, events=_VALUES, agreements=options.fan_out, matching=options.fan_out, topics=3
    )
    calm, flooding = bus.declare_all([Workload(CALM), Workload(flood)])
    quota = (read_quotas(bus.operator) or {})[_FLOODER]
    quotas = [quota | {PUBLISH: megabytes * 1e6} for megabytes in options.quota] or [quota]
    limits: list[tuple[str, Mapping[str, float | None]]] = [(f"flood, {one[PUBLISH] / 1e6:g} MB/s", one) for one in quotas]
    if not options.skip_unlimited:
        limits.append(("flood, no quota", dict.fromkeys(quota)))
    task = task_of(bus, calm, group="hutong.router.bench.flood", folder=folder)
    running = Hutong().start(task)
    try:
        _begin(bus, [calm, flooding], running, task.group)
        plan = Plan(rate=_RATE, warm_seconds=options.lead, seconds=options.seconds)
        _print("alone", steady(bus, calm, plan, folder, settings=_as(bus, "bench.registry")), 0.0)
        for title, limit in limits:
            write_quotas(bus.operator, {_FLOODER: limit})
            with _flooding(bus, flooding, folder) as published:
                measured = steady(bus, calm, plan, folder, settings=_as(bus, "bench.registry"))
                rate = published()
            _print(title, measured, rate)
            _drain(bus, flooding, task.group)
        running.check()
    finally:
        running.stop()


def _as(bus: Bus, department: str) -> Settings:
    return Settings.resolve(department, {"HUTONG_HOME": str(bus.home.root)})


def _begin(bus: Bus, cases: list[Declared], running: Running, group: str) -> None:
    """One event of each, and wait until the router has come to them."""
    for one in cases:
        bus.queue(one.topic, one.workload.key(0), one.frame + one.workload.value(0), list(one.workload.headers(0)))
    bus.producer.flush(10)
    for one in cases:
        progress = Progress(bus.operator, group, bus.places([one.topic]))
        deadline = time.monotonic() + _BEGIN_SECONDS
        while not any(progress.now()):
            running.check()
            if time.monotonic() > deadline:
                raise SystemExit(f"the router did not begin; it says:\n{running.log.read_text()[-4000:]}")
            time.sleep(0.05)
        progress.close()


def _drain(bus: Bus, flooding: Declared, group: str) -> None:
    """Wait until the router has done what the flood has left; what takes longer is not waited for."""
    goal = tuple(bus.ends([flooding.topic]).values())
    progress = Progress(bus.operator, group, bus.places([flooding.topic]))
    deadline = time.monotonic() + _IDLE_SECONDS
    while progress.now() != goal and time.monotonic() < deadline:
        time.sleep(0.2)
    progress.close()


@contextmanager
def _flooding(bus: Bus, flooding: Declared, folder: Path) -> Iterator[Any]:
    """A process that publishes as fast as it can; what is yielded tells how many events a second the brokers have taken."""
    workload = flooding.workload
    orders = {
        "client": quiet(_as(bus, _FLOODER)),
        "topic": flooding.topic,
        "values": [(flooding.frame + workload.value(number)).hex() for number in range(_VALUES)],
        "keys": [workload.key(number).decode() for number in range(_VALUES)],
        "headers": [[name, value.decode()] for name, value in workload.headers(0)],
    }
    file = folder / "flood.json"
    write_private(file, json.dumps(orders))
    before, began = sum(bus.ends([flooding.topic]).values()), time.monotonic()
    command = [sys.executable, "-m", "bench.flood", "--flood", str(file)]
    with subprocess.Popen(command, env=dict(os.environ), stdin=subprocess.DEVNULL) as process:
        try:
            yield lambda: (sum(bus.ends([flooding.topic]).values()) - before) / (time.monotonic() - began)
        finally:
            process.terminate()


def _flood(orders: Mapping[str, Any]) -> None:
    """Publish until ended, as the SDK is set up, without what it does before."""
    config = {
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": 5,
        "compression.type": "lz4",
        "partitioner": "murmur2_random",
    }
    producer = Producer(orders["client"] | config)
    values = [bytes.fromhex(value) for value in orders["values"]]
    keys = [key.encode() for key in orders["keys"]]
    headers: list[tuple[str, bytes]] = [(name, value.encode()) for name, value in orders["headers"]]
    place = next(position for position, (name, _) in enumerate(headers) if name == "ce_id")
    number = 0
    while True:
        headers[place] = ("ce_id", f"{number:032d}".encode())
        try:
            producer.produce(orders["topic"], values[number % _VALUES], keys[number % _VALUES], headers=list(headers))
        except BufferError:
            producer.poll(0.05)
            continue
        number += 1
        if number % 1_000 == 0:
            producer.poll(0)


def _print(title: str, measured: Latency | None, flood: float) -> None:
    if measured is None:
        print(f"{title:<24} flood {flood:>9,.0f}/s   not every event was readable soon after", flush=True)
        return
    words = f"p50 {measured.p50_ms:>8,.1f} ms   p99 {measured.p99_ms:>8,.1f} ms   late {measured.late_ms:,.0f} ms"
    print(f"{title:<24} flood {flood:>9,.0f}/s   {words}   {measured.deliveries:,} deliveries", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--flood"]:
        _flood(json.loads(Path(sys.argv[2]).read_text()))
    sys.exit(main(sys.argv[1:]))
