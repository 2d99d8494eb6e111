"""Where fields come from: what ``origins`` says, held against what the projection does to values."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hutong.agreements.agreement import Agreement, Constant, Copy
from hutong.agreements.check import plain_lists
from hutong.agreements.projection import compile_projection
from hutong.catalogue.load import load
from hutong.contracts.avro import field_paths, parse
from hutong.errors import TransformFailed
from hutong.export.bus import Bus
from hutong.export.origins import Origin, conditions, in_words, origins, type_words
from tests.avro_random import values
from tests.declaring import FI
from tests.examples import examples

SAMPLE = Path(__file__).parents[2] / "schemas"


@cache
def buses() -> tuple[Bus, ...]:
    return Bus.of(load(FI)), Bus.of(load(SAMPLE))


def agreements() -> list[tuple[Bus, Agreement]]:
    return [(bus, one) for bus in buses() for one in bus.agreements]


def origins_of(bus: Bus, agreement: Agreement) -> list[Origin]:
    return origins(agreement, bus.reader(agreement), parse(bus.grant(agreement).delivery_schema))


def one(name: str) -> tuple[Bus, Agreement]:
    return next((bus, agreement) for bus, agreement in agreements() if agreement.id == name)


def picked(value: Any, path: list[str]) -> Iterator[Any]:
    """The values at a path, through lists, maps and records of a union."""
    if isinstance(value, tuple):
        name, value = value
        if path and path[0] == name.rpartition(".")[2]:
            path = path[1:]
    if isinstance(value, list):
        for item in value:
            yield from picked(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict):
        if path[0] in value:
            yield from picked(value[path[0]], path[1:])
        elif not any(isinstance(item, (str, int)) for item in value.values()):
            for item in value.values():
                yield from picked(item, path)


def seen(value: Any, path: list[str]) -> str:
    """The same, written down: what a computation gave as NaN equals nothing, not even itself."""
    return repr(list(picked(value, path)))


def grafted(value: Any, other: Any, path: list[str]) -> Any:
    """A value with another's part at a path, as far as both have it."""
    if isinstance(value, tuple) and isinstance(other, tuple):
        if value[0] != other[0] or (path and path[0] != value[0].rpartition(".")[2]):
            return value
        return value[0], grafted(value[1], other[1], path[1:])
    if not path:
        return other
    if isinstance(value, list) and isinstance(other, list):
        return [grafted(*pair, path) for pair in zip(value, other, strict=False)] + value[len(other) :]
    if isinstance(value, dict) and isinstance(other, dict):
        if path[0] in value and path[0] in other:
            return value | {path[0]: grafted(value[path[0]], other[path[0]], path[1:])}
        return {key: grafted(item, other[key], path) if key in other else item for key, item in value.items()}
    return value


def changing() -> list[str]:
    """The agreements that do more than copy leaves one by one."""
    return sorted({granted.id for _, granted in agreements() if any(not isinstance(field, Copy) for field in granted.fields)})


@given(st.data())
@settings(max_examples=examples(100), deadline=None, suppress_health_check=list(HealthCheck))
def test_a_field_changes_with_its_origins_alone(data: st.DataObject) -> None:
    """Whatever is put into a field of an event, only fields change that name it as an origin; a copy is the event's own value."""
    bus, agreement = one(data.draw(st.sampled_from(changing()), label="agreement"))
    reader = bus.reader(agreement)
    project = compile_projection(agreement, reader.parsed, plain_lists(bus.catalogue.code_lists), b"secret").apply
    event, other = (data.draw(values(reader.parsed.root, dict(reader.parsed.named))) for _ in range(2))
    found = origins_of(bus, agreement)
    for field, _ in field_paths(reader.parsed):
        changed = grafted(event, other, field.split("."))
        try:
            before, after = project(event), project(changed)
        except TransformFailed:
            continue  # a value that the agreement's transform does not take
        for origin in found:
            path = origin.path.split(".")
            if not any(f"{made}.".startswith(f"{field}.") or f"{field}.".startswith(f"{made}.") for made in origin.fields):
                assert seen(before, path) == seen(after, path), origin.path
            if origin.is_copy and path[-1] == origin.fields[0].rpartition(".")[2]:
                assert seen(after, path) == seen(changed, origin.fields[0].split(".")), origin.path


def test_every_field_has_its_origin() -> None:
    """Each field of a delivery that holds a value says where it is from, and names fields that the contract has."""
    for bus, granted in agreements():
        known = {path for path, _ in field_paths(bus.reader(granted).parsed)}
        paths = dict(field_paths(parse(bus.grant(granted).delivery_schema)))
        found = {origin.path: origin for origin in origins_of(bus, granted)}
        assert found.keys() <= paths.keys(), granted.id
        for path in paths.keys() - found.keys():  # a record of which parts are granted
            assert any(below.startswith(f"{path}.") for below in found), f"{granted.id}: {path}"
        for origin in found.values():
            assert set(origin.fields) <= known, granted.id
            assert bool(origin.fields) is not isinstance(origin.grant, Constant), granted.id


def test_origins_of_nested_fields() -> None:
    """A renamed leaf, a constant, a derived field and a record of a union, spelled out."""
    found = {origin.path: origin.fields for origin in origins_of(*one("cremation-to-pension"))}
    assert found["deceased.name"] == ("deceased.name",)
    assert found["applicant.kinship"] == ("applicant.relation",)
    assert found["source_system"] == ()
    found = {origin.path: origin.fields for origin in origins_of(*one("benefit-granted-for-analysis"))}
    assert found["group"] == ("kind", "population_class")
    found = {origin.path: origin.fields for origin in origins_of(*one("benefits-to-tax"))}
    assert found["outcome.BenefitsToTax_outcome_Granted.monthly"] == ("outcome.Granted.monthly",)
    assert all(fields == (path,) for path, fields in found.items() if path.startswith("outcome.Recovered."))


def test_row_conditions_name_the_fields_that_decide() -> None:
    """Structured conditions and expressions alike."""
    for bus, agreement in agreements():
        tops = {field["name"] for field in bus.reader(agreement).parsed.root["fields"]}
        found = conditions(agreement, bus.reader(agreement))
        assert len(found) == len(agreement.rows)
        for condition in found:
            assert condition.fields
            assert {field.split(".")[0] for field in condition.fields} <= tops
            assert all(field.split(".")[0] in condition.text for field in condition.fields)


def test_every_transform_has_words() -> None:
    """No entry of the samples is told in a way that hides what it does, and no pseudonym key can be in it."""
    told = {grant.transform: in_words(grant) for _, agreement in agreements() for grant in agreement.fields}
    assert told.keys() == {"copy", "mask", "pseudonymise", "generalise", "map", "constant", "derive"}
    assert len(set(told.values())) == len(told)


def test_types_are_told_as_contracts_tell_them() -> None:
    """The words for an Avro type are the stewards' own ``physicalType`` in the samples, but for null, which is told elsewhere."""
    for bus in buses():
        for contract in bus.contracts:
            fields = dict(field_paths(contract.newest.parsed))
            for described in contract.document.event.properties:
                if described.name in fields:
                    told = type_words(contract.newest.parsed, fields[described.name]["type"])
                    assert told == described.physical_type.replace("null | ", ""), described.name
