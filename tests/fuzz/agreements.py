"""Agreements over any schema, made without files or a bus, and what becomes of an event under them, in a form to compare.

Neighbours: ``tests/unit/test_transcoders.py`` and ``test_native_*.py`` draw these with hypothesis, ``corpus`` from a seed.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from pydantic import ValidationError

from hutong.agreements.agreement import Agreement
from hutong.agreements.delivery import delivery_schema, problems
from hutong.agreements.grant import CodeLists, Grant
from hutong.agreements.plan import Plan
from hutong.catalogue.load import load
from hutong.contracts.avro import field_paths
from hutong.contracts.schema import EventSchema
from hutong.errors import DeclarationError, MalformedEvent
from hutong.transcode.compiled import CompiledTranscoder, Transcoder
from hutong.transcode.native.transcoder import NativeTranscoder, writer_of
from hutong.transcode.reference import VersionPlans
from tests.avro_random import record_schemas, values

__all__ = [
    "CONTRACT",
    "LISTS",
    "ROWS",
    "SECRET",
    "TRANSFORMS",
    "cases",
    "compiled",
    "event_schema",
    "native",
    "outcome",
    "plan",
    "sample_agreements",
    "versions",
]

SCHEMAS = Path(__file__).parents[2] / "schemas"
CONTRACT = "t.r"
LISTS: CodeLists = {"abc": [{"symbol": s, "code": c} for s, c in (("A", "1"), ("B", "2"), ("C", "3"), ("D", "四"))]}
SECRET = b"s" * 32

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


def event_schema(schema: dict[str, Any], *, version: int = 1, key: tuple[str, ...] = ("k",)) -> EventSchema:
    """A record schema as a contract's, with a text field ``k`` in front."""
    fields = [{"name": "k", "type": "string"}, *schema["fields"]]
    return EventSchema({**schema, "fields": fields, "hutong": {"contract": CONTRACT, "version": version, "key": list(key)}})


def plan(
    name: str,
    granted: EventSchema,
    fields: list[dict[str, Any]],
    rows: list[dict[str, Any]],
    valid_from_ms: int = 0,
) -> Plan | None:
    """The agreement compiled, or None where it does not suit the schema."""
    declared = {"id": name, "recipient": "r", "contract": CONTRACT, "legal_basis": "l", "purpose": "p", "fields": fields}
    try:
        agreement = Agreement.model_validate({**declared, "valid": {"from": "2025-01-01"}, "rows": rows})
    except ValidationError:
        return None
    try:
        if problems(agreement, granted, LISTS):
            return None
    except AttributeError:  # a number where a UUID is wanted, which `rows` does not refuse in words
        return None
    grant = Grant(
        agreement=agreement,
        reader_schema=granted.schema,
        delivery_schema=delivery_schema(agreement, granted, LISTS),
        delivery_schema_id=9,
        subject="s",
        code_lists=LISTS,
        valid_from_ms=valid_from_ms,
    )
    try:
        return Plan(grant, granted, SECRET)
    except DeclarationError:
        return None


def versions(granted: EventSchema, plans: list[Plan]) -> list[VersionPlans]:
    """The plans of one granted version, as a transcoder takes them."""
    made = VersionPlans(reader=granted)
    for one in plans:
        made.add(one)
    return [made]


def compiled(event: EventSchema, of: list[VersionPlans]) -> Transcoder:
    """The transcoder of pure Python."""
    return CompiledTranscoder(event, of)


def native(event: EventSchema, of: list[VersionPlans]) -> NativeTranscoder:
    """The transcoder in Rust; a schema that it does not read at all fails the test."""
    writer = writer_of(event)
    assert writer is not None
    return NativeTranscoder(event, writer, of)


def outcome(using: Transcoder, key: bytes, value: bytes) -> Any:
    """What becomes of a value, in a form that can be compared."""
    try:
        outputs, failures = using.transcode(key, value, (1, 1))
    except MalformedEvent as error:
        return error.reason
    made = sorted((o.plan.agreement, o.key, o.value) for o in outputs)
    return made, sorted((f.agreement, f.path, f.problem) for f in failures)


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


@cache
def sample_agreements() -> list[tuple[Agreement, EventSchema, list[VersionPlans]]]:
    """Each agreement of the sample declarations alone, on the newest version's events."""
    catalogue = load(SCHEMAS)
    lists = {id_: [dict(entry) for entry in one.entries] for id_, one in catalogue.code_lists.items()}
    found = []
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
        found.append((agreement, newest, versions(granted, [Plan(grant, granted, SECRET)])))
    return found
