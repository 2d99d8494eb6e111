"""How long an event takes from being published to being readable by ``read_committed``, at a steady rate.

Three processes: the contender, a publisher with values made beforehand that keeps to the rate, and a reader that only looks at
the clock and the event's id, which tells when it was sent. Publisher and reader are this module, run as a program. Neighbours:
``__main__`` runs the contenders in turn over the same bus.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.bus import Bus, Declared, Place, Progress, quiet
from bench.contenders.contender import Contender
from bench.measure import task_of
from hutong.home import write_private
from hutong.kafka.settings import Settings

__all__ = ["Latency", "Plan", "latency", "steady"]

_START_SECONDS = 120.0
_VALUES = 5_000  # made beforehand, and sent again and again
_MOST_READ = 5_000  # deliveries a second whose headers the reader looks at; to look at each would disturb what is measured
_GRACE_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How latency is measured.

    Attributes:
        rate: events a second.
        warm_seconds: at this rate before the measurement begins: Kafka's Java compiles its transaction path meanwhile.
        seconds: of measurement.
    """

    rate: int
    warm_seconds: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Percentiles in ms.

    Attributes:
        p50_ms: median.
        p99_ms: 99th percentile.
        late_ms: how far the publisher was behind its timetable at worst; where this is much, the rate was not kept.
        deliveries: how many were looked at.
    """

    p50_ms: float
    p99_ms: float
    late_ms: float
    deliveries: int


def latency(bus: Bus, declared: Declared, contender: Contender, plan: Plan, *, group: str, folder: Path) -> Latency | None:
    """Measure one contender at one rate; None where not every delivery was readable soon after: it does not keep that rate."""
    progress = Progress(bus.operator, group, bus.places([declared.topic]))
    running = contender.start(task_of(bus, declared, group=group, folder=folder))
    try:
        bus.queue(declared.topic, declared.workload.key(0), _values(declared)[0], list(declared.workload.headers(0)))
        bus.producer.flush(10)
        deadline = time.monotonic() + _START_SECONDS
        while not any(progress.now()):
            running.check()
            if time.monotonic() > deadline:
                raise SystemExit(f"{contender.name} did not begin within {_START_SECONDS:g} s; see {running.log}")
            time.sleep(0.05)
        return steady(bus, declared, plan, folder)
    finally:
        running.stop()
        progress.close()
        bus.forget(bus.ends([declared.topic, *declared.destinations]))


def _values(declared: Declared) -> list[bytes]:
    workload = declared.workload
    return [declared.frame + workload.value(number) for number in range(min(_VALUES, workload.case.events))]


def steady(bus: Bus, declared: Declared, plan: Plan, folder: Path, *, settings: Settings | None = None) -> Latency | None:
    """Publisher and reader, each a process of its own; the rate is kept from the first moment.

    Args:
        bus: the bus.
        declared: the case; whoever routes it is at work.
        plan: how it is measured.
        folder: for the processes' orders.
        settings: of who publishes; the operator by default. What is read is read by the operator.
    """
    events = int(plan.rate * (plan.warm_seconds + plan.seconds))
    orders = {
        "client": quiet(bus.operator),
        "publisher": quiet(settings or bus.operator),
        "topic": declared.topic,
        "frame": declared.frame.hex(),
        "values": [value.hex() for value in _values(declared)],
        "keys": [declared.workload.key(number).decode() for number in range(len(_values(declared)))],
        "headers": [[name, value.decode()] for name, value in declared.workload.headers(0)],
        "rate": plan.rate,
        "events": events,
        "warm": int(plan.rate * plan.warm_seconds),
        "every": max(1, plan.rate * declared.workload.case.fan_out // _MOST_READ),
        "wanted": events * declared.workload.case.fan_out,
        "places": [[*place, offset] for place, offset in bus.ends(declared.destinations).items()],
    }
    file = folder / "latency.json"
    write_private(file, json.dumps(orders))
    command = [sys.executable, "-m", "bench.latency"]
    with subprocess.Popen([*command, "read", str(file)], stdout=subprocess.PIPE, env=dict(os.environ)) as reader:
        assert reader.stdout is not None  # noqa: S101 - asked for above
        reader.stdout.readline()  # it has found its places
        published = json.loads(subprocess.run([*command, "publish", str(file)], check=True, stdout=subprocess.PIPE).stdout)
        read = json.loads(reader.stdout.readline() or b"{}")
    if read.get("count") != orders["wanted"]:
        return None
    return Latency(p50_ms=read["p50"], p99_ms=read["p99"], late_ms=published["late_ms"], deliveries=read["looked_at"])


def publish(orders: dict[str, Any]) -> None:
    """Publish at the rate, as the SDK does; an event's id is its number and when it was sent, in ns."""
    producer = Producer(orders["publisher"] | {"linger.ms": 2, "acks": "all", "enable.idempotence": True})
    values = [bytes.fromhex(value) for value in orders["values"]]
    keys = [key.encode() for key in orders["keys"]]
    headers: list[tuple[str, bytes]] = [(name, value.encode()) for name, value in orders["headers"]]
    place = next(position for position, (name, _) in enumerate(headers) if name == "ce_id")
    rate, late, now = orders["rate"], 0.0, time.perf_counter
    began = now() + 0.5  # the connection stands by then
    producer.list_topics(orders["topic"])
    for number in range(orders["events"]):
        ahead = began + number / rate - now()
        if ahead > 0:
            producer.poll(ahead)
        elif number > orders["warm"]:
            late = max(late, -ahead)
        headers[place] = ("ce_id", f"{number:012d}-{time.time_ns():020d}".encode())
        producer.produce(orders["topic"], values[number % len(values)], keys[number % len(keys)], headers=list(headers))
    producer.flush(30)
    print(json.dumps({"late_ms": round(late * 1000, 1)}), flush=True)


def read(orders: dict[str, Any]) -> None:
    """Count every delivery, and look at the headers of some."""
    # The broker holds a request until something is committed; 10 ms bound what a missed wake-up would cost.
    config = {"group.id": "hutong.bench", "isolation.level": "read_committed", "fetch.wait.max.ms": 10}
    consumer = Consumer(orders["client"] | config | {"enable.auto.commit": False})
    places: list[tuple[Place, int]] = [((topic, partition), offset) for topic, partition, offset in orders["places"]]
    consumer.assign([TopicPartition(*place, offset) for place, offset in places])
    consumer.poll(1.0)
    print("ready", flush=True)
    count, every, took = 0, orders["every"], []
    deadline = time.monotonic() + orders["events"] / orders["rate"] + _GRACE_SECONDS
    while count < orders["wanted"] and time.monotonic() < deadline:
        first = consumer.poll(0.1)
        if first is None:
            continue
        for message in (first, *consumer.consume(10_000, 0)):
            if message.error():
                continue
            count += 1
            if count % every == 0:
                headers: Any = message.headers()
                number, sent = dict(headers)["ce_id"].split(b"-")
                if int(number) >= orders["warm"]:
                    took.append((time.time_ns() - int(sent)) / 1e6)
    consumer.close()
    cuts = statistics.quantiles(took, n=100) if len(took) > 1 else [0.0] * 99
    print(json.dumps({"count": count, "looked_at": len(took), "p50": round(cuts[49], 1), "p99": round(cuts[98], 1)}), flush=True)


if __name__ == "__main__":
    {"publish": publish, "read": read}[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text()))
