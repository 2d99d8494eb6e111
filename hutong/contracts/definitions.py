"""Where each field of a schema is defined in the JSON as it was written, and on which paths an event has it.

A field of a type that is used in several places has one definition and several paths. Neighbours: ``annotate`` writes into the
definitions, the catalogue looks up their lines, ``matching`` walks the paths. Schemas must be well formed (``wellformed``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hutong.contracts.avro import Parsed, Schema, branches, is_null, kind
from hutong.contracts.wellformed import Place, full_name

__all__ = ["Definition", "Usage", "definitions", "usages"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One field where it is defined.

    Attributes:
        record: full name of the record that has it.
        field: the field's JSON object, the document's own.
        place: where it stands in the document.
    """

    record: str
    field: dict[str, Any]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One path on which an event has a field.

    Attributes:
        path: dotted path, as agreements write it.
        record: full name of the record that has it.
        field: the field, with full names.
        branches: its type's branches, without null.
        nullable: whether null is one of them.
        inside: what is on the way down, outermost first: ``record``, ``nullable``, ``array``, ``map``, ``union``.
    """

    path: str
    record: str
    field: dict[str, Any]
    branches: tuple[Schema, ...]
    nullable: bool
    inside: tuple[str, ...]

    @property
    def definition(self) -> tuple[str, str]:
        """What names the definition: record and field."""
        return self.record, self.field["name"]


def definitions(schema: Schema) -> dict[tuple[str, str], Definition]:
    """Every field once, by record and name, in the order of the document."""
    return {(d.record, d.field["name"]): d for d in _defined(schema, (), "")}


def _defined(schema: Schema, place: Place, namespace: str) -> Iterator[Definition]:
    if isinstance(schema, list):
        for i, branch in enumerate(schema):
            yield from _defined(branch, (*place, i), namespace)
    elif isinstance(schema, dict):
        match schema["type"]:
            case "array":
                yield from _defined(schema["items"], (*place, "items"), namespace)
            case "map":
                yield from _defined(schema["values"], (*place, "values"), namespace)
            case "record":
                name = full_name(schema["name"], schema.get("namespace", namespace))
                own = name.rpartition(".")[0]
                for i, field in enumerate(schema["fields"]):
                    here = (*place, "fields", i)
                    yield Definition(record=name, field=field, place=here)
                    yield from _defined(field["type"], (*here, "type"), own)


def usages(parsed: Parsed) -> Iterator[Usage]:
    """Every path on which an event has a field, depth first; a recursive type is entered once on each way down."""
    yield from _below(parsed, parsed.root, "", (), ())


def _below(parsed: Parsed, schema: Schema, prefix: str, inside: tuple[str, ...], above: tuple[str, ...]) -> Iterator[Usage]:
    schema = parsed.resolve(schema)
    match kind(schema):
        case "union":
            resolved = [parsed.resolve(branch) for branch in schema if not is_null(branch)]
            several = sum(kind(branch) == "record" for branch in resolved) > 1
            how = "nullable" if len(resolved) == 1 else "union"
            for branch in resolved:
                segment = branch["name"].rpartition(".")[2] + "." if several and kind(branch) == "record" else ""
                yield from _below(parsed, branch, prefix + segment, (*inside, how), above)
        case "array":
            yield from _below(parsed, schema["items"], prefix, (*inside, "array"), above)
        case "map":
            yield from _below(parsed, schema["values"], prefix, (*inside, "map"), above)
        case "record" if schema["name"] not in above:
            for field in schema["fields"]:
                path = prefix + field["name"]
                whole = branches(parsed.resolve(field["type"]))
                present = tuple(parsed.resolve(branch) for branch in whole if not is_null(branch))
                yield Usage(
                    path=path,
                    record=schema["name"],
                    field=field,
                    branches=present,
                    nullable=len(present) < len(whole),
                    inside=inside,
                )
                yield from _below(parsed, field["type"], f"{path}.", (*inside, "record"), (*above, schema["name"]))
