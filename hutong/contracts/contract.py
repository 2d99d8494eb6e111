"""A contract: what a department publishes, its versions, and what ``contract.yaml`` (Open Data Contract Standard) says of it.

The models read the part of the standard that the bus acts on; a document may hold more. Neighbours: ``matching`` compares the
described properties with the Avro fields, ``annotate`` writes their rules into the schemas.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from hutong.contracts.compatibility import Mode
from hutong.contracts.rules import Classification
from hutong.contracts.schema import EventSchema, pub_topic
from hutong.contracts.wellformed import Place

__all__ = [
    "Contract",
    "ContractDocument",
    "CustomProperty",
    "Described",
    "ItemDescription",
    "PropertyDescription",
    "Sharing",
    "Sla",
    "contract_name_problem",
    "described",
    "event_type_name",
    "milliseconds",
]

Sharing = Literal["unconditional", "conditional", "not_shared"]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
LogicalType = Literal["string", "date", "timestamp", "time", "number", "integer", "object", "array", "boolean"]

_EVENT = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_MAX_EVENT = 100  # beside a department's code and "quarantine." in a topic's 249 characters
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_557_600}
_LONG_UNITS = {"second": "s", "minute": "m", "hour": "h", "day": "d", "week": "w", "year": "y", "min": "m", "yr": "y"}


class _Odcs(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)


class CustomProperty(_Odcs):
    """A fact that the standard has no place for."""

    property: Text
    value: Any


class Sla(_Odcs):
    """A promise about the service, such as ``retention`` or ``latency``."""

    property: Text
    value: Any = None
    unit: str | None = None


class _Customised(_Odcs):
    custom: Annotated[tuple[CustomProperty, ...], Field(alias="customProperties")] = ()

    def fact(self, name: str) -> Any:
        """The value of a custom property, or None."""
        return next((one.value for one in self.custom if one.property == name), None)


class ItemDescription(_Customised):
    """What an array holds."""

    logical_type: Annotated[LogicalType, Field(alias="logicalType")]
    properties: tuple[PropertyDescription, ...] = ()
    items: ItemDescription | None = None


class PropertyDescription(_Customised):
    """One field, as people and scorecards read it."""

    name: Text
    logical_type: Annotated[LogicalType, Field(alias="logicalType")]
    physical_type: Annotated[Text, Field(alias="physicalType")]
    required: bool
    description: Text
    classification: Classification
    primary_key: Annotated[bool, Field(alias="primaryKey")] = False
    primary_key_position: Annotated[int | None, Field(alias="primaryKeyPosition", ge=1)] = None
    options: Annotated[dict[str, Any], Field(alias="logicalTypeOptions")] = {}
    properties: tuple[PropertyDescription, ...] = ()
    items: ItemDescription | None = None


class ObjectDescription(_Odcs):
    """The event: the one object that a contract describes."""

    name: Text
    physical_name: Annotated[Text, Field(alias="physicalName")]
    description: Text
    properties: Annotated[tuple[PropertyDescription, ...], Field(min_length=1)]


class Description(_Odcs):
    """What the data is for, and what it is not."""

    purpose: Text
    limitations: str = ""
    usage: str = ""


class ContractDocument(_Customised):
    """``contract.yaml``."""

    api_version: Annotated[Literal["v3.1.0"], Field(alias="apiVersion")]
    kind: Literal["DataContract"]
    id: Text
    name: Text
    version: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*\.[0-9]+\.[0-9]+$")]
    status: Text
    description: Description
    objects: Annotated[tuple[ObjectDescription, ...], Field(alias="schema", min_length=1, max_length=1)]
    slas: Annotated[tuple[Sla, ...], Field(alias="slaProperties")] = ()

    @property
    def event(self) -> ObjectDescription:
        """The described event."""
        return self.objects[0]

    @property
    def major(self) -> int:
        """The number of the newest version."""
        return int(self.version.split(".")[0])

    def sla(self, name: str) -> Sla | None:
        """A promise by its property's name."""
        return next((one for one in self.slas if one.property == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A contract whose declarations are right.

    Attributes:
        name: ``<department>.<event>``.
        title: the document's name.
        department: code of the publishing department.
        sharing: whether it may be granted at all.
        compatibility: what a new version must keep, against all older ones.
        retention_ms: how long events stay on the topic, or None for the cluster's own rule.
        freshness_s: promised seconds from the change to the topic, or None.
        versions: the annotated schemas, v1 first.
        only_for_purpose: the one purpose that its data may be used for, or None where agreements state their own.
        document: all that ``contract.yaml`` says.
    """

    name: str
    title: str
    department: str
    sharing: Sharing
    compatibility: Mode
    retention_ms: int | None
    freshness_s: float | None
    versions: tuple[EventSchema, ...]
    only_for_purpose: str | None
    document: ContractDocument

    @property
    def newest(self) -> EventSchema:
        """The newest version."""
        return self.versions[-1]

    @property
    def topic(self) -> str:
        """The topic that its events are published on."""
        return pub_topic(self.name)

    def version(self, number: int | None) -> EventSchema | None:
        """A version by its number, the newest for None; None where there is no such version."""
        if number is None:
            return self.newest
        return self.versions[number - 1] if 1 <= number <= len(self.versions) else None


def contract_name_problem(event: str) -> str | None:
    """What is wrong with the event's part of a contract's name, or None."""
    if not _EVENT.fullmatch(event) or len(event) > _MAX_EVENT:
        return f"an event's name is one word of lower-case letters, digits and _ (at most {_MAX_EVENT}), beginning with a letter"
    return None


def event_type_name(event: str) -> str:
    """The Avro record's name for an event: ``cremation_recorded`` -> ``CremationRecorded``."""
    return "".join(word[:1].upper() + word[1:] for word in event.split("_"))


def milliseconds(sla: Sla) -> int | None:
    """A duration in milliseconds, or None where value or unit make none."""
    unit = (sla.unit or "").lower()
    unit = _LONG_UNITS.get(unit.rstrip("s") or unit, unit)
    if isinstance(sla.value, bool) or not isinstance(sla.value, (int, float)) or unit not in _UNITS or sla.value <= 0:
        return None
    return int(sla.value * _UNITS[unit] * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One described field.

    Attributes:
        path: dotted path in the event.
        description: what the document says.
        place: where in the document.
    """

    path: str
    description: PropertyDescription
    place: Place


def described(document: ContractDocument) -> Iterator[Described]:
    """Every described field, depth first."""
    yield from _described(document.event.properties, ("schema", 0, "properties"), "")


def _described(properties: tuple[PropertyDescription, ...], place: Place, prefix: str) -> Iterator[Described]:
    for i, one in enumerate(properties):
        here: Place = (*place, i)
        path = prefix + one.name
        yield Described(path=path, description=one, place=here)
        inner: PropertyDescription | ItemDescription | None = one
        while inner is not None:
            yield from _described(inner.properties, (*here, "properties"), f"{path}.")
            inner, here = inner.items, (*here, "items")
