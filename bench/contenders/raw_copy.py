"""The limit: a Python process that copies records in Kafka transactions and does nothing else.

Same client, same client settings and same headers as the router; where each event goes is known before. Run as a program it is
the copying process; ``RawCopy`` starts that.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.contenders.contender import Running, Task, write_plan

__all__ = ["RawCopy"]

_WARMING_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RawCopy:
    """A copier.

    Attributes:
        size: events in a transaction.
    """

    size: int = 10_000

    @property
    def name(self) -> str:
        """With its transaction size."""
        return f"raw_copy@{self.size}"

    @property
    def exactly_once(self) -> bool:
        """It is."""
        return True

    @property
    def copies(self) -> bool:
        """Nothing else."""
        return True

    def problem(self) -> str | None:
        """None: it needs nothing."""
        return None

    def start(self, task: Task) -> Running:
        """Start the process."""
        workload = task.declared.workload
        routes = {region: [(p.topic, p.id) for p in parties] for region, parties in task.declared.by_region.items()}
        # Where each event goes is worked out before the clock starts: finding it out is the router's work, not a copier's.
        by_number = [
            [*routes.get(None, ()), *routes.get(str(workload.data(number)["region"]), ())]
            for number in range(workload.case.regions)
        ]
        running = Running(log=task.folder / f"{task.group}.log")
        plan = write_plan(task, size=self.size, by_number=by_number)
        running.add([sys.executable, "-m", "bench.contenders.raw_copy", str(plan)], dict(os.environ))
        return running


def main(plan: dict[str, Any]) -> None:
    """Copy until SIGTERM."""
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    client = {
        "bootstrap.servers": plan["bootstrap"],
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": plan["username"],
        "sasl.password": plan["password"],
    }
    consumer, producer = Consumer(client | _consumer(plan)), Producer(client | _producer(plan))
    consumer.subscribe([plan["topic"]])
    producer.init_transactions(_WARMING_SECONDS)
    routes = [[(topic, ("ce_agreement", agreement.encode())) for topic, agreement in there] for there in plan["by_number"]]
    regions, size, produce = len(routes), plan["size"], producer.produce
    while not stopping:
        first = consumer.poll(0.1)
        if first is None:
            continue
        # A transaction is only as large as its batch: wait a little where the client has not fetched enough yet.
        batch = [first, *consumer.consume(size - 1, 0.1)]
        producer.begin_transaction()
        last: dict[tuple[str, int], int] = {}
        for message in batch:
            if message.error():
                continue
            record: Any = message
            key, value, headers = record.key(), record.value(), record.headers()
            for topic, agreement in routes[int(key[1:]) % regions]:
                while True:
                    try:
                        produce(topic, value, key, headers=[*headers, agreement])
                        break
                    except BufferError:
                        producer.poll(0.05)
            last[record.topic(), record.partition()] = record.offset() + 1
        positions = [TopicPartition(*place, offset) for place, offset in last.items()]
        producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata())
        producer.commit_transaction(-1)
    consumer.close()


def _consumer(plan: dict[str, Any]) -> dict[str, Any]:
    return {
        "group.id": plan["group"],
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 50,
        "fetch.queue.backoff.ms": 50,
        "queued.max.messages.kbytes": 65_536,
        "queued.min.messages": max(20_000, plan["size"]),
        "check.crcs": True,
    }


def _producer(plan: dict[str, Any]) -> dict[str, Any]:
    return {
        "transactional.id": plan["group"],
        "transaction.timeout.ms": 30_000,
        "retry.backoff.ms": 1,
        "retry.backoff.max.ms": 10,
        "linger.ms": 5,
        "batch.size": 1_000_000,
        "batch.num.messages": 20_000,
        "compression.type": "lz4",
        "message.max.bytes": 2_000_000,
        "queue.buffering.max.messages": 500_000,
        "queue.buffering.max.kbytes": 131_072,
        "delivery.report.only.error": True,
        "partitioner": "murmur2_random",
    }


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
