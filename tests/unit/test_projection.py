"""From an event's data to a delivery's: structure is kept, what is not granted is gone, and the derived schema is valid Avro."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.agreements.agreement import Agreement
from hutong.agreements.projection import Projection, compile_projection, record_name
from hutong.contracts.avro import field_paths, parse
from hutong.errors import TransformFailed
from tests.avro_random import schemas_with_values

DATE = {"type": "int", "logicalType": "date"}
CAR = {"type": "record", "name": "Car", "fields": [{"name": "plate", "type": "string"}, {"name": "value", "type": "long"}]}
FLAT = {"type": "record", "name": "Flat", "fields": [{"name": "rooms", "type": "int"}, {"name": "owner", "type": "string"}]}
MEMBER = {
    "type": "record",
    "name": "Member",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "born", "type": ["null", DATE]},
        {"name": "assets", "type": {"type": "array", "items": ["null", CAR, FLAT]}},
        {"name": "guardian", "type": ["null", "Member"]},
    ],
}
SCHEMA = {
    "type": "record",
    "name": "Application",
    "namespace": "x.y",
    "fields": [
        {"name": "number", "type": "string"},
        {"name": "head", "type": ["null", MEMBER]},
        {"name": "members", "type": {"type": "array", "items": "Member"}},
        {"name": "contacts", "type": {"type": "map", "values": "string"}},
        {"name": "by_kin", "type": {"type": "map", "values": "Member"}},
        {"name": "free", "type": ["null", "string", "Car"]},
    ],
}
ANNA = {"id": "anna", "born": date(1980, 5, 1), "assets": [None, ("x.y.Car", {"plate": "A1", "value": 9})], "guardian": None}
BEN = {"id": "ben", "born": None, "assets": [("x.y.Flat", {"rooms": 2, "owner": "o"})], "guardian": ANNA}
DATA = {
    "number": "N1",
    "head": ANNA,
    "members": [ANNA, BEN],
    "contacts": {"tel": "12345"},
    "by_kin": {"son": BEN},
    "free": "text",
}


def project(*fields: dict[str, Any], schema: Any = SCHEMA) -> Projection:
    agreement = Agreement.model_validate(
        {
            "id": "to-test",
            "recipient": "r",
            "contract": "x.y.application",
            "legal_basis": "l",
            "purpose": "p",
            "valid": {"from": "2025-01-01"},
            "fields": list(fields),
        }
    )
    return compile_projection(agreement, parse(schema), {}, b"secret")


def through_avro(projection: Projection, data: Any) -> Any:
    """Write with the derived schema and read back, as a recipient does."""
    assert projection.problems == []
    schema = fastavro.parse_schema(projection.schema)
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, schema, projection.apply(data))
    stream.seek(0)
    return fastavro.schemaless_reader(stream, schema, None, return_record_name=True, return_record_name_override=True)


def test_parts_of_records_in_lists_keep_their_place() -> None:
    """Fields inside an array of records stay an array of (smaller) records."""
    projection = project(
        {"field": "members.id"}, {"field": "members.born", "transform": "generalise", "to": "year", "as": "birth_year"}
    )
    assert through_avro(projection, DATA) == {"members": [{"id": "anna", "birth_year": 1980}, {"id": "ben", "birth_year": None}]}


def test_parts_in_optional_records_and_maps() -> None:
    """Null stays null; a map keeps its keys."""
    projection = project(
        {"field": "head.id"},
        {"field": "by_kin.id", "transform": "mask", "keep_first": 1},
        {"field": "contacts", "transform": "mask", "keep_last": 2},
    )
    assert through_avro(projection, {**DATA, "head": None}) == {
        "head": None,
        "by_kin": {"son": {"id": "b**"}},
        "contacts": {"tel": "***45"},
    }


def test_only_the_granted_branch_of_a_union_comes_through() -> None:
    """A record of a branch that is not granted becomes null."""
    projection = project({"field": "members.assets.Car.plate"})
    assert through_avro(projection, DATA) == {"members": [{"assets": [None, {"plate": "A1"}]}, {"assets": [None]}]}


def test_two_granted_branches_stay_apart() -> None:
    """Each granted branch is projected by its own entries."""
    projection = project({"field": "members.assets.Car.plate"}, {"field": "members.assets.Flat.rooms"})
    prefix = "r.deliveries.ToTest_members_assets_"
    expected = [{"assets": [None, (prefix + "Car", {"plate": "A1"})]}, {"assets": [(prefix + "Flat", {"rooms": 2})]}]
    assert through_avro(projection, DATA) == {"members": expected}


def test_a_text_beside_a_granted_record_is_not_granted() -> None:
    """Descending into a union leaves its plain branches behind."""
    projection = project({"field": "free.plate"})
    assert through_avro(projection, DATA) == {"free": None}
    assert through_avro(projection, {**DATA, "free": {"plate": "P", "value": 1}}) == {"free": {"plate": "P"}}


def test_a_recursive_record_can_be_granted_whole() -> None:
    """A type granted whole keeps its name and its recursion, also when it is used twice."""
    projection = project({"field": "head"}, {"field": "members", "as": "people"})
    assert through_avro(projection, {**DATA, "head": BEN}) == {"head": BEN, "people": [ANNA, BEN]}


def test_constants_and_derived_fields() -> None:
    """Computed fields stand where they are declared."""
    projection = project(
        {"transform": "constant", "as": "system", "value": "mca"},
        {"field": "number"},
        {"transform": "derive", "as": "size", "cel": "size(members)", "type": "long"},
        {"transform": "derive", "as": "large", "cel": "size(members) > 1", "type": "boolean"},
    )
    assert list(through_avro(projection, DATA).items()) == [("system", "mca"), ("number", "N1"), ("size", 2), ("large", True)]


def test_one_field_in_two_ways() -> None:
    """A field may be granted twice under two names."""
    projection = project(
        {"field": "number", "transform": "pseudonymise", "as": "pseudonym"},
        {"field": "number", "transform": "mask", "keep_first": 1},
    )
    out = through_avro(projection, DATA)
    assert out["number"] == "N*"
    assert len(out["pseudonym"]) == 64


@pytest.mark.parametrize(
    ("fields", "where", "words"),
    [
        ([{"field": "nothing"}], "fields[0].field", "no field nothing"),
        ([{"field": "number"}, {"field": "members.nothing"}], "fields[1].field", "no field nothing"),
        ([{"field": "number.x"}], "fields[0].field", "has no fields below"),
        (
            [{"field": "number"}, {"field": "head.id", "as": "x"}, {"field": "contacts", "as": "number"}],
            "fields[2].field",
            "same field number",
        ),
        ([{"field": "members.assets.plate"}], "fields[0].field", "union of Car, Flat"),
        ([{"field": "members.guardian.id"}], "fields[0].field", "contains itself"),
        ([{"field": "members", "transform": "mask"}], "fields[0].transform", "mask takes text"),
        ([{"field": "free", "transform": "mask"}], "fields[0].field", "union of several"),
        ([{"transform": "derive", "as": "d", "cel": "nope > 1", "type": "long"}], "fields[0].cel", "nope"),
    ],
)
def test_problems_say_which_entry(fields: list[dict[str, Any]], where: str, words: str) -> None:
    """Every wrong entry is found, with its place in the agreement."""
    problems = project(*fields).problems
    assert [(problem.field, words in problem.problem) for problem in problems] == [(where, True)]


def test_all_problems_are_found_at_once() -> None:
    """A steward sees every problem in one run."""
    assert (
        len(project({"field": "a"}, {"field": "b"}, {"field": "number", "transform": "generalise", "to": "year"}).problems) == 3
    )


def test_a_derived_value_of_another_type_fails_the_agreement() -> None:
    """CEL's result must be of the declared type; the failure names agreement and field, no value."""
    projection = project({"transform": "derive", "as": "n", "cel": "number", "type": "long"})
    with pytest.raises(TransformFailed, match="to-test: field n: the CEL expression gave a str, not a long"):
        projection.apply(DATA)


def test_record_names() -> None:
    """A delivery's record is named after its agreement."""
    assert record_name("death-to-pension") == "DeathToPension"
    assert record_name("2-way") == "A2Way"


@given(schemas_with_values(), st.data())
def test_copied_fields_come_out_as_they_went_in(case: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject) -> None:
    """Any choice of whole top-level fields of any schema arrives unchanged under its new name."""
    schema, value = case
    names = data.draw(st.lists(st.sampled_from([f["name"] for f in schema["fields"]]), min_size=1, unique=True))
    projection = project(*({"field": name, "as": f"out_{name}"} for name in names), schema=schema)
    assert through_avro(projection, value) == {f"out_{name}": value[name] for name in names}


@given(schemas_with_values(), st.data())
def test_any_single_path_gives_a_valid_schema_and_no_other_field(
    case: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject
) -> None:
    """Whatever single field is granted, the delivery can be written and holds nothing beside the way to it."""
    schema, value = case
    path = data.draw(st.sampled_from(sorted({path for path, _ in field_paths(parse(schema))})))
    projection = project({"field": path}, schema=schema)
    if projection.problems:
        assert any(words in projection.problems[0].problem for words in ("contains itself", "can only be granted", "of several"))
        return
    out = through_avro(projection, value)
    assert list(out) == [path.split(".")[0]]
