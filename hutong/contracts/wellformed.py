"""Is a JSON document a valid Avro schema, by the letter of the specification? Every fault at once, each with its place.

Parsers stop at the first fault, and lenient ones pass what another language's library then refuses: a doubled field, a symbol
with a space, a default of the wrong type. Neighbours: ``avro`` parses what is well formed here, ``definitions`` walks it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hutong.contracts.avro import MAX_DIGITS, PRIMITIVES, Schema
from hutong.contracts.defaults import default_problem

__all__ = ["LOGICAL_TYPES", "Fault", "Place", "faults", "full_name"]

Place = tuple[str | int, ...]
"""Keys and positions from the top of a JSON document."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NAMED = frozenset({"record", "enum", "fixed"})
LOGICAL_TYPES: dict[str, frozenset[str]] = {
    "date": frozenset({"int"}),
    "time-millis": frozenset({"int"}),
    "time-micros": frozenset({"long"}),
    "timestamp-millis": frozenset({"long"}),
    "timestamp-micros": frozenset({"long"}),
    "timestamp-nanos": frozenset({"long"}),
    "local-timestamp-millis": frozenset({"long"}),
    "local-timestamp-micros": frozenset({"long"}),
    "local-timestamp-nanos": frozenset({"long"}),
    "uuid": frozenset({"string", "fixed"}),
    "duration": frozenset({"fixed"}),
    "decimal": frozenset({"bytes", "fixed"}),
    "big-decimal": frozenset({"bytes"}),
}
"""Logical type -> the types that it goes with."""

_MOST_BYTES = 1_000_000  # no event has more
_FIXED_SIZES = {"uuid": 16, "duration": 12}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that Avro does not allow.

    Attributes:
        problem: what is wrong and what to do.
        place: where in the JSON document.
        field: dotted path of the field, as far as it goes.
    """

    problem: str
    place: Place
    field: str


def faults(schema: Schema) -> list[Fault]:
    """Every fault of a schema; empty means that it is valid Avro."""
    walk = _Walk()
    walk.schema(schema, (), "", "")
    if not walk.found:
        walk.found.extend(walk.bad_defaults())
    return walk.found


@dataclass(slots=True)
class _Walk:
    found: list[Fault] = field(default_factory=list)
    named: dict[str, dict[str, Any]] = field(default_factory=dict)
    defaults: list[tuple[Any, Schema, str, Place, str]] = field(default_factory=list)

    def fail(self, problem: str, place: Place, path: str) -> None:
        self.found.append(Fault(problem=problem, place=place, field=path))

    def schema(self, schema: Any, place: Place, path: str, namespace: str) -> None:
        if isinstance(schema, str):
            if schema not in PRIMITIVES and full_name(schema, namespace) not in self.named:
                self.fail(f"the type {schema!r} is not defined before this place", place, path)
        elif isinstance(schema, list):
            self.union(schema, place, path, namespace)
        elif isinstance(schema, dict):
            self.object(schema, place, path, namespace)
        else:
            self.fail("a schema is a type's name, a list (union) or an object", place, path)

    def object(self, schema: dict[str, Any], place: Place, path: str, namespace: str) -> None:
        name = schema.get("type")
        if not isinstance(name, str) or name not in PRIMITIVES | _NAMED | {"array", "map"}:
            self.fail("'type' must be a primitive type, record, enum, fixed, array or map", (*place, "type"), path)
            return
        if name in _NAMED:
            namespace = self.definition(schema, place, path, namespace)
        match name:
            case "record":
                self.record(schema, place, path, namespace)
            case "enum":
                self.enum(schema, place, path)
            case "fixed":
                size = schema.get("size")
                if type(size) is not int or not 1 <= size <= _MOST_BYTES:
                    self.fail(f"a fixed needs 'size', a number of bytes from 1 to {_MOST_BYTES:,}", (*place, "size"), path)
            case "array" | "map":
                inner = "items" if name == "array" else "values"
                if inner in schema:
                    self.schema(schema[inner], (*place, inner), path, namespace)
                else:
                    self.fail(f"this {name} needs {inner!r}", place, path)
        if "logicalType" in schema:
            for problem in _logical_problems(schema):
                self.fail(problem, (*place, "logicalType"), path)

    def definition(self, schema: dict[str, Any], place: Place, path: str, namespace: str) -> str:
        """Check a named type's name and remember it; its own namespace."""
        name, own = schema.get("name"), schema.get("namespace", namespace)
        if not isinstance(name, str) or not isinstance(own, str) or not all(map(_NAME.fullmatch, name.split("."))):
            self.fail("a record, enum or fixed needs a 'name' of letters, digits and _", (*place, "name"), path)
            return namespace
        if own and not all(map(_NAME.fullmatch, own.split("."))):
            self.fail("a namespace is names of letters, digits and _, joined by dots", (*place, "namespace"), path)
        full = full_name(name, own)
        if name in PRIMITIVES:
            self.fail(f"{name!r} is the name of a primitive type", (*place, "name"), path)
        if full in self.named:
            self.fail(f"the name {full} is defined twice; refer to the first definition by its name", (*place, "name"), path)
        self.aliases(schema, place, path, dotted=True)
        self.named[full] = schema
        return full.rpartition(".")[0]

    def aliases(self, schema: dict[str, Any], place: Place, path: str, *, dotted: bool) -> list[str]:
        aliases = schema.get("aliases", [])
        if not isinstance(aliases, list) or not all(
            isinstance(a, str) and all(map(_NAME.fullmatch, a.split(".") if dotted else [a])) for a in aliases
        ):
            self.fail("'aliases' is a list of names", (*place, "aliases"), path)
            return []
        return aliases

    def record(self, schema: dict[str, Any], place: Place, path: str, namespace: str) -> None:
        fields = schema.get("fields")
        if not isinstance(fields, list):
            self.fail("a record needs 'fields', a list", place, path)
            return
        taken: dict[str, int] = {}
        for i, one in enumerate(fields):
            here = (*place, "fields", i)
            name = one.get("name") if isinstance(one, dict) else None
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                self.fail("a field needs a 'name' of letters, digits and _", here, path)
                continue
            inner = f"{path}.{name}" if path else name
            for known in (name, *self.aliases(one, here, inner, dotted=False)):
                if taken.setdefault(known, i) != i:
                    self.fail(f"two fields of this record have the name or alias {known!r}", here, inner)
            if "type" not in one:
                self.fail("the field needs a 'type'", here, inner)
                continue
            self.schema(one["type"], (*here, "type"), inner, namespace)
            if "default" in one:
                self.defaults.append((one["default"], one["type"], namespace, (*here, "default"), inner))

    def enum(self, schema: dict[str, Any], place: Place, path: str) -> None:
        symbols = schema.get("symbols")
        if not isinstance(symbols, list) or not symbols or not all(isinstance(s, str) and _NAME.fullmatch(s) for s in symbols):
            self.fail("an enum needs 'symbols', a list of names of letters, digits and _", (*place, "symbols"), path)
            return
        if doubled := sorted(symbol for symbol, times in Counter(symbols).items() if times > 1):
            self.fail(f"the symbol {doubled[0]} is there twice", (*place, "symbols"), path)
        if "default" in schema and schema["default"] not in symbols:
            self.fail("the enum's default is none of its symbols", (*place, "default"), path)

    def union(self, schema: list[Any], place: Place, path: str, namespace: str) -> None:
        if not schema:
            self.fail("a union needs at least one branch", place, path)
        seen: set[str] = set()
        for i, branch in enumerate(schema):
            if isinstance(branch, list):
                self.fail("a union may not stand directly inside a union", (*place, i), path)
                continue
            self.schema(branch, (*place, i), path, namespace)
            label = self.branch_label(branch)
            if label in seen:
                self.fail(f"two branches of this union are {label}; readers cannot tell them apart", (*place, i), path)
            seen.add(label)

    def branch_label(self, branch: Any) -> str:
        # Readers match named types by the name without namespace, so that is what must differ.
        if isinstance(branch, dict) and str(branch.get("type")) not in _NAMED:
            return str(branch.get("type"))
        name = branch.get("name") if isinstance(branch, dict) else branch
        return str(name).rpartition(".")[2]

    def bad_defaults(self) -> Iterator[Fault]:
        for default, schema, namespace, place, path in self.defaults:
            problem = default_problem(default, schema, self.named, namespace)
            if problem:
                yield Fault(problem=f"the default does not fit the field's type: {problem}", place=place, field=path)


def full_name(name: str, namespace: str) -> str:
    """A name with its namespace, unless it has one already."""
    return name if "." in name or not namespace else f"{namespace}.{name}"


def _logical_problems(schema: dict[str, Any]) -> Iterator[str]:
    name, base = schema["logicalType"], schema["type"]
    if not isinstance(name, str) or name not in LOGICAL_TYPES:
        yield f"{name!r} is no logical type of Avro; known are {', '.join(LOGICAL_TYPES)}"
        return
    if base not in LOGICAL_TYPES[name]:
        yield f"the logical type {name} goes with {' or '.join(sorted(LOGICAL_TYPES[name]))}, not with {base}"
        return
    if base == "fixed" and name in _FIXED_SIZES and schema.get("size") != _FIXED_SIZES[name]:
        yield f"a {name} in a fixed needs a size of {_FIXED_SIZES[name]} bytes"
    if name == "decimal":
        precision, scale = schema.get("precision"), schema.get("scale", 0)
        if type(precision) is not int or not 1 <= precision <= MAX_DIGITS:
            yield f"a decimal needs 'precision', a number of digits from 1 to {MAX_DIGITS}"
        elif type(scale) is not int or not 0 <= scale <= precision:
            yield "a decimal's 'scale' is a number from 0 to its precision"
        elif base == "fixed" and type(schema.get("size")) is int and not _holds(schema["size"], precision):
            yield f"{precision} digits do not fit {schema['size']} bytes"


def _holds(size: int, digits: int) -> bool:
    """Whether so many bytes are enough for every number of so many digits."""
    return size > digits or 10**digits <= 1 << (8 * size - 1)  # a digit takes less than half a byte
