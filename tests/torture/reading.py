"""Reads as a recipient does, ``read_committed``: along while the faults strike, and everything once more at the end.

It decodes with fastavro alone. Neighbours: ``world`` has one ``Watcher`` for each fault, ``judge`` gets what both have read.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import fastavro
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings
from hutong.transport import Record, Schemas
from tests.torture.evidence import Found, Place
from tests.torture.granted import AGREEMENTS

__all__ = ["DELIVERIES", "TOPICS", "Decoder", "Watcher", "ends", "found_in", "read"]

_CONTRACTS = sorted({one.contract for one in AGREEMENTS.values()})
DELIVERIES = sorted({one.topic for one in AGREEMENTS.values()})
TOPICS = (*(f"pub.{name}" for name in _CONTRACTS), *DELIVERIES, *(f"quarantine.{name}" for name in _CONTRACTS))
"""Everything that is read."""

_SECONDS = 15.0
_FRAME = 5

Positions = Mapping[tuple[str, int], int]
"""Topic and partition -> offset."""


def _consumer(settings: Settings, isolation: str = "read_committed") -> Consumer:
    config = {"group.id": "t.torture", "enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "error"}
    return Consumer(settings.client() | config | {"isolation.level": isolation, "log_level": 0, "fetch.wait.max.ms": 50})


def ends(settings: Settings, topics: Iterable[str] = TOPICS) -> dict[tuple[str, int], int]:
    """Where each partition ends, open transactions included."""
    with _consumer(settings, "read_uncommitted") as consumer:
        known = consumer.list_topics(timeout=_SECONDS).topics
        places = [(topic, partition) for topic in topics for partition in known[topic].partitions]
        return {one: consumer.get_watermark_offsets(TopicPartition(*one), _SECONDS)[1] for one in places}


def read(settings: Settings, since: Positions, *, seconds: float) -> list[Found]:
    """Everything from some offsets to the ends that the partitions have now.

    Raises:
        AssertionError: a partition's readers are held up for longer than ``seconds``.
    """
    until, decode = ends(settings, {topic for topic, _ in since}), Decoder(Registry.of(settings))
    waiting = {place for place, end in until.items() if end > since[place]}
    found: list[Found] = []
    deadline = time.monotonic() + seconds
    with _consumer(settings) as consumer:
        consumer.assign([TopicPartition(*place, since[place]) for place in waiting])
        while waiting:
            assert time.monotonic() < deadline, f"readers are held up on {sorted(waiting)}"
            for message in consumer.consume(2000, 0.1):
                error = message.error()
                place = (message.topic() or "", message.partition() or 0)
                if error is None:
                    found.append(found_in(message, decode))
                    deadline = time.monotonic() + seconds
                elif error.code() != KafkaError._PARTITION_EOF:
                    assert error.retriable(), f"{place}: {error.name()}"
                elif (message.offset() or 0) >= until[place]:
                    waiting.discard(place)
    return found


class Watcher:
    """Reads along.

    Args:
        settings: the operator's.
        since: where it begins.

    Attributes:
        glimpsed: place -> (event id, fingerprint) of everything it has seen.
        seen: (event id, agreement) -> when it saw that delivery first, by the monotonic clock.
        trouble: why it does not go on.
    """

    def __init__(self, settings: Settings, since: Positions) -> None:
        self._settings, self._since = settings, since
        self.glimpsed: dict[Place, tuple[str, int]] = {}
        self.seen: dict[tuple[str, str], float] = {}
        self.trouble = ""
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def await_seen(self, wanted: Iterable[tuple[str, str]], seconds: float, meanwhile: Callable[[], object]) -> bool:
        """Wait until it has seen these deliveries, (event id, agreement); whether it has.

        Args:
            wanted: the deliveries.
            seconds: how long to wait.
            meanwhile: called again and again.
        """
        missing, deadline = set(wanted), time.monotonic() + seconds
        while True:
            meanwhile()
            with self._news:
                missing = {one for one in missing if one not in self.seen}
                left = deadline - time.monotonic()
                if not missing or left <= 0:
                    return not missing
                self._news.wait(min(0.02, left))

    def close(self) -> None:
        """Read no more."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with _consumer(self._settings) as consumer:
            consumer.assign([TopicPartition(*place, offset) for place, offset in self._since.items()])
            while not self._stop.is_set():
                for message in consumer.consume(1000, 0.02):
                    error = message.error()
                    if error is None:
                        self._take(message)
                    elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                        self.trouble = f"{message.topic()}/{message.partition()}: what was read is not there any more"
                with self._news:
                    self._news.notify_all()

    def _take(self, message: Message) -> None:
        record = found_in(message, lambda _: None)
        self.glimpsed[record.place] = (record.id, record.fingerprint)
        if record.agreement and not record.reason:
            self.seen.setdefault((record.id, record.agreement), time.monotonic())


class Decoder:
    """A framed Avro value as the judge compares it: times as ms.

    Args:
        registry: finds its schema.
    """

    def __init__(self, registry: Schemas) -> None:
        self._registry = registry
        self._schemas: dict[int, Any] = {}

    def __call__(self, value: bytes) -> Mapping[str, Any]:
        schema_id = int.from_bytes(value[1:_FRAME], "big")
        schema = self._schemas.get(schema_id)
        if schema is None:
            schema = self._schemas[schema_id] = fastavro.parse_schema(self._registry.by_id(schema_id))  # type: ignore[arg-type]
        data = fastavro.schemaless_reader(io.BytesIO(value[_FRAME:]), schema, None)
        assert isinstance(data, dict)
        return {name: _plain(one) for name, one in data.items()}


def _plain(value: Any) -> Any:
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else value


def found_in(message: Record, decode: Callable[[bytes], Mapping[str, Any] | None]) -> Found:
    """A record as the judge gets it.

    Args:
        message: as a consumer returns it.
        decode: a delivery's value -> its data.
    """
    topic, key, value, headers = message.topic() or "", message.key() or b"", message.value(), message.headers() or []
    facts = dict(headers)
    delivery = topic.startswith("sub.") and value is not None
    agreement = facts.get("hutong_agreement" if topic.startswith("quarantine.") else "ce_agreement") or b""
    return Found(
        topic=topic,
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        id=_text(facts.get("ce_id")),
        key=_text(key),
        agreement=_text(agreement),
        reason=_text(facts.get("hutong_reason")),
        data=decode(value) if delivery and value is not None else None,
        headers=frozenset(facts),
        at_ms=message.timestamp()[1],
        fingerprint=hash((key, value, tuple(headers))),
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
