"""What a publisher knows of one contract version: all that is the same for every event of it.

Neighbours: ``publisher`` makes one at a contract's first event, ``handle`` counts confirmations on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema, pub_topic
from hutong.errors import ConfigurationError
from hutong.event import Attributes, source_of
from hutong.metrics import Confirmations, confirmations

__all__ = ["Line", "check_clock"]

_MAX_CLOCK_OFFSET = 300.0
_SOME_TIME = datetime(2000, 1, 1, tzinfo=UTC)
_NAMES = [name for name, _ in Attributes(id="", source="", type="", time=_SOME_TIME).to_headers()]
_ID, _TIME = _NAMES.index("ce_id"), _NAMES.index("ce_time")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One contract version on its way out.

    Attributes:
        contract: the contract's name.
        topic: where its events go.
        template: the headers, of which only id and time are an event's own.
        frame: stands before the Avro value.
        schema: the contract's version; None where events come packed.
        pack: event -> key and Avro value; None where events come packed.
        confirmations: counts what the brokers confirm.
    """

    contract: str
    topic: str
    template: list[tuple[str, bytes]]
    frame: bytes
    schema: EventSchema | None
    pack: Callable[[Any], tuple[str, bytes]] | None
    confirmations: Confirmations

    @classmethod
    def of(
        cls,
        contract: str,
        department: str,
        registered: int,
        schema: EventSchema | None = None,
        pack: Callable[[Any], tuple[str, bytes]] | None = None,
    ) -> Line:
        """The line of a contract whose schema the registry has under an id."""
        return cls(
            contract=contract,
            topic=pub_topic(contract),
            template=Attributes(id="", source=source_of(department), type=contract, time=_SOME_TIME).to_headers(),
            frame=frame(registered),
            schema=schema,
            pack=pack,
            confirmations=confirmations(contract),
        )

    def headers(
        self, event_id: str, moment: tuple[str, bytes], trace: str | None, corrects: str | None = None
    ) -> list[tuple[str, bytes]]:
        """The headers of an event; ``moment`` is its ``ce_time`` header."""
        headers = self.template.copy()
        headers[_ID] = ("ce_id", event_id.encode())
        headers[_TIME] = moment
        if trace:
            headers.append(("traceparent", trace.encode()))
        if corrects:
            headers.append(("ce_corrects", corrects.encode()))
        return headers


def check_clock(offset: float | None) -> None:
    """Refuse to begin where events would carry wrong times.

    Args:
        offset: seconds by which this machine's clock is ahead of the bus, if that is known.

    Raises:
        ConfigurationError: it is more than five minutes off.
    """
    if offset is not None and abs(offset) > _MAX_CLOCK_OFFSET:
        side = "ahead of" if offset > 0 else "behind"
        raise ConfigurationError(
            f"this machine's clock is {abs(offset):.0f} s {side} the bus: events would carry wrong times; "
            f"set the clock (NTP), then start again"
        )
