"""Events of one version delivered in the shape of another: the extension against the reference over random evolutions."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.agreements.plan import Plan
from hutong.contracts.avro import field_paths
from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.contracts.shape import holds
from hutong.errors import DeclarationError
from hutong.transcode.native.transcoder import extension
from hutong.transcode.reference import ReferenceTranscoder
from tests.avro_random import record_schemas, values
from tests.examples import examples
from tests.fuzz.agreements import ROWS, TRANSFORMS, event_schema, native, outcome, plan, versions

pytestmark = pytest.mark.skipif(extension is None, reason="the extension hutong_native is not built")

Case = tuple[EventSchema, EventSchema, list[Plan], dict[str, Any]]
"""The event's version, the granted one, agreements, and a record."""

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
ADDED: list[tuple[Any, Any]] = [
    ("int", 1),
    ("long", -(2**40)),
    ("boolean", True),
    ("double", 0.1),
    ("float", 1),
    ("string", "文"),
    ("bytes", "\u00ff\u0001"),
    (["null", "string"], None),
    (["string", "null"], "x"),
    ({"type": "int", "logicalType": "date"}, 19_000),
    ({"type": "long", "logicalType": "timestamp-millis"}, -1),
    ({"type": "int", "logicalType": "time-millis"}, 5),
    ({"type": "string", "logicalType": "uuid"}, "0f6b5a0e-0000-4000-8000-000000000001"),
    (DECIMAL, "\u0000\u00fe"),
    ({"type": "array", "items": "int"}, []),
    ({"type": "array", "items": DECIMAL}, ["\u0001"]),
    ({"type": "map", "values": "string"}, {"a": "b"}),
    ({"type": "enum", "name": "Fresh", "symbols": ["A", "B"]}, "B"),
    ({"type": "fixed", "name": "Fresh", "size": 2}, "\u00fe\u0000"),
    ({"type": "record", "name": "Fresh", "fields": [{"name": "x", "type": "int", "default": 4}]}, {}),
]


class Evolver:
    """Changes that a new version may make, and a few that it must not, at any depth."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw, self.count = draw, 0

    def type(self, schema: Any) -> Any:
        if isinstance(schema, list):
            branches = [self.type(branch) for branch in schema]
            return self.draw(st.sampled_from([branches, branches, branches, branches[::-1], [*branches, "boolean"]]))
        if isinstance(schema, str):
            wider = {"int": "long", "float": "double"}.get(schema, schema)
            return self.draw(st.sampled_from([*[schema] * 12, wider]))
        match schema["type"]:
            case "record":
                return self.record(schema)
            case "array":
                return {**schema, "items": self.type(schema["items"])}
            case "map":
                return {**schema, "values": self.type(schema["values"])}
            case "enum":
                return {**schema, "symbols": self.draw(st.sampled_from([*[schema["symbols"]] * 8, [*schema["symbols"], "D"]]))}
        return schema

    def record(self, schema: dict[str, Any]) -> dict[str, Any]:
        fields = []
        for field in schema["fields"]:
            match self.draw(st.sampled_from(["keep"] * 8 + ["nullable", "remove"])):
                case "keep":
                    fields.append({**field, "type": self.type(field["type"])})
                case "nullable" if isinstance(field["type"], str | dict) and field["type"] != "null":
                    fields.append({**field, "type": ["null", field["type"]], "default": None})
                case "remove":
                    if "Fresh" in str(field) or "'name': 't." in str(field["type"]):
                        fields.append(field)  # its definition may be referred to further on
        for _ in range(self.draw(st.sampled_from([0, 0, 1, 2]))):
            self.count += 1
            type_, default = self.draw(st.sampled_from(ADDED))
            if isinstance(type_, dict) and type_.get("name") == "Fresh":
                type_ = {**type_, "name": f"Fresh{self.count}"}
            fields.append({"name": f"n{self.count}", "type": type_, "default": default})
        if self.draw(st.booleans()):
            fields = self.draw(st.permutations(fields))
        return {**schema, "fields": fields}


@st.composite
def cases(draw: st.DrawFn) -> Case | None:
    """Two versions, either of which may be the event's; None where a change took away a definition that is referred to."""
    old = draw(record_schemas(depth=3))
    try:
        pair = [event_schema(old, version=1), event_schema(Evolver(draw).record(old), version=2)]
    except DeclarationError:
        return None
    event, granted = draw(st.permutations(pair))
    paths = sorted({path for path, _ in field_paths(granted.parsed)})
    plans = []
    for number in range(draw(st.integers(1, 3))):
        chosen = draw(st.lists(st.sampled_from(paths), min_size=1, max_size=4, unique=True))
        fields = [{"field": path, "as": f"o{i}", **draw(st.sampled_from(TRANSFORMS))} for i, path in enumerate(chosen)]
        fields = [one for one in fields if plan("probe", granted, [one], [])] or [{"field": "k"}]
        rows = [{"field": path, **draw(st.sampled_from(ROWS))} for path in draw(st.lists(st.sampled_from(paths), max_size=1))]
        made = plan(f"a{number}", granted, fields, rows) or plan(f"a{number}", granted, fields, [])
        if made is not None:
            plans.append(made)
    return event, granted, plans, draw(values(event.parsed.root))


def test_every_version_comes_out_as_the_reference_makes_it() -> None:
    """Older and newer events: equal deliveries and equal failures, and enough of both kinds are the extension's own."""
    seen: Counter[str] = Counter()

    @settings(max_examples=examples(600), deadline=None, database=None, derandomize=True)
    @given(cases())
    def compare(case: Case | None) -> None:
        if case is None:
            return
        event, granted, plans, record = case
        of = versions(granted, plans)
        made = native(event, of)
        key, value = record["k"].encode(), frame(7) + event.encode(record)
        assert outcome(made, key, value) == outcome(ReferenceTranscoder(event, of), key, value)
        kind = "holds" if holds(event.parsed, granted.parsed) else "resolves"
        seen[kind] += len(plans)
        seen[f"{kind}, own"] += len(made.plans)

    compare()
    assert seen["holds, own"] > 0.8 * seen["holds"] > 50
    assert seen["resolves, own"] > 0.3 * seen["resolves"] > 50
