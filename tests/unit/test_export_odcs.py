"""The data contracts: valid by the standard's own schema, true to what departments wrote, and complete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema_rs import Draft201909Validator
from open_data_contract_standard.model import OpenDataContractStandard

from hutong.agreements.agreement import Constant, Copy
from hutong.catalogue.load import load
from hutong.contracts.avro import field_paths, parse
from hutong.export.bus import Bus
from hutong.export.odcs import contract_document
from hutong.export.odcs_delivery import delivery_document
from tests.declaring import FI, Declarations

SAMPLE = Path(__file__).parents[2] / "schemas"
REGISTRY = "http://registry.example:8080/apis/ccompat/v7"
STANDARD = Draft201909Validator(
    json.loads(files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8"))
)


@cache
def bus(schemas: Path) -> Bus:
    return Bus.of(load(schemas), brokers="b1:9092,b2:9092", registry_url=REGISTRY)


def problems(document: Any) -> list[str]:
    """What the standard's own JSON schema and its own model have against a document."""
    OpenDataContractStandard.model_validate(document)
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in STANDARD.iter_errors(document)]


def properties(document: Any) -> Iterator[tuple[str, Any]]:
    """(physical name, property), nested ones too."""
    waiting = list(document["schema"][0]["properties"])
    while waiting:
        one = waiting.pop()
        yield one.get("physicalName", ""), one
        inner = one
        while inner:
            waiting += inner.get("properties", [])
            inner = inner.get("items")


@pytest.mark.parametrize("schemas", [SAMPLE, FI], ids=["sample", "fi"])
def test_contracts_are_valid(schemas: Path) -> None:
    """Every completed contract is an Open Data Contract by the standard's schema."""
    for contract in bus(schemas).contracts:
        assert problems(contract_document(bus(schemas), contract)) == [], contract.name


@pytest.mark.parametrize("schemas", [SAMPLE, FI], ids=["sample", "fi"])
def test_deliveries_are_valid(schemas: Path) -> None:
    """So is what is made of every agreement, whatever types it delivers."""
    for agreement in bus(schemas).agreements:
        assert problems(delivery_document(bus(schemas), agreement)) == [], agreement.id


def holds(whole: Any, part: Any) -> bool:
    """Whether everything in ``part`` stands in ``whole`` unchanged; a list may have become longer at its end."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and holds(whole[key], value) for key, value in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) >= len(part) and all(map(holds, whole, part))
    return type(whole) is type(part) and bool(whole == part)


@pytest.mark.parametrize("schemas", [SAMPLE, FI], ids=["sample", "fi"])
def test_what_a_department_wrote_stays(schemas: Path) -> None:
    """Completion adds, and changes nothing; the declarations in memory stay as they were."""
    for contract in bus(schemas).contracts:
        written = bus(schemas).catalogue.sources["contract", contract.name].data
        before = json.dumps(written)
        made = contract_document(bus(schemas), contract)
        assert holds(made, written), contract.name
        assert json.dumps(written) == before
        assert list(made)[: len(written)] == list(written)


def test_contracts_say_where_they_stand_and_who_reads() -> None:
    """The server is the bus; each agreement is a role with its legal basis; the registry has the schemas."""
    for contract in bus(SAMPLE).contracts:
        made = contract_document(bus(SAMPLE), contract)
        (server,) = made["servers"]
        assert (server["type"], server["host"], server["format"]) == ("kafka", "b1:9092,b2:9092", "avro")
        assert {"property": "topic", "value": contract.topic} in server["customProperties"]
        readers = {one["role"]: one for one in made["roles"] if one["access"] == "read"}
        agreements = {one.id: one for one in bus(SAMPLE).catalogue.agreements_on(contract.name)}
        assert readers.keys() == agreements.keys()
        for name, role in readers.items():
            facts = {fact["property"]: fact["value"] for fact in role["customProperties"]}
            assert (facts["legalBasis"], facts["topic"]) == (agreements[name].legal_basis, agreements[name].topic)
        links = [one["url"] for one in made["authoritativeDefinitions"]]
        assert links == [f"{REGISTRY}/subjects/{contract.topic}-value/versions/{n + 1}" for n in range(len(contract.versions))]


def test_a_contract_without_owner_and_support_gets_them(tmp_path: Path) -> None:
    """A department that leaves out what ``departments.yaml`` knows need not write it twice."""
    fi = Declarations(tmp_path)
    bare = Bus.of(fi.catalogue())
    contract = next(one for one in bare.contracts if "support" not in bare.catalogue.sources["contract", one.name].data)
    made = contract_document(bare, contract)
    party = bare.department(contract.department)
    assert made["team"]["members"][0]["username"] == party.contact
    assert party.contact in made["support"][0]["url"]
    assert "authoritativeDefinitions" not in made


def test_properties_are_completed_from_avro() -> None:
    """Number formats, time zones, code lists and the key come from the schemas, at any depth."""
    catalogue = bus(SAMPLE).catalogue
    made = dict(properties(contract_document(bus(SAMPLE), catalogue.contracts["mca.funeral.cremation_recorded"])))
    assert made["cremated_at"]["logicalTypeOptions"] == {"timezone": True}
    assert made["certificate_number"]["logicalTypeOptions"] == {"pattern": "^[0-9A-Z-]{6,32}$"}
    assert (made["certificate_number"]["partitioned"], made["certificate_number"]["partitionKeyPosition"]) == (True, 1)
    (rule,) = made["deceased.sex"]["quality"]
    assert (rule["metric"], rule["mustBe"]) == ("invalidValues", 0)
    assert rule["arguments"]["validValues"] == list(catalogue.code_lists["gbt2261-1-sex"].symbols)
    for contract in bus(SAMPLE).contracts:
        fields = dict(field_paths(contract.newest.parsed))
        told = {name for name, _ in properties(contract_document(bus(SAMPLE), contract))}
        assert fields.keys() <= told


@pytest.mark.parametrize("schemas", [SAMPLE, FI], ids=["sample", "fi"])
def test_deliveries_describe_every_field_and_how_it_is_made(schemas: Path) -> None:
    """All fields of the delivery schema, and for each entry that is no copy its transform."""
    for agreement in bus(schemas).agreements:
        made = delivery_document(bus(schemas), agreement)
        told = dict(properties(made))
        delivery = parse(bus(schemas).grant(agreement).delivery_schema)
        assert {path for path, _ in field_paths(delivery)} <= told.keys(), agreement.id
        transforms = [one["tags"][0] for one in told.values() if "transformLogic" in one]
        entries = [one for one in agreement.fields if not isinstance(one, Copy)]
        assert sorted(transforms) == sorted(one.transform for one in entries)
        sources = [one for one in told.values() if one.get("transformSourceObjects")]
        assert bool(sources) is any(not isinstance(one, Constant) for one in agreement.fields)


def test_deliveries_keep_the_classification_of_what_passes_as_it_is() -> None:
    """A copied field is as sensitive as the event's; a row condition and the validity are told."""
    agreement = bus(SAMPLE).catalogue.agreements["cremation-to-pension"]
    made = delivery_document(bus(SAMPLE), agreement)
    told = dict(properties(made))
    assert told["deceased.name"]["classification"] == "personal"
    assert "classification" not in told["source_system"]
    assert told["applicant.kinship"]["transformDescription"] == "From the event's applicant.relation."
    facts = {one["property"]: one["value"] for one in made["customProperties"]}
    assert (facts["validFrom"], facts["validUntil"]) == ("2025-08-01", "2027-07-31")
