"""Describes a schema to the Rust extension, which packs and reads the same Python objects in less than half the time.

What ``encoder`` and ``decoder`` generate in Python, ``native/src/pack.rs`` and ``unpack.rs`` do where they are built: they accept
the same data and give the same. Neighbours: ``encoder`` and ``decoder`` decide whether a schema has a fast path at all and ask
here; ``binary`` has the writers that Rust calls back.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

from hutong.contracts.avro import Parsed, Schema, is_null, kind, logical
from hutong.contracts.binary import Dates, Memo, decimal_writer, leaf_writer, text_writer
from hutong.contracts.default_values import default_value
from hutong.contracts.identifiers import checker
from hutong.contracts.rules import ATTRIBUTE, FieldRules
from hutong.contracts.validation import compile_field
from hutong.contracts.values import RANGES

__all__ = ["native_pack", "native_read"]

_Described = tuple[Any, ...]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@cache
def _extension(name: str) -> Any:
    """One of the extension's classes, or None where the extension is not built, or was built before there was this class."""
    try:
        return getattr(importlib.import_module("hutong_native"), name, None)
    except ImportError:
        return None


def native_pack(
    parsed: Parsed, key: Sequence[str], separator: str, forms: Mapping[str, tuple[type, Mapping[str, str]]] | None
) -> Any:
    """The extension's function for a contract that ``encoder`` has one for, or None where there is no extension."""
    packer = _extension("Packer")
    if packer is None:
        return None
    try:
        return packer(_Describer(parsed, key, forms).record(parsed.root, ""), len(key), separator)
    except ValueError:  # it was built before there was one of these forms
        return None


def native_read(parsed: Parsed, day: Callable[[int], date], decimal: Callable[[Schema], Callable[[bytes], Any]]) -> Any:
    """The extension's function for a schema that ``decoder`` has one for, or None where there is no extension.

    Args:
        parsed: the schema.
        day: Avro's ``date`` to Python's.
        decimal: a decimal's schema to the function of its bytes.
    """
    unpacker = _extension("Unpacker")
    if unpacker is None:
        return None

    def form(written: Schema) -> _Described:
        schema = parsed.resolve(written)
        match kind(schema), logical(schema):
            case "record", _:
                return ("record", [(field["name"], form(field["type"])) for field in schema["fields"]])
            case "union", _:
                null = next(number for number, branch in enumerate(schema) if is_null(parsed.resolve(branch)))
                return ("nullable", null, form(schema[1 - null]))
            case "array", _:
                return ("list", form(schema["items"]))
            case "map", _:
                return ("map", form(schema["values"]))
            case "int", "date":
                return ("day", day)
            case "long", "timestamp-millis":
                return ("moment", _moment)
            case "bytes", "decimal":
                return ("decimal", decimal(schema))
            case "fixed", _:
                return ("fixed", schema["size"])
            case "enum", _:
                return ("symbol", list(schema["symbols"]))
            case name, _:
                return ({"int": "number", "long": "number", "string": "text"}.get(name, name),)

    return unpacker(form(parsed.root))


def _moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(0, 0, 0, milliseconds)


class _Describer:
    def __init__(self, parsed: Parsed, key: Sequence[str], forms: Mapping[str, tuple[type, Mapping[str, str]]] | None) -> None:
        self.parsed, self.forms = parsed, forms
        self.key = {path: number for number, path in enumerate(key)}

    def record(self, schema: dict[str, Any], path: str) -> _Described:
        holder, attributes = (None, {}) if self.forms is None else self.forms[schema["name"]]
        return ("record", holder, [self.field(field, path, attributes) for field in schema["fields"]])

    def field(self, field: dict[str, Any], path: str, attributes: Mapping[str, str]) -> _Described:
        place, attribute = path + field["name"], field.get(ATTRIBUTE)
        rules = FieldRules.model_validate(attribute) if attribute else FieldRules()
        sibling = rules.unverified_by
        unverified = None if sibling is None else attributes.get(sibling, sibling)
        form = self.form(field["type"], place, rules, unverified)
        default = self.default(field, form) if self.forms is None and "default" in field and place not in self.key else None
        return (attributes.get(field["name"], field["name"]), form, default, self.key.get(place))

    def form(self, written: Schema, place: str, rules: FieldRules, unverified: str | None) -> _Described:
        schema = self.parsed.resolve(written)
        if not isinstance(schema, list):
            return self.value(schema, place, rules, unverified)
        branches = [self.parsed.resolve(branch) for branch in schema]
        null = next(number for number, branch in enumerate(branches) if is_null(branch))
        return ("nullable", null << 1, (1 - null) << 1, self.value(branches[1 - null], place, rules, unverified))

    def value(self, schema: Schema, place: str, rules: FieldRules, unverified: str | None) -> _Described:
        name = kind(schema)
        match name, logical(schema):
            case "record", _:
                return self.record(schema, f"{place}.")
            case "array", _:
                return ("list", self.form(schema["items"], "", FieldRules(), None))
            case "map", _:
                return ("map", self.form(schema["values"], "", FieldRules(), None))
            case "string", None:
                return self.text(rules, unverified)
            case _ if rules.checks_values:
                pass
            case "enum", _:
                return ("symbol", {symbol: number for number, symbol in enumerate(schema["symbols"])})
            case "int", "date":
                return ("table", date, Dates(b""))
            case (("int" | "long"), None):
                return ("number", *RANGES[name])
            case (("null" | "boolean"), _):
                return (name,)
            case "double", None:
                return (name,)
            case "long", "timestamp-millis":
                return ("moment", datetime, _EPOCH)
        write = decimal_writer if (name, logical(schema)) == ("bytes", "decimal") else leaf_writer
        return ("call", write(schema, b"", compile_field(schema, rules)))

    def text(self, rules: FieldRules, unverified: str | None) -> _Described:
        if rules.codes is not None or rules.identifier == "gb2260":  # few values: their bytes are remembered whole
            return ("table", str, Memo(text_writer(b"", compile_field("string", rules))))
        matches = None if rules.pattern is None else re.compile(rules.pattern).fullmatch
        check = None if rules.identifier is None else checker(rules.identifier)
        return ("text", rules.min_length or 0, rules.max_length, matches, check, rules.identifier == "cn.ric", unverified)

    def default(self, field: dict[str, Any], form: _Described) -> bytes | None:
        """A default's bytes, where they are simple to tell."""
        schema, value, lead = self.parsed.resolve(field["type"]), default_value(field["default"], field["type"], self.parsed), b""
        if isinstance(schema, list):
            lead = bytes((form[1] if value is None else form[2],))
            schema = next(one for one in map(self.parsed.resolve, schema) if is_null(one) is (value is None))
        if kind(schema) in ("array", "map"):
            return None if value else lead + b"\0"
        return None if kind(schema) == "record" else leaf_writer(schema, lead, lambda same: same)(value)
