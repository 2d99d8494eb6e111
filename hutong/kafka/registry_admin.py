"""The registry as the control plane needs it: also whether a schema is there, and what a subject demands.

Neighbours: ``registry`` is the client that this adds to.
"""

from __future__ import annotations

import json

from hutong.contracts.avro import Schema
from hutong.kafka.registry import Registry, _part

__all__ = ["RegistryAdmin"]


class RegistryAdmin(Registry):
    """A schema registry, seen by its administrator."""

    def lookup(self, subject: str, schema: Schema) -> int | None:
        """The id of a schema under a subject, or None where it is not registered there."""
        answer = self._call("POST", f"/subjects/{_part(subject)}", {"schema": json.dumps(schema), "schemaType": "AVRO"})
        return None if answer is None else int(answer["id"])

    def compatibility(self, subject: str) -> str | None:
        """The compatibility that the registry enforces on a subject, or None where nothing is set."""
        answer = self._call("GET", f"/config/{_part(subject)}")
        return None if answer is None else str(answer.get("compatibilityLevel") or answer.get("compatibility"))
