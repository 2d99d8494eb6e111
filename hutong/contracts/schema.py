"""One version of a contract as code works with it: check, encode, key, decode.

Built from the registered (annotated) Avro schema alone, so a department's application needs the registry and no file.
Neighbours: ``publisher`` and ``outbox`` encode with this; ``subscription`` decodes; ``annotate`` writes what is read here.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import fastavro

from hutong.contracts.avro import Parsed, Schema, kind, parse
from hutong.contracts.encoder import UNSURE, Forms, Pack, compile_pack
from hutong.contracts.rules import ATTRIBUTE
from hutong.contracts.validation import compile_check
from hutong.contracts.values import Broken
from hutong.errors import ContractViolation, DeclarationError

__all__ = ["EventSchema", "key_text", "pub_topic"]

KEY_SEPARATOR = "|"


def pub_topic(contract: str) -> str:
    """The topic that a contract's events are published on."""
    return f"pub.{contract}"


def key_text(values: list[Any]) -> str:
    """The Kafka key of an event: its key fields' values as text, joined with ``|``."""
    return KEY_SEPARATOR.join(str(value) for value in values)


class EventSchema:
    """A contract's version, ready to check and encode values.

    Attributes:
        contract: the contract's name, ``<department>.<event>``.
        department: the publishing department's code.
        version: the version's number, from 1.
        key: dotted paths of the key fields.
        schema: the annotated Avro schema, JSON-shaped.
    """

    def __init__(self, schema: Schema) -> None:
        """Read an annotated schema.

        Raises:
            DeclarationError: it is no valid Avro record, or it is not a contract's (no ``hutong`` attribute).
        """
        facts = schema.get(ATTRIBUTE) if isinstance(schema, Mapping) else None
        if not isinstance(facts, Mapping) or not {"contract", "version", "key"} <= facts.keys():
            raise DeclarationError("the Avro schema is not a contract's: it has no complete attribute 'hutong'")
        self.schema: Schema = schema
        self.contract = str(facts["contract"])
        self.department = self.contract.rpartition(".")[0]
        try:
            self.version = int(facts["version"])
        except (TypeError, ValueError):
            raise DeclarationError("the Avro schema is not a contract's: its version is no number") from None
        self.key = tuple(str(path) for path in facts["key"])
        self.parsed = parse(schema)
        self._key_paths = [path.split(".") for path in self.key]
        for path in self._key_paths:
            if not _leads_to_a_field(self.parsed, path):
                raise DeclarationError(f"the key names {'.'.join(path)}, which is no field of the schema")
        self._check = compile_check(self.parsed)

    @property
    def topic(self) -> str:
        """The topic that its events are published on."""
        return pub_topic(self.contract)

    def check(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The data in the form that ``encode`` takes.

        Raises:
            ContractViolation: with the path of the first field that breaks the contract.
        """
        try:
            checked: dict[str, Any] = self._check(data)
        except Broken as broken:
            raise ContractViolation(self.contract, broken.path, broken.rule, broken.problem) from None
        return checked

    def pack(self, data: Mapping[str, Any]) -> tuple[str, bytes]:
        """The Kafka key and the Avro binary of data: what ``check``, ``key_of`` and ``encode`` make of them.

        Raises:
            ContractViolation: as ``check`` and ``key_of`` do, or where the checked data cannot be encoded.
        """
        if self._pack is not None:
            try:
                return self._pack(data)
            except UNSURE:
                pass  # what follows finds out why, or accepts it
        checked = self.check(data)
        key = self.key_of(checked)
        try:
            return key, self.encode(checked)
        except (ValueError, TypeError, OverflowError, ArithmeticError) as error:
            problem = f"a value cannot be encoded ({type(error).__name__})"
            raise ContractViolation(self.contract, "", "encoding", problem) from None

    def pack_of(self, forms: Forms) -> Pack | None:
        """A generated ``pack`` for instances of classes, which knows only what is right: it raises one of ``UNSURE`` else."""
        return compile_pack(self.parsed, self.key, KEY_SEPARATOR, forms)

    @cached_property
    def _pack(self) -> Pack | None:
        return compile_pack(self.parsed, self.key, KEY_SEPARATOR)

    def encode(self, checked: Mapping[str, Any]) -> bytes:
        """Avro binary of data that ``check`` returned, without a frame."""
        out = io.BytesIO()
        fastavro.schemaless_writer(out, self.parsed.root, checked)
        return out.getvalue()

    def key_of(self, checked: Mapping[str, Any]) -> str:
        """The Kafka key of data that ``check`` returned.

        Raises:
            ContractViolation: a key field is null.
        """
        values = []
        for path in self._key_paths:
            value: Any = checked
            for segment in path:
                value = value.get(segment) if value is not None else None
            if value is None or value == "":
                raise ContractViolation(self.contract, ".".join(path), "key", "is part of the key and must have a value")
            values.append(value)
        return key_text(values)

    def decode(self, body: bytes) -> dict[str, Any]:
        """The value back from trusted Avro binary (the router checks untrusted bytes before it decodes them)."""
        value: dict[str, Any] = fastavro.schemaless_reader(  # type: ignore[assignment]
            io.BytesIO(body), self.parsed.root, None, return_record_name=True, return_record_name_override=True
        )
        return value


def _leads_to_a_field(parsed: Parsed, path: list[str]) -> bool:
    """Whether records alone lead there."""
    schema: Schema = parsed.root
    for segment in path:
        schema = parsed.resolve(schema)
        if not isinstance(schema, dict) or kind(schema) != "record":
            return False
        found = [field["type"] for field in schema["fields"] if field["name"] == segment]
        if not found:
            return False
        schema = found[0]
    return True
