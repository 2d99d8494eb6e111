"""A field's default as a value: Avro writes defaults as JSON, with bytes as text and dates as numbers.

Neighbours: ``validation`` fills missing fields in with these, code generation writes them into models, ``defaults`` judges them.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hutong.contracts.avro import Parsed, Schema, is_null, kind, logical
from hutong.contracts.defaults import default_problem

__all__ = ["default_value"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def default_value(default: Any, schema: Schema, parsed: Parsed) -> Any:
    """The value in the form that a check returns: typed, records in unions as ``(name, record)``.

    Args:
        default: as the schema has it.
        schema: the field's type.
        parsed: the schema that it is part of.
    """
    schema = parsed.resolve(schema)
    match kind(schema):
        case "union":
            return _of_union(default, schema, parsed)
        case "record":
            return {
                field["name"]: default_value(default.get(field["name"], field.get("default")), field["type"], parsed)
                for field in schema["fields"]
            }
        case "array":
            return [default_value(item, schema["items"], parsed) for item in default]
        case "map":
            return {key: default_value(item, schema["values"], parsed) for key, item in default.items()}
        case name:
            return _leaf(default, name, schema)


def _of_union(default: Any, schema: list[Schema], parsed: Parsed) -> Any:
    branches = [parsed.resolve(branch) for branch in schema]
    fitting = next(branch for branch in branches if default_problem(default, branch, parsed.named, "") is None)
    value = default_value(default, fitting, parsed)
    several = sum(not is_null(branch) for branch in branches) > 1
    return (fitting["name"], value) if several and kind(fitting) == "record" else value


def _leaf(default: Any, name: str, schema: Schema) -> Any:
    meaning = logical(schema)
    match name, meaning:
        case (("bytes" | "fixed"), "decimal"):
            unscaled = int.from_bytes(default.encode("latin-1"), "big", signed=True)
            return Decimal(unscaled).scaleb(-schema.get("scale", 0))
        case "fixed", "uuid":
            return UUID(bytes=default.encode("latin-1"))
        case (("bytes" | "fixed"), _):
            return default.encode("latin-1")
        case "string", "uuid":
            return UUID(default)
        case "int", "date":
            return date.fromordinal(_EPOCH.toordinal() + default)
        case _, "time-millis" | "time-micros":
            return (_EPOCH + _span(default, str(meaning))).timetz().replace(tzinfo=None)
        case "long", "timestamp-millis" | "timestamp-micros":
            return _EPOCH + _span(default, str(meaning))
        case "long", "local-timestamp-millis" | "local-timestamp-micros":
            return (_EPOCH + _span(default, str(meaning))).replace(tzinfo=None)
        case (("float" | "double"), _):
            return float(default)
        case _:
            return default


def _span(number: int, meaning: str) -> timedelta:
    return timedelta(milliseconds=number) if meaning.endswith("millis") else timedelta(microseconds=number)
