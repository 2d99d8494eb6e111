"""Coordinators under measurement, and the agencies that answer them: started, watched, answered, read.

Neighbours: ``coordination`` says what is measured, ``families`` what is published.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, Message, TopicPartition

from bench import families
from bench.bus import Bus, Place, quiet
from bench.contenders.contender import Running
from hutong.decoding import Decoder
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings
from hutong.publisher import Publisher

__all__ = ["PROGRESS", "QUESTION", "REPORT", "Ministries", "await_true", "start"]

QUESTION, PROGRESS, REPORT = (
    f"pub.mca.verification.{name}" for name in ("question_asked", "case_progressed", "verification_reported")
)
_PATIENCE_SECONDS = 300.0
_LOOK_SECONDS = 0.05


def start(bus: Bus, folder: Path, instances: Iterable[str]) -> Running:
    """Start coordinators as an operator does; returns when all are ready."""
    running = Running(log=folder / "coordinators.log")
    environment = os.environ | {"HUTONG_HOME": str(bus.home.root)}
    try:
        for instance in instances:
            at = running.log.stat().st_size if running.log.exists() else 0
            running.add([sys.executable, "-m", "services.coordinator", "--instance", instance, "--port", "0"], environment)
            await_true(running, lambda at=at: _is_ready(running.log, at), f"the coordinator {instance} is ready")  # type: ignore[misc]
    except BaseException:
        running.stop()
        raise
    return running


def _is_ready(log: Path, since: int) -> bool:
    """Whether the coordinator whose log begins there says that it is."""
    for line in log.read_bytes()[since:].splitlines(keepends=True):
        if line[:1] == b"{" and line.endswith(b"\n") and (port := json.loads(line).get("health_port")):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
                    return bool(answer.status == 200)
            except OSError:  # not yet, or not ready
                return False
    return False


def await_true(running: Running, holds: Callable[[], bool], what: str) -> None:
    """Wait, while the processes live.

    Raises:
        SystemExit: it takes too long, or a process has ended.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        running.check()
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {_PATIENCE_SECONDS:g} s: {what}; see {running.log}")
        time.sleep(_LOOK_SECONDS)


class Ministries:
    """Who publishes, and what is on the bus.

    Args:
        bus: the bus; it has the sample declarations.
        topics: that are read.
    """

    def __init__(self, bus: Bus, topics: Iterable[str]) -> None:
        self._bus, self._topics = bus, list(topics)
        self._decoder = Decoder(Registry.of(bus.operator))
        self._publishers: dict[str, Publisher] = {}

    def ends(self) -> dict[Place, int]:
        """Where the topics end now."""
        return self._bus.ends(self._topics)

    def apply(self, numbers: Iterable[int]) -> None:
        """Publish applications."""
        for number in numbers:
            self._publish(families.APPLIED, families.application(number))
        self._publisher(families.APPLIED).flush(60)  # not the agencies', whose thread is publishing

    def answer(self, case: str, ask: str) -> None:
        """Publish an agency's answer."""
        self._publish(families.ANSWERS[ask], families.answer(case, ask))

    def flush(self) -> None:
        """Wait until the brokers have all answers."""
        for publisher in self._publishers.values():
            publisher.flush(60)

    def close(self) -> None:
        """Let go of the publishers."""
        for publisher in self._publishers.values():
            publisher.close()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Every question is answered as soon as it is read, by a thread."""
        stop, failed = threading.Event(), list[BaseException]()
        thread = threading.Thread(target=self._answer_all, args=(self._bus.ends([QUESTION]), stop, failed), daemon=True)
        for contract in (families.APPLIED, *families.ANSWERS.values()):
            self._publisher(contract)  # made here: the thread and its starter would both
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
        if failed:
            raise failed[0]

    def read(self, topic: str, since: Mapping[Place, int]) -> Iterator[Message]:
        """The records of a topic from some places on, to its end."""
        config = {"group.id": "hutong.bench", "isolation.level": "read_committed", "enable.partition.eof": True}
        with Consumer(quiet(self._bus.operator) | config | {"enable.auto.commit": False}) as consumer:
            places = [TopicPartition(*place, at) for place, at in since.items() if place[0] == topic]
            consumer.assign(places)
            waiting = {one.partition for one in places}
            while waiting:
                messages = consumer.consume(1_000, _LOOK_SECONDS)
                for message in messages:
                    if message.error():
                        waiting.discard(message.partition())
                    else:
                        yield message

    def data(self, message: Message) -> dict[str, Any]:
        """An event's data."""
        found: dict[str, Any] = self._decoder.decode(message.value())
        return found

    def _answer_all(self, since: Mapping[Place, int], stop: threading.Event, failed: list[BaseException]) -> None:
        config = {"group.id": "hutong.bench", "fetch.wait.max.ms": 10, "enable.auto.commit": False}
        try:
            with Consumer(quiet(self._bus.operator) | config) as consumer:
                consumer.assign([TopicPartition(*place, at) for place, at in since.items()])
                while not stop.is_set():
                    first = consumer.poll(0.1)
                    for message in [first, *consumer.consume(500, 0)] if first else []:
                        if not message.error():
                            question = self.data(message)
                            number, case = question["question_number"], question["case_number"]
                            self.answer(case, number.removeprefix(f"{case}-"))
            self.flush()
        except BaseException as error:  # noqa: BLE001 - it is the starter's to say
            failed.append(error)

    def _publish(self, contract: str, data: Mapping[str, Any]) -> None:
        self._publisher(contract).publish(data, contract)

    def _publisher(self, contract: str) -> Publisher:
        department = contract.rpartition(".")[0]
        if department not in self._publishers:
            settings = Settings.resolve(department, {"HUTONG_HOME": str(self._bus.home.root)})
            self._publishers[department] = Publisher(department, settings=settings)
        return self._publishers[department]
