"""Does a field's default fit its type? Avro writes defaults as JSON, with bytes as text of the characters 0 to 255.

Neighbours: ``wellformed`` asks this for every default of a schema.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from hutong.contracts.avro import PRIMITIVES, Schema

__all__ = ["default_problem"]


def _integer(bits: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and -(1 << (bits - 1)) <= value < 1 << (bits - 1)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _byte_text(value: Any) -> bool:
    return isinstance(value, str) and all(ord(character) < 256 for character in value)


_FITS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "null": (lambda value: value is None, "null"),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "int": (_integer(32), "an integer of 32 bits"),
    "long": (_integer(64), "an integer of 64 bits"),
    "float": (_number, "a number"),
    "double": (_number, "a number"),
    "string": (lambda value: isinstance(value, str), "text"),
    "bytes": (_byte_text, "text of the characters 0 to 255"),
}


_LONGEST = 300  # characters; what is wrong in a branch of a branch of a union would be told of in all of them
_DAY = 86_400
_SECONDS = (-62_135_596_800, 253_402_300_799)  # the years 1 to 9999, as far as calendars of programs go


def _scaled(factor: int) -> tuple[int, int]:
    return _SECONDS[0] * factor, _SECONDS[1] * factor + factor - 1


_RANGES = {
    "date": (_SECONDS[0] // _DAY, _SECONDS[1] // _DAY),
    "time-millis": (0, _DAY * 1000 - 1),
    "time-micros": (0, _DAY * 1_000_000 - 1),
    "timestamp-millis": _scaled(1000),
    "timestamp-micros": _scaled(1_000_000),
    "local-timestamp-millis": _scaled(1000),
    "local-timestamp-micros": _scaled(1_000_000),
}


def default_problem(value: Any, schema: Schema, named: Mapping[str, dict[str, Any]], namespace: str) -> str | None:
    """What is wrong with a default, or None. ``schema`` must be well formed, ``named`` hold its named types by full name."""
    return _Judge(named).problem(value, schema, namespace)


def _meaning_problem(value: Any, schema: dict[str, Any]) -> str | None:
    """Logical types leave out values that their base type has."""
    match schema.get("logicalType"), schema["type"]:
        case str(logical), _ if logical in _RANGES:
            low, high = _RANGES[logical]
            return None if low <= value <= high else f"the number is no {logical}"
        case "uuid", "string":
            try:
                UUID(value)
            except ValueError:
                return "expected a UUID"
        case "decimal", _:
            unscaled = int.from_bytes(value.encode("latin-1"), "big", signed=True)
            if abs(unscaled) >= 10 ** schema["precision"]:
                return f"the decimal has more than {schema['precision']} digits"
    return None


class _Judge:
    """Judges one default. What a value is to a type is found out once: unions in unions would ask for it again and again."""

    def __init__(self, named: Mapping[str, dict[str, Any]]) -> None:
        self._named = named
        self._found: dict[tuple[int, int, str], str | None] = {}  # both live as long as the judge does

    def problem(self, value: Any, schema: Schema, namespace: str) -> str | None:
        place = (id(value), id(schema), namespace)
        if place not in self._found:
            problem = self._problem(value, schema, namespace)
            self._found[place] = problem and problem[:_LONGEST]
        return self._found[place]

    def _problem(self, value: Any, schema: Schema, namespace: str) -> str | None:
        if isinstance(schema, list):
            problems = [self.problem(value, branch, namespace) for branch in schema]
            return None if None in problems else f"none of the union's branches takes it ({'; '.join(filter(None, problems))})"
        if isinstance(schema, str) and schema not in PRIMITIVES:
            full = schema if "." in schema or not namespace else f"{namespace}.{schema}"
            return self.problem(value, self._named[full], full.rpartition(".")[0])
        name = schema if isinstance(schema, str) else schema["type"]
        if name in _FITS:
            fits, words = _FITS[name]
            if not fits(value):
                return f"expected {words}"
            return _meaning_problem(value, schema) if isinstance(schema, dict) else None
        assert isinstance(schema, dict)  # noqa: S101 - strings were dealt with above
        return self._complex_problem(value, schema, namespace)

    def _complex_problem(self, value: Any, schema: dict[str, Any], namespace: str) -> str | None:
        match schema["type"]:
            case "enum":
                return None if value in schema["symbols"] else "expected a symbol of the enum"
            case "fixed":
                good = _byte_text(value) and len(value) == schema["size"]
                return _meaning_problem(value, schema) if good else f"expected text of {schema['size']} characters from 0 to 255"
            case "array":
                if not isinstance(value, list):
                    return "expected an array"
                return next(filter(None, (self.problem(item, schema["items"], namespace) for item in value)), None)
            case "map":
                if not isinstance(value, dict):
                    return "expected an object"
                return next(filter(None, (self.problem(v, schema["values"], namespace) for v in value.values())), None)
            case _:
                return self._record_problem(value, schema, namespace)

    def _record_problem(self, value: Any, schema: dict[str, Any], namespace: str) -> str | None:
        if not isinstance(value, dict):
            return "expected an object"
        own = schema.get("namespace", namespace)
        for field in schema["fields"]:
            name = field["name"]
            if name in value:
                problem = self.problem(value[name], field["type"], own)
            else:
                problem = None if "default" in field else "it is missing and has no default of its own"
            if problem:
                return f"{name}: {problem}"
        return None
