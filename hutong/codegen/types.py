"""Avro types as Python annotations, and Avro defaults as Python expressions.

Neighbours: ``module`` asks for these per field, and has decided how the named types are called.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from hutong.codegen.literals import call, literal
from hutong.contracts.avro import Parsed, Schema, is_null, kind, logical
from hutong.contracts.default_values import default_value
from hutong.contracts.rules import ATTRIBUTE, FieldRules

__all__ = ["Types"]

_PLAIN = {
    "null": "None",
    "boolean": "bool",
    "int": "Int",
    "long": "Long",
    "float": "Float",
    "double": "float",
    "bytes": "bytes",
    "string": "str",
}
_LOGICAL = {
    "date": "dt.date",
    "time-millis": "dt.time",
    "time-micros": "dt.time",
    "timestamp-millis": "Moment",
    "timestamp-micros": "Moment",
    "local-timestamp-millis": "LocalMoment",
    "local-timestamp-micros": "LocalMoment",
    "uuid": "UUID",
}
_MEANINGS = frozenset(
    {(name, "long") for name in _LOGICAL if name not in ("date", "time-millis", "uuid")}
    | {("date", "int"), ("time-millis", "int"), ("uuid", "string"), ("uuid", "fixed")}
)


class Types:
    """The types of one schema.

    Args:
        parsed: the schema.
        classes: full Avro name -> Python class.
        members: full name of an enum -> symbol -> member.
        attributes: full name of a record -> field -> attribute.
    """

    def __init__(
        self,
        parsed: Parsed,
        classes: Mapping[str, str],
        members: Mapping[str, Mapping[str, str]],
        attributes: Mapping[str, Mapping[str, str]],
    ) -> None:
        self._parsed, self._classes, self._members, self._attributes = parsed, classes, members, attributes

    def annotation(self, field: dict[str, Any]) -> tuple[str, str]:
        """A field's type and its rules: ``("str | None", 'Rules(pattern="...")')``; the second is empty where there are none."""
        attribute = field.get(ATTRIBUTE)
        rules = FieldRules.model_validate(attribute) if attribute else None
        if rules is None or not rules.checks_values:
            return self.type(field["type"]), ""
        facts = rules.model_dump(exclude_none=True, exclude={"classification"})
        return self.type(field["type"]), call("Rules", {key: _whole(value) for key, value in facts.items()})

    def type(self, schema: Schema) -> str:
        """A schema as a type."""
        schema = self._parsed.resolve(schema)
        match kind(schema):
            case "record" | "enum":
                return self._classes[schema["name"]]
            case "array":
                return f"list[{self.type(schema['items'])}]"
            case "map":
                return f"dict[str, {self.type(schema['values'])}]"
            case "union":
                return self._union(schema)
            case name:
                return _leaf(name, schema)

    def default(self, field: dict[str, Any]) -> str | None:
        """A field's default as an expression, or None where it has none."""
        if "default" not in field:
            return None
        return self._expression(default_value(field["default"], field["type"], self._parsed), field["type"])

    def _union(self, schema: list[Schema]) -> str:
        names = list(dict.fromkeys(self.type(branch) for branch in schema if not is_null(branch)))
        return " | ".join([*names, "None"] if len(schema) > 1 and any(map(is_null, schema)) else names or ["None"])

    def _expression(self, value: Any, schema: Schema) -> str:
        schema = self._parsed.resolve(schema)
        match kind(schema):
            case "union":
                return self._expression(*self._branch(value, schema))
            case "record":
                attributes = self._attributes[schema["name"]]
                fields = ((attributes[f["name"]], self._expression(value[f["name"]], f["type"])) for f in schema["fields"])
                return f"{self._classes[schema['name']]}({', '.join(f'{name}={text}' for name, text in fields)})"
            case "enum":
                return f"{self._classes[schema['name']]}.{self._members[schema['name']][value]}"
            case "array":
                return f"[{', '.join(self._expression(item, schema['items']) for item in value)}]"
            case "map":
                items = (f"{literal(key)}: {self._expression(item, schema['values'])}" for key, item in value.items())
                return "{" + ", ".join(items) + "}"
            case _:
                return _expression(value)

    def _branch(self, value: Any, schema: list[Schema]) -> tuple[Any, Schema]:
        """The value without its record's name, and the branch that it is of."""
        if isinstance(value, tuple):
            return value[1], value[0]
        branches = [self._parsed.resolve(branch) for branch in schema]
        return value, next(branch for branch in branches if _fits(value, branch))


def _leaf(name: str, schema: Schema) -> str:
    meaning = logical(schema) or ""
    if meaning == "decimal" and name in ("bytes", "fixed"):
        return f"Annotated[Decimal, Digits({schema['precision']}, {schema.get('scale', 0)})]"
    if (meaning, name) in _MEANINGS:
        return _LOGICAL[meaning]
    if name == "fixed":
        return f"Annotated[bytes, Fixed({schema['size']})]"
    return _PLAIN[name]


def _expression(value: Any) -> str:
    match value:
        case datetime():
            zone = ", tzinfo=dt.UTC" if value.tzinfo else ""
            parts = [value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond]
            return f"dt.datetime({', '.join(map(str, parts))}{zone})"
        case date():
            return f"dt.date({value.year}, {value.month}, {value.day})"
        case time():
            return f"dt.time({value.hour}, {value.minute}, {value.second}, {value.microsecond})"
        case Decimal():
            return f'Decimal("{value}")'
        case UUID():
            return f'UUID("{value}")'
        case bytes():
            return _bytes(value)
        case _:
            return literal(value)


def _bytes(value: bytes) -> str:
    return 'b"' + "".join(chr(b) if 32 <= b < 127 and b not in (34, 92) else f"\\x{b:02x}" for b in value) + '"'


_PYTHON = {"boolean": bool, "int": int, "long": int, "float": float, "double": float, "string": str, "enum": str}


def _fits(value: Any, branch: Schema) -> bool:
    name = kind(branch)
    if value is None or is_null(branch):
        return value is None and is_null(branch)
    if name in ("array", "map", "record"):
        return isinstance(value, list if name == "array" else dict)
    if isinstance(value, (date, time, Decimal, UUID)):
        return bool(logical(branch))
    if isinstance(value, bytes):
        return name in ("bytes", "fixed")
    return type(value) is _PYTHON.get(name)


def _whole(value: Any) -> Any:
    """A bound without its ``.0``, as the contract has it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
