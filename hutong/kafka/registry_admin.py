"""The registry as the control plane needs it: also whether a schema is there, and what a subject demands.

Neighbours: ``registry`` is the client that this adds to.
"""

from __future__ import annotations

import json
import time
from typing import Any

from hutong.contracts.avro import Schema
from hutong.errors import RegistryUnavailable
from hutong.kafka.registry import Registry, _part

__all__ = ["RegistryAdmin"]

_PAUSES = (0.2, 1.0)  # seconds before a request is sent again


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

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        """As the client's, but tried again: every request here may come twice, and a person waits for the whole.

        A service that works in a loop tries the whole step again; ``apply`` would end half-way for a moment's trouble.
        """
        for seconds in _PAUSES:
            try:
                return super()._call(method, path, body)
            except RegistryUnavailable:
                time.sleep(seconds)
        return super()._call(method, path, body)
