"""What the SDK asks of a bus, in the fewest words: send, read, look schemas up. Two implementations keep these protocols.

``kafka.clients`` is the real one; ``testing`` keeps everything in memory, so that a department's own tests need no broker.
Neighbours: ``publisher`` and ``subscription`` are written against this page and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from hutong.contracts.avro import Schema, parse
from hutong.contracts.rules import ATTRIBUTE
from hutong.contracts.schema import pub_topic
from hutong.contracts.shape import fingerprint
from hutong.errors import HutongError, UnknownContract

__all__ = [
    "Positions",
    "Reader",
    "Record",
    "Registered",
    "Schemas",
    "Sender",
    "Settle",
    "Start",
    "Transport",
    "instead_of_kafka",
    "schema_id",
    "subject_of",
    "transport_for",
]

Start = datetime | Literal["beginning", "end"]
"""Where a group that has no position yet begins to read."""

Positions = dict[tuple[str, int], int]
"""(topic, partition) -> offset of the next record to process."""


class Record(Protocol):
    """A record as it lies on a topic; ``confluent_kafka.Message`` is one."""

    def topic(self) -> str | None: ...
    def partition(self) -> int | None: ...
    def offset(self) -> int | None: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Any: ...
    def timestamp(self) -> tuple[int, int]: ...
    def latency(self) -> float | None: ...


Settle = Callable[[Any, Any], None]
"""Called once per sent event with (None, record) or (error, record); ``Sender.explain`` reads the error."""


class Sender(Protocol):
    """The publishing side. All methods may be called from any thread."""

    def send(self, topic: str, key: bytes, value: bytes, headers: list[tuple[str, bytes]], settle: Settle) -> None:
        """Queue one record. Raises ``QueueFull`` when there is no room, another ``BusError`` when it cannot be sent at all."""

    def poll(self, seconds: float) -> None:
        """Call ``settle`` of what was confirmed or refused; wait at most this long for the first."""

    def flush(self, seconds: float) -> None:
        """Poll until nothing is waiting, or the time is over."""

    def discard(self) -> None:
        """Give up what is not confirmed; every ``settle`` is called with an error."""

    def explain(self, error: Any, topic: str) -> HutongError:
        """The error that ``settle`` got, in Hutong's words."""

    def trouble(self) -> HutongError | None:
        """Why nothing gets through at the moment, if the client knows."""


class Reader(Protocol):
    """The receiving side, used by one thread."""

    def join(self, seconds: float) -> None:
        """Take part in the group and fix where it starts; records that come meanwhile are kept for ``read``."""

    def read(self, limit: int, seconds: float) -> Sequence[Record]:
        """The next records: waits at most ``seconds`` for the first, and for no further one."""

    def commit(self, positions: Positions, *, wait: bool) -> bool:
        """Store how far the group has processed; returns whether it was taken on (without ``wait`` it may come again later)."""

    def close(self) -> None:
        """Leave the group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A schema as the registry holds it."""

    id: int
    version: int
    schema: Schema


class Schemas(Protocol):
    """The registry, as far as publishing and receiving need it."""

    def latest(self, subject: str) -> Registered | None:
        """The newest schema of a subject, or None where there is no such subject."""

    def versions(self, subject: str) -> list[int]:
        """The registry's version numbers of a subject, rising; empty where there is no such subject."""

    def version(self, subject: str, number: int) -> Registered:
        """One of them."""

    def by_id(self, schema_id: int) -> Schema | None:
        """The schema of an id, or None where there is none."""

    def clock_offset(self) -> float | None:
        """Seconds by which this machine's clock is ahead of the registry's, if that is known."""


class Transport(Protocol):
    """A bus."""

    def sender(self) -> Sender:
        """A new sender."""

    def reader(self, topic: str, group: str, start: Start, on_revoked: Callable[[Sequence[tuple[str, int]]], None]) -> Reader:
        """A new reader; ``on_revoked`` tells which partitions are about to be taken away, while a commit is still possible."""

    def schemas(self) -> Schemas:
        """The registry."""

    @property
    def limits(self) -> Limits:
        """How long and how large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of a client.

    Attributes:
        max_event_bytes: largest encoded event.
        block_seconds: how long ``publish`` waits for room in the queue.
    """

    max_event_bytes: int = 900_000
    block_seconds: float = 10.0


_stand_in: list[Callable[[str], Transport]] = []


def transport_for(principal: str, settings: Any = None) -> Transport:
    """The bus for a principal: Kafka, unless a test has put another in its place."""
    if _stand_in:
        return _stand_in[-1](principal)
    from hutong.kafka.clients import KafkaTransport
    from hutong.kafka.settings import Settings

    return KafkaTransport(settings or Settings.resolve(principal))


@contextmanager
def instead_of_kafka(transport: Callable[[str], Transport]) -> Iterator[None]:
    """Within this block every new publisher and subscription of the process uses the given bus."""
    _stand_in.append(transport)
    try:
        yield
    finally:
        _stand_in.remove(transport)


def schema_id(schemas: Schemas, contract: str, version: int, shape: str) -> int:
    """The registry's id of a contract version: its newest schema there with this version number and Avro shape.

    Annotations are not compared: a corrected description or classification leaves the bytes as they are.

    Raises:
        UnknownContract: the bus does not have the contract, or not in this version and shape.
    """
    subject = subject_of(contract)
    for number in reversed(schemas.versions(subject)):
        registered = schemas.version(subject, number)
        facts = registered.schema.get(ATTRIBUTE) if isinstance(registered.schema, Mapping) else None
        if facts and facts.get("version") == version and fingerprint(parse(registered.schema)) == shape:
            return registered.id
    raise UnknownContract(
        f"contract {contract} version {version} is not on the bus in this shape (subject {subject}): "
        f"check the name; run 'hutong apply', or write the models again with 'hutong codegen'"
    )


def subject_of(contract: str) -> str:
    """The registry subject of a contract."""
    return f"{pub_topic(contract)}-value"
