"""The registry as the control plane needs it: whether a schema is there, what a subject demands, all of it as an archive.

Neighbours: ``registry`` is the client that this adds to.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

from hutong.contracts.avro import Schema
from hutong.errors import ConfigurationError, RegistryUnavailable
from hutong.kafka.registry import Registry, _part

__all__ = ["RegistryAdmin"]

_CONFLUENT = "/apis/ccompat/"  # where Apicurio serves the Confluent API; its own is beside it
_ARCHIVE_SECONDS = 120.0
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

    def export(self) -> bytes:
        """Everything that the registry holds, ids included, as its own archive.

        Raises:
            ConfigurationError: this registry is not Apicurio, and has other ways.
        """
        return self._archive("GET", "export")

    def restore(self, archive: bytes) -> None:
        """Fill an empty registry from such an archive; every schema keeps its id."""
        self._archive("POST", "import", archive)

    def _archive(self, method: str, what: str, body: bytes | None = None) -> bytes:
        base, found, _ = self.url.partition(_CONFLUENT)
        if not found:
            raise ConfigurationError(
                f"the schema registry at {self.url} is not Apicurio (its address would hold {_CONFLUENT}): "
                "keep its schemas and their ids with its own tools"
            )
        request = urllib.request.Request(f"{base}/apis/registry/v3/admin/{what}", method=method, data=body)  # noqa: S310
        request.add_header("Accept", "application/zip, application/json;q=0.5")
        if body is not None:
            request.add_header("Content-Type", "application/zip")
            request.add_header("X-Registry-Preserve-GlobalId", "true")
            request.add_header("X-Registry-Preserve-ContentId", "true")
        if self._login:
            request.add_header("Authorization", self._login)
        try:
            with self._opener.open(request, timeout=_ARCHIVE_SECONDS) as response:
                content: bytes = response.read()
                return content
        except urllib.error.HTTPError as error:
            with error:
                raise RegistryUnavailable(f"the schema registry at {self.url} answers {error.code} to {what}") from error
        except OSError as error:
            raise RegistryUnavailable(f"the schema registry at {self.url} does not answer ({error}); try again") from error

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
