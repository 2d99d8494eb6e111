"""The shape of an Avro schema: what decides how its bytes are read, and nothing of what is said about them.

Two schemas of one shape read each other's bytes; their docs, defaults and annotations may differ. Neighbours: ``transport`` finds
a contract version's schema id by it, the outbox stores its fingerprint beside encoded values.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hutong.contracts.avro import Parsed, Schema, kind

__all__ = ["fingerprint", "holds", "same_bytes"]

_KEPT = ("type", "name", "logicalType", "precision", "scale", "symbols", "size", "items", "values")


def fingerprint(parsed: Parsed) -> str:
    """Sixteen hexadecimal characters that are equal exactly for schemas of one shape."""
    text = json.dumps(_shape(parsed.root), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _shape(schema: Schema) -> Any:
    if isinstance(schema, str):
        return schema
    if isinstance(schema, list):
        return [_shape(branch) for branch in schema]
    kept: dict[str, Any] = {
        key: _shape(schema[key]) if key in ("type", "items", "values") else schema[key] for key in _KEPT if key in schema
    }
    if "fields" in schema:
        kept["fields"] = [{"name": field["name"], "type": _shape(field["type"])} for field in schema["fields"]]
    return kept["type"] if len(kept) == 1 and "type" in kept else kept


def holds(writer: Parsed, reader: Parsed) -> bool:
    """Whether data of the writer's shape can be used as the reader's as they are: same types, no field of the reader missing.

    Fields that only the writer has do no harm to whoever picks fields by name.
    """
    return _holds(writer, writer.root, reader, reader.root, set())


_SAME = ("logicalType", "precision", "scale", "size", "symbols", "name")


def _holds(writer: Parsed, theirs: Schema, reader: Parsed, ours: Schema, seen: set[str]) -> bool:
    theirs, ours = writer.resolve(theirs), reader.resolve(ours)
    if kind(theirs) != kind(ours):
        return False
    if isinstance(ours, list):
        return len(theirs) == len(ours) and all(_holds(writer, a, reader, b, seen) for a, b in zip(theirs, ours, strict=True))
    if isinstance(ours, str) or isinstance(theirs, str):
        return bool(theirs == ours)
    if [theirs.get(part) for part in _SAME] != [ours.get(part) for part in _SAME]:
        return False
    match kind(ours):
        case "array":
            return _holds(writer, theirs["items"], reader, ours["items"], seen)
        case "map":
            return _holds(writer, theirs["values"], reader, ours["values"], seen)
        case "record" if ours["name"] not in seen:
            seen.add(ours["name"])
            fields = {field["name"]: field["type"] for field in theirs["fields"]}
            return all(
                field["name"] in fields and _holds(writer, fields[field["name"]], reader, field["type"], seen)
                for field in ours["fields"]
            )
        case _:
            return True


def same_bytes(writer: Parsed, theirs: Schema, reader: Parsed, ours: Schema) -> bool:
    """Whether each value's bytes under one type are that value's bytes under the other: same shape, fields in the same order."""
    return _same(writer, theirs, reader, ours, set())


def _same(writer: Parsed, theirs: Schema, reader: Parsed, ours: Schema, seen: set[str]) -> bool:
    theirs, ours = writer.resolve(theirs), reader.resolve(ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(theirs) == len(ours) and all(_same(writer, a, reader, b, seen) for a, b in zip(theirs, ours, strict=True))
    if not (isinstance(ours, dict) and isinstance(theirs, dict)):
        return bool(theirs == ours)
    if kind(theirs) != kind(ours) or [theirs.get(part) for part in _SAME] != [ours.get(part) for part in _SAME]:
        return False
    if "name" in ours:
        if ours["name"] in seen:  # compared already, or being compared further out
            return True
        seen.add(ours["name"])
    inner = [(theirs[part], ours[part]) for part in ("items", "values") if part in ours]
    if "fields" in ours:
        if [field["name"] for field in theirs["fields"]] != [field["name"] for field in ours["fields"]]:
            return False
        inner += [(a["type"], b["type"]) for a, b in zip(theirs["fields"], ours["fields"], strict=True)]
    return all(_same(writer, a, reader, b, seen) for a, b in inner)
