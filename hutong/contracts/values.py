"""The checks of single values: one function per Avro type and logical type, and the error that all checks raise.

Neighbours: ``validation`` composes these over records, arrays, maps and unions.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from hutong.contracts.avro import Schema, kind, logical

__all__ = ["RANGES", "Broken", "Check", "leaf_check", "text", "type_name"]

Check = Callable[[Any], Any]
"""Value -> the value as the Avro writer takes it; raises ``Broken``."""

RANGES = {"int": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}


class Broken(ValueError):
    """A rule is broken somewhere below; every level adds its own segment to the path on the way out.

    A ``ValueError`` that says what is wrong, as pydantic takes it from the checks of models.
    """

    def __init__(self, rule: str, problem: str) -> None:
        super().__init__(rule, problem)
        self.rule, self.problem, self.segments = rule, problem, list[str]()

    def __str__(self) -> str:
        return self.problem

    @property
    def path(self) -> str:
        """Dotted path, outermost first."""
        return "".join(reversed(self.segments)).removeprefix(".")

    def below(self, segment: str) -> Broken:
        """The same, seen from one level further out."""
        self.segments.append(segment)
        return self


def leaf_check(schema: Schema) -> Check:
    """The check of a resolved schema that is no record, array, map or union."""
    name = kind(schema)
    special = _LOGICAL.get((logical(schema) or "", name))
    if special:
        return special(schema)
    match name:
        case "enum":
            return _enum(schema)
        case "fixed":
            return _fixed(schema)
        case "int" | "long":
            return _integer(name)
        case _:
            return _SIMPLE[name]


def type_name(value: Any) -> str:
    """The value's type, for messages; never the value."""
    return "null" if value is None else type(value).__name__


def _expect(types: type | tuple[type, ...], words: str) -> Check:
    def check(value: Any) -> Any:
        if not isinstance(value, types):
            raise Broken("type", f"expected {words}, got {type_name(value)}")
        return value

    return check


def _boolean(value: Any) -> Any:
    if value is not True and value is not False:
        raise Broken("type", f"expected true or false, got {type_name(value)}")
    return value


def text(value: Any) -> Any:
    if not isinstance(value, str):
        raise Broken("type", f"expected text, got {type_name(value)}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Broken("unicode", "the text holds a lone surrogate, which UTF-8 cannot carry") from None
    return value


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Broken("type", f"expected a number, got {type_name(value)}")
    try:
        return float(value)
    except OverflowError:
        raise Broken("range", "the number is too large for a double") from None


def _float32(value: Any) -> Any:
    number = _number(value)
    if abs(number) > 3.4028235677973366e38 and number not in (float("inf"), float("-inf")):
        raise Broken("range", "the number is too large for a 32-bit float")
    return number


def _integer(name: str) -> Check:
    low, high = RANGES[name]

    def check(value: Any) -> Any:
        if type(value) is not int:
            raise Broken("type", f"expected an integer, got {type_name(value)}")
        if not low <= value <= high:
            raise Broken("range", f"the integer does not fit an Avro {name}")
        return value

    return check


def _enum(schema: dict[str, Any]) -> Check:
    symbols = frozenset(schema["symbols"])
    shown = ", ".join(schema["symbols"][:12]) + (", ..." if len(schema["symbols"]) > 12 else "")

    def check(value: Any) -> Any:
        if not isinstance(value, str) or value not in symbols:
            raise Broken("enum", f"must be one of {shown}")
        return str(value)

    return check


def _fixed(schema: dict[str, Any]) -> Check:
    size = schema["size"]

    def check(value: Any) -> Any:
        if not isinstance(value, (bytes, bytearray)):
            raise Broken("type", f"expected bytes, got {type_name(value)}")
        if len(value) != size:
            raise Broken("length", f"must have exactly {size} bytes")
        return bytes(value)

    return check


def _date(_: Schema) -> Check:
    def check(value: Any) -> Any:
        if isinstance(value, datetime) or not isinstance(value, date):
            raise Broken("type", f"expected a date, got {type_name(value)}")
        return value

    return check


def _moment(schema: Schema) -> Check:
    aware = not str(logical(schema)).startswith("local")

    def check(value: Any) -> Any:
        if not isinstance(value, datetime):
            raise Broken("type", f"expected a date and time, got {type_name(value)}")
        if (value.tzinfo is not None) is not aware:
            raise Broken("time_zone", "the time needs a time zone" if aware else "a local time has no time zone")
        return value

    return check


def _decimal(schema: Schema) -> Check:
    precision, scale = schema["precision"], schema.get("scale", 0)
    size = schema.get("size")

    def check(value: Any) -> Any:
        if not isinstance(value, Decimal) or not value.is_finite():
            raise Broken("type", f"expected a finite Decimal, got {type_name(value)}")
        _, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int) or -exponent > scale:
            raise Broken("range", f"has more than {scale} digits after the point")
        unscaled_digits = len(digits) + exponent + scale
        if unscaled_digits > precision and any(digits):
            raise Broken("range", f"has more than {precision} digits")
        if size is not None and abs(int(value.scaleb(scale))) >= 1 << (8 * size - 1):
            raise Broken("range", f"does not fit {size} bytes")
        return value

    return check


def _uuid(_: Schema) -> Check:
    def check(value: Any) -> Any:
        if isinstance(value, UUID):
            return value
        try:
            return UUID(value)
        except (ValueError, AttributeError, TypeError):
            raise Broken("type", f"expected a UUID, got {type_name(value)} that is none") from None

    return check


_SIMPLE: dict[str, Check] = {
    "null": _expect(type(None), "null"),
    "boolean": _boolean,
    "float": _float32,
    "double": _number,
    "bytes": _expect((bytes, bytearray), "bytes"),
    "string": text,
}

_LOGICAL: dict[tuple[str, str], Callable[[Schema], Check]] = {
    ("date", "int"): _date,
    ("time-millis", "int"): lambda _: _expect(time, "a time of day"),
    ("time-micros", "long"): lambda _: _expect(time, "a time of day"),
    ("timestamp-millis", "long"): _moment,
    ("timestamp-micros", "long"): _moment,
    ("local-timestamp-millis", "long"): _moment,
    ("local-timestamp-micros", "long"): _moment,
    ("decimal", "bytes"): _decimal,
    ("decimal", "fixed"): _decimal,
    ("uuid", "string"): _uuid,
    ("uuid", "fixed"): _uuid,
}
