"""Writes the guard's walk over Avro binary as Python source: one function per named type, scalars in line.

``p`` is the position, ``b`` the bytes, ``d`` the depth, ``n`` the last number. A read past the end raises ``IndexError``; a
position past the end is found at the next read, or by whoever compares it with the length. Neighbour: ``guard`` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hutong.contracts.avro import MAX_DEPTH, Parsed, Schema, is_null, kind, logical
from hutong.transcode.checks import RANGES, BadValue, blocks, decimal, entries, uuid_text, varint

__all__ = ["Walk", "compile_walk"]

Walk = Callable[[bytes, int], tuple[int, tuple[int, ...]]]
"""(bytes, start) -> (position behind the value, starts and ends of the marked fields)."""


def compile_walk(parsed: Parsed, marks: Sequence[str]) -> Walk:
    """Generate the walk of a schema."""
    writer = _Writer(parsed, marks)
    body: list[str] = []
    writer.fields(body, parsed.root, "")
    places = [f"{side}{number}" for number in range(len(marks)) for side in ("s", "e")]
    unset = [f" {' = '.join(places)} = -1"] if places else []
    result = f" return p, ({', '.join(places)}{',' if places else ''})"
    source = [*writer.lines, "def walk(b, p, d=0):", *unset, *(f" {line}" for line in body), result]
    names: dict[str, Any] = {
        "BadValue": BadValue,
        "blocks": blocks,
        "decimal": decimal,
        "entries": entries,
        "uuid_text": uuid_text,
        "varint": varint,
    }
    exec(compile("\n".join(source), "<walk>", "exec"), names)  # noqa: S102 - all of it is written here, from numbers
    walk: Walk = names["walk"]
    return walk


class _Writer:
    def __init__(self, parsed: Parsed, marks: Sequence[str]) -> None:
        self.parsed = parsed
        self.marks = {path: number for number, path in enumerate(marks)}
        self.above = {".".join(path.split(".")[:n]) for path in marks for n in range(1, path.count(".") + 1)}
        self.lines: list[str] = []
        self.functions: dict[str, str] = {}
        self.count = 0

    def fields(self, out: list[str], record: Schema, path: str) -> None:
        """A record's fields in line; ``path`` leads to it and ends with a dot unless it is the root."""
        for field in record["fields"]:
            place = path + field["name"]
            number = self.marks.get(place)
            if number is not None:
                out.append(f"s{number} = p")
            out += self.value(field["type"], f"{place}." if place in self.above else None)
            if number is not None:
                out.append(f"e{number} = p")

    def value(self, schema: Schema, path: str | None = None) -> list[str]:
        """The lines that walk over a value; with a path, marked fields are below."""
        schema = self.parsed.resolve(schema)
        match kind(schema):
            case "null":
                return []
            case "boolean":
                return ["if b[p] > 1: raise BadValue('a boolean is neither 0 nor 1')", "p += 1"]
            case "int" | "long" as name:
                return _integer(name, schema)
            case "float":
                return ["p += 4"]
            case "double":
                return ["p += 8"]
            case "fixed":
                digits = _decimal(schema, int(schema["size"])) if logical(schema) == "decimal" else []
                return [*digits, f"p += {int(schema['size'])}"]
            case "bytes":
                return [*_count("a length"), *(_decimal(schema, "n") if logical(schema) == "decimal" else []), "p += n"]
            case "string":
                check = (
                    "uuid_text(b[p:p + n])" if logical(schema) == "uuid" else "if not b[p:p + n].isascii(): b[p:p + n].decode()"
                )
                return [*_count("a length"), check, "p += n"]
            case "enum":
                symbols = len(schema["symbols"])
                return [*_count("an enum"), f"if n >= {symbols}: raise BadValue('an enum has no symbol of this number')"]
            case "union":
                return self.union(schema, path)
            case "array":
                return [f"p = blocks(b, p, d + 1, {self.function(schema['items'])})"]
            case "map":
                return [f"p = entries(b, p, d + 1, {self.function(schema['values'])})"]
            case _ if path is not None:
                inner: list[str] = []
                self.fields(inner, schema, path)
                return inner
            case _:
                return [f"p = {self.function(schema)}(b, p, d + 1)"]

    def union(self, schema: list[Schema], path: str | None) -> list[str]:
        lines = [*_count("a union"), f"if n >= {len(schema)}: raise BadValue('a union has no branch of this number')"]
        into = path if len(schema) == 2 and any(map(is_null, schema)) else None
        word = "if"
        for number, branch in enumerate(schema):
            if inner := self.value(branch, into):
                lines += [f"{word} n == {number}:", *(f" {line}" for line in inner)]
                word = "elif"
        return lines

    def function(self, schema: Schema) -> str:
        """The name of a function ``(b, p, d) -> p`` for a type."""
        schema = self.parsed.resolve(schema)
        full_name = schema.get("name") if isinstance(schema, dict) else None
        if full_name in self.functions:
            return self.functions[full_name]
        name = self.new_name()
        if full_name:
            self.functions[full_name] = name
        body: list[str] = []
        if kind(schema) == "record":
            body.append(f"if d > {MAX_DEPTH}: raise BadValue('nested more than {MAX_DEPTH} levels deep')")
            self.fields(body, schema, "<inside>.")  # no mark's path begins so
        else:
            body = self.value(schema)
        return self.define(name, body)

    def new_name(self) -> str:
        self.count += 1
        return f"f{self.count}"

    def define(self, name: str, body: list[str]) -> str:
        self.lines += [f"def {name}(b, p, d):", *(f" {line}" for line in body), " return p"]
        return name


def _integer(name: str, schema: Schema) -> list[str]:
    low, high, problem = RANGES.get((logical(schema) or "", name)) or (-(2**31), 2**31 - 1, "an int has more than 32 bits")
    # One byte holds -64 to 63, which every type but a time of day has room for.
    if name == "long" and (logical(schema) or "", name) not in RANGES:
        return ["if b[p] < 128: p += 1", "else: n, p = varint(b, p)"]
    check = f"if not {low} <= n <= {high}: raise BadValue({problem!r})"
    if low >= 0:
        return ["n, p = varint(b, p)", check]
    return ["if b[p] < 128: p += 1", "else:", " n, p = varint(b, p)", f" {check}"]


def _count(what: str) -> list[str]:
    """A number that is not negative into ``n``: one byte in line, more through the general reader."""
    return [
        "n = b[p]",
        "if n < 128:",
        " p += 1",
        f" if n & 1: raise BadValue('{what} is negative')",
        " n >>= 1",
        "else:",
        " n, p = varint(b, p)",
        f" if n < 0: raise BadValue('{what} is negative')",
    ]


def _decimal(schema: Schema, size: int | str) -> list[str]:
    return [f"decimal(b[p:p + {size}], {int(schema['precision'])})"]
