"""An agreement compiled: which events pass, what the delivery's data are, and under which key they travel.

Neighbours: ``grant`` brings the declaration, ``rows`` and ``projection`` compile its parts, ``transcode`` runs plans over bytes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from hutong.agreements.agreement import Copy, Derive, Pseudonymise
from hutong.agreements.grant import Grant
from hutong.agreements.keys import ALWAYS, Published
from hutong.agreements.projection import compile_projection
from hutong.agreements.rows import Test, compile_row, getter
from hutong.agreements.transforms import pseudonym
from hutong.contracts.avro import Parsed, parse
from hutong.contracts.framing import frame
from hutong.contracts.schema import KEY_SEPARATOR, EventSchema
from hutong.errors import DeclarationError

__all__ = ["Plan"]

_FOR_EVER = 2**63


class Plan:
    """One agreement, ready to run over decoded events of one contract version.

    What only Python's transcoders need is checked at once and made when it is asked for: where the extension runs the plan,
    nobody asks, and a router holds thousands.

    Attributes:
        agreement: the agreement's id.
        topic: where deliveries go.
        grant: the declaration it was compiled from.
        secret: the agreement's pseudonym key.
        published: the publications that this key is for.
        valid_from_ms: first instant in force.
        valid_until_ms: first instant no more in force.
        frame: the five bytes before each delivery's Avro value.
        signature: plans with the same signature make the same Avro bytes of an event; None where a secret takes part.
        key_shown: for each part of the event's key, whether it is granted as it is.
    """

    def __init__(self, grant: Grant, reader: EventSchema, secret: bytes, published: Published = ALWAYS) -> None:
        """Compile.

        Args:
            grant: the agreement.
            reader: the granted contract version.
            secret: the agreement's pseudonym key.
            published: the publications that this key is for; an agreement whose key was changed has a plan for each.

        Raises:
            DeclarationError: the agreement does not suit the contract version (``hutong check`` finds that before).
        """
        agreement = grant.agreement
        self.grant = grant
        self.secret = secret
        self.published = published
        self.agreement = agreement.id
        self.topic = agreement.topic
        self.valid_from_ms = grant.valid_from_ms
        self.valid_until_ms = _FOR_EVER if grant.valid_until_ms is None else grant.valid_until_ms
        self.frame = frame(grant.delivery_schema_id)
        self._reader = reader
        _ = [compile_row(row, reader.parsed) for row in agreement.rows]
        problems = compile_projection(agreement, reader.parsed, grant.code_lists, secret).problems
        if problems:
            raise problems[0]
        self.signature = _signature(grant)
        self.key_shown = _key_shown(grant, reader)

    @cached_property
    def delivery(self) -> Parsed:
        """The parsed delivery schema."""
        return parse(self.grant.delivery_schema)

    @cached_property
    def tests(self) -> list[Test]:
        """The row conditions, in the declared order."""
        return [compile_row(row, self._reader.parsed) for row in self.grant.agreement.rows]

    @cached_property
    def project(self) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        """Event data -> delivery data; raises ``TransformFailed``."""
        return compile_projection(self.grant.agreement, self._reader.parsed, self.grant.code_lists, self.secret).apply

    @cached_property
    def key(self) -> Callable[[bytes, Mapping[str, Any]], bytes]:
        """(Event key, event data) -> delivery key."""
        return _key(self._reader, self.key_shown, self.secret)

    def in_force(self, moments: tuple[int, int]) -> bool:
        """Whether it is for an event of such moments: of its publication, and now; ms since the epoch."""
        published, now = moments
        first, last = (published, now) if published <= now else (now, published)
        ours = self.published
        return self.valid_from_ms <= first and last < self.valid_until_ms and ours[0] <= published < ours[1]

    def residual(self, answered: int | None) -> tuple[Test, ...]:
        """The tests that are left when an index has answered for one of the conditions."""
        return tuple(test for position, test in enumerate(self.tests) if position != answered)


def _signature(grant: Grant) -> str | None:
    fields = grant.agreement.fields
    if any(isinstance(field, (Pseudonymise, Derive)) for field in fields):
        return None
    return sys.intern(json.dumps([field.model_dump(mode="json", by_alias=True) for field in fields], sort_keys=True))


def _key_shown(grant: Grant, reader: EventSchema) -> tuple[bool, ...]:
    if not reader.key:
        raise DeclarationError(f"{reader.contract} has no key")
    copied = {field.field for field in grant.agreement.fields if isinstance(field, Copy)}
    return tuple(_is_granted(path, copied) for path in reader.key)


def _key(reader: EventSchema, shown: tuple[bool, ...], secret: bytes) -> Callable[[bytes, Mapping[str, Any]], bytes]:
    """The delivery's Kafka key.

    It keeps what the event's key is for (events of one thing stay in order) and gives away no more than the fields do: a key
    part that is granted as it is stays, any other becomes its pseudonym under the agreement's key.
    """
    if all(shown):
        return lambda key, _: key
    if len(shown) == 1:
        return lambda key, _: pseudonym(secret, key).encode()
    parts = [(getter(path), is_shown) for path, is_shown in zip(reader.key, shown, strict=True)]

    def key_of(_: bytes, data: Mapping[str, Any]) -> bytes:
        texts = [str(get(data)) if is_shown else pseudonym(secret, get(data)) for get, is_shown in parts]
        return KEY_SEPARATOR.join(texts).encode()

    return key_of


def _is_granted(path: str, copied: set[str]) -> bool:
    """Whether a path is granted as it is, by itself or inside a record that is granted whole."""
    segments = path.split(".")
    return any(".".join(segments[: n + 1]) in copied for n in range(len(segments)))
