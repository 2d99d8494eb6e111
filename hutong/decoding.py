"""From a record on a topic to data: the frame's schema looked up once, the Avro value read, as a mapping or a model.

Good bytes take the quick way. The rest is walked by the guard before fastavro sees it: fastavro trusts its input, and the
coordinator reads what departments have published. Neighbours: ``subscription`` calls this for every record; ``contracts.framing``
has the frame.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import fastavro
from fastavro.read import SchemaResolutionError

from hutong.contracts.avro import Parsed, Schema, kind, parse
from hutong.contracts.decoder import UNREADABLE, compile_read
from hutong.contracts.framing import FRAME_BYTES, unframe
from hutong.contracts.shape import fingerprint
from hutong.errors import ConfigurationError, DeclarationError, MalformedEvent
from hutong.model import RootRecord
from hutong.transcode.guard import compile_guard
from hutong.transport import Schemas

__all__ = ["Decoder", "models_of"]

_UNREADABLE = (EOFError, ValueError, LookupError, TypeError, ArithmeticError, struct.error)
"""All that fastavro raises on bytes that have no value in Python; none of it says anything else."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # of a field; another part of a path is a map's key, which may be somebody's number


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
            return self._compiled(parse(schema), schema_id)
        except MalformedEvent:
            raise
        except DeclarationError as error:
            raise MalformedEvent("unknown_schema", f"schema {schema_id}: {error.problem}") from None
        except Exception as error:  # noqa: BLE001 - whoever may register can register anything, also what only looks like a schema
            raise MalformedEvent("unknown_schema", f"schema {schema_id} is of no use ({type(error).__name__})") from None

    def _compiled(self, parsed: Parsed, schema_id: int) -> Callable[[bytes], Any]:
        if kind(parsed.root) != "record":
            raise MalformedEvent("unknown_schema", f"schema {schema_id} is no record's, so it is no event's")
        if not self._models:
            return _quick_reader(parsed)
        name = parsed.root["name"] if isinstance(parsed.root, dict) and "name" in parsed.root else ""
        model = self._model(name)
        wanted = parse(model.avro_schema)
        same = fingerprint(wanted) == fingerprint(parsed)
        return _model_reader(_quick_reader(parsed) if same else _plain_reader(parsed, wanted.root), model)

    def _model(self, record: str) -> type[RootRecord]:
        if len(self._models) == 1:
            return self._models[0]
        for model in self._models:
            if model.avro_name == record:
                return model
        known = ", ".join(model.__name__ for model in self._models)
        raise MalformedEvent("no_model", f"none of the given models ({known}) is of the record {record}")


def _quick_reader(parsed: Parsed) -> Callable[[bytes], Any]:
    """Generated code reads what is as it should be; the guard and fastavro read the rest, and say what is wrong."""
    quick, thorough = compile_read(parsed), _plain_reader(parsed, None)
    if quick is None:
        return thorough

    def read(value: bytes) -> Any:
        try:
            return quick(value, FRAME_BYTES)
        except UNREADABLE:
            return thorough(value)

    return read


def _plain_reader(writer: Parsed, reader: Schema | None) -> Callable[[bytes], Any]:
    guard, root = compile_guard(writer), writer.root

    def read(value: bytes) -> Any:
        guard(value, FRAME_BYTES)
        stream = BytesIO(value)
        stream.seek(FRAME_BYTES)
        try:
            return fastavro.schemaless_reader(stream, root, reader, return_record_name=True, return_record_name_override=True)
        except SchemaResolutionError:
            raise MalformedEvent(
                "schema_mismatch", "the value's schema cannot be read as the model's: write the model again"
            ) from None
        except _UNREADABLE as error:
            raise MalformedEvent(
                "undecodable", f"the value is not readable as its schema says ({type(error).__name__})"
            ) from None

    return read


def _model_reader(read: Callable[[bytes], Any], model: type[RootRecord]) -> Callable[[bytes], Any]:
    from pydantic import ValidationError

    def read_model(value: bytes) -> Any:
        try:
            return model.from_data(read(value))
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False, include_context=False)[0]
            path = ".".join(str(part) if isinstance(part, int) or _NAME.fullmatch(part) else "?" for part in first["loc"])
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
