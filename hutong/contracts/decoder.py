"""Writes the decoding of good Avro binary as Python source: one function per schema, its fields in line.

The fast path reads, the slow path explains. What the function returns is what fastavro reads; whatever it is not sure of it
refuses with one of ``UNREADABLE``, and fastavro decides. Neighbours: ``encoder`` is the other direction, ``extension`` has it
done in Rust, ``hutong.decoding`` asks here first.

``b`` are the bytes, ``p`` is the position, ``q`` the end of a text, ``n`` the last number, ``x1`` a value. A read past the end
raises ``IndexError``; a position past the end is found at the end of all.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Context
from typing import Any

from hutong.contracts.avro import Parsed, Schema, is_null, is_recursive, kind, logical
from hutong.contracts.extension import native_read

__all__ = ["UNREADABLE", "Read", "compile_read", "generate_read"]

Read = Callable[[bytes, int], Any]
"""(bytes, where the value begins) -> the value; raises one of ``UNREADABLE``."""


class Doubt(Exception):
    """The bytes are wrong, or of a form that the fast path does not know."""


UNREADABLE = (Doubt, LookupError, ValueError, TypeError, ArithmeticError, struct.error)
"""All that the generated function raises; none of it says anything else than: ask fastavro."""

_MAX_LINES = 3000  # a schema that names one record in many places would be written out again and again
_MAX_DEPTH = 15  # Python's own limit of nested blocks is not far
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY = _EPOCH.toordinal()
_REMEMBERED = 65_536  # days of 180 years


class _TooRare(Exception):
    """The schema has something that is not worth generated code."""


def compile_read(parsed: Parsed) -> Read | None:
    """The quickest function there is for a schema: the extension's, where one can be generated at all and Rust was built."""
    read = generate_read(parsed)
    return None if read is None else native_read(parsed, _day, _decimal) or read


def generate_read(parsed: Parsed) -> Read | None:
    """Generate the function of a schema, or None where the schema has what only fastavro knows."""
    if is_recursive(parsed) or kind(parsed.root) != "record":
        return None
    writer = _Writer(parsed)
    body: list[str] = []
    try:
        value = writer.value(body, " ", parsed.root)
    except _TooRare:
        return None
    source = [*writer.functions, "def read(b, p):", *body, " if p != len(b): raise Doubt", f" return {value}"]
    exec(compile("\n".join(source), "<decoder>", "exec"), writer.names)  # noqa: S102 - written here, names only as literals
    read: Read = writer.names["read"]
    return read


def _varint(b: bytes, p: int) -> tuple[int, int]:
    """A number of two bytes or more, and the position behind it."""
    number, byte = b[p] & 127, b[p + 1]
    if byte < 128:
        number |= byte << 7
        return (number >> 1) ^ -(number & 1), p + 2
    number |= (byte & 127) << 7
    byte = b[p + 2]
    p += 3
    shift = 14
    while byte > 127:
        number |= (byte & 127) << shift
        shift += 7
        byte = b[p]
        p += 1
        if shift > 63:
            raise Doubt
    if shift == 63 and byte > 1:  # more than 64 bits
        raise Doubt
    number |= byte << shift
    return (number >> 1) ^ -(number & 1), p


def _day(number: int) -> date:
    return date.fromordinal(number + _FIRST_DAY)


class _Days(dict[bytes, date]):
    """Three bytes -> the day that they are: days since 1992 are written with so many, and the same ones come again and again."""

    def __missing__(self, written: bytes) -> date:
        number, _ = _varint(written, 0)
        found = _day(number)
        if len(self) < _REMEMBERED:
            self[written] = found
        return found


class _Writer:
    def __init__(self, parsed: Parsed) -> None:
        self.parsed = parsed
        self.functions: list[str] = []
        self.count = 0
        self.names: dict[str, Any] = {
            "Doubt": Doubt,
            "EPOCH": _EPOCH,
            "double": struct.Struct("<d").unpack_from,
            "float32": struct.Struct("<f").unpack_from,
            "day": date.fromordinal,
            "span": timedelta,
            "varint": _varint,
        }

    def new(self, prefix: str) -> str:
        self.count += 1
        if self.count > _MAX_LINES:
            raise _TooRare
        return f"{prefix}{self.count}"

    def named(self, prefix: str, value: Any) -> str:
        """A name under which the generated code finds a value."""
        name = self.new(prefix)
        self.names[name] = value
        return name

    def value(self, out: list[str], pad: str, schema: Schema) -> str:
        """The lines that read a value; the expression that it is afterwards."""
        schema = self.parsed.resolve(schema)
        if len(pad) > _MAX_DEPTH or len(out) > _MAX_LINES:
            raise _TooRare
        match kind(schema):
            case "record":
                return self.record(out, pad, schema)
            case "union":
                return self.union(out, pad, schema)
            case "array" | "map":
                name = self.new("x")
                out.append(f"{pad}{name}, p = {self.items(schema)}(b, p)")
                return name
            case _:
                return self.leaf(out, pad, schema)

    def record(self, out: list[str], pad: str, schema: dict[str, Any]) -> str:
        values = [(field["name"], self.value(out, pad, field["type"])) for field in schema["fields"]]
        name = self.new("x")
        out.append(f"{pad}{name} = {{{', '.join(f'{field!r}: {value}' for field, value in values)}}}")
        return name

    def union(self, out: list[str], pad: str, schema: list[Schema]) -> str:
        branches = [self.parsed.resolve(branch) for branch in schema]
        if len(branches) != 2 or sum(map(is_null, branches)) != 1:
            raise _TooRare
        null = next(number for number, branch in enumerate(branches) if is_null(branch))
        name = self.new("x")
        out += [f"{pad}n = b[p]", f"{pad}p += 1", f"{pad}if n == {2 * null}: {name} = None", f"{pad}elif n == {2 - 2 * null}:"]
        inner = self.value(out, pad + " ", branches[1 - null])
        out += [f"{pad} {name} = {inner}", f"{pad}else: raise Doubt"]
        return name

    def leaf(self, out: list[str], pad: str, schema: Schema) -> str:
        name = self.new("x")
        match kind(schema), logical(schema):
            case "null", _:
                return "None"
            case "boolean", _:
                lines = ["n = b[p]", "if n > 1: raise Doubt", f"{name} = n == 1", "p += 1"]
            case (("int" | "long"), None):
                lines = [*_NUMBER, f"{name} = n"]
            case "int", "date":
                days = self.named("d", _Days())
                short = [f" {line}" for line in (*_NUMBER, f"{name} = day(n + {_FIRST_DAY})")]
                lines = [
                    "if b[p] > 127 < b[p + 1] and b[p + 2] < 128:",
                    f" {name} = {days}[b[p:p + 3]]",
                    " p += 3",
                    "else:",
                    *short,
                ]
            case "long", "timestamp-millis":
                lines = [*_NUMBER, f"{name} = EPOCH + span(0, 0, 0, n)"]
            case "float", _:
                lines = [f"{name} = float32(b, p)[0]", "p += 4"]
            case "double", _:
                lines = [f"{name} = double(b, p)[0]", "p += 8"]
            case "string", None:
                lines = [*_TEXT, f"{name} = b[p:q].decode()", "p = q"]
            case "bytes", None:
                lines = [*_TEXT, f"{name} = b[p:q]", "p = q"]
            case "bytes", "decimal":
                lines = [*_TEXT, f"{name} = {self.named('d', _decimal(schema))}(b[p:q])", "p = q"]
            case "fixed", None:
                lines = [f"{name} = b[p:p + {int(schema['size'])}]", f"p += {int(schema['size'])}"]
            case "enum", _:
                symbols = self.named("e", tuple(schema["symbols"]))
                lines = ["n = b[p]", "if n & 129: raise Doubt", f"{name} = {symbols}[n >> 1]", "p += 1"]
            case _:
                raise _TooRare
        out += [pad + line for line in lines]
        return name

    def items(self, schema: dict[str, Any]) -> str:
        """The name of a function for an array or a map."""
        is_map = kind(schema) == "map"
        if not is_map and not _takes_bytes(self.parsed, schema["items"]):
            raise _TooRare  # some bytes may stand for any number of items; the guard counts them
        body: list[str] = []
        key = self.leaf(body, "   ", "string") if is_map else ""
        value = self.value(body, "   ", schema["values" if is_map else "items"])
        name = self.new("f")
        self.functions += [
            f"def {name}(b, p):",
            f" all = {'{}' if is_map else '[]'}",
            " count = 0",
            " while True:",
            *(f"  {line}" for line in _NUMBER),
            "  if n == 0: break",
            "  if not 0 < n <= len(b): raise Doubt",
            "  count += n",
            "  for _ in range(n):",
            *body,
            f"   all[{key}] = {value}" if is_map else f"   all.append({value})",
            " if len(all) != count: raise Doubt",  # a key came twice
            " return all, p",
        ]
        return name


def _takes_bytes(parsed: Parsed, schema: Schema) -> bool:
    """Whether every value of a type, which is not recursive, takes a byte at least."""
    schema = parsed.resolve(schema)
    match kind(schema):
        case "record":
            return any(_takes_bytes(parsed, field["type"]) for field in schema["fields"])
        case "fixed":
            return bool(schema["size"])
    return not is_null(schema)


_NUMBER = ("n = b[p]", "if n < 128:", " p += 1", " n = n >> 1 ^ -(n & 1)", "else: n, p = varint(b, p)")

_TEXT = (
    "n = b[p]",
    "if n < 128:",
    " if n & 1: raise Doubt",
    " p += 1",
    " q = p + (n >> 1)",
    "else:",
    " n, p = varint(b, p)",
    " if n < 0: raise Doubt",
    " q = p + n",
)


def _decimal(schema: dict[str, Any]) -> Callable[[bytes], Any]:
    precision, scale = schema["precision"], schema.get("scale", 0)
    context = Context(prec=precision)
    limit = 10**precision

    def decimal(value: bytes) -> Any:
        unscaled = int.from_bytes(value, "big", signed=True)
        if not -limit < unscaled < limit:
            raise Doubt
        return context.create_decimal(unscaled).scaleb(-scale, context)

    return decimal
