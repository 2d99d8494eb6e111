"""An agreement as it is declared: one recipient's right to one contract.

Fields stand in the order in which an event meets them: who and why, when, which rows, which fields, and out on which channel.
Neighbours: ``rows`` and ``delivery`` compile this against a contract's schema; ``grant`` carries it to the routers.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

__all__ = [
    "Agreement",
    "CelRow",
    "Constant",
    "Copy",
    "Derive",
    "FieldGrant",
    "FieldRow",
    "Generalise",
    "MapCodes",
    "Mask",
    "Pseudonymise",
    "Row",
    "Validity",
    "sub_topic",
]

Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Path = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")]
Scalar = bool | int | float | str


def sub_topic(recipient: str, channel: str) -> str:
    """The topic of a recipient's channel."""
    return f"sub.{recipient}.{channel}"


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class FieldRow(_Declared):
    """A condition on one field: exactly one of equality, membership, prefix or range. A null field never passes."""

    field: Path
    equals: Scalar | None = None
    one_of: Annotated[tuple[Scalar, ...] | None, Field(alias="in", min_length=1)] = None
    prefix: Annotated[str | None, Field(min_length=1)] = None
    at_least: int | float | str | None = None
    at_most: int | float | str | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        ranged = self.at_least is not None or self.at_most is not None
        if [self.equals is not None, self.one_of is not None, self.prefix is not None, ranged].count(True) != 1:
            raise ValueError("a row condition needs exactly one of: equals, in, prefix, at_least/at_most")
        return self


class CelRow(_Declared):
    """A condition in the Common Expression Language over the event's top-level fields."""

    cel: Text


def _row_kind(value: Any) -> Any:
    if isinstance(value, dict) and not ({"field", "cel"} & value.keys()):
        raise ValueError("a row condition names a field, or is a cel expression")
    return value


Row = Annotated[FieldRow | CelRow, BeforeValidator(_row_kind)]


class _OfField(_Declared):
    field: Path
    rename: Annotated[Name | None, Field(alias="as")] = None

    @property
    def out_name(self) -> str:
        """The field's name in the delivery."""
        return self.rename or self.field.rpartition(".")[2]


class Copy(_OfField):
    """The field as it is; a sensitive one needs its own legal basis."""

    transform: Literal["copy"] = "copy"
    sensitive_basis: Text | None = None


class Mask(_OfField):
    """Text with all characters but the first and last few replaced by ``*``."""

    transform: Literal["mask"]
    keep_first: Annotated[int, Field(ge=0)] = 0
    keep_last: Annotated[int, Field(ge=0)] = 0


class Pseudonymise(_OfField):
    """HMAC-SHA256 under the agreement's own key, as 64 hexadecimal characters: equal values stay equal, within this agreement."""

    transform: Literal["pseudonymise"]


class Generalise(_OfField):
    """Less detail: a time to its year, month or day; a text to its first characters; a number to its band."""

    transform: Literal["generalise"]
    to: Literal["year", "month", "day"] | None = None
    keep_first: Annotated[int | None, Field(ge=0)] = None
    pad: Annotated[str | None, Field(min_length=1, max_length=1)] = None
    bands: Annotated[tuple[float, ...] | None, Field(min_length=1)] = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if [self.to is not None, self.keep_first is not None, self.bands is not None].count(True) != 1:
            raise ValueError("generalise needs exactly one of: to, keep_first, bands")
        if self.bands is not None and list(self.bands) != sorted(set(self.bands)):
            raise ValueError("bands must rise from one bound to the next")
        if self.pad is not None and self.keep_first is None:
            raise ValueError("pad goes with keep_first")
        return self


class MapCodes(_OfField):
    """A value translated from one column of a code list to another."""

    transform: Literal["map"]
    code_list: Text
    source: Annotated[Text, Field(alias="from")] = "symbol"
    to: Text = "code"


class Constant(_Declared):
    """A field with the same value in every delivery."""

    transform: Literal["constant"]
    rename: Annotated[Name, Field(alias="as")]
    value: Scalar

    @model_validator(mode="after")
    def _fits_avro(self) -> Self:
        if type(self.value) is int and not -(2**63) <= self.value < 2**63:
            raise ValueError("a constant integer must fit 64 bits")
        return self

    @property
    def out_name(self) -> str:
        """The field's name in the delivery."""
        return self.rename


class Derive(_Declared):
    """A field computed by a CEL expression over the event's top-level fields."""

    transform: Literal["derive"]
    rename: Annotated[Name, Field(alias="as")]
    cel: Text
    type: Literal["string", "boolean", "long", "double"]

    @property
    def out_name(self) -> str:
        """The field's name in the delivery."""
        return self.rename


def _copy_by_default(value: Any) -> Any:
    return {**value, "transform": "copy"} if isinstance(value, dict) and "transform" not in value else value


FieldGrant = Annotated[
    Annotated[Copy | Mask | Pseudonymise | Generalise | MapCodes | Constant | Derive, Field(discriminator="transform")],
    BeforeValidator(_copy_by_default),
]


class Validity(_Declared):
    """Days on which the agreement is in force, both inclusive, in the bus's time zone."""

    from_: Annotated[date, Field(alias="from")]
    until: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until is not None and self.until < self.from_:
            raise ValueError("valid.until is before valid.from")
        return self


class Agreement(_Declared):
    """One recipient's right to one contract.

    Attributes:
        id: unique on the bus.
        title: language code -> text.
        recipient: the receiving department's code.
        contract: what is granted.
        version: the contract version whose shape is delivered; None means the newest when the agreement is applied.
        legal_basis: the provision that allows it.
        purpose: what the data may be used for, and nothing else.
        valid: when.
        channel: name of the recipient's topic; None means the agreement's own.
        rows: conditions that all must hold.
        fields: what the recipient gets, in this order.
    """

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)]
    title: dict[str, Text] = {}
    recipient: Text
    contract: Text
    version: Annotated[int | None, Field(ge=1)] = None
    legal_basis: Text
    purpose: Text
    valid: Validity
    channel: Annotated[str | None, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)] = None
    rows: tuple[Row, ...] = ()
    fields: Annotated[tuple[FieldGrant, ...], Field(min_length=1)]

    @property
    def channel_name(self) -> str:
        """The channel, the agreement's own by default."""
        return self.channel or self.id

    @property
    def topic(self) -> str:
        """The topic that its deliveries go to."""
        return sub_topic(self.recipient, self.channel_name)
