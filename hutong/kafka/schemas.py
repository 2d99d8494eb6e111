"""The writers' schemas by id, for whoever reads many publishers: fetched once, remembered, also that an id is unknown.

Neighbours: the router asks for a batch's ids before it routes the batch, so that an outage of the registry makes it wait
instead of skip; ``registry`` does the request.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable

from hutong.contracts.avro import Schema
from hutong.contracts.framing import unframe
from hutong.contracts.schema import EventSchema
from hutong.errors import ConfigurationError, MalformedEvent, NotAuthorised, RegistryUnavailable
from hutong.kafka.registry import Registry

__all__ = ["WriterSchemas"]

_LOG = logging.getLogger("hutong")

_MOST_ASKED = 50  # ids of one topic in one batch; a department has a few, a flood of made-up ones must not stop the others
# An id that the registry does not know is not asked for again within this. Not longer: the next version may get an id that was
# made up before, and what is published with it goes to quarantine as long as that is thought to be unknown.
_UNKNOWN_SECONDS = 1.0
_MOST_UNKNOWN = 10_000  # made-up ids must not fill the memory


class WriterSchemas:
    """Contract schemas by registry id.

    Args:
        registry: where they come from.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[int, EventSchema] = {}
        self._unknown: dict[tuple[str, int], float] = {}  # per topic: one department's made-up ids do not spoil another's

    def fetch(self, frames: Iterable[tuple[str, bytes]], asked: Counter[str]) -> None:
        """Make sure that the schema of every framed value is known, or known to be unknown.

        Args:
            frames: (topic, first five bytes) of each value.
            asked: topic -> questions of this batch so far; counts on.

        Raises:
            RegistryUnavailable: the registry does not answer, or refuses us; nothing can be said of these values now.
        """
        now = time.monotonic()
        for topic, prefix in set(frames):
            try:
                schema_id = unframe(prefix)
            except MalformedEvent:
                continue
            place = (topic, schema_id)
            if schema_id in self._known or now - self._unknown.get(place, -_UNKNOWN_SECONDS) < _UNKNOWN_SECONDS:
                continue
            asked[topic] += 1
            if asked[topic] <= _MOST_ASKED:
                self._fetch(place, now)

    def get(self, schema_id: int) -> EventSchema | None:
        """The schema that ``fetch`` has found."""
        return self._known.get(schema_id)

    def _fetch(self, place: tuple[str, int], now: float) -> None:
        try:
            schema = self._ask(place[1])
            if schema is not None:
                self._known[place[1]] = EventSchema(schema)
                return
        except RegistryUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whoever may register can register anything; it must not end the router
            _LOG.warning("a schema is no contract's", extra={"facts": {"schema_id": place[1], "error": type(error).__name__}})
        if len(self._unknown) >= _MOST_UNKNOWN:
            self._unknown.clear()
        self._unknown[place] = now

    def _ask(self, schema_id: int) -> Schema | None:
        try:
            return self._registry.by_id(schema_id)
        except (NotAuthorised, ConfigurationError) as error:
            # It refuses our password, or shows a certificate that we do not trust: that says nothing of the schema, so nothing
            # of the event. Whoever has set us up has to mend it, and until then everything waits.
            raise RegistryUnavailable(str(error)) from error
