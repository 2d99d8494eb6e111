"""Some records of a batch, as they were read: by the Python client one by one, or by the extension all together.

Neighbours: ``inlet`` reads these, ``transaction`` needs their places, the handler their records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from confluent_kafka import KafkaError, Message

from hutong.transport import Record

__all__ = ["Chunk", "FetchedChunk", "Place", "PolledChunk"]

Place = tuple[str, int]
"""A topic's partition."""


class Chunk(Protocol):
    """Records in the order of their partitions.

    Attributes:
        native: what the extension's lane takes; None where it cannot.
        errors: what was reported among them.
        is_crowded: whether more waits of some departments, while of others this is all.
    """

    native: Any
    errors: list[KafkaError]
    is_crowded: bool

    def __len__(self) -> int: ...

    def __getitem__(self, at: int) -> Record: ...

    def positions(self) -> dict[Place, int]:
        """Where to go on after these records, for every partition among them."""


class PolledChunk:
    """Messages of the Python client."""

    native: Any = None
    is_crowded = False  # the client has one queue, and nobody knows what is behind it

    def __init__(self, messages: Sequence[Message]) -> None:
        self.errors: list[KafkaError] = [error for message in messages if (error := message.error()) is not None]
        self._records = [message for message in messages if message.error() is None] if self.errors else messages

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, at: int) -> Record:
        return self._records[at]

    def positions(self) -> dict[Place, int]:
        """Where to go on after these records, for every partition among them."""
        return {(str(m.topic()), int(m.partition() or 0)): int(m.offset() or 0) + 1 for m in self._records}


class FetchedChunk:
    """Messages that the extension holds; Python objects are made of those alone that Python asks for."""

    def __init__(self, native: Any, codes: Sequence[int], error: KafkaError | None = None, *, is_crowded: bool = False) -> None:
        self.native: Any = native
        self.is_crowded = is_crowded
        self.errors: list[KafkaError] = [*([error] if error else []), *map(KafkaError, codes)]

    def __len__(self) -> int:
        return len(self.native)

    def __getitem__(self, at: int) -> Record:
        made: Record = self.native.record(at)
        return made

    def positions(self) -> dict[Place, int]:
        """Where to go on after these records, for every partition among them."""
        return {(topic, partition): last + 1 for topic, partition, _, last in self.native.extent()}
