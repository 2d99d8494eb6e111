"""Published events as data: the writer's schema found, the value read, and who published it checked.

Neighbours: the intake reads every event with this, ``cases`` reads it again from the inbox.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from hutong.contracts.framing import FRAME_BYTES, unframe
from hutong.decoding import Decoder
from hutong.errors import MalformedEvent
from hutong.event import Headers, check_attributes, source_of
from hutong.kafka.registry import Registry
from hutong.kafka.schemas import WriterSchemas

__all__ = ["Events"]


class Events:
    """Reads events of all departments.

    Args:
        registry: where the writers' schemas are.
    """

    def __init__(self, registry: Registry) -> None:
        self.writers = WriterSchemas(registry)
        self._decoder = Decoder(registry)

    def fetch(self, values: Iterable[tuple[str, bytes | None]]) -> None:
        """Make sure that the schemas of some events are known, or known to be unknown.

        Args:
            values: (topic, value) of each.

        Raises:
            RegistryUnavailable: the registry does not answer; nothing can be said of these values now.
        """
        frames = ((topic, value[:FRAME_BYTES]) for topic, value in values if value is not None and len(value) >= FRAME_BYTES)
        self.writers.fetch(frames, Counter())

    def data(self, contract: str, value: bytes | None) -> dict[str, Any]:
        """The data of an event.

        Raises:
            MalformedEvent: it is not readable, or not of its topic's contract.
        """
        if value is None:
            raise MalformedEvent("null_value", "the record has no value")
        schema_id = unframe(value)
        writer = self.writers.get(schema_id)
        if writer is None:
            raise MalformedEvent("unknown_schema", f"the registry has no contract schema with id {schema_id}")
        if writer.contract != contract:
            raise MalformedEvent("foreign_schema", f"schema {schema_id} belongs to the contract {writer.contract}")
        data: dict[str, Any] = self._decoder.decode(value)
        return data

    @staticmethod
    def attributes(contract: str, headers: Headers) -> dict[str, bytes]:
        """The headers by name.

        Raises:
            MalformedEvent: they are no CloudEvents attributes, or tell of another source than the contract's department.
        """
        fields, _ = check_attributes(headers)
        if fields["ce_source"] != source_of(contract.rpartition(".")[0]).encode() or fields["ce_type"] != contract.encode():
            raise MalformedEvent("forged_source", "the event is not of the department and contract of its topic")
        return fields
