"""Row conditions: each kind on each type, and the index against a search through all."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from hutong.agreements.agreement import FieldRow, Row
from hutong.agreements.rows import RowIndex, compile_row, indexed_position
from hutong.contracts.avro import parse
from hutong.errors import DeclarationError

PERSON = {
    "type": "record",
    "name": "P",
    "fields": [
        {"name": "sex", "type": {"type": "enum", "name": "S", "symbols": ["M", "F"]}},
        {"name": "born", "type": ["null", {"type": "int", "logicalType": "date"}]},
    ],
}
SCHEMA = parse(
    {
        "type": "record",
        "name": "E",
        "fields": [
            {"name": "region", "type": "string"},
            {"name": "age", "type": ["null", "int"]},
            {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
            {"name": "score", "type": "double"},
            {"name": "open", "type": "boolean"},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "person", "type": ["null", PERSON]},
            {"name": "tags", "type": {"type": "array", "items": "string"}},
            {"name": "either", "type": ["null", "string", "int"]},
        ],
    }
)
EVENT: dict[str, Any] = {
    "region": "140105",
    "age": 61,
    "amount": Decimal("500.00"),
    "score": 0.5,
    "open": True,
    "at": datetime(2026, 1, 2, tzinfo=UTC),
    "person": {"sex": "F", "born": date(1965, 5, 1)},
    "tags": ["a", "b", "c"],
    "either": None,
}


def passes_(row: dict[str, Any], event: dict[str, Any] = EVENT) -> bool:
    compiled: Any = TypeAdapter(Row).validate_python(row)
    return compile_row(compiled, SCHEMA)(event)


@pytest.mark.parametrize(
    ("row", "passes"),
    [
        ({"field": "region", "equals": "140105"}, True),
        ({"field": "region", "prefix": "14"}, True),
        ({"field": "region", "prefix": "15"}, False),
        ({"field": "region", "at_least": "14", "at_most": "15"}, True),
        ({"field": "age", "in": [60, 61]}, True),
        ({"field": "age", "at_least": 62}, False),
        ({"field": "amount", "equals": 500}, True),
        ({"field": "amount", "at_least": "500.01"}, False),
        ({"field": "score", "at_most": 0.5}, True),
        ({"field": "open", "equals": False}, False),
        ({"field": "at", "at_least": "2026-01-01T00:00:00Z"}, True),
        ({"field": "person.sex", "equals": "F"}, True),
        ({"field": "person.born", "at_most": "1965-05-01"}, True),
        ({"cel": "size(tags) > 2 && region.startsWith('14')"}, True),
        ({"cel": "tags.exists(t, t == 'z')"}, False),
        ({"cel": "person.born < '1960-01-01'"}, False),
    ],
)
def test_conditions(row: dict[str, Any], passes: bool) -> None:
    """The table of conditions."""
    assert passes_(row) is passes


@pytest.mark.parametrize(
    "row", [{"field": "age", "equals": 61}, {"field": "person.sex", "equals": "F"}, {"field": "age", "at_least": 0}]
)
def test_null_never_passes(row: dict[str, Any]) -> None:
    """An agreement does not grant what is not known to be granted."""
    assert passes_(row, {**EVENT, "age": None, "person": None}) is False


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"field": "nothing", "equals": 1}, "no field nothing"),
        ({"field": "person.name", "equals": "x"}, r"no field person\.name"),
        ({"field": "person", "equals": "x"}, "is a record"),
        ({"field": "tags", "equals": "x"}, "is a array"),
        ({"field": "either", "equals": "x"}, "several types"),
        ({"field": "age", "equals": "61"}, "does not suit age"),
        ({"field": "age", "equals": True}, "does not suit age"),
        ({"field": "open", "equals": 1}, "does not suit open"),
        ({"field": "person.sex", "equals": "X"}, "does not suit"),
        ({"field": "person.born", "at_least": "1965-13-01"}, "does not suit"),
        ({"field": "at", "at_least": "2026-01-01T00:00:00"}, "does not suit"),
        ({"field": "person.sex", "at_least": "F"}, "no order"),
        ({"field": "age", "prefix": "6"}, "prefix needs a text field"),
        ({"cel": "regoin == '1'"}, "regoin"),
        ({"cel": "region =="}, "does not compile"),
        ({"cel": "1 == 1"}, "refers to no field"),
        ({"cel": "tags.all(a, tags.all(b, a == b))"}, "loop"),
        ({"cel": "(" * 40 + "open" + ")" * 40}, "nests"),
        ({"cel": "open" + " || open" * 200}, "more than 1000 characters"),
        ({"cel": "tags.all(a, ')))' != '' && tags.all(b, b == a))"}, "loop"),
        ({"cel": "tags.map(//\nk, k).size() > 0"}, "not supported"),
        ({"cel": "region.matches('(a+)+')"}, "not supported"),
    ],
)
def test_conditions_that_do_not_suit_are_refused(row: dict[str, Any], words: str) -> None:
    """A wrong condition is a declaration's error with the field and the reason."""
    with pytest.raises(DeclarationError, match=words):
        passes_(row)


@pytest.mark.parametrize(
    "row", [{"field": "age"}, {"field": "age", "equals": 1, "at_least": 0}, {}, {"field": "a b", "equals": 1}]
)
def test_conditions_have_exactly_one_form(row: dict[str, Any]) -> None:
    """A condition that says nothing, or two things, is refused."""
    with pytest.raises(ValidationError):
        TypeAdapter(Row).validate_python(row)


REGIONS = st.sampled_from(["110101", "140105", "140106", "150102", "1", ""])
FIELD_ROWS = st.one_of(
    st.builds(lambda v: FieldRow(field="region", equals=v), REGIONS),
    st.builds(lambda v: FieldRow.model_validate({"field": "region", "in": v}), st.lists(REGIONS, min_size=1, max_size=3)),
    st.builds(lambda v: FieldRow(field="region", prefix=v), st.sampled_from(["1", "14", "1401", "140105"])),
    st.builds(lambda a, b: FieldRow(field="age", at_least=a, at_most=b), st.integers(0, 5), st.none() | st.integers(3, 9)),
    st.builds(lambda v: FieldRow(field="person.sex", equals=v), st.sampled_from(["M", "F"])),
)


def holds(row: FieldRow, event: dict[str, Any]) -> bool:
    """The conditions' meaning, written down a second time."""
    value: Any = event
    for segment in row.field.split("."):
        value = None if value is None else value[segment]
    if value is None:
        return False
    if row.prefix is not None:
        return str(value)[: len(row.prefix)] == row.prefix
    if row.equals is not None or row.one_of is not None:
        return value in (row.one_of or [row.equals])
    return not (row.at_least is not None and value < row.at_least) and not (row.at_most is not None and value > row.at_most)


@given(
    st.lists(st.lists(FIELD_ROWS, max_size=3), max_size=8),
    REGIONS,
    st.none() | st.integers(0, 9),
    st.sampled_from(["M", "F", None]),
)
def test_the_index_finds_what_a_search_through_all_finds(
    agreements: list[list[FieldRow]], region: str, age: int | None, sex: str | None
) -> None:
    """Looking up and testing the rest equals testing everything."""
    event = {**EVENT, "region": region, "age": age, "person": sex and {"sex": sex, "born": None}}
    index: RowIndex[tuple[int, int | None]] = RowIndex()
    for number, rows in enumerate(agreements):
        position = indexed_position(rows)
        index.add((number, position), None if position is None else rows[position], SCHEMA)
    found = [
        number
        for number, answered in index.candidates(event)
        if all(compile_row(row, SCHEMA)(event) for i, row in enumerate(agreements[number]) if i != answered)
    ]
    assert sorted(found) == [number for number, rows in enumerate(agreements) if all(holds(row, event) for row in rows)]


def test_a_number_is_no_uuid() -> None:
    """A literal of the wrong kind is the declaration's fault, and is told as such."""
    parsed = parse({"type": "record", "name": "r", "fields": [{"name": "u", "type": {"type": "string", "logicalType": "uuid"}}]})
    with pytest.raises(DeclarationError, match="does not suit u"):
        compile_row(FieldRow(field="u", equals=7), parsed)
