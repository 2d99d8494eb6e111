"""The bases of the models that ``hutong codegen`` writes: a contract's records as typed, frozen pydantic classes.

The classes check types and rules when they are made, with the same code that checks at publishing: no rule is stated twice.
Neighbours: ``codegen`` writes subclasses, ``plain`` turns them into Avro's plain data and back, ``envelope`` sends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from hutong.contracts.rules import FieldRules
from hutong.contracts.schema import EventSchema
from hutong.contracts.validation import compile_rules
from hutong.contracts.values import Broken, Check, leaf_check

__all__ = [
    "AvroEnum",
    "AvroRecord",
    "ChangeEvent",
    "Delivery",
    "Digits",
    "Field",
    "Fixed",
    "Float",
    "Int",
    "LocalMoment",
    "Long",
    "Moment",
    "RootRecord",
    "Rules",
]


class _Checked:
    """Puts a check of ``hutong.contracts`` behind pydantic's own check of the type."""

    def __init__(self, check: Check) -> None:
        self._check = check

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))


class Rules(_Checked):
    """A field's rules, as its contract has them: ``Annotated[str, Rules(pattern="[0-9]{6}")]``.

    Args:
        rules: as ``hutong.contracts.rules.FieldRules`` names them.
    """

    def __init__(self, **rules: Any) -> None:
        self.rules = FieldRules(**rules)
        # While a sibling field says that an identifier is unverified it may be invalid: only the whole record can know.
        self.at_once = self.rules if self.rules.unverified_by is None else self.rules.model_copy(update={"identifier": None})
        super().__init__(compile_rules(self.at_once))


class Fixed(_Checked):
    """Bytes of one length: ``Annotated[bytes, Fixed(16)]``."""

    def __init__(self, size: int) -> None:
        super().__init__(leaf_check({"type": "fixed", "name": "fixed", "size": size}))


class Digits(_Checked):
    """A decimal's digits in all and after the point: ``Annotated[Decimal, Digits(12, 2)]``."""

    def __init__(self, precision: int, scale: int) -> None:
        super().__init__(leaf_check({"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}))


Int = Annotated[int, _Checked(leaf_check("int"))]
Long = Annotated[int, _Checked(leaf_check("long"))]
Float = Annotated[float, _Checked(leaf_check("float"))]
Moment = Annotated[datetime, _Checked(leaf_check({"type": "long", "logicalType": "timestamp-millis"}))]
LocalMoment = Annotated[datetime, _Checked(leaf_check({"type": "long", "logicalType": "local-timestamp-millis"}))]


class AvroEnum(StrEnum):
    """An Avro enum; a field of this type takes the member or its symbol."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        return {**schema, "strict": False}


@cache
def _unverified(model: type[AvroRecord]) -> tuple[tuple[str, str, Check], ...]:
    """Attributes whose identifier may be invalid while a sibling says that it is unverified; the sibling, and the check."""
    attributes = model.attributes()
    return tuple(
        (attribute, attributes[rules.unverified_by], compile_rules(FieldRules(identifier=rules.identifier)))
        for attribute, field in model.model_fields.items()
        for rules in (item.rules for item in field.metadata if isinstance(item, Rules))
        if rules.unverified_by in attributes and rules.identifier
    )


def _check_unverified(record: AvroRecord) -> AvroRecord:
    for attribute, sibling, check in _unverified(type(record)):
        if getattr(record, sibling) is not True:
            try:
                check(getattr(record, attribute))
            except Broken as broken:
                raise ValueError(f"{attribute}: {broken.problem}") from None
    return record


class AvroRecord(BaseModel):
    """An Avro record. Frozen, strict about types, and it takes no unknown field.

    A field whose Avro name Python cannot use has the name with an underscore behind it.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,  # values are personal data
        protected_namespaces=(),
    )

    avro_name: ClassVar[str]
    """The record's full Avro name."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: Any = handler(source)
        # Only where there is something to check: a call from pydantic into Python costs more than most fields do.
        # What another record holds may have been built before, and has its check.
        if not _unverified(cls) or schema.get("function", {}).get("function") is _check_unverified:
            return schema  # type: ignore[no-any-return]
        inner = {name: part for name, part in schema.items() if name != "ref"}
        # Under the record's own name: a record that holds itself is checked at every level.
        return core_schema.no_info_after_validator_function(_check_unverified, inner, ref=schema.get("ref"))

    @classmethod
    def attributes(cls) -> dict[str, str]:
        """Avro field name -> Python attribute."""
        return {field.serialization_alias or attribute: attribute for attribute, field in cls.model_fields.items()}


class RootRecord(AvroRecord):
    """The record that an Avro value is: it carries the whole schema."""

    avro_schema: ClassVar[dict[str, Any]]
    """The Avro schema, with the contract's facts in it."""

    def to_data(self) -> dict[str, Any]:
        """Plain data under the Avro names, as the contract's check and Avro's writer take it."""
        from hutong.plain import converter

        data: dict[str, Any] = converter(type(self)).to_plain(self)
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """The model of decoded data.

        Raises:
            pydantic.ValidationError: it is not of this model's schema.
        """
        from hutong.plain import converter

        return cls.model_validate(converter(cls).from_plain(data))


class ChangeEvent(RootRecord):
    """What a department publishes: one version of a contract."""

    contract: ClassVar[str]
    """The contract's name, ``<department>.<event>``."""

    version: ClassVar[int]
    """The contract's version, from 1."""

    @classmethod
    def event_schema(cls) -> EventSchema:
        """The contract's version, compiled; made once per class."""
        return _event_schema(cls)


class Delivery(RootRecord):
    """What a recipient gets under one agreement."""

    agreement: ClassVar[str]
    """The agreement's id."""


@cache
def _event_schema(model: type[ChangeEvent]) -> EventSchema:
    return EventSchema(model.avro_schema)
