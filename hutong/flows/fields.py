"""A contract's fields as flows use them: what a path leads to, and whether an emitted event has every field that it needs.

Pure. Neighbours: ``check`` asks this about every contract that a flow takes or emits; ``plan`` compiles the same paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hutong.contracts.avro import Parsed, Schema, is_null, kind, logical
from hutong.contracts.finding import Finding
from hutong.contracts.rules import ATTRIBUTE
from hutong.contracts.wellformed import Place
from hutong.errors import DeclarationError
from hutong.flows.flow import Expression

__all__ = ["emission_findings", "is_expression", "is_personal", "is_text", "type_at"]

_FORMS = frozenset(Expression.model_fields)


def type_at(parsed: Parsed, path: str) -> Schema:
    """The type (null set aside) of what a dotted path leads to, as ``expressions.follow`` goes along it.

    Raises:
        DeclarationError: it leads nowhere.
    """
    schema = parsed.resolve(parsed.root)
    gone: list[str] = []
    for segment in path.split("."):
        if len(records := _branches(parsed, schema)) > 1:
            raise DeclarationError(f"{'.'.join(gone)} has several types, which no path goes through; use a cel expression")
        schema = records[0]
        if kind(schema) not in ("record", "map"):
            text = (
                f"{'.'.join(gone)} is a {kind(schema)}, which no path goes through; use a cel expression, or end the path there"
            )
            raise DeclarationError(text)
        gone.append(segment)
        schema = schema["values"] if kind(schema) == "map" else _field(schema, segment, ".".join(gone))["type"]
    found = _branches(parsed, schema)
    return found[0] if len(found) == 1 else found


def is_personal(parsed: Parsed, path: str) -> bool:
    """Whether a path leads to a field whose classification says that it is somebody's."""
    schema = parsed.resolve(parsed.root)
    facts: Mapping[str, Any] = {}
    for segment in path.split("."):
        if kind(schema) == "map":
            schema = schema["values"]
        else:
            field = _field(schema, segment, path)
            facts, schema = field.get(ATTRIBUTE) or {}, field["type"]
        schema = _branches(parsed, schema)[0]
    return facts.get("classification") in ("personal", "sensitive")


def _field(record: Mapping[str, Any], name: str, path: str) -> Mapping[str, Any]:
    for field in record["fields"]:
        if field["name"] == name:
            found: Mapping[str, Any] = field
            return found
    raise DeclarationError(f"the contract has no field {path}; it has {', '.join(one['name'] for one in record['fields'])}")


def _branches(parsed: Parsed, schema: Schema) -> list[Schema]:
    schema = parsed.resolve(schema)
    if kind(schema) != "union":
        return [schema]
    return [parsed.resolve(branch) for branch in schema if not is_null(branch)] or [schema]


def is_expression(part: Any) -> bool:
    """Whether a part of a tree is a value, as ``expressions.compile_tree`` sees it, and no nested record."""
    return not isinstance(part, Mapping) or bool(part and part.keys() <= _FORMS)


def emission_findings(parsed: Parsed, tree: Mapping[str, Any], place: Place) -> Iterator[Finding]:
    """What an event that a flow emits lacks, and what it has that its contract does not know.

    Args:
        parsed: the contract's schema.
        tree: the declared fields.
        place: where they stand.
    """
    yield from _record_findings(parsed, parsed.resolve(parsed.root), tree, place, "")


def _record_findings(
    parsed: Parsed, record: Mapping[str, Any], tree: Mapping[str, Any], place: Place, prefix: str
) -> Iterator[Finding]:
    fields = {field["name"]: field for field in record["fields"]}
    lacking = [prefix + name for name, field in fields.items() if "default" not in field and name not in tree]
    if lacking:
        yield Finding(problem=f"lacks {', '.join(lacking)}, which the contract wants and has no default for; add it", place=place)
    for name, part in tree.items():
        here = (*place, name)
        if name not in fields:
            problem = f"the contract has no field {prefix}{name}; it has {', '.join(fields)}"
            yield Finding(problem=problem, place=here)
            continue
        branches = _branches(parsed, fields[name]["type"])
        if is_expression(part):
            yield from _constant_findings(part, branches, here)
        elif len(branches) == 1 and kind(branches[0]) == "record":
            yield from _record_findings(parsed, branches[0], part, here, f"{prefix}{name}.")
        elif kind(branches[0]) != "map":
            found = "a union" if len(branches) > 1 else f"a {kind(branches[0])}"
            problem = f"{prefix}{name} is {found} and no record; give it one value: a path, or cel or constant"
            yield Finding(problem=problem, place=here)


def _constant_findings(part: Any, branches: list[Schema], place: Place) -> Iterator[Finding]:
    """A symbol that an enum does not have would fail on every event."""
    constant = part.get("constant") if isinstance(part, Mapping) else None
    if constant is not None and [kind(one) for one in branches] == ["enum"] and constant not in branches[0]["symbols"]:
        yield Finding(problem=f"{constant} is none of {', '.join(branches[0]['symbols'])}", place=place)


def is_text(schema: Schema) -> bool:
    """Whether values of a type come as plain text."""
    return kind(schema) == "string" and logical(schema) is None
