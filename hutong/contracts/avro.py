"""Avro schemas as this package reads them: parsed once, every name full, references looked up in one table.

Neighbours: ``validation``, ``compatibility``, the agreements' delivery schemas and the transcoder all walk schemas with this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import fastavro
from fastavro.schema import SchemaParseException, UnknownType

from hutong.errors import DeclarationError

__all__ = [
    "MAX_DEPTH",
    "MAX_DIGITS",
    "NUMBERS",
    "PRIMITIVES",
    "Parsed",
    "Schema",
    "branches",
    "field_paths",
    "is_null",
    "is_recursive",
    "kind",
    "logical",
    "nullable",
    "parse",
]

Schema = Any
"""A JSON-shaped Avro schema: a name, a list (union) or an object."""

MAX_DEPTH = 64
"""Levels of nesting that a value of a recursive type may have. Deeper ones are refused by writers and readers alike: they cost
stack, and no record of an administration needs them."""

MAX_DIGITS = 1000
"""Digits that a decimal may have. Avro has no limit; with a million of them, every event would cost a second."""

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
NUMBERS = frozenset({"int", "long", "float", "double"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A schema with full names.

    Attributes:
        root: the schema; named types are spelled out at their first use and referred to by full name after it.
        named: every named type by full name.
    """

    root: Schema
    named: dict[str, dict[str, Any]]

    def resolve(self, schema: Schema) -> Schema:
        """The schema itself, or the named type that a bare name refers to."""
        if isinstance(schema, str) and schema not in PRIMITIVES:
            return self.named[schema]
        return schema


def parse(schema: Schema) -> Parsed:
    """Parse a schema.

    Raises:
        DeclarationError: it is not valid Avro; the message says where.
    """
    named: dict[str, Any] = {}
    try:
        root = fastavro.parse_schema(schema, named_schemas=named)
    except UnknownType as error:
        raise DeclarationError(f"the Avro schema uses the type {error.name!r}, which it does not define") from None
    except (SchemaParseException, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DeclarationError(f"this is not a valid Avro schema: {error}") from None
    for problem in _beyond_use(root):
        raise DeclarationError(f"this is not a valid Avro schema: {problem}")
    return Parsed(root=root, named=named)


def _beyond_use(schema: Schema) -> Iterator[str]:
    """What fastavro lets pass, and whoever writes code from a schema must not take: it may be of anybody's making."""
    if isinstance(schema, list):
        for branch in schema:
            yield from _beyond_use(branch)
    elif isinstance(schema, dict):
        if schema.get("logicalType") == "decimal":
            precision, scale = schema.get("precision"), schema.get("scale", 0)
            if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision <= MAX_DIGITS:
                yield f"a decimal has 1 to {MAX_DIGITS} digits, and no more of them behind the point"
        if "size" in schema and (type(schema["size"]) is not int or schema["size"] < 0):
            yield "a size is a number of bytes"
        if not all(isinstance(symbol, str) for symbol in schema.get("symbols", ())):
            yield "a symbol is a text"
        for field in schema.get("fields", ()):
            if not isinstance(field["name"], str):
                yield "a field's name is a text"
            yield from _beyond_use(field["type"])
        for part in ("items", "values", "type"):
            yield from _beyond_use(schema.get(part))


def kind(schema: Schema) -> str:
    """``record``, ``array``, ``union``, ``int``, ... of a resolved schema."""
    if isinstance(schema, str):
        return schema
    if isinstance(schema, list):
        return "union"
    inner = schema["type"]
    return kind(inner) if isinstance(inner, (dict, list)) else str(inner)


def logical(schema: Schema) -> str | None:
    """The logical type's name, if it has one."""
    return schema.get("logicalType") if isinstance(schema, dict) else None


def branches(schema: Schema) -> list[Schema]:
    """A union's branches; any other schema is its own only branch."""
    return schema if isinstance(schema, list) else [schema]


def is_null(schema: Schema) -> bool:
    """Whether this is Avro's null."""
    return schema == "null" or (isinstance(schema, dict) and schema.get("type") == "null")


def nullable(schema: Schema) -> Schema:
    """The schema with null allowed, null first so that the default may be null."""
    rest = [branch for branch in branches(schema) if not is_null(branch)]
    return ["null", *rest]


def is_recursive(parsed: Parsed) -> bool:
    """Whether a value can nest without end."""
    return _reaches_itself(parsed, parsed.root, (), set())


def _reaches_itself(parsed: Parsed, schema: Schema, above: tuple[str, ...], done: set[str]) -> bool:
    schema = parsed.resolve(schema)
    match kind(schema):
        case "union":
            return any(_reaches_itself(parsed, branch, above, done) for branch in schema)
        case "array":
            return _reaches_itself(parsed, schema["items"], above, done)
        case "map":
            return _reaches_itself(parsed, schema["values"], above, done)
        case "record":
            name = schema["name"]
            if name in above:
                return True
            if name not in done:
                found = any(_reaches_itself(parsed, field["type"], (*above, name), done) for field in schema["fields"])
                done.add(name)
                return found
    return False


def field_paths(parsed: Parsed) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every record field as ``(dotted path, field)``, depth first; a recursive type is entered once on each way down."""
    yield from _paths(parsed, parsed.root, "", ())


def _paths(parsed: Parsed, schema: Schema, prefix: str, above: tuple[str, ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    schema = parsed.resolve(schema)
    match kind(schema):
        case "union":
            records = [b for b in map(parsed.resolve, schema) if kind(b) == "record"]
            for branch in schema:
                segment = ""
                if len(records) > 1 and kind(parsed.resolve(branch)) == "record":
                    segment = parsed.resolve(branch)["name"].rpartition(".")[2] + "."
                yield from _paths(parsed, branch, prefix + segment, above)
        case "array":
            yield from _paths(parsed, schema["items"], prefix, above)
        case "map":
            yield from _paths(parsed, schema["values"], prefix, above)
        case "record" if schema["name"] not in above:
            for field in schema["fields"]:
                yield prefix + field["name"], field
                yield from _paths(parsed, field["type"], f"{prefix}{field['name']}.", (*above, schema["name"]))
