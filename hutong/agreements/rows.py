"""Which events an agreement grants: row conditions compiled to tests, and an index over many agreements' conditions.

The index makes the cost of routing an event follow the agreements that match it, not those that exist: each agreement stands
under the value (or prefix) of one of its conditions; only those found there are tested further.
Neighbours: ``plan`` holds one agreement's tests; ``transcode`` asks the index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Generic, TypeVar
from uuid import UUID

from hutong.agreements.agreement import CelRow, FieldRow, Row
from hutong.agreements.cel import compile_expression
from hutong.contracts.avro import Parsed, Schema, is_null, kind, logical
from hutong.errors import DeclarationError

__all__ = [
    "Getter",
    "RowIndex",
    "Test",
    "bounds",
    "compile_row",
    "equal_values",
    "getter",
    "indexed_position",
    "row_type",
]

Test = Callable[[Mapping[str, Any]], bool]
Getter = Callable[[Mapping[str, Any]], Any]
T = TypeVar("T")


def row_type(parsed: Parsed, path: str) -> Schema:
    """The type (null set aside) of the single value that a path leads to.

    Raises:
        DeclarationError: no such field, or the path goes through an array, a map or a union of several types.
    """
    schema: Schema = parsed.root
    for segment in path.split("."):
        fields = {field["name"]: field for field in schema["fields"]} if kind(schema) == "record" else {}
        if segment not in fields:
            raise DeclarationError(
                f"the contract has no field {path} that a row condition can look at; use a cel condition for lists"
            )
        schema = _only_branch(parsed, fields[segment]["type"], path)
    if kind(schema) in {"record", "array", "map"}:
        raise DeclarationError(f"{path} is a {kind(schema)}; a row condition needs a single value")
    return schema


def _only_branch(parsed: Parsed, schema: Schema, path: str) -> Schema:
    schema = parsed.resolve(schema)
    if kind(schema) != "union":
        return schema
    rest = [branch for branch in schema if not is_null(branch)]
    if len(rest) != 1:
        raise DeclarationError(f"{path} goes through a union of several types; use a cel condition")
    return parsed.resolve(rest[0])


def getter(path: str) -> Getter:
    """A function that follows a dotted path; None where something on the way is null."""
    first, *rest = path.split(".")
    if not rest:
        return lambda data: data[first]

    def get(data: Mapping[str, Any]) -> Any:
        value = data[first]
        for segment in rest:
            if value is None:
                return None
            value = value[segment]
        return value

    return get


def compile_row(row: Row, parsed: Parsed) -> Test:
    """One condition as a test of event data.

    Raises:
        DeclarationError: the field does not exist, or the condition does not suit its type.
    """
    if isinstance(row, CelRow):
        return _cel_test(row, parsed)
    schema = row_type(parsed, row.field)
    get = getter(row.field)
    if row.prefix is not None:
        return _prefix_test(get, row.prefix, schema, row.field)
    if _is_equality(row):
        wanted = equal_values(row, schema)
        return lambda data: get(data) in wanted
    low, high = bounds(row, schema)
    if kind(schema) in {"boolean", "enum", "bytes", "fixed"} and logical(schema) != "decimal":
        raise DeclarationError(f"{row.field} is a {kind(schema)}, which has no order; use equals or in")

    def in_range(data: Mapping[str, Any]) -> bool:
        value = get(data)
        return value is not None and (low is None or value >= low) and (high is None or value <= high)

    return in_range


def bounds(row: FieldRow, schema: Schema) -> tuple[Any, Any]:
    """The ends of a range condition, in the form that events hold them; None where it is open."""
    low = None if row.at_least is None else _literal(row.at_least, schema, row.field)
    high = None if row.at_most is None else _literal(row.at_most, schema, row.field)
    return low, high


def equal_values(row: FieldRow, schema: Schema) -> frozenset[Any]:
    """The values that pass an equality or membership condition, in the form that events hold them."""
    literals = row.one_of if row.one_of is not None else (row.equals,)
    return frozenset(_literal(literal, schema, row.field) for literal in literals)


def _prefix_test(get: Getter, prefix: str, schema: Schema, path: str) -> Test:
    if kind(schema) != "string" or logical(schema):
        raise DeclarationError(f"{path} is a {logical(schema) or kind(schema)}; prefix needs a text field")

    def starts(data: Mapping[str, Any]) -> bool:
        value = get(data)
        return value is not None and value.startswith(prefix)

    return starts


def _cel_test(row: CelRow, parsed: Parsed) -> Test:
    expression = compile_expression(row.cel, frozenset(field["name"] for field in parsed.root["fields"]))

    def holds(data: Mapping[str, Any]) -> bool:
        value = expression(data)
        if not isinstance(value, bool):
            raise ValueError("the CEL row condition is not true or false")  # noqa: TRY004 - one error for all that CEL does
        return value

    return holds


def _literal(literal: Any, schema: Schema, path: str) -> Any:
    """A declared value as events hold it."""
    try:
        match logical(schema), kind(schema):
            case "date", "int":
                return date.fromisoformat(literal)
            case (("timestamp-millis" | "timestamp-micros" | "local-timestamp-millis" | "local-timestamp-micros"), _):
                moment = datetime.fromisoformat(literal)
                local = str(logical(schema)).startswith("local")
                return moment if (moment.tzinfo is None) is local else _refuse()
            case "decimal", _:
                return Decimal(str(literal)) if not isinstance(literal, bool) else _refuse()
            case "uuid", _:
                return UUID(literal)
            case _, "boolean":
                return literal if isinstance(literal, bool) else _refuse()
            case _, ("int" | "long"):
                return literal if type(literal) is int else _refuse()
            case _, ("float" | "double"):
                return float(literal) if type(literal) in {int, float} else _refuse()
            case _, "string":
                return literal if isinstance(literal, str) else _refuse()
            case _, "enum":
                return literal if literal in schema["symbols"] else _refuse()
            case _:
                return _refuse()
    except (ValueError, TypeError, AttributeError, InvalidOperation):
        words = logical(schema) or kind(schema)
        raise DeclarationError(f"the row condition's value {literal!r} does not suit {path}, which is a {words}") from None


def _refuse() -> Any:
    raise ValueError


def indexed_position(rows: Sequence[Row]) -> int | None:
    """The position of the condition to index an agreement by: an equality, else a prefix, else none."""
    for wanted in (_is_equality, _is_prefix):
        for position, row in enumerate(rows):
            if isinstance(row, FieldRow) and wanted(row):
                return position
    return None


def _is_equality(row: FieldRow) -> bool:
    return row.equals is not None or row.one_of is not None


def _is_prefix(row: FieldRow) -> bool:
    return row.prefix is not None


class RowIndex(Generic[T]):
    """Many agreements' row conditions, looked up by the event's values.

    ``candidates`` returns every entry whose indexed condition holds; an entry without an indexable one is always returned.
    """

    def __init__(self) -> None:
        self._equal: dict[str, tuple[Getter, dict[Any, list[T]]]] = {}
        self._prefix: dict[tuple[str, int], tuple[Getter, dict[str, list[T]]]] = {}
        self._always: list[T] = []

    def add(self, entry: T, row: FieldRow | None, parsed: Parsed) -> None:
        """Put an entry in under a condition that ``indexed_position`` chose, or under none."""
        if row is None:
            self._always.append(entry)
        elif row.prefix is not None:
            _, by_prefix = self._prefix.setdefault((row.field, len(row.prefix)), (getter(row.field), {}))
            by_prefix.setdefault(row.prefix, []).append(entry)
        else:
            _, by_value = self._equal.setdefault(row.field, (getter(row.field), {}))
            for value in equal_values(row, row_type(parsed, row.field)):
                by_value.setdefault(value, []).append(entry)

    def candidates(self, data: Mapping[str, Any]) -> list[T]:
        """The entries that may match this event."""
        found = list(self._always)
        for get, by_value in self._equal.values():
            if hits := by_value.get(get(data)):
                found += hits
        for (_, length), (get, by_prefix) in self._prefix.items():
            value = get(data)
            if value is not None and (hits := by_prefix.get(value[:length])):
                found += hits
        return found
