"""The fast transcoders against the reference: the same bytes for every schema, agreement and record, and the same refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.agreements.agreement import Agreement, CelRow, Constant, Derive
from hutong.agreements.plan import Plan
from hutong.contracts.avro import field_paths, kind
from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.transcode.compiled import CompiledTranscoder, Transcoder
from hutong.transcode.native.transcoder import NativeTranscoder, extension
from hutong.transcode.reference import ReferenceTranscoder, VersionPlans
from tests.examples import examples
from tests.fuzz.agreements import cases, compiled, event_schema, native, outcome, plan, sample_agreements, versions

Make = Callable[[EventSchema, list[VersionPlans]], Transcoder]

needs_extension = pytest.mark.skipif(extension is None, reason="the extension hutong_native is not built")
both_kinds = pytest.mark.parametrize("fast", [compiled, pytest.param(native, marks=needs_extension)])


@both_kinds
@settings(max_examples=examples(400), deadline=None)
@given(cases())
def test_both_give_the_same_bytes(fast: Make, case: tuple[EventSchema, list[Plan], dict[str, Any]]) -> None:
    """Random schemas, agreements and records: deliveries, keys and failures are equal."""
    event, plans, record = case
    of = versions(event, plans)
    key = record["k"].encode()
    value = frame(7) + event.encode(record)
    assert outcome(fast(event, of), key, value) == outcome(ReferenceTranscoder(event, of), key, value)


@both_kinds
@settings(max_examples=examples(400), deadline=None)
@given(cases(), st.data())
def test_both_refuse_the_same_values(
    fast: Make, case: tuple[EventSchema, list[Plan], dict[str, Any]], data: st.DataObject
) -> None:
    """Mutated values: refused by both for the same reason, or taken by both."""
    event, plans, record = case
    of = versions(event, plans)
    body = bytearray(event.encode(record))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    key, value = record["k"].encode(), frame(7) + bytes(body)
    first, second = outcome(fast(event, of), key, value), outcome(ReferenceTranscoder(event, of), key, value)
    if isinstance(first, str) or isinstance(second, str):
        assert first == second


@needs_extension
def test_the_extension_does_most_of_it_itself() -> None:
    """Equal bytes prove nothing where everything is handed back: nearly all plans and valid events are the extension's own."""
    counts = {"plans": 0, "own": 0, "events": 0, "taken": 0}

    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    @given(cases())
    def count(case: tuple[EventSchema, list[Plan], dict[str, Any]]) -> None:
        event, plans, record = case
        if not plans:
            return
        made = native(event, versions(event, plans))
        counts["plans"] += len(plans)
        counts["own"] += len(made.plans)
        counts["events"] += 1
        counts["taken"] += made.native.transcode(record["k"].encode(), frame(7) + event.encode(record), 1, 1) is not None

    count()
    assert counts["events"] > 200
    assert counts["own"] > 0.9 * counts["plans"]
    assert counts["taken"] > 0.9 * counts["events"]


def test_the_sample_agreements_are_compiled() -> None:
    """In pure Python too, all but those that need more than slices: CEL, derived fields, parts of what a list or map holds."""
    found = sample_agreements()
    slow = {agreement.id for agreement, event, of in found if not CompiledTranscoder(event, of).plans}
    assert slow == {agreement.id for agreement, event, _ in found if needs_more_than_slices(agreement, event)}
    assert 0 < len(slow) < len(found) / 2


def needs_more_than_slices(agreement: Agreement, event: EventSchema) -> bool:
    """By what it says, not by what compiles."""
    parts = (*agreement.rows, *agreement.fields)
    several = {path for path, field in field_paths(event.parsed) if holds_several(event, field["type"])}
    granted = [part.field.split(".") for part in parts if not isinstance(part, CelRow | Derive | Constant)]
    return any(isinstance(part, CelRow | Derive) for part in parts) or any(
        ".".join(path[:end]) in several for path in granted for end in range(1, len(path))
    )


def holds_several(event: EventSchema, type_: Any) -> bool:
    """A list, a map, or a union with one."""
    resolved = event.parsed.resolve(type_)
    branches = map(event.parsed.resolve, resolved) if kind(resolved) == "union" else [resolved]
    return any(kind(branch) in ("array", "map") for branch in branches)


@needs_extension
def test_the_extension_leaves_nothing_but_cel() -> None:
    """Of the samples, exactly those with a CEL condition or a derived field go through the reference."""
    left, cel = set(), set()
    for agreement, event, of in sample_agreements():
        if not native(event, of).plans:
            left.add(agreement.id)
        if any(isinstance(part, CelRow | Derive) for part in (*agreement.rows, *agreement.fields)):
            cel.add(agreement.id)
    assert left == cel


@both_kinds
@pytest.mark.parametrize("path", ["a.b.c", "a"])
def test_a_null_record_on_the_way_is_null(fast: Make, path: str) -> None:
    """Nullable records inside nullable records: each level comes out as the reference makes it."""
    inner = {"type": "record", "name": "I", "fields": [{"name": "x", "type": "int"}, {"name": "c", "type": "string"}]}
    outer = {"type": "record", "name": "O", "fields": [{"name": "y", "type": "int"}, {"name": "b", "type": [inner, "null"]}]}
    event = event_schema({"type": "record", "name": "t.R", "fields": [{"name": "a", "type": ["null", outer]}]})
    one = plan("p", event, [{"field": path}], [])
    assert one is not None
    of = versions(event, [one])
    made = fast(event, of)
    assert made.plans in (1, [one]) if isinstance(made, CompiledTranscoder | NativeTranscoder) else False
    for record in ({"a": None}, {"a": {"y": 1, "b": None}}, {"a": {"y": 1, "b": {"x": 2, "c": "z"}}}):
        value = frame(7) + event.encode({"k": "1", **record})
        assert outcome(made, b"1", value) == outcome(ReferenceTranscoder(event, of), b"1", value)
