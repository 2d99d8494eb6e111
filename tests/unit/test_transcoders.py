"""The compiled transcoder against the reference: the same bytes for every schema, agreement and record, and the same refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hutong.agreements.agreement import Agreement
from hutong.agreements.delivery import delivery_schema, problems
from hutong.agreements.grant import CodeLists, Grant
from hutong.agreements.plan import Plan
from hutong.catalogue.load import load
from hutong.contracts.avro import field_paths
from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.errors import MalformedEvent
from hutong.transcode.compiled import CompiledTranscoder, Transcoder, transcoder
from hutong.transcode.reference import ReferenceTranscoder, VersionPlans
from tests.avro_random import record_schemas, values

SCHEMAS = Path(__file__).parents[2] / "schemas"
LISTS: CodeLists = {"abc": [{"symbol": s, "code": c} for s, c in (("A", "1"), ("B", "2"), ("C", "3"))]}
SECRET = b"s" * 32
SLOW = [  # lists, CEL, derived fields
    "application-to-verification",
    "benefit-granted-for-analysis",
    "benefit-granted-to-audit",
    "benefit-granted-to-tax",
    "divorce-to-assistance",
    "household-moved-into-shanxi",
    "household-moved-to-assistance",
    "property-registered-to-verification",
    "property-transferred-to-verification",
]

TRANSFORMS: list[dict[str, Any]] = [
    {},
    {},
    {"transform": "mask", "keep_first": 1},
    {"transform": "pseudonymise"},
    {"transform": "generalise", "to": "year"},
    {"transform": "generalise", "to": "month"},
    {"transform": "generalise", "to": "day"},
    {"transform": "generalise", "keep_first": 2, "pad": "0"},
    {"transform": "generalise", "bands": [-10, 0, 0.5, 1000]},
    {"transform": "map", "code_list": "abc"},
]
ROWS: list[dict[str, Any]] = [
    {"prefix": "a"},
    {"equals": "A"},
    {"in": ["A", "B"]},
    {"at_least": 0},
    {"at_most": 0},
    {"equals": 0},
    {"at_least": "2000-01-01"},
    {"equals": True},
]


def event_schema(schema: dict[str, Any]) -> EventSchema:
    """The random schema with a key field in front."""
    fields = [{"name": "k", "type": "string"}, *schema["fields"]]
    return EventSchema({**schema, "fields": fields, "hutong": {"contract": "t.r", "version": 1, "key": ["k"]}})


def plan(name: str, event: EventSchema, fields: list[dict[str, Any]], rows: list[dict[str, Any]]) -> Plan | None:
    """The agreement compiled, or None where it does not suit the schema."""
    try:
        agreement = Agreement.model_validate(
            {
                "id": name,
                "recipient": "r",
                "contract": "t.r",
                "legal_basis": "l",
                "purpose": "p",
                "valid": {"from": "2025-01-01"},
                "rows": rows,
                "fields": fields,
            }
        )
    except ValidationError:
        return None
    if problems(agreement, event, LISTS):
        return None
    schema = delivery_schema(agreement, event, LISTS)
    grant = Grant(
        agreement=agreement,
        reader_schema=event.schema,
        delivery_schema=schema,
        delivery_schema_id=9,
        subject="s",
        code_lists=LISTS,
        valid_from_ms=0,
    )
    return Plan(grant, event, SECRET)


@st.composite
def cases(draw: st.DrawFn) -> tuple[EventSchema, list[Plan], dict[str, Any]]:
    """A schema, agreements on it, and a record."""
    event = event_schema(draw(record_schemas()))
    paths = sorted({path for path, _ in field_paths(event.parsed)})
    made = []
    for number in range(draw(st.integers(1, 4))):
        chosen = draw(st.lists(st.sampled_from(paths), min_size=1, max_size=4, unique=True))
        fields = [{"field": path, "as": f"o{i}", **draw(st.sampled_from(TRANSFORMS))} for i, path in enumerate(chosen)]
        usable = [one for one in fields if plan("probe", event, [one], [])]
        rows = [{"field": path, **draw(st.sampled_from(ROWS))} for path in draw(st.lists(st.sampled_from(paths), max_size=2))]
        rows = [row for row in rows if plan("probe", event, [{"field": "k"}], [row])]
        fields = [*usable, {"transform": "constant", "as": "c", "value": draw(st.sampled_from(["x", True, 7, 0.5]))}]
        one = plan(f"a{number}", event, fields, rows)
        if one is not None:
            made.append(one)
    record = draw(values(event.parsed.root))
    return event, made, record


def both(event: EventSchema, plans: list[Plan]) -> tuple[Transcoder, ReferenceTranscoder]:
    versions = VersionPlans(reader=event)
    for one in plans:
        versions.add(one)
    return transcoder(event, [versions]), ReferenceTranscoder(event, [versions])


def outcome(using: Transcoder, key: bytes, value: bytes) -> Any:
    """What becomes of a value, in a form that can be compared."""
    try:
        outputs, failures = using.transcode(key, value, (1, 1))
    except MalformedEvent as error:
        return error.reason
    made = sorted((o.plan.agreement, o.key, o.value) for o in outputs)
    return made, sorted((f.agreement, f.path, f.problem) for f in failures)


@settings(max_examples=400, deadline=None)
@given(cases())
def test_both_give_the_same_bytes(case: tuple[EventSchema, list[Plan], dict[str, Any]]) -> None:
    """Random schemas, agreements and records: deliveries, keys and failures are equal."""
    event, plans, record = case
    fast, reference = both(event, plans)
    key = record["k"].encode()
    value = frame(7) + event.encode(record)
    assert outcome(fast, key, value) == outcome(reference, key, value)


@settings(max_examples=400, deadline=None)
@given(cases(), st.data())
def test_both_refuse_the_same_values(case: tuple[EventSchema, list[Plan], dict[str, Any]], data: st.DataObject) -> None:
    """Mutated values: refused by both for the same reason, or taken by both."""
    event, plans, record = case
    fast, reference = both(event, plans)
    body = bytearray(event.encode(record))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    key, value = record["k"].encode(), frame(7) + bytes(body)
    first, second = outcome(fast, key, value), outcome(reference, key, value)
    if isinstance(first, str) or isinstance(second, str):
        assert first == second


def test_the_sample_agreements_are_compiled() -> None:
    """What the samples need is what slices can do; the few that cannot are known by name."""
    catalogue = load(SCHEMAS)
    lists = {id_: [dict(entry) for entry in one.entries] for id_, one in catalogue.code_lists.items()}
    slow = set()
    for agreement in catalogue.agreements.values():
        contract = catalogue.contracts[agreement.contract]
        newest, granted = contract.version(None), contract.version(agreement.version)
        assert newest is not None
        assert granted is not None
        grant = Grant(
            agreement=agreement,
            reader_schema=granted.schema,
            delivery_schema=delivery_schema(agreement, granted, lists),
            delivery_schema_id=9,
            subject="s",
            code_lists=lists,
            valid_from_ms=0,
        )
        versions = VersionPlans(reader=granted)
        versions.add(Plan(grant, granted, SECRET))
        if not isinstance(transcoder(newest, [versions]), CompiledTranscoder):
            slow.add(agreement.id)
    assert sorted(slow) == SLOW


@pytest.mark.parametrize("path", ["a.b.c", "a"])
def test_a_null_record_on_the_way_is_null(path: str) -> None:
    """Nullable records inside nullable records: each level comes out as the reference makes it."""
    inner = {"type": "record", "name": "I", "fields": [{"name": "x", "type": "int"}, {"name": "c", "type": "string"}]}
    outer = {"type": "record", "name": "O", "fields": [{"name": "y", "type": "int"}, {"name": "b", "type": [inner, "null"]}]}
    event = event_schema({"type": "record", "name": "t.R", "fields": [{"name": "a", "type": ["null", outer]}]})
    one = plan("p", event, [{"field": path}], [])
    assert one is not None
    fast, reference = both(event, [one])
    assert isinstance(fast, CompiledTranscoder)
    for record in ({"a": None}, {"a": {"y": 1, "b": None}}, {"a": {"y": 1, "b": {"x": 2, "c": "z"}}}):
        value = frame(7) + event.encode({"k": "1", **record})
        assert outcome(fast, b"1", value) == outcome(reference, b"1", value)
