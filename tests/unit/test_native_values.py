"""Every transform and row condition over every type that it takes, at the edges of the types: the extension as the reference."""

from __future__ import annotations

import math
from collections import Counter
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.agreements.plan import Plan
from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema, key_text
from hutong.transcode.native.transcoder import extension
from hutong.transcode.reference import ReferenceTranscoder
from tests.avro_random import LOGICAL, values
from tests.examples import examples
from tests.fuzz.agreements import event_schema, native, outcome, plan, versions

pytestmark = pytest.mark.skipif(extension is None, reason="the extension hutong_native is not built")

TYPES: dict[str, Any] = {
    "text": "string",
    "int": "int",
    "long": "long",
    "float": "float",
    "double": "double",
    "boolean": "boolean",
    "bytes": "bytes",
    "enum": {"type": "enum", "name": "t.E", "symbols": ["A", "B", "C", "D"]},
    "fixed": {"type": "fixed", "name": "t.F", "size": 3},
    "fixed decimal": {"type": "fixed", "name": "t.D", "size": 8, "logicalType": "decimal", "precision": 18, "scale": 6},
    "wide decimal": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 30},
    "too wide decimal": {"type": "bytes", "logicalType": "decimal", "precision": 60, "scale": 30},
    "whole decimal": {"type": "bytes", "logicalType": "decimal", "precision": 8},
    **LOGICAL,
}
TEXT = st.text(st.sampled_from("aAé文😀*|1"), max_size=6)  # one to four bytes a character; few, so that conditions meet
NUMBERS = st.sampled_from([-(2**63), -(2**31), -1001, -1, 0, 1, 2, 1000, 2**31 - 1, 2**63 - 1])
REALS = st.sampled_from([0.0, -0.0, 0.1, -0.5, 1e-300, 16_777_217.0, 3.4e38, 1e300, math.inf, -math.inf, math.nan])
TIMES = st.sampled_from(
    ["0001-01-01T00:00:00", "1969-12-31T23:59:59.999999", "1970-01-01T00:00:00", "2024-02-29T12:00:00.5", "9999-12-31T23:59:59"]
)
WHOLE = st.integers(0, 7)
HUGE = st.sampled_from([0, 3, 2**63, 10**30])
BOUNDS = st.lists(st.integers(-(10**9), 10**9) | st.floats(), min_size=1, max_size=4, unique=True)


def edges(name: str) -> st.SearchStrategy[Any]:
    """Values of a type: any, and those at which mistakes are made."""
    schema = TYPES[name]
    any_ = values(schema, {})
    match name:
        case "text":
            return any_ | TEXT
        case "int" | "long":
            low, high = (-(2**31), 2**31 - 1) if name == "int" else (-(2**63), 2**63 - 1)
            return any_ | NUMBERS.filter(lambda n: low <= n <= high)
        case "float" | "double":
            return any_ | REALS.map(lambda x: x if name == "double" or abs(x) < 3.5e38 else math.copysign(math.inf, x))
        case "date":
            return any_ | TIMES.map(lambda text: date.fromisoformat(text[:10]))
        case "millis" | "micros":
            return any_ | TIMES.map(lambda text: datetime.fromisoformat(text + "+00:00"))
        case "local millis" | "local micros":
            return any_ | TIMES.map(datetime.fromisoformat)
        case _:
            return any_


def literal(value: Any) -> Any:
    """A value as a steward writes it in an agreement."""
    match value:
        case datetime():
            return value.isoformat()
        case date() | Decimal() | UUID():
            return str(value)
    return value


@st.composite
def transforms(draw: st.DrawFn) -> dict[str, Any]:
    """Any transform with any parameters, huge ones among them."""
    first, pad = draw(WHOLE | HUGE), draw(st.sampled_from([None, "0", "é", "文", "😀"]))
    return draw(
        st.sampled_from(
            [
                {},
                {"transform": "mask", "keep_first": first, "keep_last": draw(WHOLE | HUGE)},
                {"transform": "pseudonymise"},
                *({"transform": "generalise", "to": to} for to in ("year", "month", "day")),
                {"transform": "generalise", "keep_first": first, **({} if pad is None else {"pad": pad})},
                {"transform": "generalise", "bands": sorted(draw(BOUNDS))},
                {"transform": "map", "code_list": "abc"},
            ]
        )
    )


@st.composite
def rows(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """A condition whose literals are often the event's own values."""
    some = edges(name).map(literal)
    match draw(st.sampled_from(["equals", "in", "prefix", "at_least", "at_most", "range"])):
        case "equals":
            return {"equals": draw(some)}
        case "in":
            return {"in": draw(st.lists(some, min_size=1, max_size=3))}
        case "prefix":
            return {"prefix": draw(TEXT.filter(bool))}
        case "range":
            return {"at_least": draw(some), "at_most": draw(some)}
        case end:
            return {end: draw(some)}


def versatile(name: str) -> EventSchema:
    """The type alone, nullable (null first and last), in a list, in a map of nullables, and in a nullable record."""
    type_ = TYPES[name]
    again = type_["name"] if isinstance(type_, dict) and "name" in type_ else type_
    inner = {"type": "record", "name": "t.I", "fields": [{"name": "x", "type": again}]}
    fields = [
        {"name": "v", "type": type_},
        {"name": "n", "type": ["null", again]},
        {"name": "m", "type": [again, "null"]},
        {"name": "l", "type": {"type": "array", "items": again}},
        {"name": "p", "type": {"type": "map", "values": ["null", again]}},
        {"name": "r", "type": ["null", inner]},
    ]
    return event_schema({"type": "record", "name": "t.R", "fields": fields})


PLACES = ["v", "n", "m", "l", "p", "r.x"]


def drawn_plan(draw: st.DrawFn, number: int, name: str, event: EventSchema) -> Plan | None:
    places = draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=4, unique=True))
    fields = [{"field": place, "as": f"o{i}", **draw(transforms())} for i, place in enumerate(places)]
    fields = [one for one in fields if plan("probe", event, [one], [])] or [{"field": "v"}]
    where = draw(st.lists(st.sampled_from(["v", "n", "m", "r.x"]), max_size=2, unique=True))
    return plan(f"a{number}", event, fields, [{"field": place, **draw(rows(name))} for place in where])


@st.composite
def cases(draw: st.DrawFn, name: str, event: EventSchema) -> tuple[list[Plan], dict[str, Any]]:
    made = [drawn_plan(draw, number, name, event) for number in range(3)]
    value = edges(name)
    maybe = st.none() | value
    record = {
        "k": draw(TEXT),
        "v": draw(value),
        "n": draw(maybe),
        "m": draw(maybe),
        "l": draw(st.lists(value, max_size=3)),
        "p": draw(st.dictionaries(TEXT, maybe, max_size=3)),
        "r": draw(st.none() | st.fixed_dictionaries({"x": value})),
    }
    return [one for one in made if one is not None], record


@pytest.mark.parametrize("name", TYPES)
def test_transforms_and_conditions(name: str) -> None:
    """Equal deliveries and equal failures, and most plans and events are the extension's own."""
    event = versatile(name)
    seen: Counter[str] = Counter()

    @settings(max_examples=120, deadline=None, database=None, derandomize=True)
    @given(cases(name, event))
    def compare(case: tuple[list[Plan], dict[str, Any]]) -> None:
        plans, record = case
        of = versions(event, plans)
        made = native(event, of)
        key, value = record["k"].encode(), frame(7) + event.encode(record)
        assert outcome(made, key, value) == outcome(ReferenceTranscoder(event, of), key, value)
        seen["plans"] += len(plans)
        seen["own"] += len(made.plans)
        seen["events"] += 1
        seen["taken"] += made.native.transcode(key, value, 1, 1) is not None

    compare()
    assert seen["own"] > 0.4 * seen["plans"] > 20  # what is drawn depends on the hash seed a little
    assert seen["taken"] > 0.6 * seen["events"] > 60


KEY_TYPES: dict[str, Any] = {
    "text": "string",
    "int": "int",
    "long": "long",
    "date": LOGICAL["date"],
    "uuid": LOGICAL["uuid"],
    "enum": {"type": "enum", "name": "t.E", "symbols": ["A", "B"]},
}


@pytest.mark.parametrize("optional", [False, True])
@settings(max_examples=examples(150), deadline=None)
@given(st.data())
def test_keys_of_several_parts(optional: bool, data: st.DataObject) -> None:
    """Shown and hidden parts of every type that a key takes; a part that is null makes no key."""
    names = data.draw(st.lists(st.sampled_from(sorted(KEY_TYPES)), min_size=1, max_size=4, unique=True))
    fields = [
        {"name": name, "type": ["null", KEY_TYPES[name]] if optional and n == 0 else KEY_TYPES[name]}
        for n, name in enumerate(names)
    ]
    inner = {"type": "record", "name": "t.I", "fields": fields}
    schema = {"type": "record", "name": "t.R", "fields": [{"name": "i", "type": inner}]}
    event = event_schema(schema, key=("k", *(f"i.{name}" for name in names)))
    shown = data.draw(st.lists(st.sampled_from(["k", *(f"i.{name}" for name in names)]), unique=True))
    one = plan("a", event, [*({"field": path} for path in shown), {"transform": "constant", "as": "c", "value": 1}], [])
    assert one is not None
    of = versions(event, [one])
    made = native(event, of)
    assert made.plans == [one]
    record = {"k": data.draw(TEXT), "i": data.draw(values(event.parsed.root))["i"]}
    right = key_text([record["k"], *(record["i"][name] for name in names)]).encode()
    value = frame(7) + event.encode(record)
    for key in (right, right + b"|", right.upper()):
        assert outcome(made, key, value) == outcome(ReferenceTranscoder(event, of), key, value)
    complete = None not in record["i"].values()
    assert (made.native.transcode(right, value, 1, 1) is not None) == complete


def test_a_bound_of_many_digits_is_not_rounded() -> None:
    """The last of 38 digits decides, on either side."""
    type_ = TYPES["wide decimal"]
    event = event_schema({"type": "record", "name": "t.R", "fields": [{"name": "d", "type": type_}]})
    bound = Decimal("12345678.123456789012345678901234567890")
    rows = [[{"field": "d", end: str(bound)}] for end in ("at_least", "at_most")]
    plans = [one for n, row in enumerate(rows) if (one := plan(f"a{n}", event, [{"field": "d"}], row))]
    of = versions(event, plans)
    made = native(event, of)
    assert made.plans == plans
    for last, names in ((-1, ["a1"]), (0, ["a0", "a1"]), (1, ["a0"])):
        unscaled = 12_345_678_123_456_789_012_345_678_901_234_567_890 + last
        value = frame(7) + event.encode({"k": "", "d": Decimal(f"{unscaled}E-30")})
        assert sorted(o.plan.agreement for o in made.transcode(b"", value, (1, 1)).outputs) == names
        assert outcome(made, b"", value) == outcome(ReferenceTranscoder(event, of), b"", value)


def test_an_upper_case_uuid_is_taken_by_nobody() -> None:
    """One value has one form, in the key, under a pseudonym and for whoever compares texts."""
    schema = {"type": "record", "name": "t.R", "fields": [{"name": "u", "type": LOGICAL["uuid"]}]}
    event = event_schema(schema, key=("u",))
    text = "0F6B5A0E-0000-4000-8000-00000000000A"
    value = frame(7) + b"\0" + bytes([72]) + text.encode()
    one = plan("a", event, [{"field": "u", "transform": "pseudonymise"}], [])
    assert one is not None
    of = versions(event, [one])
    made = native(event, of)
    for key in (text.encode(), text.lower().encode()):
        assert outcome(made, key, value) == outcome(ReferenceTranscoder(event, of), key, value) == "undecodable"
        assert made.native.transcode(key, value, 1, 1) is None
    lower = frame(7) + b"\0" + bytes([72]) + text.lower().encode()
    assert made.native.transcode(text.lower().encode(), lower, 1, 1) is not None
