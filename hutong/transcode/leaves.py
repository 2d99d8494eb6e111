"""Single fields between bytes and Python: read one where it stands, write one that a transform made.

Only what a transform or a row condition looks at is read; all else stays bytes. Neighbours: ``compiled`` puts these together.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import fastavro

from hutong.contracts.avro import Parsed, Schema, is_null, kind, logical
from hutong.transcode.checks import varint

__all__ = ["Read", "Write", "long_bytes", "null_byte", "reader", "writer"]

Read = Callable[[bytes, int, int], Any]
"""(bytes, start, end) -> value."""

Write = Callable[[Any], bytes]

_DAY_0 = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def null_byte(union: list[Schema]) -> int | None:
    """The byte that stands for null in a union of two; None where the union is not of that form."""
    if len(union) != 2 or sum(map(is_null, union)) != 1:
        return None
    return 0 if is_null(union[0]) else 2


def reader(parsed: Parsed, schema: Schema) -> Read:
    """How to read a value of this type."""
    schema = parsed.resolve(schema)
    if isinstance(schema, list) and (null := null_byte(schema)) is not None:
        inner = reader(parsed, next(branch for branch in schema if not is_null(branch)))
        return lambda b, s, e: None if b[s] == null else inner(b, s + 1, e)
    match logical(schema), kind(schema):
        case None, "string":
            return _string
        case None, ("int" | "long"):
            return lambda b, s, _: varint(b, s)[0]
        case "date", "int":
            return lambda b, s, _: date.fromordinal(_DAY_0 + varint(b, s)[0])
        case "timestamp-millis", "long":
            return lambda b, s, _: _EPOCH + timedelta(milliseconds=varint(b, s)[0])
        case _, "enum":
            symbols = schema["symbols"]
            return lambda b, s, _: symbols[varint(b, s)[0]]
        case _:
            return _any(schema)


def _string(data: bytes, start: int, end: int) -> str:
    while data[start] & 0x80:
        start += 1
    return data[start + 1 : end].decode()


def _any(schema: Schema) -> Read:
    parsed: Any = fastavro.parse_schema(schema)
    return lambda b, s, e: fastavro.schemaless_reader(io.BytesIO(b[s:e]), parsed, None)


def long_bytes(number: int) -> bytes:
    """Avro's zig-zag form of an int or long."""
    number = (number << 1) ^ (number >> 63)
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def writer(schema: Schema) -> Write:
    """How to write what a transform, a constant or an expression makes: text, a boolean, a number, a date."""
    match logical(schema), kind(schema):
        case "date", "int":
            return lambda value: long_bytes(value.toordinal() - _DAY_0)
        case None, "string":
            return _text
        case None, ("int" | "long"):
            return long_bytes
        case None, "boolean":
            return lambda value: b"\1" if value else b"\0"
        case None, "double":
            return struct.Struct("<d").pack
        case _:
            raise TypeError(f"no transform makes a {kind(schema)}")


def _text(text: str) -> bytes:
    body = text.encode()
    return long_bytes(len(body)) + body
