"""A recipient's application for the torture run: a process that receives with the SDK, notes what it got, and may be slow.

Run as a program it is one such process: SIGUSR1 makes it slow, SIGUSR2 quick again. A line is in its file before it asks for the
next event. Neighbours: ``faults/subscribers`` slows and kills these.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, TopicPartition

from hutong import Subscription
from hutong.home import Home
from hutong.kafka.settings import Settings

__all__ = ["Reader", "Received"]

_SLOW_SECONDS = 0.1  # an event; some hundred come meanwhile
_LEAVES_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What it noted of an event.

    Attributes:
        run: which start of the process it was.
        partition: where it lay.
        offset: where it lay.
        id: the event's.
        agreement: which granted it.
        key: of the record.
    """

    run: int
    partition: int
    offset: int
    id: str
    agreement: str
    key: str


class Reader:
    """One recipient's process, which may be started again and again.

    Args:
        home: the bus's.
        recipient: the department.
        channel: of which channel.
        group: its consumer group; it begins where the group stands.
        notes: the file for what it got; it tells of persons, so it does not lie below the home.
    """

    def __init__(self, home: Home, recipient: str, channel: str, group: str, notes: Path) -> None:
        self._home, self.recipient, self.group, self._notes = home, recipient, group, notes
        self.topic = f"sub.{recipient}.{channel}"
        self._facts = {"home": home.root, "recipient": recipient, "channel": channel, "group": group, "notes": notes}
        self._process: subprocess.Popen[bytes] | None = None
        self._runs = 0

    def start(self) -> None:
        """Start it, once more."""
        self._runs += 1
        command = [sys.executable, "-m", "tests.torture.reader", f"--run={self._runs}"]
        command += [f"--{name}={fact}" for name, fact in self._facts.items()]
        environment = {name: text for name, text in os.environ.items() if not name.startswith("HUTONG_")}
        with (self._home.log / f"{self._notes.stem}-{self._runs}.log").open("wb") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it without warning."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """End it as one does; it must end well."""
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(_LEAVES_SECONDS)
        assert code == 0, f"the subscriber ended with {code}; see {self._home.log}"

    def received(self) -> list[Received]:
        """All that it noted, in the order in which it got it; a last line that its death has cut short says nothing."""
        if not self._notes.exists():
            return []
        lines = self._notes.read_text(encoding="utf-8").splitlines(keepends=True)
        return [Received(**json.loads(line)) for line in lines if line.endswith("}\n")]

    def set_position_to_end(self) -> None:
        """Let its group begin with what is delivered from now on; before its first start."""
        with self._consumer() as consumer:
            partitions = [
                TopicPartition(self.topic, one) for one in consumer.list_topics(self.topic, 10).topics[self.topic].partitions
            ]
            for one in partitions:
                one.offset = consumer.get_watermark_offsets(one, 10)[1]
            consumer.commit(offsets=partitions, asynchronous=False)

    def position(self) -> dict[int, int]:
        """Where its group stands."""
        with self._consumer() as consumer:
            partitions = consumer.list_topics(self.topic, 10).topics[self.topic].partitions
            places = consumer.committed([TopicPartition(self.topic, one) for one in partitions], 10)
        return {one.partition: one.offset for one in places}

    def _consumer(self) -> Consumer:
        settings = Settings.resolve(self.recipient, {"HUTONG_HOME": str(self._home.root)})
        return Consumer(settings.client() | {"group.id": self.group, "enable.auto.commit": False})


def main(arguments: Sequence[str]) -> None:
    """Receive until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.reader")
    for name in ("home", "recipient", "channel", "group", "notes"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--run", type=int, required=True)
    own = parser.parse_args(arguments)
    stop, slow = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGUSR1, lambda *_: slow.set())
    signal.signal(signal.SIGUSR2, lambda *_: slow.clear())
    settings = Settings.resolve(own.recipient, {"HUTONG_HOME": own.home})
    with (
        Path(own.notes).open("ab", buffering=0) as notes,
        Subscription(own.recipient, own.channel, group=own.group, settings=settings) as subscription,
    ):
        while not stop.is_set():
            event = subscription.poll(0.2)
            if event is None:
                continue
            note = {"run": own.run, "partition": event.partition, "offset": event.offset, "id": event.attributes.id}
            note |= {"agreement": event.attributes.agreement, "key": event.key}
            notes.write(json.dumps(note).encode() + b"\n")
            if slow.is_set():
                stop.wait(_SLOW_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1:])
