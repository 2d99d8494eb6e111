"""The contract's check: every rule with its path, and fastavro as the oracle over random schemas and values."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.contracts.schema import EventSchema
from hutong.errors import ContractViolation
from tests.avro_random import record_schemas, schemas_with_values
from tests.examples import examples
from tests.samples import PERSON_REGISTERED, person

SCHEMA = EventSchema(PERSON_REGISTERED)


def inner(**changes: Any) -> dict[str, Any]:
    return {"person": person()["person"] | changes}


@pytest.mark.parametrize(
    ("changes", "path", "rule"),
    [
        ({"number": 7}, "number", "type"),
        ({"number": "x"}, "number", "pattern"),
        ({"number": "A-1 "}, "number", "pattern"),
        ({"surname": "x"}, "surname", "unknown_field"),
        ({"11010519491231002X": "x"}, "?", "unknown_field"),
        ({"王小明": "x"}, "?", "unknown_field"),
        (inner(sex="OTHER"), "person.sex", "enum"),
        (inner(born="1949-12-31"), "person.born", "type"),
        (inner(born=datetime(1949, 12, 31)), "person.born", "type"),
        (inner(name=""), "person.name", "length"),
        (inner(name="x" * 21), "person.name", "length"),
        (inner(name="\ud800"), "person.name", "unicode"),
        (inner(identity_number="110105194912310021"), "person.identity_number", "identifier"),
        (inner(identity_number="11010519491231002x"), "person.identity_number", "identifier"),
        ({"region": "000000"}, "region", "identifier"),
        ({"status": "30"}, "status", "code_list"),
        ({"fee": 12.5}, "fee", "type"),
        ({"fee": Decimal("1.234")}, "fee", "range"),
        ({"fee": Decimal("5000.01")}, "fee", "range"),
        ({"fee": Decimal("NaN")}, "fee", "type"),
        ({"entered": datetime(2026, 1, 1)}, "entered", "time_zone"),
        ({"class": True}, "class", "type"),
        ({"class": 2**31}, "class", "range"),
        ({"tags": ["a", 1]}, "tags[1]", "type"),
        ({"person": None}, "person", "type"),
    ],
)
def test_a_violation_names_the_field_and_the_rule_and_no_value(changes: dict[str, Any], path: str, rule: str) -> None:
    """One change in otherwise valid data is found, at its path, without its value in the message."""
    with pytest.raises(ContractViolation) as caught:
        SCHEMA.check(person(**changes))
    assert (caught.value.path, caught.value.rule) == (path, rule)
    assert "110105194912310021" not in str(caught.value)


@pytest.mark.parametrize("field", ["number", "person", "region", "entered"])
def test_a_missing_field_is_named(field: str) -> None:
    """A field without a default must be there."""
    data = person()
    del data[field]
    with pytest.raises(ContractViolation, match=rf"field {field}: the field is required") as caught:
        SCHEMA.check(data)
    assert caught.value.rule == "missing"


def test_defaults_are_filled_in_as_typed_values() -> None:
    """Defaults stand in the schema as JSON, with bytes as text; they become values that can be written."""
    data = person()
    del data["fee"]
    checked = SCHEMA.check(data)
    assert checked["fee"] == Decimal("2.56")
    assert SCHEMA.decode(SCHEMA.encode(checked)) == checked
    assert checked["status"] == "10"


def test_an_unverified_identifier_may_be_invalid_while_its_flag_says_so() -> None:
    """Old records hold 15-digit numbers: allowed as long as the record says that they are unverified."""
    old = inner(identity_number="110105491231002", unverified=True)
    assert SCHEMA.check(person(**old))["person"]["identity_number"] == "110105491231002"
    with pytest.raises(ContractViolation):
        SCHEMA.check(person(**inner(identity_number="110105491231002", unverified=False)))


def test_the_key_is_the_key_field_and_must_have_a_value() -> None:
    """Several key fields are joined; a null one is refused."""
    assert SCHEMA.key_of(SCHEMA.check(person(7))) == "A-7"
    two = EventSchema(
        {**PERSON_REGISTERED, "hutong": PERSON_REGISTERED["hutong"] | {"key": ["number", "person.identity_number"]}}
    )
    assert two.key_of(two.check(person())) == "A-1|11010519491231002X"
    with pytest.raises(ContractViolation, match="key"):
        two.key_of(two.check(person(**inner(identity_number=None))))


def facts(schema: dict[str, Any]) -> dict[str, Any]:
    return schema | {"hutong": {"contract": "t.r", "version": 1, "key": ["f0"]}}


@settings(max_examples=examples(300), deadline=None)
@given(schemas_with_values())
def test_valid_values_of_random_schemas_are_accepted_and_come_back(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """check accepts what fastavro.validate accepts; encode and decode return it."""
    schema, value = pair
    compiled = EventSchema(facts(schema))
    assert fastavro.validate(value, fastavro.parse_schema(schema), raise_errors=False)
    checked = compiled.check(value)
    assert compiled.decode(compiled.encode(checked)) == value


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=4)
    | st.binary(max_size=4)
    | st.dates()
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=examples(300), deadline=None)
@given(record_schemas(), st.data())
def test_what_is_accepted_can_always_be_written(schema: dict[str, Any], data: st.DataObject) -> None:
    """Junk in a field is refused, or it is written and read back equal; never a crash in between."""
    compiled = EventSchema(facts(schema))
    value = {field["name"]: data.draw(JUNK) for field in schema["fields"]}
    try:
        checked = compiled.check(value)
    except ContractViolation:
        return
    assert fastavro.validate(checked, fastavro.parse_schema(schema), raise_errors=False)
    assert compiled.decode(compiled.encode(checked)) == checked


def test_a_recursive_value_may_not_nest_without_end() -> None:
    """Deep values are refused before any code recurses over them."""
    schema = {
        "type": "record",
        "name": "t.Node",
        "hutong": {"contract": "t.node", "version": 1, "key": ["name"]},
        "fields": [{"name": "name", "type": "string"}, {"name": "next", "type": ["null", "t.Node"], "default": None}],
    }
    value: dict[str, Any] = {"name": "x"}
    for _ in range(100_000):
        value = {"name": "x", "next": value}
    with pytest.raises(ContractViolation, match="64 levels"):
        EventSchema(schema).check(value)


def test_a_date_before_the_epoch_survives() -> None:
    """Negative day numbers are dates too."""
    data = person(**inner(born=date(1875, 6, 1), identity_number=None))
    assert SCHEMA.decode(SCHEMA.encode(SCHEMA.check(data)))["person"]["born"] == date(1875, 6, 1)
