"""The writers' schemas by id, for whoever reads many publishers: fetched once, remembered, also that an id is unknown.

Neighbours: the router asks for a batch's ids before it opens a transaction, so that an outage of the registry makes it wait
instead of skip; ``registry`` does the request.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from hutong.contracts.framing import FRAME_BYTES, unframe
from hutong.contracts.schema import EventSchema
from hutong.errors import DeclarationError, MalformedEvent
from hutong.kafka.registry import Registry

__all__ = ["WriterSchemas"]

_UNKNOWN_SECONDS = 10.0  # an id that the registry does not know is not asked for again within this
_MOST_UNKNOWN = 10_000  # made-up ids must not fill the memory


class WriterSchemas:
    """Contract schemas by registry id.

    Args:
        registry: where they come from.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[int, EventSchema] = {}
        self._unknown: dict[int, float] = {}

    def fetch(self, values: Iterable[bytes]) -> None:
        """Make sure that the schema of every framed value is known, or known to be unknown.

        Raises:
            RegistryUnavailable: the registry does not answer; nothing can be said of these values now.
        """
        wanted = {value[:FRAME_BYTES] for value in values}
        now = time.monotonic()
        for prefix in wanted:
            try:
                schema_id = unframe(prefix)
            except MalformedEvent:
                continue
            if schema_id not in self._known and now - self._unknown.get(schema_id, -_UNKNOWN_SECONDS) >= _UNKNOWN_SECONDS:
                self._fetch(schema_id, now)

    def get(self, schema_id: int) -> EventSchema | None:
        """The schema that ``fetch`` has found."""
        return self._known.get(schema_id)

    def _fetch(self, schema_id: int, now: float) -> None:
        schema = self._registry.by_id(schema_id)
        try:
            if schema is not None:
                self._known[schema_id] = EventSchema(schema)
                self._unknown.pop(schema_id, None)
                return
        except DeclarationError:
            pass  # a schema, but no contract's: a delivery's, or somebody else's
        if len(self._unknown) >= _MOST_UNKNOWN:
            self._unknown.clear()
        self._unknown[schema_id] = now
