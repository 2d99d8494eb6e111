"""A small client of the schema registry (the Confluent API, as Apicurio and others serve it), on the standard library alone.

What cannot change is remembered: a schema by its id, a version of a subject. Neighbours: ``publisher`` and ``subscription`` use
it through ``transport.Schemas``; the control plane registers with it.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any, Self, TypeVar
from urllib.parse import quote

from hutong.contracts.avro import Schema
from hutong.errors import ConfigurationError, NotAuthorised, RegistryUnavailable
from hutong.kafka.bounded_http import TooLargeAnswer, opener, read_whole
from hutong.kafka.settings import Settings, trust
from hutong.transport import Registered

__all__ = ["Registry"]

_Taken = TypeVar("_Taken")

_TYPE = "application/vnd.schemaregistry.v1+json"
_MOST_BYTES = 16_000_000  # of an answer: a list of a hundred thousand subjects; a schema has some thousand
_MOST_SAID = 300  # characters of a registry's own words in an error


class Registry:
    """A schema registry.

    Args:
        url: base URL, without ``/subjects``.
        seconds: how long a request and its answer may take together.
        username: for HTTP basic authentication.
        password: for HTTP basic authentication.
        authority: file of the certificate authority of an ``https`` registry; the system's authorities by default.
    """

    def __init__(
        self,
        url: str,
        *,
        seconds: float = 10.0,
        username: str | None = None,
        password: str | None = None,
        authority: str | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._opener = opener(trust(authority) if self.url.startswith("https:") else None)
        self._seconds = seconds
        self._login = "Basic " + base64.b64encode(f"{username}:{password or ''}".encode()).decode() if username else None
        self._by_id: dict[int, Schema] = {}
        self._by_version: dict[tuple[str, int], Registered] = {}
        self._lock = threading.Lock()
        self._clock_offset: float | None = None

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The registry of a bus."""
        password = settings.registry_password
        return cls(
            settings.registry_url,
            seconds=settings.registry_seconds,
            username=settings.registry_username,
            password=password.get_secret_value() if password else None,
            authority=settings.registry_ca_location,
        )

    def latest(self, subject: str) -> Registered | None:
        """The newest schema of a subject, or None where there is no such subject."""
        return self._registered(subject, self._call("GET", f"/subjects/{_part(subject)}/versions/latest"))

    def versions(self, subject: str) -> list[int]:
        """The version numbers of a subject, rising; empty where there is no such subject."""
        answer = self._call("GET", f"/subjects/{_part(subject)}/versions")
        return self._read(lambda: sorted(int(number) for number in answer or []))

    def version(self, subject: str, number: int) -> Registered:
        """One version of a subject."""
        known = self._by_version.get((subject, number))
        if known:
            return known
        found = self._registered(subject, self._call("GET", f"/subjects/{_part(subject)}/versions/{number}"))
        if found is None:
            raise RegistryUnavailable(
                f"the registry at {self.url} lists version {number} of {subject} and does not have it; try again"
            )
        self._by_version[subject, number] = found
        return found

    def by_id(self, schema_id: int) -> Schema | None:
        """The schema of an id, or None where there is none, or none that is Avro's."""
        with self._lock:
            if schema_id not in self._by_id:
                answer = self._schema_of_id(schema_id)
                if answer is None:
                    return None
                self._by_id[schema_id] = answer
            return self._by_id[schema_id]

    def subjects(self) -> list[str]:
        """All subjects."""
        answer = self._call("GET", "/subjects")
        return self._read(lambda: sorted(str(subject) for subject in answer or []))

    def register(self, subject: str, schema: Schema) -> int:
        """Register a schema and return its id; the same schema again returns the same id.

        Raises:
            ConfigurationError: the registry refuses it: no valid schema, or not compatible.
        """
        answer = self._call("POST", f"/subjects/{_part(subject)}/versions", {"schema": json.dumps(schema), "schemaType": "AVRO"})
        return self._read(lambda: int(answer["id"]))

    def is_compatible(self, subject: str, schema: Schema) -> bool:
        """Whether the registry would take a schema as the subject's next version."""
        path = f"/compatibility/subjects/{_part(subject)}/versions/latest"
        answer = self._call("POST", path, {"schema": json.dumps(schema), "schemaType": "AVRO"})
        return answer is None or self._read(lambda: bool(answer["is_compatible"]))

    def set_compatibility(self, subject: str, level: str) -> None:
        """Set a subject's compatibility: ``BACKWARD_TRANSITIVE``, ``FULL_TRANSITIVE``, ``NONE``, ..."""
        self._call("PUT", f"/config/{_part(subject)}", {"compatibility": level})

    def delete(self, subject: str) -> None:
        """Take a subject out; schemas already used keep their ids."""
        self._call("DELETE", f"/subjects/{_part(subject)}")

    def clock_offset(self) -> float | None:
        """Seconds by which this machine's clock is ahead of the registry's, as of the last answer that had a date."""
        return self._clock_offset

    def _registered(self, subject: str, answer: Any) -> Registered | None:
        if answer is None:
            return None
        registered = self._read(
            lambda: Registered(id=int(answer["id"]), version=int(answer["version"]), schema=json.loads(answer["schema"]))
        )
        self._by_version[subject, registered.version] = registered
        return registered

    def _schema_of_id(self, schema_id: int) -> Schema | None:
        try:
            answer = self._call("GET", f"/schemas/ids/{schema_id}")
        except RegistryUnavailable as error:
            if isinstance(error.__cause__, TooLargeAnswer):
                return None
            raise
        if answer is None:
            return None
        text = self._read(lambda: str(answer["schema"]))
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return None  # whoever may register can register anything, and nobody must wait for that

    def _read(self, take: Callable[[], _Taken]) -> _Taken:
        """What is meant by an answer that may be anything."""
        try:
            return take()
        except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            raise RegistryUnavailable(
                f"the schema registry at {self.url} answers what is no answer to the question ({type(error).__name__}); "
                "check HUTONG_REGISTRY_URL"
            ) from None

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON answer, or None for 404."""
        request = urllib.request.Request(  # noqa: S310 - Settings allows http and https only
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Accept": f"{_TYPE}, application/json", "Content-Type": _TYPE},
        )
        if self._login:
            request.add_header("Authorization", self._login)
        try:
            with self._opener.open(request, timeout=self._seconds) as response:
                self._note_clock(response.headers.get("Date"))
                return json.loads(read_whole(response, _MOST_BYTES) or b"null")
        except urllib.error.HTTPError as error:
            with error:
                self._note_clock(error.headers.get("Date"))
                return self._refused(error, method, path)
        except (OSError, HTTPException, ValueError, ArithmeticError, RecursionError) as error:
            if isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
                raise ConfigurationError(
                    f"the schema registry at {self.url} shows a certificate that is not trusted ({_reason(error)}); "
                    "name its certificate authority's file in HUTONG_REGISTRY_SSL_CA_LOCATION"
                ) from error
            raise RegistryUnavailable(
                f"the schema registry at {self.url} does not answer ({_reason(error)}); check that the bus is up, then try again"
            ) from error

    def _refused(self, error: urllib.error.HTTPError, method: str, path: str) -> None:
        if error.code == 404 or (error.code == 400 and method == "GET"):  # 400: no such id can exist
            return
        if error.code in (401, 403):
            raise NotAuthorised(
                f"the schema registry at {self.url} does not allow {method} {path}; check HUTONG_REGISTRY_USERNAME"
            )
        if error.code in (409, 422):
            raise ConfigurationError(f"the schema registry at {self.url} refuses {method} {path}: {_message(error)}")
        said = _message(error)
        raise RegistryUnavailable(
            f"the schema registry at {self.url} answers {error.code} to {method} {path} ({said}); try again"
        )

    def _note_clock(self, date: str | None) -> None:
        if date:
            try:
                self._clock_offset = time.time() - parsedate_to_datetime(date).timestamp()
            except ValueError:
                self._clock_offset = None


def _part(subject: str) -> str:
    return quote(subject, safe="")


def _reason(error: BaseException) -> str:
    return _shown(str(getattr(error, "reason", None) or error or type(error).__name__))


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return _shown(str(json.loads(read_whole(error, _MOST_BYTES))["message"]))
    except (ValueError, ArithmeticError, KeyError, TypeError, OSError, HTTPException, RecursionError):
        return f"HTTP {error.code}"


def _shown(said: str) -> str:
    """What somebody else says, as a terminal may have it."""
    return "".join(letter if letter.isprintable() else " " for letter in said[:_MOST_SAID])
