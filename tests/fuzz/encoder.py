"""Avro binary in the forms that a writer may choose and fastavro never does: blocks, byte counts, padding.

A value so written is valid, so a transcoder must take it, or leave it; what it makes of it must mean the same.
Neighbour: ``mutations`` spoils such values.
"""

from __future__ import annotations

import io
import random
from typing import Any

import fastavro

from hutong.contracts.avro import Parsed, Schema, kind, logical
from hutong.transcode.leaves import long_bytes

__all__ = ["Encoder"]

_KINDS: dict[type, set[str]] = {
    type(None): {"null"},
    dict: {"record", "map"},
    list: {"array"},
    bool: {"boolean"},
    str: {"string", "enum"},
    bytes: {"bytes", "fixed"},
    object: {"int", "long", "float", "double", "string", "bytes", "fixed"},  # numbers, and what logical types hold
}
"""A value's class -> the union's branch that it is of: all that the corpus needs, since its unions are simple."""


class Encoder:
    """Writes values of one schema.

    Args:
        parsed: the schema.
        rng: chooses among the forms.
    """

    def __init__(self, parsed: Parsed, rng: random.Random) -> None:
        self.parsed, self.rng = parsed, rng

    def encode(self, value: Any) -> bytes:
        """The value in any of its forms."""
        return self.value(self.parsed.root, value)

    def value(self, schema: Schema, value: Any) -> bytes:
        schema = self.parsed.resolve(schema)
        match kind(schema):
            case "record":
                return b"".join(self.value(field["type"], value[field["name"]]) for field in schema["fields"])
            case "array":
                return self.blocks([self.value(schema["items"], item) for item in value])
            case "map":
                return self.blocks([self.text(key) + self.value(schema["values"], item) for key, item in value.items()])
            case "union":
                number, inner = self.branch(schema, value)
                return long_bytes(number) + self.value(schema[number], inner)
            case "bytes" if logical(schema) == "decimal" and self.rng.random() < 0.5:
                return self.padded(self.plain(schema, value))
        return self.plain(schema, value)

    def blocks(self, items: list[bytes]) -> bytes:
        """The items in one block or several, each with its byte count or without."""
        out = b""
        while items:
            count = self.rng.randint(1, len(items))
            body = b"".join(items[:count])
            out += long_bytes(count) if self.rng.random() < 0.5 else long_bytes(-count) + long_bytes(len(body))
            out += body
            items = items[count:]
        return out + b"\0"

    def branch(self, union: list[Schema], value: Any) -> tuple[int, Any]:
        if isinstance(value, tuple):
            names = [branch["name"] if kind(branch) == "record" else "" for branch in map(self.parsed.resolve, union)]
            return names.index(value[0]), value[1]
        kinds = [kind(self.parsed.resolve(branch)) for branch in union]
        return next(number for number, name in enumerate(kinds) if name in _KINDS.get(type(value), _KINDS[object])), value

    def plain(self, schema: Schema, value: Any) -> bytes:
        out = io.BytesIO()
        fastavro.schemaless_writer(out, schema, value)
        return out.getvalue()

    def text(self, text: str) -> bytes:
        return long_bytes(len(text.encode())) + text.encode()

    def padded(self, decimal: bytes) -> bytes:
        """A decimal with a byte more than it needs."""
        body = decimal[1:]
        return long_bytes(len(body) + 1) + (b"\xff" if body[:1] >= b"\x80" else b"\0") + body
