"""Throughput and latency of the real router: real Kafka, the sample contracts and agreements, CloudEvents headers.

Throughput: events wait on their topic, a router process starts, and the bench reads what it has committed from its metrics page.
Latency: events are published at a steady rate and read with ``read_committed``; an event's id carries when it was sent.
Every delivery is counted on the recipients' topics too: a figure whose count is wrong is not printed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.embedded import down, up
from hutong.event import Attributes, source_of
from hutong.home import Home
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings

CONTRACT = "mca.funeral.cremation_recorded"
FAN_OUT = {
    "cremation-to-pension": "sub.mohrss.insurance.deaths",
    "cremation-to-elderly-allowance": "sub.mca.ageing.deaths",
    "cremation-to-disability-subsidy": "sub.mca.disability.deaths",
}
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def event(number: int) -> dict[str, Any]:
    """An event that all three agreements grant."""
    return {
        "certificate_number": f"C{number:011d}",
        "region": "140105",
        "facility": {"credit_code": "121401004057470005", "name": "太原市殡仪馆"},
        "deceased": {
            "identity_number": "11010519491231002X",
            "identity_unverified": False,
            "name": "张三丰",
            "sex": "FEMALE",
            "birth_date": date(1949, 12, 31),
        },
        "death_date": date(2026, 11, 1),
        "cause": "NATURAL",
        "cremated_at": datetime(2026, 11, 3, 9, 30, tzinfo=UTC),
        "applicant": {
            "identity_number": "11010519491231002X",
            "identity_unverified": False,
            "name": "张小明",
            "relation": "SON",
        },
        "death_certificate_number": "D2026110100012",
    }


class Bus:
    """The bus under measurement, and a publisher with no overhead of its own."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.settings = Settings.resolve("operator", {"HUTONG_HOME": str(home.root)})
        registry = Registry.of(self.settings)
        registered = registry.latest(f"pub.{CONTRACT}-value")
        if registered is None:
            raise SystemExit(f"{CONTRACT} is not on the bus; run hutong apply")
        self.schema, self.frame = EventSchema(registered.schema), frame(registered.id)
        self.producer = Producer(
            self.settings.client()
            | {
                "linger.ms": 5,
                "compression.type": "lz4",
                "acks": "all",
                "enable.idempotence": True,
                "queue.buffering.max.messages": 1_000_000,
            }
        )

    def publish(self, number: int) -> None:
        """Queue one event; its id is when it was queued, in ns."""
        data = self.schema.check(event(number))
        attributes = Attributes(
            id=str(time.time_ns()),
            source=source_of(self.schema.department),
            type=CONTRACT,
            time=datetime.now(UTC),
            traceparent=TRACE,
        )
        headers: Any = attributes.to_headers()
        self.producer.produce(
            self.schema.topic, self.frame + self.schema.encode(data), self.schema.key_of(data).encode(), headers=headers
        )

    def ends(self) -> dict[str, int]:
        """End offsets of the recipients' topics, summed over partitions."""
        consumer = Consumer(self.settings.client() | {"group.id": "hutong.bench"})
        ends = {}
        for topic in FAN_OUT.values():
            partitions = consumer.list_topics(topic, 10).topics[topic].partitions
            ends[topic] = sum(consumer.get_watermark_offsets(TopicPartition(topic, p), 10)[1] for p in partitions)
        consumer.close()
        return ends


class RouterProcess:
    """A router as ``hutong run router`` starts it, and its metrics page."""

    def __init__(self, home: Home, *, log: Path) -> None:
        self._log = log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services.router", "--instance", "bench", "--port", "0"],
            env=os.environ | {"HUTONG_HOME": str(home.root)},
            stderr=self._log,
        )
        self.port = self._port(log)

    def _port(self, log: Path) -> int:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for line in log.read_text().splitlines(keepends=True):
                if line.endswith("\n") and (port := json.loads(line).get("health_port")):
                    return int(port)
            time.sleep(0.02)
        raise SystemExit(f"the router did not start; see {log}")

    def delivered(self) -> int:
        """Deliveries committed so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        lines = [line for line in text.splitlines() if line.startswith("hutong_router_deliveries_total{")]
        return int(sum(float(line.rpartition(" ")[2]) for line in lines))

    def memory_mb(self) -> float:
        """Resident memory."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop(self) -> None:
        """End it by its id."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()


def throughput(bus: Bus, events: int) -> dict[str, float]:
    """Deliveries a second of one router that finds its events waiting."""
    for number in range(events):
        while True:
            try:
                bus.publish(number)
                break
            except BufferError:
                bus.producer.poll(0.1)
        if number % 1000 == 0:
            bus.producer.poll(0)
    bus.producer.flush(60)
    router = RouterProcess(bus.home, log=bus.home.log / "bench-router.log")
    try:
        samples: list[tuple[float, int]] = []
        deadline = time.monotonic() + 300
        while (done := router.delivered()) < events * len(FAN_OUT):
            if done:
                samples.append((time.perf_counter(), done))
            if time.monotonic() > deadline:
                raise SystemExit(f"only {done} deliveries of {events * len(FAN_OUT)} after 300 s")
            time.sleep(0.25)  # making the page costs the router some milliseconds: asking more often would be measured too
        samples.append((time.perf_counter(), done))
        if done != events * len(FAN_OUT):
            raise SystemExit(f"{done} deliveries where {events * len(FAN_OUT)} are right")
        memory = router.memory_mb()
    finally:
        router.stop()
    # The first transaction on a topic is several times slower; the line begins behind it.
    (t0, n0), (t1, n1) = samples[0], samples[-1]
    return {"deliveries_per_s": (n1 - n0) / (t1 - t0), "router_mb": memory}


def latency(bus: Bus, rate: int, seconds: float, warm_seconds: float = 30.0) -> dict[str, float]:
    """Published to readable with read_committed, in ms, over all three recipients, on a broker whose Java has warmed up."""
    router = RouterProcess(bus.home, log=bus.home.log / "bench-router.log")
    took: list[float] = []
    stop = threading.Event()
    consumer = Consumer(
        bus.settings.client()
        | {"group.id": "hutong.bench", "isolation.level": "read_committed", "enable.auto.commit": False, "fetch.wait.max.ms": 10}
    )
    places = []
    for topic in FAN_OUT.values():
        for p in consumer.list_topics(topic, 10).topics[topic].partitions:
            places.append(TopicPartition(topic, p, consumer.get_watermark_offsets(TopicPartition(topic, p), 10)[1]))
    consumer.assign(places)

    def read() -> None:
        while not stop.is_set():
            first = consumer.poll(0.05)
            for message in [] if first is None else [first, *consumer.consume(10_000, 0)]:
                if message.error():
                    continue
                headers: Any = message.headers() or []
                took.append((time.time_ns() - int(dict(headers)["ce_id"])) / 1e6)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        wanted = int(rate * seconds)
        warm = int(rate * warm_seconds)
        began = time.perf_counter()
        for number in range(wanted + warm):
            ahead = began + number / rate - time.perf_counter()
            if ahead > 0:
                bus.producer.poll(ahead)
            bus.publish(number)
        bus.producer.flush(30)
        deadline = time.monotonic() + 30
        while len(took) < (wanted + warm) * len(FAN_OUT) and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        stop.set()
        reader.join()
        consumer.close()
        router.stop()
    if len(took) != (wanted + warm) * len(FAN_OUT):
        raise SystemExit(f"{len(took)} deliveries where {(wanted + warm) * len(FAN_OUT)} are right")
    cuts = statistics.quantiles(took[warm * len(FAN_OUT) :], n=100)
    return {"p50_ms": cuts[49], "p99_ms": cuts[98]}


def main() -> None:
    """Measure on a bus of its own, which is gone afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="events for the throughput run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=int, default=1_000, help="events a second for the latency run")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the latency run")
    parser.add_argument("--schemas", default="schemas")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as folder:
        home = Home(root=Path(folder))
        try:
            up(home)
            apply = [sys.executable, "-m", "hutong", "apply", "--schemas", options.schemas]
            subprocess.run(apply, env=os.environ | {"HUTONG_HOME": folder}, check=True, stdout=subprocess.DEVNULL)
            bus = Bus(home)
            rounds = [throughput(bus, options.events) for _ in range(options.rounds)]
            rates = sorted(r["deliveries_per_s"] for r in rounds)
            print(
                f"throughput, fan-out {len(FAN_OUT)}: median {statistics.median(rates):,.0f} deliveries/s "
                f"({rates[0]:,.0f} to {rates[-1]:,.0f}, {options.rounds} rounds of {options.events:,} events); "
                f"router {max(r['router_mb'] for r in rounds):.0f} MB"
            )
            waits = latency(bus, options.rate, options.seconds)
            print(f"latency at {options.rate:,} events/s: p50 {waits['p50_ms']:.1f} ms, p99 {waits['p99_ms']:.1f} ms")
        finally:
            down(home)


if __name__ == "__main__":
    main()
