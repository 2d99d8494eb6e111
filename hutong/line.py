"""What a publisher knows of one contract version: all that is the same for every event of it.

Neighbours: ``publisher`` makes one at a contract's first event, ``handle`` counts confirmations on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hutong.contracts.avro import Schema
from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema, pub_topic
from hutong.contracts.shape import fingerprint
from hutong.envelope import contract_of
from hutong.errors import ConfigurationError, NotAuthorised, UnknownContract
from hutong.event import Attributes, source_of
from hutong.metrics import Confirmations, confirmations
from hutong.model import ChangeEvent
from hutong.plain import packer
from hutong.transport import Schemas, schema_id, subject_of

__all__ = ["Line", "Lines", "check_clock"]

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


class Lines(dict[Any, Line]):
    """The lines of one publisher: by a model's class, by a contract's name, by the version that a sealed event says.

    Args:
        department: the publisher's.
        schemas: the registry.
        contracts: contract name -> schema, instead of the registry's newest.
    """

    def __init__(self, department: str, schemas: Schemas, contracts: Mapping[str, Schema]) -> None:
        super().__init__()
        self._department, self._schemas, self._contracts = department, schemas, dict(contracts)

    def of(self, event: ChangeEvent | Mapping[str, Any], contract: str | None) -> Line:
        """The line of an event. Raises as ``Publisher.publish`` does."""
        is_model = not isinstance(event, dict) and isinstance(event, ChangeEvent)  # in this order: pydantic's isinstance is slow
        key = type(event) if is_model else contract
        line = self.get(key)
        if line is not None and (contract is None or contract == line.contract) and (is_model or isinstance(event, Mapping)):
            return line
        name = contract_of(event, contract)
        self._own(name)
        schema = type(event).event_schema() if isinstance(event, ChangeEvent) else self._schema(name)
        pack = packer(type(event)) if isinstance(event, ChangeEvent) else schema.pack
        registered = schema_id(self._schemas, name, schema.version, fingerprint(schema.parsed))
        return self._add(key, Line.of(name, self._department, registered, schema, pack))

    def of_sealed(self, contract: str, version: int, shape: str) -> Line:
        """The line of events that were sealed before. Raises as ``Publisher.forward`` does."""
        self._own(contract)
        registered = schema_id(self._schemas, contract, version, shape)
        return self._add((contract, version, shape), Line.of(contract, self._department, registered))

    def _add(self, key: Any, line: Line) -> Line:
        check_clock(self._schemas.clock_offset())
        self[key] = line
        return line

    def _own(self, contract: str) -> None:
        owner = contract.rpartition(".")[0]
        if owner != self._department:
            raise NotAuthorised(f"{self._department} may not publish {contract}: the contract is {owner or 'nobody'}'s")

    def _schema(self, contract: str) -> EventSchema:
        schema = self._contracts.get(contract)
        if schema is None:
            registered = self._schemas.latest(subject_of(contract))
            if registered is None:
                raise UnknownContract(f"the bus has no contract {contract}: check the name, or run 'hutong apply'")
            schema = registered.schema
        return EventSchema(schema)


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
