"""How the extension writes a value as text, for keys and pseudonyms: as Python's ``str`` writes what fastavro decodes."""

from __future__ import annotations

from typing import Any

from hutong.contracts.avro import Schema, is_null, kind, logical
from hutong.transcode.native.beyond import Beyond
from hutong.transcode.native.types import Types

__all__ = ["Looked", "key_part", "looked_at", "pseudonym_text"]

Looked = tuple[int, int | None]
"""(place, number of the null branch or None)."""


def looked_at(types: Types, path: str) -> tuple[Looked, Schema]:
    """Where a field stands, and its type with null set aside."""
    place = types.places.get(path)
    if place is None:
        raise Beyond
    schema = _type_at(types, path)
    if not isinstance(schema, list):
        return (place, None), schema
    rest = [branch for branch in schema if not is_null(branch)]
    if len(rest) != 1 or len(schema) != 2:
        raise Beyond
    return (place, 0 if is_null(schema[0]) else 1), types.parsed.resolve(rest[0])


def _type_at(types: Types, path: str) -> Schema:
    schema: Schema = types.parsed.root
    for segment in path.split("."):
        if isinstance(schema, list):
            schema = types.parsed.resolve(next(branch for branch in schema if not is_null(branch)))
        schema = types.parsed.resolve(next(field["type"] for field in schema["fields"] if field["name"] == segment))
    return schema


def key_part(types: Types, path: str) -> tuple[Looked, tuple[Any, ...]]:
    """A part of the event's key and how it is written."""
    looked, schema = looked_at(types, path)
    match logical(schema), kind(schema):
        case ((None | "uuid"), "string"):
            return looked, ("text",)
        case None, ("int" | "long"):
            return looked, ("number",)
        case "date", "int":
            return looked, ("date",)
        case None, "enum":
            return looked, ("symbol", [symbol.encode() for symbol in schema["symbols"]])
    raise Beyond


def pseudonym_text(schema: Schema) -> tuple[Any, ...]:
    """What of a value goes under the agreement's key."""
    match logical(schema), kind(schema):
        case ((None | "uuid"), "string"):
            return ("text",)
        case None, ("int" | "long"):
            return ("number",)
        case None, ("bytes" | "fixed" as name):
            return (name,)
        case None, "enum":
            return ("symbol", [symbol.encode() for symbol in schema["symbols"]])
    raise Beyond
