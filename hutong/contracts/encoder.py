"""Writes the check and the encoding of good data as Python source: one function per contract, its fields in line.

The fast path accepts, the slow path explains. What the function returns is what ``validation`` accepts and fastavro writes, byte
for byte; whatever it is not sure of it refuses with one of ``UNSURE``, and ``validation`` decides. Neighbours: ``binary`` has the
writers of single values; ``extension`` has it done in Rust; ``schema`` asks here first.

``v1`` is a record, ``x`` a value, ``o1`` a part of the bytes, ``k0`` a part of the key, ``n1`` the fields that must be there.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from hutong.contracts.avro import Parsed, Schema, is_null, is_recursive, kind, logical
from hutong.contracts.binary import LENGTHS, Dates, Memo, decimal_writer, leaf_writer, lengths, text_writer, varint_writer
from hutong.contracts.default_values import default_value
from hutong.contracts.extension import native_pack
from hutong.contracts.identifiers import LONGEST, checker
from hutong.contracts.rules import ATTRIBUTE, FieldRules
from hutong.contracts.validation import compile_field
from hutong.contracts.values import RANGES, Broken

__all__ = ["UNSURE", "Forms", "Pack", "compile_pack", "generate_pack"]

Pack = Callable[[Any], tuple[str, bytes]]
"""Data -> (Kafka key, Avro binary); raises one of ``UNSURE``."""

Forms = Mapping[str, tuple[type, Mapping[str, str]]]
"""Full record name -> (the class whose instances hold it, field -> attribute)."""


class Doubt(Exception):
    """The value is wrong, or of a form that the fast path does not know."""


UNSURE = (Doubt, Broken, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, struct.error)
"""All that the generated function raises; none of it says anything else than: ask ``validation``."""

_MAX_LINES = 3000  # a schema that names one record in many places would be written out again and again
_MAX_DEPTH = 15  # Python's own limit of nested blocks is not far
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _TooRare(Exception):
    """The schema has something that is not worth generated code."""


def compile_pack(parsed: Parsed, key: Sequence[str], separator: str, forms: Forms | None = None) -> Pack | None:
    """The quickest function there is for a schema: the extension's, where one can be generated at all and Rust was built."""
    pack = generate_pack(parsed, key, separator, forms)
    return None if pack is None else native_pack(parsed, key, separator, forms) or pack


def generate_pack(parsed: Parsed, key: Sequence[str], separator: str, forms: Forms | None = None) -> Pack | None:
    """Generate the function of a schema, or None where the schema has what only ``validation`` knows.

    Args:
        parsed: the contract's schema, a record.
        key: dotted paths of the key fields.
        separator: stands between the key's parts.
        forms: where the data are instances of classes; without it they are mappings.
    """
    if is_recursive(parsed):
        return None
    writer = _Writer(parsed, key, forms)
    body = [" x = data"]
    try:
        parts = writer.record(body, " ", parsed.root, "", b"")
    except _TooRare:
        return None
    if len(body) + len(writer.functions) > _MAX_LINES or len(writer.found) != len(key):
        return None
    keys = [f"k{number}" for number in range(len(key))]
    text = keys[0] if len(keys) == 1 else f"{separator!r}.join(({''.join(f'{one}, ' for one in keys)}))"
    source = [*writer.functions, "def pack(data):", *body, f" return {text}, {_joined(parts)}"]
    exec(compile("\n".join(source), "<encoder>", "exec"), writer.names)  # noqa: S102 - written here, names only as literals
    pack: Pack = writer.names["pack"]
    return pack


def _joined(parts: list[str]) -> str:
    return f"b''.join(({', '.join(parts)},))" if parts else "b''"


class _Writer:
    def __init__(self, parsed: Parsed, key: Sequence[str], forms: Forms | None) -> None:
        self.parsed, self.forms = parsed, forms
        self.key = {path: number for number, path in enumerate(key)}
        self.found: set[str] = set()
        self.functions: list[str] = []
        self.count = 0
        self.names: dict[str, Any] = {
            "Doubt": Doubt,
            "date": date,
            "datetime": datetime,
            "EPOCH": _EPOCH,
            "MISSING": object(),
            "varint": varint_writer(),
            "double": struct.Struct("<d").pack,
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

    def record(self, out: list[str], pad: str, schema: dict[str, Any], path: str, lead: bytes) -> list[str]:
        """The record in ``x``; the names of its parts."""
        if len(pad) > _MAX_DEPTH or len(out) > _MAX_LINES:
            raise _TooRare
        value, fields = self.new("v"), schema["fields"]
        parts = [self.constant(out, pad, lead)] if lead else []
        if self.forms is None:
            out += [f"{pad}{value} = x", f"{pad}if type(x) is not dict: raise Doubt", f"{pad}n{value} = {len(fields)}"]
            attributes: Mapping[str, str] = {}
        else:
            holder, attributes = self.forms[schema["name"]]
            out += [f"{pad}if type(x) is not {self.named('c', holder)}: raise Doubt", f"{pad}{value} = x.__dict__"]
        for field in fields:
            name = attributes.get(field["name"], field["name"])
            if self.forms is None and "default" in field:
                parts += self.defaulted(out, pad, value, field, path)
                continue
            out.append(f"{pad}x = {value}[{name!r}]")
            parts += self.field(out, pad, field, path, self.exemption(value, field, attributes))
        if self.forms is None:
            out.append(f"{pad}if len({value}) != n{value}: raise Doubt")
        return parts

    def exemption(self, value: str, field: dict[str, Any], attributes: Mapping[str, str]) -> str:
        """What must hold besides, for an identifier that does not pass, to be wrong."""
        sibling = (field.get(ATTRIBUTE) or {}).get("unverifiedBy")
        return f" and {value}.get({attributes.get(sibling, sibling)!r}) is not True" if sibling else ""

    def defaulted(self, out: list[str], pad: str, value: str, field: dict[str, Any], path: str) -> list[str]:
        inner: list[str] = []
        parts = self.field(inner, pad + " ", field, path, self.exemption(value, field, {}))
        default = None if path + field["name"] in self.key else self.default(field)
        out += [f"{pad}x = {value}.get({field['name']!r}, MISSING)", f"{pad}if x is MISSING:"]
        if default is None:
            out.append(f"{pad} raise Doubt")
        else:
            out.append(f"{pad} n{value} -= 1")
            out += [f"{pad} {part} = {text!r}" for part, text in zip(parts, [default, *[b""] * len(parts)], strict=False)]
        if inner:
            out += [f"{pad}else:", *inner]
        return parts

    def default(self, field: dict[str, Any]) -> bytes | None:
        """A default's bytes, where they are simple to tell."""
        schema, value, lead = self.parsed.resolve(field["type"]), default_value(field["default"], field["type"], self.parsed), b""
        if isinstance(schema, list):
            chosen = [self.parsed.resolve(one) for one in schema if is_null(one) is (value is None)]
            if len(chosen) != 1:
                return None
            lead, schema = self.lead(schema, value is None), chosen[0]
        if kind(schema) in ("array", "map"):
            return None if value else lead + b"\0"
        return None if kind(schema) == "record" else leaf_writer(schema, lead, lambda same: same)(value)

    def lead(self, union: list[Schema], null: bool) -> bytes:
        """The number of a union's null branch, or of the other."""
        number = next(n for n, branch in enumerate(union) if is_null(self.parsed.resolve(branch)) is null)
        return bytes((number << 1,))

    def field(self, out: list[str], pad: str, field: dict[str, Any], path: str, exemption: str) -> list[str]:
        attribute = field.get(ATTRIBUTE)
        rules = FieldRules.model_validate(attribute) if attribute else FieldRules()
        place = path + field["name"]
        schema = self.parsed.resolve(field["type"])
        if not isinstance(schema, list):
            return self.value(out, pad, schema, place, rules, exemption, b"")
        branches = [self.parsed.resolve(branch) for branch in schema]
        if len(branches) != 2 or sum(map(is_null, branches)) != 1:
            raise _TooRare
        inner: list[str] = []
        branch = next(branch for branch in branches if not is_null(branch))
        parts = self.value(inner, pad + " ", branch, place, rules, exemption, self.lead(schema, null=False))
        out.append(f"{pad}if x is None:")
        if any(path == place or path.startswith(f"{place}.") for path in self.key):
            out.append(f"{pad} raise Doubt")
        else:
            nothing = [self.lead(schema, null=True), *[b""] * (len(parts) - 1)]
            out += [f"{pad} {part} = {text!r}" for part, text in zip(parts, nothing, strict=True)]
        out += [f"{pad}else:", *inner]
        return parts

    def value(
        self, out: list[str], pad: str, schema: Schema, place: str, rules: FieldRules, exemption: str, lead: bytes
    ) -> list[str]:
        name = kind(schema)
        if name in ("record", "array", "map", "union"):
            if rules.checks_values:
                raise _TooRare
            if name == "record":
                return self.record(out, pad, schema, f"{place}.", lead)
            return self.part(out, pad, f"{self.items(schema, lead)}(x)")
        text = "x"
        match name, logical(schema):
            case "string", None:
                parts = self.string(out, pad, rules, exemption, lead)
            case "enum", _ if not rules.checks_values:
                table = {symbol: lead + varint_writer()(number) for number, symbol in enumerate(schema["symbols"])}
                out.append(f"{pad}if not isinstance(x, str): raise Doubt")
                parts, text = self.part(out, pad, f"{self.named('e', table)}[x]"), "str(x)"
            case ("int", "date") if not rules.checks_values:
                out.append(f"{pad}if type(x) is not date: raise Doubt")
                parts, text = self.part(out, pad, f"{self.named('d', Dates(lead))}[x]"), "str(x)"
            case (("int" | "long"), None) if not rules.checks_values:
                low, high = RANGES[name]
                out.append(f"{pad}if type(x) is not int or not {low} <= x <= {high}: raise Doubt")
                parts, text = self.part(out, pad, f"{lead!r} + varint(x)" if lead else "varint(x)"), "str(x)"
            case _ if place in self.key:
                raise _TooRare
            case _:
                parts = self.other(out, pad, schema, rules, lead)
        if place in self.key:
            self.found.add(place)
            out += [f"{pad}k{self.key[place]} = {text}", f"{pad}if not k{self.key[place]}: raise Doubt"]
        return parts

    def other(self, out: list[str], pad: str, schema: Schema, rules: FieldRules, lead: bytes) -> list[str]:
        """Types that are no part of a key."""
        if not rules.checks_values:
            match kind(schema), logical(schema):
                case "null", _:
                    out.append(f"{pad}if x is not None: raise Doubt")
                    return self.part(out, pad, repr(lead)) if lead else []
                case "boolean", _:
                    out.append(f"{pad}if x is not True and x is not False: raise Doubt")
                    return self.part(out, pad, f"{lead + bytes((1,))!r} if x else {lead + bytes((0,))!r}")
                case "double", None:
                    out.append(f"{pad}if type(x) is not float: raise Doubt")
                    return self.part(out, pad, f"{lead!r} + double(x)" if lead else "double(x)")
                case "long", "timestamp-millis":
                    out += [f"{pad}if type(x) is not datetime or x.tzinfo is None: raise Doubt", f"{pad}x = x - EPOCH"]
                    number = "varint((x.days * 86400 + x.seconds) * 1000 + x.microseconds // 1000)"
                    return self.part(out, pad, f"{lead!r} + {number}" if lead else number)
        write = decimal_writer if (kind(schema), logical(schema)) == ("bytes", "decimal") else leaf_writer
        name = self.named("w", write(schema, lead, compile_field(schema, rules)))
        return self.part(out, pad, f"{name}(x)")

    def string(self, out: list[str], pad: str, rules: FieldRules, exemption: str, lead: bytes) -> list[str]:
        write = text_writer(lead, compile_field("string", rules))
        out.append(f"{pad}if type(x) is not str: raise Doubt")
        if rules.codes is not None or rules.identifier == "gb2260":  # few values: their bytes are remembered whole
            return self.part(out, pad, f"{self.named('m', Memo(write))}[x]")
        if rules.min_length is not None or rules.max_length is not None:
            longest = "" if rules.max_length is None else f" <= {rules.max_length}"
            out.append(f"{pad}if not {rules.min_length or 0} <= len(x){longest}: raise Doubt")
        if rules.minimum is not None or rules.maximum is not None:
            raise _TooRare
        if rules.pattern is not None:
            out.append(f"{pad}if {self.named('p', re.compile(rules.pattern).fullmatch)}(x) is None: raise Doubt")
        if rules.identifier is not None:
            check = self.named("i", checker(rules.identifier))
            out.append(f"{pad}if len(x) > {LONGEST} or not {check}(x){exemption}: raise Doubt")
        size, encoded, table = self.new("o"), self.new("o"), self.named("l", lengths(lead))
        long = f"{lead!r} + varint(n)" if lead else "varint(n)"
        out += [f"{pad}{encoded} = x.encode()", f"{pad}n = len({encoded})"]
        out.append(f"{pad}{size} = {table}[n] if n < {LENGTHS} else {long}")
        return [size, encoded]

    def items(self, schema: dict[str, Any], lead: bytes) -> str:
        """The name of a function for an array or a map: one block and its end, as fastavro writes it."""
        is_map = kind(schema) == "map"
        body: list[str] = []
        key = self.string(body, "  ", FieldRules(), "", b"") if is_map else []
        if is_map:
            body.append("  x = y")
        parts = key + self.field(body, "  ", {"name": "[]", "type": schema["values" if is_map else "items"]}, "", "")
        name = self.new("f")
        self.functions += [
            f"def {name}(all):",
            f" if type(all) is not {'dict' if is_map else 'list'}: raise Doubt",
            f" if not all: return {lead + bytes((0,))!r}",
            f" out = [{lead!r}, varint(len(all))]",
            f" for {'x, y in all.items()' if is_map else 'x in all'}:",
            *body,
            *([f"  out += ({', '.join(parts)},)"] if parts else []),
            " out.append(b'\\0')",
            " return b''.join(out)",
        ]
        return name

    def part(self, out: list[str], pad: str, expression: str) -> list[str]:
        name = self.new("o")
        out.append(f"{pad}{name} = {expression}")
        return [name]

    def constant(self, out: list[str], pad: str, value: bytes) -> str:
        return self.part(out, pad, repr(value))[0]
