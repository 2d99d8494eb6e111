"""The shape of an Avro schema: what decides how its bytes are read, and nothing of what is said about them.

Two schemas of one shape read each other's bytes; their docs, defaults and annotations may differ. Neighbours: ``transport`` finds
a contract version's schema id by it, the outbox stores its fingerprint beside encoded values.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hutong.contracts.avro import Parsed, Schema

__all__ = ["fingerprint"]

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
