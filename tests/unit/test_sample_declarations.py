"""The declarations that come with the project are whole: structure only, read with public libraries, no code of Hutong's.

What they mean together (types, rows, transforms, compatibility) is the business of ``hutong check`` and its own tests.
"""

from __future__ import annotations

import datetime
import io
import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import yaml
from fastavro.utils import generate_many
from open_data_contract_standard.model import OpenDataContractStandard

SCHEMAS = Path(__file__).parents[2] / "schemas"
TODAY = datetime.date(2026, 11, 24)
CLASSES = ["public", "internal", "personal", "sensitive"]
LOGICAL = {"date": "date", "timestamp-millis": "timestamp", "decimal": "number", "string": "string", "enum": "string"}
LOGICAL |= {"boolean": "boolean", "int": "integer", "record": "object", "map": "object", "array": "array"}
PARTIES = (
    "mca.assistance mca.marriage mca.funeral mca.ageing mca.disability mps.population mps.vehicle nhc.health "
    "mohrss.insurance mohurd.housing sta.tax samr.registry spc.court nfra.bank hpf.fund"
)


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@cache
def _departments() -> dict[str, Any]:
    return {d["code"]: d for d in _yaml(SCHEMAS / "departments.yaml")["departments"]}


@cache
def _code_lists() -> dict[str, Any]:
    return {path.stem: _yaml(path) for path in sorted((SCHEMAS / "codelists").glob("*.yaml"))}


@cache
def _contracts() -> dict[str, tuple[Any, list[Any]]]:
    """Contract id -> its contract.yaml and its Avro schemas, oldest first."""
    found = {}
    for path in sorted((SCHEMAS / "contracts").glob("*/*/contract.yaml")):
        files = [path.parent / f"v{n}.avsc" for n in range(1, 1 + len(list(path.parent.glob("v*.avsc"))))]
        versions = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        found[f"{path.parents[1].name}.{path.parent.name}"] = (_yaml(path), versions)
    return found


@cache
def _agreements() -> dict[str, Any]:
    return {str(path): _yaml(path) for path in sorted((SCHEMAS / "agreements").glob("*/*.yaml"))}


def _bare(avro: Any, named: dict[str, Any]) -> Any:
    """A field's type without null, a name replaced by what it names."""
    if isinstance(avro, list):
        (avro,) = [branch for branch in avro if branch != "null"]
    return named.get(avro, avro) if isinstance(avro, str) else avro


def _named(avro: Any, found: dict[str, Any] | None = None) -> dict[str, Any]:
    """Every named type that a schema defines."""
    found = {} if found is None else found
    if isinstance(avro, dict) and avro.get("type") in ("record", "enum", "fixed"):
        found[avro["name"]] = avro
    for part in avro.values() if isinstance(avro, dict) else avro if isinstance(avro, list) else ():
        _named(part, found)
    return found


def _pairs(fields: list[Any], properties: Any, named: dict[str, Any], at: str) -> Iterator[tuple[str, Any, Any, Any]]:
    """(path, Avro field, its bare type, its ODCS property), nested ones too; either side is None where it is missing."""
    described = {p["name"]: p for p in properties or []}
    for field in fields:
        path, prop, avro = f"{at}.{field['name']}", described.pop(field["name"], None), _bare(field["type"], named)
        yield path, field, avro, prop
        inner, nested = avro, prop or {}
        if isinstance(avro, dict) and avro["type"] == "array":
            inner, nested = _bare(avro["items"], named), nested.get("items", {})
        if isinstance(inner, dict) and inner["type"] == "record":
            yield from _pairs(inner["fields"], nested.get("properties"), named, path)
    for name in described:
        yield f"{at}.{name}", None, None, described[name]


def _described() -> Iterator[tuple[str, Any, Any, Any]]:
    for contract, (odcs, versions) in _contracts().items():
        fields = {field["name"]: field for version in versions for field in version["fields"]}
        named = {name: avro for version in versions for name, avro in _named(version).items()}
        yield from _pairs(list(fields.values()), odcs["schema"][0]["properties"], named, contract)


def _facts(of: dict[str, Any]) -> dict[str, Any]:
    return {fact["property"]: fact["value"] for fact in of.get("customProperties", [])}


def _leaf(path: str, contract: str, version: int | None) -> Any:
    """The ODCS property at a path of a contract version, or None."""
    odcs, versions = _contracts()[contract]
    avro = versions[(version or len(versions)) - 1]
    if path.split(".")[0] not in {field["name"] for field in avro["fields"]}:
        return None
    here: Any = odcs["schema"][0]
    for segment in path.split("."):
        here = here.get("items", here)
        here = next((p for p in here.get("properties", []) if p["name"] == segment), None)
        if here is None:
            return None
    return here


def test_departments_are_the_domains_parties_each_with_a_head_and_a_contact() -> None:
    """The fifteen parties come first, and every party names a post in two languages and an address."""
    assert " ".join(list(_departments())[:15]) == PARTIES
    for code, department in _departments().items():
        assert department["name"].keys() == department["head"].keys() == {"en", "zh"}, code
        assert department["contact"].endswith(".example"), code


def test_code_lists_have_unique_symbols_that_avro_accepts() -> None:
    """A code list's id is its file's name, and all columns are text."""
    for name, code_list in _code_lists().items():
        assert code_list["id"] == name
        assert code_list["standard"], name
        symbols = [entry["symbol"] for entry in code_list["entries"]]
        assert len(set(symbols)) == len(symbols), name
        assert all(isinstance(value, str) for entry in code_list["entries"] for value in entry.values()), name
        fastavro.parse_schema({"type": "enum", "name": "E", "symbols": symbols})


def test_contracts_are_open_data_contracts_of_their_department() -> None:
    """ODCS's own model accepts each one, and its owner is the department's accountable head."""
    for contract, (odcs, versions) in _contracts().items():
        OpenDataContractStandard.model_validate(odcs)
        code, _, event = contract.rpartition(".")
        department, (owner,), (table,) = _departments()[code], odcs["team"]["members"], odcs["schema"]
        assert (odcs["id"], odcs["version"], odcs["apiVersion"]) == (contract, f"{len(versions)}.0.0", "v3.1.0")
        head = f"{department['head']['en']} {department['head']['zh']}"
        assert owner == {"username": department["contact"], "name": head, "role": "owner"}, contract
        assert (table["name"], table["physicalName"]) == (event, f"pub.{contract}")
        assert odcs["description"].keys() == {"purpose", "limitations", "usage"}, contract
        assert {sla["property"] for sla in odcs["slaProperties"]} == {"retention", "latency"}, contract
        facts = _facts(odcs)
        assert facts["department"] == code
        assert facts["sharing"] in {"unconditional", "conditional", "not_shared"}, contract
        assert facts["compatibility"] in {"BACKWARD", "FORWARD", "FULL"}, contract


def test_avro_schemas_parse_and_are_named_after_the_event() -> None:
    """Namespace = department, name = event in CamelCase, and every type and field has a doc."""
    for contract, (_, versions) in _contracts().items():
        code, _, event = contract.rpartition(".")
        for version in versions:
            fastavro.parse_schema(version)
            assert version["namespace"] == code
            assert version["name"] == "".join(word.capitalize() for word in event.split("_"))
            for name, avro in _named(version).items():
                assert avro["doc"], f"{contract}: {name}"
                assert all(field["doc"] for field in avro.get("fields", [])), f"{contract}: {name}"


def test_every_avro_field_is_described_and_classified_and_nothing_else_is() -> None:
    """The ODCS properties are the fields of all versions together, with their types, and say how far a value may go."""
    level: dict[str, int] = {}
    for path, field, avro, prop in _described():
        assert field is not None, f"{path} is described but is no field"
        assert prop is not None, f"{path} is not described"
        kind = avro if isinstance(avro, str) else avro.get("logicalType", avro["type"])
        assert prop["logicalType"] == LOGICAL[kind], path
        assert prop["physicalType"].startswith(kind if isinstance(avro, str) else avro["type"]), path
        assert prop["required"] is not isinstance(field["type"], list), path
        assert prop["description"].startswith(field["doc"]), path
        level[path] = CLASSES.index(prop["classification"])
        assert level[path] <= level.get(path.rpartition(".")[0], 9), f"{path} is more sensitive than what it is part of"


def test_keys_are_required_fields() -> None:
    """Each contract has a key, and no part of it can be null."""
    keys = dict.fromkeys(_contracts(), 0)
    for path, _, _, prop in _described():
        if prop.get("primaryKey"):
            contract = path.rpartition(".")[0]
            keys[contract] += 1
            assert prop["required"], path
            assert prop["primaryKeyPosition"] == keys[contract], path
    assert all(keys.values()), keys


def test_enums_have_the_symbols_of_their_code_list() -> None:
    """In the same order, so that a code list cannot drift away from the wire."""
    for path, _, avro, prop in _described():
        if isinstance(avro, dict) and avro["type"] == "enum":
            entries = _code_lists()[_facts(prop)["codeList"]]["entries"]
            assert avro["symbols"] == [entry["symbol"] for entry in entries], path


def test_a_departments_types_of_one_name_are_one_type() -> None:
    """Two contracts of a department may share a type's name only if they mean the same."""
    seen: dict[tuple[str, str], Any] = {}
    for contract, (_, versions) in _contracts().items():
        for version in versions:
            named = _named(version)
            for name, avro in named.items():
                if avro is not version:
                    shape = _expanded(avro, named)
                    assert seen.setdefault((version["namespace"], name), shape) == shape, f"{contract}: {name}"


def _expanded(avro: Any, named: dict[str, Any]) -> Any:
    if isinstance(avro, list):
        return [_expanded(part, named) for part in avro]
    if isinstance(avro, dict):
        return {k: _expanded(v, named) if k in ("type", "fields", "items", "values") else v for k, v in avro.items()}
    return _expanded(named[avro], named) if avro in named else avro


def test_three_contracts_evolved_and_each_version_reads_the_other() -> None:
    """Old readers read new events and new readers old ones."""
    evolved = {contract: versions for contract, (_, versions) in _contracts().items() if len(versions) > 1}
    assert {one.rpartition(".")[2] for one in evolved} == {"cremation_recorded", "benefit_granted", "application_accepted"}
    for versions in evolved.values():
        for writer, reader in (versions, versions[::-1]):
            for event in generate_many(fastavro.parse_schema(writer), 5):
                out = io.BytesIO()
                fastavro.schemaless_writer(out, writer, event)
                read: Any = fastavro.schemaless_reader(io.BytesIO(out.getvalue()), writer, reader)
                assert read.keys() == {field["name"] for field in reader["fields"]}


def test_agreements_name_what_exists() -> None:
    """Recipient, contract, version, fields, rows and code lists of every agreement are declared."""
    ids = Counter(agreement["id"] for agreement in _agreements().values())
    assert max(ids.values()) == 1, ids.most_common(1)
    for file, agreement in _agreements().items():
        assert Path(file).stem == agreement["id"], file
        assert Path(file).parent.name == agreement["recipient"], file
        assert agreement["recipient"] in _departments(), file
        contract, version = agreement["contract"], agreement.get("version")
        for part in agreement.get("rows", []) + agreement["fields"]:
            if "field" in part:
                assert _leaf(part["field"], contract, version), f"{file}: {part['field']}"
            if "code_list" in part:
                columns = {*_code_lists()[part["code_list"]]["entries"][0]}
                assert {part.get("from", "symbol"), part["to"]} <= columns, f"{file}: {part}"


def test_agreements_keep_the_rules_of_sharing() -> None:
    """Nothing that is not shared is granted, and a sensitive field goes out as it is only with its own basis."""
    for file, agreement in _agreements().items():
        contract = agreement["contract"]
        assert _facts(_contracts()[contract][0])["sharing"] != "not_shared", file
        assert all(agreement[text].strip() for text in ("legal_basis", "purpose")), file
        for part in agreement["fields"]:
            if "field" in part and "transform" not in part:
                prop = _leaf(part["field"], contract, agreement.get("version"))
                assert prop["classification"] != "sensitive" or part.get("sensitive_basis"), f"{file}: {part['field']}"


def test_agreements_are_in_force() -> None:
    """All of them today, some until a day that is set."""
    valid = [agreement["valid"] for agreement in _agreements().values()]
    assert all(days["from"] <= TODAY <= days.get("until", TODAY) for days in valid)
    assert any(days.get("until", TODAY).year >= 2027 for days in valid)


def test_the_sample_is_big_enough_and_uses_every_sharing_attribute() -> None:
    """At least 20 contracts and 18 agreements, and both extremes of sharing."""
    sharing = Counter(_facts(odcs)["sharing"] for odcs, _ in _contracts().values())
    assert sharing.total() >= 20
    assert sharing.keys() == {"unconditional", "conditional", "not_shared"}
    assert len(_agreements()) >= 18


def test_the_samples_show_every_row_condition_and_transform() -> None:
    """A steward finds an example of everything that an agreement can say."""
    rows = [row for agreement in _agreements().values() for row in agreement.get("rows", [])]
    assert {key for row in rows for key in row} == {"field", "equals", "in", "prefix", "at_least", "at_most", "cel"}
    assert any(not agreement.get("rows") for agreement in _agreements().values())

    fields = [field for agreement in _agreements().values() for field in agreement["fields"]]
    transforms = {field.get("transform") for field in fields}
    assert transforms == {None, "mask", "pseudonymise", "generalise", "map", "constant", "derive"}
    generalised = {key for field in fields if field.get("transform") == "generalise" for key in field}
    assert generalised >= {"to", "keep_first", "pad", "bands"}
    assert {field.get("to") for field in fields} >= {"year", "month", "day", "code"}
    assert {type(field["value"]) for field in fields if "value" in field} == {str, bool, int, float}
    assert {field["type"] for field in fields if "cel" in field} == {"string", "boolean", "long", "double"}
    assert any("as" in field and "transform" not in field for field in fields)

    channels = Counter((agreement["recipient"], agreement.get("channel")) for agreement in _agreements().values())
    assert any(count > 1 for (_, channel), count in channels.items() if channel)
