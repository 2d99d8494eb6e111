"""From a record on a delivery topic to data: the frame's schema looked up once, the Avro value read, as a mapping or a model.

Neighbours: ``subscription`` calls this for every record; ``contracts.framing`` has the frame.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import fastavro
from fastavro.read import SchemaResolutionError

from hutong.contracts.avro import Parsed, Schema, parse
from hutong.contracts.decoder import UNREADABLE, compile_read
from hutong.contracts.framing import FRAME_BYTES, unframe
from hutong.contracts.shape import fingerprint
from hutong.errors import ConfigurationError, DeclarationError, MalformedEvent
from hutong.model import RootRecord
from hutong.transport import Schemas

__all__ = ["Decoder", "models_of"]

_UNREADABLE = (EOFError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError, RecursionError, struct.error)
"""All that fastavro raises on bytes that are not of the schema; none of it says anything else."""


class Decoder:
    """Reads framed Avro values.

    Args:
        schemas: the registry.
        models: model classes for the records that may come; without any, values are read as mappings. A mapping has ``(record
            name, mapping)`` where a union holds several records.
    """

    def __init__(self, schemas: Schemas, models: Sequence[type[RootRecord]] = ()) -> None:
        self._schemas, self._models = schemas, tuple(models)
        self._readers: dict[bytes, Callable[[bytes], Any]] = {}  # by frame

    def decode(self, value: bytes | None) -> Any:
        """The value's data.

        Raises:
            MalformedEvent: null, unframed, of an unknown schema, or not readable as its schema says.
            RegistryUnavailable: its schema is not known here yet, and the registry does not answer.
        """
        if value is None:
            raise MalformedEvent("null_value", "the record has no value")
        reader = self._readers.get(value[:FRAME_BYTES])
        if reader is None:
            reader = self._readers[value[:FRAME_BYTES]] = self._reader(unframe(value))
        return reader(value)

    def _reader(self, schema_id: int) -> Callable[[bytes], Any]:
        schema = self._schemas.by_id(schema_id)
        if schema is None:
            raise MalformedEvent("unknown_schema", f"the registry has no schema with id {schema_id}")
        try:
            parsed = parse(schema)
        except DeclarationError as error:
            raise MalformedEvent("unknown_schema", f"schema {schema_id}: {error.problem}") from None
        if not self._models:
            return _quick_reader(parsed)
        name = parsed.root["name"] if isinstance(parsed.root, dict) and "name" in parsed.root else ""
        model = self._model(name)
        wanted = parse(model.avro_schema)
        same = fingerprint(wanted) == fingerprint(parsed)
        return _model_reader(_quick_reader(parsed) if same else _plain_reader(parsed.root, wanted.root), model)

    def _model(self, record: str) -> type[RootRecord]:
        if len(self._models) == 1:
            return self._models[0]
        for model in self._models:
            if model.avro_name == record:
                return model
        known = ", ".join(model.__name__ for model in self._models)
        raise MalformedEvent("no_model", f"none of the given models ({known}) is of the record {record}")


def _quick_reader(parsed: Parsed) -> Callable[[bytes], Any]:
    """Generated code reads what is as it should be; fastavro reads the rest, and says what is wrong."""
    quick, thorough = compile_read(parsed), _plain_reader(parsed.root, None)
    if quick is None:
        return thorough

    def read(value: bytes) -> Any:
        try:
            return quick(value, FRAME_BYTES)
        except UNREADABLE:
            return thorough(value)

    return read


def _plain_reader(writer: Schema, reader: Schema | None) -> Callable[[bytes], Any]:
    def read(value: bytes) -> Any:
        stream = BytesIO(value)
        stream.seek(FRAME_BYTES)
        try:
            data = fastavro.schemaless_reader(stream, writer, reader, return_record_name=True, return_record_name_override=True)
        except SchemaResolutionError:
            raise MalformedEvent(
                "schema_mismatch", "the value's schema cannot be read as the model's: write the model again"
            ) from None
        except _UNREADABLE as error:
            raise MalformedEvent(
                "undecodable", f"the value is not readable as its schema says ({type(error).__name__})"
            ) from None
        if stream.tell() != len(value):
            raise MalformedEvent("undecodable", f"the value has {len(value) - stream.tell()} bytes too many")
        return data

    return read


def _model_reader(read: Callable[[bytes], Any], model: type[RootRecord]) -> Callable[[bytes], Any]:
    from pydantic import ValidationError

    def read_model(value: bytes) -> Any:
        try:
            return model.from_data(read(value))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            path = ".".join(map(str, first["loc"]))
            raise MalformedEvent("model", f"{model.__name__}: field {path or '(whole event)'}: {first['msg']}") from None

    return read_model


def models_of(model: type[RootRecord] | Sequence[type[RootRecord]] | None) -> tuple[type[RootRecord], ...]:
    """What a subscription's ``model`` argument names."""
    if model is None:
        return ()
    models = (model,) if isinstance(model, type) else tuple(model)
    for one in models:
        if not (isinstance(one, type) and issubclass(one, RootRecord)):
            raise ConfigurationError("model is a class that 'hutong codegen' has written, or several of them")
    return models
