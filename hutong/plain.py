"""Models to plain data and back, compiled once per model class from its Avro schema.

Plain data is what Avro's writer takes and its reader gives: mappings under Avro names, and in a union of several records the pair
(record name, mapping), which pydantic's own dump would lose. Neighbours: ``model`` has the classes.
"""

from __future__ import annotations

import typing
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from hutong.contracts.avro import Parsed, Schema, is_null, kind, parse
from hutong.contracts.encoder import UNSURE
from hutong.model import AvroRecord, ChangeEvent, RootRecord

__all__ = ["Converter", "converter", "packer"]

_Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converter:
    """The two directions."""

    to_plain: _Convert
    from_plain: _Convert


@cache
def converter(model: type[RootRecord]) -> Converter:
    """The converter of a root model."""
    parsed, classes = parse(model.avro_schema), record_classes(model)
    inward = _FromPlain(parsed, classes).compile(parsed.root)
    return Converter(
        to_plain=_ToPlain(parsed, classes).compile(parsed.root) or _same,
        from_plain=inward or _same,
    )


@cache
def packer(model: type[ChangeEvent]) -> Callable[[ChangeEvent], tuple[str, bytes]]:
    """``EventSchema.pack`` for the instances of a model: straight from their attributes where all is as it should be."""
    schema = model.event_schema()
    forms = {name: (one, one.attributes()) for name, one in record_classes(model).items()}
    straight = schema.pack_of(forms)
    if straight is None:
        return lambda event: schema.pack(event.to_data())

    def pack(event: ChangeEvent) -> tuple[str, bytes]:
        try:
            return straight(event)
        except UNSURE:
            return schema.pack(event.to_data())

    return pack


def record_classes(model: type[AvroRecord]) -> dict[str, type[AvroRecord]]:
    """Every record class that a model's fields reach, by full Avro name."""
    found: dict[str, type[AvroRecord]] = {}
    waiting: list[Any] = [model]
    while waiting:
        item = waiting.pop()
        if isinstance(item, type) and issubclass(item, AvroRecord):
            if item.avro_name not in found:
                found[item.avro_name] = item
                waiting.extend(field.annotation for field in item.model_fields.values())
        else:
            waiting.extend(typing.get_args(item))
    return found


def _same(value: Any) -> Any:
    return value


class _Compiler(ABC):
    """Walks a schema; a subclass says what becomes of records and unions. None means: leave the value as it is."""

    def __init__(self, parsed: Parsed, classes: dict[str, type[AvroRecord]]) -> None:
        self.parsed, self.classes = parsed, classes
        self.records: dict[str, _Convert | None] = {}

    def compile(self, schema: Schema) -> _Convert | None:
        schema = self.parsed.resolve(schema)
        match kind(schema):
            case "record":
                return self._record_once(schema)
            case "union":
                branches = [self.parsed.resolve(branch) for branch in schema if not is_null(branch)]
                return _unless_none(self.compile(branches[0])) if len(branches) == 1 else self.union(branches)
            case "array":
                return _each_item(self.compile(schema["items"]))
            case "map":
                return _each_value(self.compile(schema["values"]))
            case "enum":
                return self.enum()
            case _:
                return None

    def _record_once(self, schema: dict[str, Any]) -> _Convert | None:
        name = schema["name"]
        if name in self.records:
            return self._later(name)
        self.records[name] = None
        self.records[name] = self.record(schema, [(f["name"], self.compile(f["type"])) for f in schema["fields"]])
        return self.records[name]

    def _later(self, name: str) -> _Convert:
        """A recursive type's own converter, looked up when a value is there."""

        def convert(value: Any) -> Any:
            known = self.records[name]
            return value if known is None else known(value)

        return convert

    @abstractmethod
    def record(self, schema: dict[str, Any], fields: list[tuple[str, _Convert | None]]) -> _Convert | None: ...

    @abstractmethod
    def union(self, branches: list[Schema]) -> _Convert | None: ...

    def enum(self) -> _Convert | None:
        return None


class _ToPlain(_Compiler):
    def record(self, schema: dict[str, Any], fields: list[tuple[str, _Convert | None]]) -> _Convert:
        attributes = self.classes[schema["name"]].attributes()
        steps = [(name, attributes[name], convert) for name, convert in fields]

        def to_plain(value: Any) -> Any:
            if not isinstance(value, AvroRecord):
                return value
            state = value.__dict__
            return {
                name: state[attribute] if convert is None else convert(state[attribute])
                for name, attribute, convert in steps
                if attribute in state  # what was made without a check may lack fields; the contract's check will say so
            }

        return to_plain

    def union(self, branches: list[Schema]) -> _Convert:
        records = {branch["name"]: self.compile(branch) or _same for branch in branches if kind(branch) == "record"}
        others = {kind(branch): self.compile(branch) or _same for branch in branches if kind(branch) in ("array", "map", "enum")}
        ambiguous = len(records) > 1 or "map" in others

        def to_plain(value: Any) -> Any:
            if isinstance(value, AvroRecord):
                name = value.avro_name
                if name not in records:
                    return value
                plain = records[name](value)
                return (name, plain) if ambiguous else plain
            if isinstance(value, list):
                return others.get("array", _same)(value)
            if isinstance(value, Mapping):
                return others.get("map", _same)(value)
            return value

        return to_plain

    def enum(self) -> _Convert:
        return _symbol


class _FromPlain(_Compiler):
    def record(self, _schema: dict[str, Any], fields: list[tuple[str, _Convert | None]]) -> _Convert | None:
        steps = {name: convert for name, convert in fields if convert is not None}
        if not steps:
            return None

        def from_plain(value: Any) -> Any:
            if not isinstance(value, Mapping):
                return value
            return {name: steps[name](item) if name in steps else item for name, item in value.items()}

        return from_plain

    def union(self, branches: list[Schema]) -> _Convert | None:
        records = {branch["name"]: self.compile(branch) or _same for branch in branches if kind(branch) == "record"}
        others = {kind(branch): self.compile(branch) for branch in branches if kind(branch) in ("array", "map")}
        if len(records) < 2 and not any(others.values()) and all(convert is _same for convert in records.values()):
            return None
        only = next(iter(records)) if len(records) == 1 and "map" not in others else None

        def from_plain(value: Any) -> Any:
            if isinstance(value, tuple) and len(value) == 2 and value[0] in records:
                return self.classes[value[0]].model_validate(records[value[0]](value[1]))
            if isinstance(value, list):
                return (others.get("array") or _same)(value)
            if isinstance(value, Mapping):
                return records[only](value) if only else (others.get("map") or _same)(value)
            return value

        return from_plain


def _unless_none(convert: _Convert | None) -> _Convert | None:
    return None if convert is None else lambda value: None if value is None else convert(value)


def _each_item(convert: _Convert | None) -> _Convert | None:
    return None if convert is None else lambda value: [convert(one) for one in value] if isinstance(value, list) else value


def _each_value(convert: _Convert | None) -> _Convert | None:
    if convert is None:
        return None
    return lambda value: {key: convert(one) for key, one in value.items()} if isinstance(value, Mapping) else value


def _symbol(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value
