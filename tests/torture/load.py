"""The load: processes that publish with the SDK (and a plain client) at a steady rate, and keep the book of it.

Run as a program it is one such process. A line of the book is written before an event is handed over, and another only after its
acknowledgement. Neighbours: ``story`` says what is published, ``world`` starts and ends these.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from demo.population import populate
from hutong import Publisher
from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.errors import DeliveryFailed, QueueFull
from hutong.event import Attributes
from hutong.home import Home
from hutong.kafka.clients import KafkaSender
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings
from hutong.transport import Record
from tests.integration.processes import await_true
from tests.torture.ledger import Book, Entry, Ledger
from tests.torture.story import DEPARTMENT, PERSON, Story

__all__ = ["PERSONS", "RATE", "WRITERS", "Load", "data_of", "record_of"]

RATE = 400.0
"""Events a second, of all writers together."""
WRITERS = 2
PERSONS = 240
"""Of whom the population has at least so many; the last of them are the world's own, for probes and faults."""

_SHARE = 80  # persons of one writer
_TICK_SECONDS = 0.02
_NICE = 15
_START_SECONDS = 60.0
_END_SECONDS = 90.0  # for what is on its way when the load ends: an outage may just be over


def data_of(entry: Entry) -> dict[str, Any]:
    """An event's data as the SDK takes them; the book has times as numbers."""
    data = dict(entry.data)
    if "changed_at" in data:
        data["changed_at"] = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=data["changed_at"])
    return data


def record_of(entry: Entry, schema: EventSchema, schema_id: int) -> tuple[bytes, bytes | None, list[tuple[str, bytes]]]:
    """Key, value and headers of an event as a plain client writes them, broken where it is to be.

    Args:
        entry: the event.
        schema: its contract's.
        schema_id: the registry's number of that.
    """
    data = entry.data
    value: bytes | None = frame(schema_id) + schema.encode(schema.check(data_of(entry)))
    source, kind = f"urn:hutong:{DEPARTMENT}", entry.contract
    if entry.broken == "undecodable":
        value = frame(schema_id) + f"{data['name']} {data['phone']} {data['identity_number']}".encode()
    elif entry.broken == "null_value":
        value = None
    elif entry.broken == "forged_source":
        source = f"urn:hutong:{data['identity_number']}"
    elif entry.broken == "wrong_type":
        kind = f"{DEPARTMENT}.{data['phone']}"
    headers = Attributes(id=entry.id, source=source, type=kind, time=datetime.now(UTC)).to_headers()
    return entry.key.encode(), value, [*headers, ("note", str(data.get("name", "")).encode())]


class Load:
    """The publishing processes of one fault's time.

    Args:
        home: the bus's.
        ledger: where their books are kept.
        seed: what they draw from, with their names.
        rate: events a second, together.
    """

    def __init__(self, home: Home, ledger: Ledger, seed: str, rate: float = RATE) -> None:
        self._home, self._ledger, self._seed, self._rate = home, ledger, seed, rate
        self._writers: dict[int, subprocess.Popen[bytes]] = {}
        self._started = 0

    def start(self) -> None:
        """Start all writers, and wait until something of each is acknowledged."""
        for number in range(WRITERS):
            self._start(number)

        def runs() -> bool:
            books = list(self._ledger.directory.glob("writer-*.jsonl"))
            return len(books) == WRITERS and all(b'"acknowledged"' in book.read_bytes() for book in books)

        await_true(runs, f"the load runs (see {self._home.log})", _START_SECONDS)

    def replace(self, number: int) -> None:
        """Kill a writer (SIGKILL) and start another in its place; its persons' sequences go on far above."""
        writer = self._writers.pop(number)
        writer.kill()
        writer.wait()
        name = self._start(number)
        await_true((self._ledger.directory / f"{name}.jsonl").exists, f"{name} has begun", _START_SECONDS)

    def stop(self) -> None:
        """End all writers, once everything is acknowledged that can be.

        Raises:
            AssertionError: one has ended by itself, or does not end.
        """
        for writer in self._writers.values():
            writer.terminate()
        codes = {number: writer.wait(_END_SECONDS + 30) for number, writer in self._writers.items()}
        self._writers = {}
        assert not any(codes.values()), f"writers ended with {codes}; see {self._home.log}"

    def kill(self) -> None:
        """End all writers, whatever they do."""
        for writer in self._writers.values():
            writer.kill()
            writer.wait()
        self._writers = {}

    def _start(self, number: int) -> str:
        self._started += 1
        name = f"writer-{number}-{self._started}"
        facts = {
            "home": self._home.root,
            "ledger": self._ledger.directory,
            "name": name,
            "number": number,
            "seed": self._seed,
            "rate": self._rate / WRITERS,
            "sequence": self._started * 10_000_000,
        }
        command = [sys.executable, "-m", "tests.torture.load", *(f"--{name}={fact}" for name, fact in facts.items())]
        environment = {name: text for name, text in os.environ.items() if not name.startswith("HUTONG_")}
        # Its words are looked through for personal data at the end, as those of the bus are.
        with (self._home.log / f"{self._ledger.directory.name}-{name}.log").open("wb") as log:
            self._writers[number] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        return name


class _Writer:
    """What one such process does."""

    def __init__(self, settings: Settings, story: Story, book: Book) -> None:
        self._story, self._book = story, book
        self._publisher = Publisher(DEPARTMENT, settings=settings)
        self._plain = KafkaSender(settings)
        registered = Registry.of(settings).latest(f"pub.{PERSON}-value")
        assert registered is not None
        self._schema, self._schema_id = EventSchema(registered.schema), registered.id
        self._acknowledged: list[str] = []

    def publish(self, count: int) -> None:
        """The next events, and the book of them and of what was acknowledged since."""
        entries = [self._story.next() for _ in range(count)]
        self._book.attempted(*entries)
        for entry in entries:
            try:
                self._send(entry)
            except QueueFull:
                continue  # attempted, and not acknowledged
        self._publisher.poll(0)
        self._plain.poll(0)
        self._note()

    def close(self) -> None:
        """Wait for what is on its way."""
        try:
            self._publisher.close(_END_SECONDS)
        except DeliveryFailed as error:
            print(f"not acknowledged: {len(error.event_ids)} events")
        self._plain.flush(_END_SECONDS)
        self._note()

    def _send(self, entry: Entry) -> None:
        if self._story.is_plain(entry):
            key, value, headers = record_of(entry, self._schema, self._schema_id)

            def settled(error: Any, _: Record) -> None:
                if error is None:
                    self._acknowledged.append(entry.id)

            self._plain.send(f"pub.{PERSON}", key, value, headers, settled)  # type: ignore[arg-type]
            return
        handle = self._publisher.publish(data_of(entry), entry.contract, id=entry.id)
        handle.when_done(lambda done: done.error or self._acknowledged.append(done.event_id))

    def _note(self) -> None:
        known, self._acknowledged = self._acknowledged, []
        if known:
            self._book.acknowledged(*known)


def main(arguments: Sequence[str]) -> None:
    """Publish until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture.load")
    for name, kind in (("home", Path), ("ledger", Path), ("name", str), ("seed", str)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    for name, kind in (("number", int), ("rate", float), ("sequence", int)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    own = parser.parse_args(arguments)
    # Publishers have machines of their own. While acknowledgements are slow, librdkafka's idempotent producer spins (its #2565),
    # and on two cores it would keep the very broker that it waits for from its heartbeats.
    os.nice(_NICE)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    population = populate(int(own.seed.partition("/")[0]), PERSONS)
    mine = range(own.number * _SHARE, (own.number + 1) * _SHARE)
    story = Story(population, mine, own.name, Random(f"{own.seed}/{own.name}"), own.sequence)
    settings = Settings.resolve(DEPARTMENT, {"HUTONG_HOME": str(own.home)})
    with Ledger(own.ledger).book(own.name) as book:
        writer = _Writer(settings, story, book)
        began, done = time.monotonic(), 0
        while not stop.wait(_TICK_SECONDS):
            due = int((time.monotonic() - began) * own.rate) - done
            writer.publish(min(due, int(own.rate)))  # after a pause of the machine not all at once
            done += due
        writer.close()


if __name__ == "__main__":
    main(sys.argv[1:])
