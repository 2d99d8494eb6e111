"""A writer's schema as the extension reads it: numbered types, and a place for every field that records alone lead to.

The places depend on the schema alone, never on agreements: so each agreement is compiled once, whatever the others are.
Neighbours: ``emit``, ``rows`` and ``texts`` ask for places and for types by number.
"""

from __future__ import annotations

from typing import Any

from hutong.contracts.avro import Parsed, Schema, is_null, kind, logical
from hutong.transcode.checks import RANGES
from hutong.transcode.native.beyond import Beyond

__all__ = ["Types"]

_MOST_PLACES = 1_000  # each costs every event eight bytes; a schema of so many fields is read by the reference
_INT = (-(2**31), 2**31 - 1)
_LONG = (-(2**63), 2**63 - 1)


class Types:
    """The numbered types of one schema.

    Attributes:
        parsed: the schema.
        described: one tuple per type, the root first.
        places: dotted path -> number of its place.
    """

    def __init__(self, parsed: Parsed) -> None:
        self.parsed = parsed
        self.described: list[tuple[Any, ...]] = []
        self.places: dict[str, int] = {}
        self._numbers: dict[str | int, int] = {}  # by name, or by identity: the schema lives as long as this
        self._entered: set[str] = set()
        self._placed(parsed.root, "", ())

    def number(self, schema: Schema) -> int:
        """The number of a type inside a list, a map or a union, where no field has a place."""
        schema = self.parsed.resolve(schema)
        known = schema if isinstance(schema, str) else schema.get("name", id(schema)) if isinstance(schema, dict) else id(schema)
        if known not in self._numbers:
            self._numbers[known] = number = self._reserve()
            self.described[number] = self._plain(schema)
        return self._numbers[known]

    def is_placed(self, path: str) -> bool:
        """Whether the fields below this path have places; the root's path is empty."""
        return path in self._entered

    def _reserve(self) -> int:
        self.described.append(("null",))
        return len(self.described) - 1

    def _placed(self, record: dict[str, Any], path: str, above: tuple[str, ...]) -> int:
        self._entered.add(path)
        number = self._reserve()
        fields = []
        for field in record["fields"]:
            place = f"{path}.{field['name']}" if path else field["name"]
            if len(self.places) >= _MOST_PLACES:
                raise Beyond
            position = self.places[place] = len(self.places)
            self.number(field["type"])  # instructions may need it without places, and no type may be added later
            fields.append((self._below(field["type"], place, (*above, record["name"])), position))
        self.described[number] = ("record", fields)
        return number

    def _below(self, schema: Schema, path: str, above: tuple[str, ...]) -> int:
        """A type that a field with a place has: a record, also a nullable one, gives places to its own fields."""
        schema = self.parsed.resolve(schema)
        if kind(schema) == "record" and schema["name"] not in above:
            return self._placed(schema, path, above)
        if isinstance(schema, list) and len(schema) == 2 and any(map(is_null, schema)):
            number = self._reserve()
            inner = [self.number(branch) if is_null(branch) else self._below(branch, path, above) for branch in schema]
            self.described[number] = ("union", inner)
            return number
        return self.number(schema)

    def _plain(self, schema: Schema) -> tuple[Any, ...]:
        match kind(schema):
            case "null" | "boolean" | "float" | "double" as name:
                return (name,)
            case "int" | "long" as name:
                known = RANGES.get((logical(schema) or "", name))
                return ("number", *(known[:2] if known else _INT if name == "int" else _LONG))
            case "fixed":
                return ("fixed", int(schema["size"]), _precision(schema))
            case "bytes":
                return ("bytes", _precision(schema))
            case "string":
                return ("string", logical(schema) == "uuid")
            case "enum":
                return ("enum", len(schema["symbols"]))
            case "union":
                return ("union", [self.number(branch) for branch in schema])
            case "array":
                return ("array", self.number(schema["items"]))
            case "map":
                return ("map", self.number(schema["values"]))
            case "record":
                return ("record", [(self.number(field["type"]), None) for field in schema["fields"]])
        raise Beyond


def _precision(schema: Schema) -> int | None:
    return int(schema["precision"]) if logical(schema) == "decimal" else None
