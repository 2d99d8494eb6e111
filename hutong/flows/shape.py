"""JSON-plain values made to fit a contract's schema: text to dates, numbers to decimals, a mapping to just a record's fields.

Only what JSON cannot say is converted; whether the result keeps the contract is the contract's own check to say. Neighbours:
``expressions`` makes the values, ``plan`` composes both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from hutong.contracts.avro import Parsed, Schema, is_null, kind, logical

__all__ = ["Shape", "compile_shape"]

Shape = Callable[[Any], Any]
"""Value -> the value in the form of a type; what does not fit comes back as it was."""


def compile_shape(parsed: Parsed, schema: Schema | None = None, inside: frozenset[str] = frozenset()) -> Shape:
    """The shape of a schema; of the whole one unless one is given."""
    schema = parsed.resolve(parsed.root if schema is None else schema)
    match kind(schema):
        case "union":
            rest = [branch for branch in schema if not is_null(branch)]
            if len(rest) != 1:
                return _as_it_is
            inner = compile_shape(parsed, rest[0], inside)
            return inner if inner is _as_it_is else lambda value: None if value is None else inner(value)
        case "record":
            if schema["name"] in inside:
                return _as_it_is  # a type that contains itself; its values come from events and have their form
            inside |= {schema["name"]}
            return _record({one["name"]: compile_shape(parsed, one["type"], inside) for one in schema["fields"]})
        case "array":
            item = compile_shape(parsed, schema["items"], inside)
            if item is _as_it_is:
                return lambda value: list(value) if isinstance(value, (list, tuple)) else value
            return lambda value: [item(one) for one in value] if isinstance(value, (list, tuple)) else value
        case "map":
            entry = compile_shape(parsed, schema["values"], inside)
            return lambda value: {key: entry(one) for key, one in value.items()} if isinstance(value, Mapping) else value
    return _leaf(schema)


def _as_it_is(value: Any) -> Any:
    return value


def _record(fields: Mapping[str, Shape]) -> Shape:
    converted = [(name, inner) for name, inner in fields.items() if inner is not _as_it_is]

    def shape(value: Any) -> Any:
        if type(value) is not dict and not isinstance(value, Mapping):
            return value
        found = {name: value[name] for name in fields if name in value}
        for name, inner in converted:
            if name in found:
                found[name] = inner(found[name])
        return found

    return shape


def _leaf(schema: Schema) -> Shape:
    match logical(schema), kind(schema):
        case "date", _:
            return _guarded(lambda value: date.fromisoformat(value[:10]), str)
        case (("timestamp-millis" | "timestamp-micros"), _):
            return _timestamp
        case "decimal", _:
            return _guarded(_decimal(Decimal(1).scaleb(-int(schema.get("scale", 0)))), int, float, str)
        case None, ("int" | "long"):
            return _guarded(lambda value: int(value) if value.is_integer() else value, float)
    return _as_it_is


def _guarded(convert: Callable[[Any], Any], *types: type) -> Shape:
    def shape(value: Any) -> Any:
        if not isinstance(value, types) or isinstance(value, bool):
            return value
        try:
            return convert(value)
        except (ValueError, InvalidOperation):
            return value

    return shape


def _decimal(step: Decimal) -> Callable[[Any], Decimal]:
    return lambda value: Decimal(str(value)).quantize(step, ROUND_HALF_UP)


def _timestamp(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return datetime.fromtimestamp(value / 1000, UTC)
    return _moment(value)


_moment = _guarded(datetime.fromisoformat, str)
