"""What can be wrong with a contract: each fault by itself, found with its file, line and field."""

from __future__ import annotations

from pathlib import Path

import pytest

from hutong.contracts.departments import code_problem
from hutong.principals import RESERVED
from tests.declaring import Declarations

BENEFIT = "contracts/kela/benefit_decided"
MOVED = "contracts/dvv/person_moved"
COMPANY = "contracts/prh.companies/company_changed"
COURT = "contracts/om.courts.district/judgment_given"
FAMILY = "contracts/dvv/family_changed"


@pytest.fixture
def fi(tmp_path: Path) -> Declarations:
    return Declarations(tmp_path)


ONE_EDIT = [
    # contract.yaml against the folder and against itself
    (f"{COURT}/contract.yaml", "id: om.courts.district.judgment_given", "id: om.courts.judgment", "id", "folders' names"),
    (f"{COURT}/contract.yaml", "physicalName: pub.om", "physicalName: om", "schema[0].physicalName", "must be 'pub.om"),
    (f"{COURT}/contract.yaml", "version: 1.0.0", "version: 2.0.0", "version", "newest schema is v1.avsc"),
    (f"{COURT}/contract.yaml", "apiVersion: v3.1.0", "apiVersion: v2.2.2", "apiVersion", "must be one of 'v3.1.0'"),
    (f"{COURT}/contract.yaml", "value: not_shared", "value: secret", "customProperties", "property: sharing"),
    (f"{COURT}/contract.yaml", "value: BACKWARD", "value: NONE", "customProperties", "property: compatibility"),
    (f"{COURT}/contract.yaml", "value: om.courts.district}", "value: om}", "customProperties", "property: department"),
    (f"{COURT}/contract.yaml", "unit: years", "unit: moons", "slaProperties[0]", "a unit of"),
    (
        f"{COURT}/contract.yaml",
        "classification: sensitive",
        "classification: secret",
        "schema[0].properties[2].classification",
        "sens",
    ),
    # properties against Avro fields
    (f"{COURT}/contract.yaml", "- name: text", "- name: texts", "texts", "no version of the Avro schema"),
    (f"{COURT}/contract.yaml", "logicalType: date", "logicalType: string", "given_on", "logicalType is string, but"),
    (
        f"{MOVED}/contract.yaml",
        "physicalType: int (date)\n        required: true",
        "physicalType: x\n        required: false",
        "moved_on",
        "not allow null",
    ),
    (
        f"{MOVED}/contract.yaml",
        "items:\n          logicalType: array",
        "items:\n          logicalType: number",
        "boundary",
        "items' logicalType is number",
    ),
    (f"{BENEFIT}/contract.yaml", "value: benefit-kind", "value: benefit-sort", "kind", "no code list 'benefit-sort'"),
    (f"{BENEFIT}/contract.yaml", "value: hetu_unverified}", "value: dependants}", "hetu", "no boolean field beside it"),
    (f"{BENEFIT}/contract.yaml", "value: iban", "value: fi.iban", "iban", "python-stdnum has no such number"),
    (
        f"{BENEFIT}/contract.yaml",
        "minimum: 1, maximum: 120",
        "minimum: 130, maximum: 120",
        "outcome.Recovered.instalments",
        "minimum is over maximum",
    ),
    (f"{BENEFIT}/contract.yaml", "minimum: 1, maximum: 120", "pattern: x", "outcome.Recovered.instalments", "goes with strings"),
    (f"{FAMILY}/contract.yaml", "minLength: 1, maxLength: 200", "minLength: -1", "tree.name", "number of characters"),
    (f"{FAMILY}/contract.yaml", "minLength: 1, maxLength: 200", 'pattern: "["', "tree.name", "no regular expression"),
    # the key
    (
        f"{COURT}/contract.yaml",
        "        primaryKey: true\n        primaryKeyPosition: 1\n",
        "",
        "schema[0].properties",
        "no property has primaryKey",
    ),
    (f"{COURT}/contract.yaml", "primaryKeyPosition: 1", "primaryKeyPosition: 2", "case_number", "must be 1, 2"),
    # one type used twice must be described alike: the second place is told of
    (
        f"{FAMILY}/contract.yaml",
        "name: tree\n        description: The family.",
        "name: tree\n        description: ''",
        "schema[0].properties[2].description",
        "must not be empty",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "field", "words"), ONE_EDIT)
def test_each_fault_of_a_description_is_found(fi: Declarations, file: str, old: str, new: str, field: str, words: str) -> None:
    """One edit, one error, with the file, a line and the field."""
    fi.edit(file, old, new)
    errors = [error for error in fi.reading().errors if error.file == file]
    assert [error.field for error in errors] == [field], [str(error) for error in errors]
    assert words in errors[0].problem
    assert errors[0].line is not None


def test_the_line_is_that_of_the_fault(fi: Declarations) -> None:
    """The line is the edited one, deep inside nested properties too."""
    line = fi.edit(f"{BENEFIT}/contract.yaml", "minimum: 1, maximum: 120", "minimum: one, maximum: 120")
    error = fi.only_error()
    assert (error.line, error.field) == (line, "outcome.Recovered.instalments")


SYMBOLS = '"symbols": ["HOUSING", "SICKNESS", "PARENTAL", "OTHER"]'
CASE_NUMBER = '{"name": "case_number", "type": "string"'
ONE_SCHEMA_EDIT = [
    (f"{COURT}/v1.avsc", '"name": "JudgmentGiven"', '"name": "Judgment"', "name", "must be 'JudgmentGiven'"),
    (f"{COURT}/v1.avsc", '"namespace": "om.courts.district"', '"namespace": "om.courts"', "namespace", "must be"),
    (f"{COURT}/v1.avsc", '"doc": "Number of the case."', '"doc": " "', "case_number", "needs a 'doc'"),
    (f"{COURT}/v1.avsc", '"doc": "A district court gave judgment."', '"x": 1', "", "the record needs a 'doc'"),
    (f"{COURT}/v1.avsc", '"type": "string", "doc": "The j', '"type": "text", "doc": "The j', "text", "'text' is not defined"),
    (f"{COURT}/v1.avsc", '"name": "text"', '"name": "judgment"', "judgment", "describes no such property"),
    (f"{COURT}/v1.avsc", CASE_NUMBER, CASE_NUMBER.replace("string", "double"), "case_number", "a double makes no key"),
    (f"{COURT}/v1.avsc", '"name": "given_on"', '"name": "given on"', "fields[3]", "letters, digits and _"),
    (f"{BENEFIT}/v2.avsc", SYMBOLS, SYMBOLS.replace('"HOUSING", "SICKNESS"', '"SICKNESS", "HOUSING"'), "kind", "another order"),
    (f"{BENEFIT}/v2.avsc", '"none", "badge": 0}', '"none"}', "case_worker", "badge: it is missing"),
    (
        f"{FAMILY}/v1.avsc",
        '["null", "Person"]',
        '["null", "Person", "null"]',
        "tree.guardian",
        "two branches of this union are null",
    ),
]


@pytest.mark.parametrize(("file", "old", "new", "field", "words"), ONE_SCHEMA_EDIT)
def test_each_fault_of_a_schema_is_found(fi: Declarations, file: str, old: str, new: str, field: str, words: str) -> None:
    """One edit, an error with file, line and field."""
    line = fi.edit(file, old, new)
    errors = fi.reading().errors
    matching = [error for error in errors if words in error.problem]
    assert len(matching) == 1, [str(error) for error in errors]
    assert matching[0].field == field
    assert matching[0].line is not None
    if matching[0].file == file and field:
        assert abs(matching[0].line - line) <= 8  # the field begins a few lines above what was edited in it


def test_incompatible_evolution_names_mode_field_and_reason(fi: Declarations) -> None:
    """A new field without a default breaks BACKWARD: the line is the field's in the newer schema."""
    fi.edit(f"{BENEFIT}/v2.avsc", '"default": "fi",\n      "doc": "Language of', '"doc": "Language of')
    error = fi.only_error()
    assert error.file == f"{BENEFIT}/v2.avsc"
    assert error.field == "language"
    assert '"name": "language"' in fi.text(error.file).splitlines()[error.line or 0]
    assert "BACKWARD" in error.problem
    assert "v2 cannot read events of v1" in error.problem
    assert "no default" in error.problem


def test_full_compatibility_looks_both_ways(fi: Declarations) -> None:
    """What a newer schema leaves out must have had a default in the older one."""
    fi.edit(f"{COMPANY}/v1.avsc", '"default": null, "doc": "Fax number."', '"doc": "Fax number."')
    error = fi.only_error()
    assert error.field == "fax"
    assert "v1 cannot read events of v2" in error.problem
    assert "(the field is in v1)" in error.problem


def test_an_alias_is_a_compatible_rename(fi: Declarations) -> None:
    """Without its alias the renamed field is one gone and one new."""
    fi.edit("contracts/traficom.vehicles/vehicle_inspected/v2.avsc", '"aliases": ["place"], ', "")
    assert fi.only_error().field == "station"


def test_versions_have_no_gap(fi: Declarations) -> None:
    """A version that was published cannot be taken away."""
    fi.remove(f"{BENEFIT}/v1.avsc")
    errors = fi.reading().errors
    assert any("without a gap" in error.problem and error.file == BENEFIT for error in errors)


def test_a_folder_without_description_or_schema_is_an_error(fi: Declarations) -> None:
    """Half a contract is none, and an agreement on it is not blamed for that."""
    fi.remove(f"{BENEFIT}/contract.yaml")
    assert [error.file for error in fi.reading().errors] == [BENEFIT]
    fi.remove(f"{COMPANY}/v1.avsc")
    fi.remove(f"{COMPANY}/v2.avsc")
    assert [error.file for error in fi.reading().errors if error.file.startswith("agreements")] == []


def test_stray_files_in_a_contract_are_told_of(fi: Declarations) -> None:
    """A misnamed schema must not be overlooked."""
    fi.write(f"{COURT}/version2.avsc", "{}")
    assert fi.only_error().file == f"{COURT}/version2.avsc"


def test_rules_of_a_type_used_twice_must_agree(fi: Declarations) -> None:
    """Avro has one place for a type's facts: two descriptions that differ are an error at the second."""
    file = f"{MOVED}/contract.yaml"
    text = fi.text(file)
    before, marker, after = text.rpartition("name: street")
    fi.write(file, before + marker + after.replace("classification: personal", "classification: public", 1))
    error = fi.only_error()
    assert error.field == "to_address.street"
    assert "also used at from_address.street" in error.problem


def test_a_key_must_be_in_every_version_with_a_value(fi: Declarations) -> None:
    """A nullable key field, one inside an array, and one that v1 lacks."""
    file = f"{BENEFIT}/contract.yaml"
    fi.edit(file, "        primaryKey: true\n        primaryKeyPosition: 1\n", "")
    for name, words in (("iban", "may be null"), ("language", "v1 does not have it")):
        text = fi.text(file)
        fi.write(file, text.replace(f"- name: {name}\n", f"- name: {name}\n        primaryKey: true\n"))
        error = fi.only_error()
        assert error.field == name
        assert words in error.problem
        fi.write(file, text)


def test_departments_are_checked(fi: Declarations) -> None:
    """Reserved and doubled codes, a missing head, and a contact that is none."""
    fi.edit("departments.yaml", "code: thl", "code: operator")
    fi.edit("departments.yaml", "code: vero", "code: kela")
    fi.edit("departments.yaml", "contact: data@dvv.example", "contact: by letter")
    fi.edit("departments.yaml", '    head: {en: "Director of Population Statistics", fi: "väestötilastojohtaja"}\n', "")
    fields = {error.field for error in fi.reading().errors if error.file == "departments.yaml"}
    assert fields == {"departments[0].contact", "departments[7].head"}
    fi.edit("departments.yaml", "contact: by letter", "contact: tel:+358-9-1")
    fi.edit("departments.yaml", "contact: data@stat.example", "head: {en: x}\n    contact: data@stat.example")
    problems = {error.field: error.problem for error in fi.reading().errors if error.file == "departments.yaml"}
    assert "itself uses" in problems["departments[5].code"]
    assert "twice" in problems["departments[2].code"]


@pytest.mark.parametrize("code", [*sorted(RESERVED), "hutong", "hutong.router", "hutong.coordinator.apps"])
def test_no_department_has_a_name_of_the_bus(code: str) -> None:
    """Neither a principal of the bus's own, nor a code whose consumer groups would be those of the bus's services."""
    assert code_problem(code) is not None


def test_code_lists_are_checked_and_unused_ones_told_of(fi: Declarations) -> None:
    """A doubled symbol, a wrong id, and a list that nobody uses."""
    fi.edit("codelists/company-form.yaml", "symbol: OYJ", "symbol: OY")
    error = next(error for error in fi.reading().errors if error.file.startswith("codelists"))
    assert error.field == "entries[1]"
    fi.edit("codelists/company-form.yaml", '- {symbol: OY, code: "17"', '- {symbol: OYJ, code: "17"')
    fi.write("codelists/spare.yaml", "id: spare\nentries:\n  - {symbol: A}\n")
    reading = fi.reading()
    assert reading.errors == ()
    assert [warning.file for warning in reading.warnings] == ["codelists/spare.yaml"]


def test_topics_that_kafka_takes_for_one_are_an_error(fi: Declarations) -> None:
    """``a.b_c`` and ``a.b.c`` cannot both be topics."""
    fi.edit(
        "departments.yaml",
        "  - code: kela",
        "  - code: kela.benefit\n    name: {en: x}\n    head: {en: x}\n    contact: a@b.example\n\n  - code: kela",
    )
    source = fi.directory / "contracts/om.courts.district/judgment_given"
    for name in ("contract.yaml", "v1.avsc"):
        text = (source / name).read_text(encoding="utf-8").replace("om.courts.district", "kela.benefit")
        fi.write(
            f"contracts/kela.benefit/decided/{name}",
            text.replace("judgment_given", "decided").replace("JudgmentGiven", "Decided"),
        )
    assert "would clash with" in fi.only_error().problem


def test_a_contract_of_an_undeclared_department_is_an_error(fi: Declarations) -> None:
    """The folder's name must be a department's code."""
    fi.edit("departments.yaml", "code: om.courts.district", "code: om.courts")
    assert "no such department" in fi.only_error().problem


def test_names_and_shapes_that_cannot_be_a_contract(fi: Declarations) -> None:
    """An event's name that is none, a schema that is no record, a description that is no YAML."""
    fi.write("contracts/thl/Bad-Name/contract.yaml", fi.text("contracts/thl/vaccination_recorded/contract.yaml"))
    fi.write("contracts/thl/enumerated/contract.yaml", fi.text("contracts/thl/vaccination_recorded/contract.yaml"))
    fi.write("contracts/thl/enumerated/v1.avsc", '{"type": "enum", "name": "Enumerated", "symbols": ["A"]}')
    fi.write("contracts/thl/unreadable/contract.yaml", "id: [")
    problems = {error.file: error.problem for error in fi.reading().errors}
    assert "one word of lower-case" in problems["contracts/thl/Bad-Name"]
    assert "must be a record" in problems["contracts/thl/enumerated/v1.avsc"]
    assert "not valid YAML" in problems["contracts/thl/unreadable/contract.yaml"]


def test_codes_are_lower_case_words(fi: Declarations) -> None:
    """A code is a Kafka principal and the beginning of topic names."""
    fi.edit("departments.yaml", "code: stat", "code: Stat")
    assert "lower-case words" in next(e.problem for e in fi.reading().errors if e.file == "departments.yaml")
    fi.edit("departments.yaml", "code: Stat", f"code: {'s' * 81}")
    assert "at most 80" in next(e.problem for e in fi.reading().errors if e.file == "departments.yaml")


def test_a_branch_of_a_union_is_as_sensitive_as_its_fields(fi: Declarations) -> None:
    """A branch has no place for facts in Avro: what is said of it must hold for its fields, or it would be lost."""
    branch = "physicalType: record LegalPerson\n              required: true\n              classification: "
    fi.edit(f"{COMPANY}/contract.yaml", branch + "public", branch + "sensitive")
    error = fi.only_error()
    assert (error.field, "classify those" in error.problem) == ("officers.LegalPerson", True)


def test_what_the_sdk_does_not_check_is_a_warning(fi: Declarations) -> None:
    """An option that only documents must not be taken for a rule."""
    fi.edit(f"{BENEFIT}/contract.yaml", "minimum: 1, maximum: 120", "minimum: 1, multipleOf: 2")
    reading = fi.reading()
    assert reading.errors == ()
    assert ["multipleOf is documentation" in warning.problem for warning in reading.warnings] == [True]
