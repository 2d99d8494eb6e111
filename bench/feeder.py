"""A publisher that keeps a router busy for as long as it runs: there are always events waiting, and never too many.

``Feeder`` starts this module as a program of its own, so that its work is not the measuring process's. Neighbours: ``endurance``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

from bench.bus import Bus, Declared, quiet
from hutong.home import write_private

__all__ = ["Feeder"]

_CHUNK = 10_000
_VALUES = 5_000
_PAUSE_SECONDS = 0.05


class Feeder:
    """Feeds a case's topic until it is stopped.

    Args:
        bus: the bus.
        declared: the case.
        group: whose backlog is kept up.
        waiting: events that are kept waiting.
        folder: for its orders.
    """

    def __init__(self, bus: Bus, declared: Declared, group: str, *, waiting: int, folder: Path) -> None:
        workload = declared.workload
        numbers = range(min(_VALUES, workload.case.events))
        orders = {
            "client": quiet(bus.operator),
            "group": group,
            "topic": declared.topic,
            "partitions": workload.case.partitions,
            "waiting": waiting,
            "records": [
                [
                    workload.key(number).decode(),
                    (declared.frame + workload.value(number)).hex(),
                    [[name, value.decode()] for name, value in workload.headers(number)],
                ]
                for number in numbers
            ],
        }
        file = folder / "feeder.json"
        write_private(file, json.dumps(orders))
        self._process = subprocess.Popen([sys.executable, "-m", "bench.feeder", str(file)], env=dict(os.environ))

    def stop(self) -> None:
        """End it by its id."""
        self._process.terminate()
        self._process.wait(15)


def _waiting(place: TopicPartition, standing: Consumer) -> int:
    """Events of a partition before which the group stands; what was deleted waits for nobody."""
    first, end = standing.get_watermark_offsets(place, 10)
    return end - max(place.offset, first)


def main(orders: dict[str, Any]) -> None:
    """Publish whenever few events wait."""
    client = orders["client"]
    producer = Producer(client | {"linger.ms": 5, "compression.type": "lz4", "queue.buffering.max.messages": 2 * _CHUNK})
    standing = Consumer(client | {"group.id": orders["group"], "isolation.level": "read_uncommitted"})
    places = [TopicPartition(orders["topic"], partition) for partition in range(orders["partitions"])]
    records = [
        (key.encode(), bytes.fromhex(value), [(name, text.encode()) for name, text in headers])
        for key, value, headers in orders["records"]
    ]
    number = 0
    while True:
        if sum(_waiting(place, standing) for place in standing.committed(places, 10)) > orders["waiting"]:
            producer.poll(_PAUSE_SECONDS)
            continue
        for _ in range(_CHUNK):
            key, value, headers = records[number % len(records)]
            producer.produce(orders["topic"], value, key, headers=headers)
            number += 1
            if number % 1000 == 0:
                producer.poll(0)
        producer.flush(30)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
