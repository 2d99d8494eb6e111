"""A ministry that does not know Hutong: any Kafka client and the schema registry, nothing else, read the same topic.

``python -m demo.bare_client DIRECTORY RECIPIENT/CHANNEL``, until SIGTERM; where the bus is stands in the environment. Neighbours:
``holdings`` is the ministry's store, ``ministry`` does the same with ``hutong.Subscription``.
"""

from __future__ import annotations

import io
import json
import os
import signal
import struct
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import fastavro
from confluent_kafka import Consumer, KafkaException, Message

from demo.holdings import Holdings

__all__ = ["main"]

_FRAME = struct.Struct(">bI")  # magic byte 0, schema id
_LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Reader:
    """Avro values by the schema id in front of them."""

    def __init__(self, registry_url: str) -> None:
        self._url = registry_url.rstrip("/")
        self._schema = cache(self._fetch)

    def read(self, value: bytes) -> Any:
        """The data of a framed value."""
        magic, schema_id = _FRAME.unpack_from(value)
        if magic != 0:
            raise ValueError("the value has no schema id in front")
        body = io.BytesIO(value)
        body.seek(_FRAME.size)
        return fastavro.schemaless_reader(body, self._schema(schema_id), None)

    def _fetch(self, schema_id: int) -> Any:
        with _LOCAL.open(f"{self._url}/schemas/ids/{schema_id}", timeout=10) as answer:
            return fastavro.parse_schema(json.loads(json.load(answer)["schema"]))


def consumer(recipient: str, channel: str, environment: Mapping[str, str]) -> Consumer:
    """A plain consumer of a channel's topic."""
    reading = Consumer(
        {
            "bootstrap.servers": environment["KAFKA_BOOTSTRAP_SERVERS"],
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": recipient,
            "sasl.password": Path(environment["KAFKA_PASSWORD_FILE"]).read_text("utf-8").strip(),
            "group.id": f"{recipient}.bare",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.offset.store": False,
        }
    )
    reading.subscribe([f"sub.{recipient}.{channel}"])
    return reading


def take(holdings: Holdings, reader: Reader, message: Message) -> None:
    """Keep one delivery."""
    headers = dict(message.headers() or ())
    holdings.take(
        _text(headers.get("ce_agreement")),
        _text(headers.get("ce_id")),
        _text(message.key()),
        reader.read(message.value() or b""),
        message.timestamp()[1],
    )


def main(arguments: Sequence[str]) -> int:
    """Read the channel until SIGTERM."""
    stopped: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopped.append(number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    recipient, channel = arguments[1].split("/", 1)
    reader = Reader(os.environ["SCHEMA_REGISTRY_URL"])
    reading = consumer(recipient, channel, os.environ)
    with Holdings(Path(arguments[0]) / f"{recipient}.{channel}.sqlite") as holdings:
        while not stopped:
            message = reading.poll(0.1)
            if message is None:
                holdings.write()
                continue
            if (error := message.error()) is not None:
                raise KafkaException(error)
            take(holdings, reader, message)
            reading.store_offsets(message)
    reading.close()
    return 0


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
