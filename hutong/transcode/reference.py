"""Event bytes to recipients' bytes with fastavro: the transcoder that is easy to trust.

One instance serves one writer schema and the agreements of one contract. An event is decoded once (and once more for each
granted version that is newer than the event: Avro resolution turns it into the granted shape), matched through the index,
projected, encoded; deliveries that are equal are encoded once. Neighbours: ``guard`` has checked the bytes before; ``routing``
calls this per event.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import fastavro

from hutong.agreements.agreement import FieldRow
from hutong.agreements.plan import Plan
from hutong.agreements.projection import in_words
from hutong.agreements.rows import RowIndex, Test, indexed_position
from hutong.contracts.avro import MAX_DEPTH, Parsed, Schema, kind
from hutong.contracts.default_values import default_value
from hutong.contracts.framing import FRAME_BYTES
from hutong.contracts.schema import EventSchema, key_text
from hutong.contracts.shape import holds
from hutong.errors import MalformedEvent, TransformFailed
from hutong.transcode.cap import too_large
from hutong.transcode.guard import compile_guard

__all__ = ["Entry", "Output", "ReferenceTranscoder", "Transcoded", "VersionPlans", "run_plans"]


class Output(NamedTuple):
    """What one agreement makes of one event."""

    plan: Plan
    key: bytes
    value: bytes


class Transcoded(NamedTuple):
    """What all agreements make of one event; an agreement in neither list filtered it."""

    outputs: list[Output]
    failures: list[TransformFailed]


Entry = tuple[Plan, tuple[Test, ...], Callable[..., bytes]]
"""A plan, the tests that the index leaves open, and what makes the delivery's Avro value."""


@dataclass(kw_only=True)
class VersionPlans:
    """The plans that are granted one contract version.

    Attributes:
        reader: the granted version.
        plans: in the order in which they were added.
    """

    reader: EventSchema
    plans: list[Plan] = field(default_factory=list)

    def add(self, plan: Plan) -> None:
        """Add a plan, before the index is asked for."""
        self.plans.append(plan)

    @cached_property
    def index(self) -> RowIndex[Entry]:
        """Finds the entries that may match an event, each under its most selective condition.

        Made when the first event asks: where the extension does the routing, none may ever do.
        """
        index: RowIndex[Entry] = RowIndex()
        for plan in self.plans:
            rows = plan.grant.agreement.rows
            position = indexed_position(rows)
            row = rows[position] if position is not None else None
            entry = (plan, plan.residual(position), partial(_encode, plan))
            index.add(entry, row if isinstance(row, FieldRow) else None, self.reader.parsed)
        return index


class ReferenceTranscoder:
    """Runs plans over the values of one writer schema."""

    def __init__(self, writer: EventSchema, versions: Sequence[VersionPlans]) -> None:
        self._writer = writer
        self._guard = compile_guard(writer.parsed)
        self._key_paths = [path.split(".") for path in writer.key]
        # An event that has all fields of a granted version serves as it is; else Avro resolution fills in what it lacks.
        self._versions = [
            (version, None if holds(writer.parsed, version.reader.parsed) else version.reader) for version in versions
        ]
        # fastavro gives a missing field's default as JSON has it; a date, say, must be one.
        self._defaults = {
            version.reader.version: list(_typed_defaults(writer, version.reader)) for version, reader in self._versions if reader
        }

    def transcode(self, key: bytes, value: bytes, moments: tuple[int, int]) -> Transcoded:
        """All deliveries of one event.

        Args:
            key: the Kafka key.
            value: the framed Avro value.
            moments: when the event was published, and now, ms since the epoch: an agreement must be in force at both.

        Raises:
            MalformedEvent: the value is not exactly one value of the schema, or the key is not its key.
        """
        self._guard(value, FRAME_BYTES)
        self._check_key(key, self._decode(value, None))
        return self.transcode_guarded(key, value, moments)

    def transcode_guarded(self, key: bytes, value: bytes, moments: tuple[int, int]) -> Transcoded:
        """The same for a value that the guard has seen and whose key is right."""
        data = self._decode(value, None)
        result = Transcoded([], [])
        for version, reader in self._versions:
            try:
                shaped = data if reader is None else self._shaped(value, reader)
            except MalformedEvent as error:
                # A newer event that the granted version cannot express (a new enum symbol, say).
                result.failures.extend(
                    TransformFailed(
                        plan.agreement, "", f"the event cannot be read as version {version.reader.version}: {error.problem}"
                    )
                    for plan in version.plans
                    if plan.in_force(moments)
                )
                continue
            run_plans(version.index.candidates(shaped), (shaped,), key, shaped, moments, result)
        return result

    def _shaped(self, value: bytes, reader: EventSchema) -> dict[str, Any]:
        data = self._decode(value, reader)
        for path, default in self._defaults[reader.version]:
            *above, last = path
            inner: Any = data
            for segment in above:
                inner = None if inner is None else inner.get(segment)
            if inner is not None:
                inner[last] = default
        return data

    def _decode(self, value: bytes, reader: EventSchema | None) -> dict[str, Any]:
        body = io.BytesIO(value)
        body.seek(FRAME_BYTES)
        try:
            return fastavro.schemaless_reader(  # type: ignore[return-value]
                body,
                self._writer.parsed.root,
                None if reader is None else reader.parsed.root,
                return_record_name=True,
                return_record_name_override=True,
            )
        except UnicodeDecodeError:
            raise MalformedEvent("undecodable", "a text is not UTF-8") from None
        except (ValueError, OverflowError, ArithmeticError):
            raise MalformedEvent("undecodable", "a date, time or decimal is out of range") from None
        except Exception as error:  # noqa: BLE001 - fastavro raises many kinds where versions do not meet
            raise MalformedEvent("undecodable", f"the value cannot be read ({type(error).__name__})") from None

    def _check_key(self, key: bytes, data: Mapping[str, Any]) -> None:
        values = []
        for path in self._key_paths:
            value: Any = data
            for segment in path:
                value = None if value is None else value[segment]
            values.append(value)
        if None in values or key_text(values).encode() != key:
            raise MalformedEvent("wrong_key", f"the Kafka key is not the value of {', '.join(self._writer.key)}")


def run_plans(
    candidates: Iterable[Entry],
    source: tuple[Any, ...],
    key: bytes,
    data: Mapping[str, Any],
    moments: tuple[int, int],
    result: Transcoded,
) -> None:
    """Test, project and encode for each candidate; deliveries that are equal are made once.

    Args:
        candidates: what the index found.
        source: what the entries' ``make`` takes.
        key: the event's key.
        data: what row conditions and keys look at.
        moments: when the event was published, and now.
        result: takes outputs and failures.
    """
    bodies: dict[str, bytes] = {}
    for plan, tests, make in candidates:
        if not plan.in_force(moments):
            continue
        try:
            if tests and not _all_hold(plan, tests, data):
                continue
            body = bodies.get(plan.signature) if plan.signature else None
            if body is None:
                body = make(*source)
                if failure := too_large(plan.agreement, len(plan.frame) + len(body)):
                    raise failure
                if plan.signature:
                    bodies[plan.signature] = body
            result.outputs.append(Output(plan, plan.key(key, data), plan.frame + body))
        except TransformFailed as failure:
            result.failures.append(failure)


def _all_hold(plan: Plan, tests: tuple[Test, ...], data: Mapping[str, Any]) -> bool:
    """Whether all row conditions hold; one that cannot be evaluated fails the event for its agreement."""
    try:
        for test in tests:
            if not test(data):
                return False
    except Exception as error:  # noqa: BLE001 - a condition that cannot be evaluated concerns this agreement alone
        raise TransformFailed(plan.agreement, "rows", in_words(error)) from None
    return True


def _typed_defaults(writer: EventSchema, reader: EventSchema) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, default) of every field that the reader has beyond the writer, through records."""
    yield from _beyond(writer.parsed, writer.parsed.root, reader.parsed, reader.parsed.root, ())


def _beyond(
    writer: Parsed, theirs: Schema, reader: Parsed, ours: Schema, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    fields = {one["name"]: one["type"] for one in theirs["fields"]}
    for one in ours["fields"]:
        place = (*path, one["name"])
        if one["name"] not in fields:
            if "default" in one:
                yield place, default_value(one["default"], one["type"], reader)
            continue
        inner, outer = reader.resolve(one["type"]), writer.resolve(fields[one["name"]])
        if kind(inner) == kind(outer) == "record" and len(path) < MAX_DEPTH:
            yield from _beyond(writer, outer, reader, inner, place)


def _encode(plan: Plan, data: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    try:
        fastavro.schemaless_writer(out, plan.delivery.root, plan.project(data))
    except TransformFailed:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, this agreement cannot take this event
        raise TransformFailed(plan.agreement, "", f"the delivery cannot be encoded ({type(error).__name__})") from None
    return out.getvalue()
