"""Is this Avro binary exactly one value of its schema? Asked before any decoder touches bytes from a topic.

A decoder built for speed trusts its input: deep recursion overflows its stack, an array of 2^62 nulls fills the memory, a
negative index picks a wrong symbol. The guard walks the bytes without making a value, bounded by their length, and refuses
every encoding that is not the schema's (Avro 1.12 specification, "Binary encoding"). It is generated as straight-line Python
per schema: the walk costs about a tenth of the decoding. Neighbours: ``reference`` calls it first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hutong.contracts.avro import MAX_DEPTH, Parsed, Schema, kind
from hutong.errors import MalformedEvent

__all__ = ["Guard", "compile_guard"]

Guard = Callable[[bytes, int], None]
"""(bytes, position of the value) -> None; raises ``MalformedEvent`` with reason ``undecodable``."""

MAX_EMPTY_ITEMS = 10_000
"""Items of zero bytes (nulls, empty records) that arrays of one value may have: they cost memory that no byte pays for."""


class _Bad(Exception):
    pass


def compile_guard(parsed: Parsed) -> Guard:
    """Generate the guard of a schema."""
    generator = _Generator(parsed)
    entry = generator.function(parsed.root)
    namespace: dict[str, Any] = {"_varint": _varint, "_Bad": _Bad, "_blocks": _blocks}
    exec(compile("\n".join(generator.lines), "<guard>", "exec"), namespace)  # noqa: S102 - our own text; names come from numbers
    walk = namespace[entry]

    def guard(data: bytes, start: int) -> None:
        try:
            end = walk(data, start, 0)
        except IndexError:
            raise MalformedEvent("undecodable", "the value ends in the middle of a field") from None
        except _Bad as bad:
            raise MalformedEvent("undecodable", str(bad)) from None
        if end != len(data):
            problem = (
                "the value ends in the middle of a field" if end > len(data) else f"{len(data) - end} bytes follow the value"
            )
            raise MalformedEvent("undecodable", problem)

    return guard


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """A zig-zag number of at most 64 bits and the position behind it."""
    shift = value = 0
    for byte in data[position : position + 10]:
        value |= (byte & 0x7F) << shift
        position += 1
        if byte < 0x80:
            if value >= 1 << 64:
                raise _Bad("a number has more than 64 bits")
            return (value >> 1) ^ -(value & 1), position
        shift += 7
    raise _Bad("a number has more than 64 bits") if shift == 70 else IndexError


def _blocks(data: bytes, position: int, depth: int, item: Callable[[bytes, int, int], int]) -> int:
    """An array's or map's blocks; the byte count of a negative block must be true."""
    size = len(data)
    empty = 0
    while True:
        count, position = _varint(data, position)
        if count == 0:
            return position
        claimed = None
        if count < 0:
            claimed, position = _varint(data, position)
            claimed += position
            count = -count
        for _ in range(count):
            before = position
            position = item(data, position, depth)
            if position > size:
                raise IndexError
            if position == before:
                empty += 1
                if empty > MAX_EMPTY_ITEMS:
                    raise _Bad(f"an array has more than {MAX_EMPTY_ITEMS} items without content")
        if claimed is not None and claimed != position:
            raise _Bad("a block's byte count is wrong")


class _Generator:
    """Writes one Python function per named type or container item; scalars are written in line."""

    def __init__(self, parsed: Parsed) -> None:
        self.parsed = parsed
        self.lines: list[str] = []
        self.functions: dict[str, str] = {}
        self.count = 0

    def function(self, schema: Schema) -> str:
        """The name of the function ``(data, position, depth) -> position`` for a schema."""
        schema = self.parsed.resolve(schema)
        full_name = schema.get("name") if isinstance(schema, dict) else None
        if full_name in self.functions:
            return self.functions[full_name]
        self.count += 1
        name = f"_f{self.count}"
        if full_name:
            self.functions[full_name] = name
        body: list[str] = []
        if kind(schema) == "record":
            body += [f" if d > {MAX_DEPTH}: raise _Bad('nested more than {MAX_DEPTH} levels deep')"]
            for field in schema["fields"]:
                self.write(body, field["type"], " ")
        else:
            self.write(body, schema, " ")
        self.lines += [f"def {name}(b, p, d):", *body, " return p"]
        return name

    def write(self, out: list[str], schema: Schema, indent: str) -> None:
        schema = self.parsed.resolve(schema)
        match kind(schema):
            case "null":
                return
            case "boolean":
                lines = ["if b[p] > 1: raise _Bad('a boolean is neither 0 nor 1')", "p += 1"]
            case "int":
                lines = [
                    "if b[p] < 128: p += 1",
                    "else:",
                    " n, p = _varint(b, p)",
                    " if not -2147483648 <= n <= 2147483647: raise _Bad('an int has more than 32 bits')",
                ]
            case "long":
                lines = ["if b[p] < 128: p += 1", "else: n, p = _varint(b, p)"]
            case "float":
                lines = ["p += 4"]
            case "double":
                lines = ["p += 8"]
            case "fixed":
                lines = [f"p += {int(schema['size'])}"]
            case "bytes" | "string":
                lines = [*_number("a length"), "p += n"]
            case "enum":
                lines = [
                    *_number("an enum"),
                    f"if n >= {len(schema['symbols'])}: raise _Bad('an enum has no symbol of this number')",
                ]
            case "union":
                lines = self.union(schema)
            case "array":
                lines = [f"p = _blocks(b, p, d + 1, {self.function(schema['items'])})"]
            case "map":
                lines = [f"p = _blocks(b, p, d + 1, {self.map_entry(schema['values'])})"]
            case _:
                lines = [f"p = {self.function(schema)}(b, p, d + 1)"]
        out += [indent + line for line in lines]

    def union(self, schema: list[Schema]) -> list[str]:
        lines = [*_number("a union"), f"if n >= {len(schema)}: raise _Bad('a union has no branch of this number')"]
        word = "if"
        for number, branch in enumerate(schema):
            inner: list[str] = []
            self.write(inner, branch, " ")
            if inner:
                lines += [f"{word} n == {number}:", *inner]
                word = "elif"
        return lines

    def map_entry(self, values: Schema) -> str:
        self.count += 1
        name = f"_f{self.count}"
        body = [" " + line for line in (*_number("a length"), "p += n")]
        self.write(body, values, " ")
        self.lines += [f"def {name}(b, p, d):", *body, " return p"]
        return name


def _number(what: str) -> list[str]:
    """A non-negative zig-zag number into ``n``: one byte in line, more through the general reader."""
    return [
        "n = b[p]",
        "if n < 128:",
        " p += 1",
        f" if n & 1: raise _Bad('{what} is negative')",
        " n >>= 1",
        "else:",
        " n, p = _varint(b, p)",
        f" if n < 0: raise _Bad('{what} is negative')",
    ]
