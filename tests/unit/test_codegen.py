"""Generated models: readable, clean under ruff and mypy, and the same data after model, Avro and back, for random schemas too."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from pydantic import ValidationError

from hutong.catalogue.load import load
from hutong.cli.codegen import command, generate
from hutong.codegen.module import Root, module_text
from hutong.contracts.schema import EventSchema
from hutong.contracts.shape import fingerprint
from tests.avro_random import schemas_with_values
from tests.declaring import FI
from tests.examples import examples
from tests.samples import CONTRACT, PERSON_REGISTERED, contract_root, generated, person

ROOT = contract_root(PERSON_REGISTERED)
MODULE = generated(ROOT)
Person, PersonRegistered, Sex = MODULE.Person, MODULE.PersonRegistered, MODULE.Sex

AWKWARD: dict[str, Any] = {
    "type": "record",
    "name": "Awkward",
    "namespace": "x.y",
    "doc": 'A "doc" with \\ and """quotes""" and 中文' + "很长的说明。" * 40,
    "hutong": {"contract": "x.y.awkward", "version": 3, "key": ["class"]},
    "fields": [
        {"name": "class", "type": "string", "doc": "ends with a \\"},
        {"name": "class_", "type": "string", "default": 'a "b" \\'},
        {"name": "_private", "type": "int", "default": -1},
        {"name": "model_config", "type": "boolean", "default": True},
        {"name": "copy", "type": ["null", "long"], "default": None},
        {"name": "list", "type": {"type": "array", "items": "double"}, "default": [1, 2.5]},
        {"name": "date", "type": {"type": "int", "logicalType": "date"}, "default": 366},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 1500},
        {"name": "local", "type": {"type": "long", "logicalType": "local-timestamp-millis"}, "default": 0},
        {"name": "tod", "type": {"type": "int", "logicalType": "time-millis"}, "default": 3_600_000},
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}, "default": "0190b3c2-0000-7000-8000-000000000000"},
        {"name": "raw", "type": "bytes", "default": "\u00ff\u0000a"},
        {"name": "fix", "type": {"type": "fixed", "name": "F", "size": 2}, "default": "\u0001\u0002"},
        {"name": "money", "type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}, "default": "\u0001"},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["None", "title", "_x_", "OK"]}, "default": "None"},
        {"name": "Kind", "type": "x.y.Kind", "default": "title"},
        {"name": "map", "type": {"type": "map", "values": "float"}, "default": {"é": 1}},
        {
            "name": "who",
            "type": [
                {"type": "record", "name": "Field", "fields": [{"name": "n", "type": "int", "default": 4}]},
                {"type": "record", "name": "x.z.Field", "fields": [{"name": "n", "type": "string"}]},
                "null",
                {"type": "map", "values": "x.y.Field"},
            ],
            "default": {"n": 5},
        },
        {"name": "next", "type": ["null", "x.y.Awkward"], "default": None},
        {"name": "code", "type": "string", "default": "01", "hutong": {"codeList": "c", "codes": [f"{i:02}" for i in range(60)]}},
    ],
}


def test_a_model_is_typed_data_that_the_contract_accepts() -> None:
    """Models become plain data under the Avro names, and come back as models."""
    event = PersonRegistered(**person(class_=5, person=Person(**person()["person"])))
    assert event.person.sex is Sex.MALE
    data = event.to_data()
    assert data["class"] == 5
    assert type(data["person"]["sex"]) is str
    schema = PersonRegistered.event_schema()
    assert PersonRegistered.from_data(schema.decode(schema.encode(schema.check(data)))) == event
    assert (PersonRegistered.contract, PersonRegistered.version) == (CONTRACT, 1)


@pytest.mark.parametrize(
    ("changes", "loc"),
    [
        ({"number": 7}, ("number",)),
        ({"number": "x"}, ("number",)),
        ({"surname": "x"}, ("surname",)),
        ({"status": "30"}, ("status",)),
        ({"fee": Decimal("1.234")}, ("fee",)),
        ({"fee": Decimal("-1")}, ("fee",)),
        ({"class_": 2**31}, ("class_",)),
        ({"person": person()["person"] | {"sex": "OTHER"}}, ("person", "sex")),
        ({"person": person()["person"] | {"identity_number": "110105194912310021"}}, ("person",)),
        ({"region": "000000"}, ("region",)),
    ],
)
def test_a_model_checks_rules_when_it_is_made(changes: dict[str, Any], loc: tuple[str, ...]) -> None:
    """The same rules as at publishing, at the field, and without the value in the message."""
    with pytest.raises(ValidationError) as caught:
        PersonRegistered(**person(**changes))
    assert caught.value.errors()[0]["loc"] == loc
    assert "110105194912310021" not in str(caught.value)


def test_models_are_frozen_and_know_unverified_identifiers() -> None:
    """A flag in the same record lets an old number pass, wherever the flag stands."""
    old = Person(**(person()["person"] | {"identity_number": "110105491231002", "unverified": True}))
    with pytest.raises(ValidationError, match="frozen"):
        old.name = "x"


FAMILY: dict[str, Any] = {
    "type": "record",
    "name": "Family",
    "namespace": "x.y",
    "doc": "Parents and their children.",
    "hutong": {"contract": "x.y.family", "version": 1, "key": ["name"]},
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "number", "type": "string", "hutong": {"identifier": "cn.ric", "unverifiedBy": "unverified"}},
        {"name": "unverified", "type": "boolean", "default": False},
        {"name": "children", "type": {"type": "array", "items": "x.y.Family"}, "default": []},
    ],
}


def test_a_record_in_itself_is_checked_at_every_level() -> None:
    """Also what only the whole record can know, and once each."""
    family = generated(contract_root(FAMILY)).Family
    good: dict[str, Any] = {"name": "a", "number": "11010519491231002X"}
    wrong = {"name": "b", "number": "1"}
    assert family(**good, children=[family(**good), wrong | {"unverified": True}]).children[1].number == "1"
    with pytest.raises(ValidationError, match="not a valid") as caught:
        family.model_validate(good | {"children": [good | {"children": [wrong]}]})
    assert [error["loc"] for error in caught.value.errors()] == [("children", 0, "children", 0)]
    assert list(family.model_json_schema()["$defs"]) == ["Family"]


def test_what_is_wrong_with_a_model_goes_to_other_processes() -> None:
    """A worker's error is pickled."""
    with pytest.raises(ValidationError) as caught:
        PersonRegistered(**person(region="000000"))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own bytes


def test_awkward_names_and_defaults_are_python_all_the_same() -> None:
    """Keywords, private names, pydantic's own names, clashes, and a default of every type."""
    module = generated(contract_root(AWKWARD))
    event = module.Awkward(class__="k")
    schema = EventSchema(AWKWARD)
    assert schema.decode(schema.encode(schema.check(event.to_data()))) == schema.check({"class": "k"}) == event.to_data()
    assert event.date == date(1971, 1, 2)
    assert event.to_data()["who"] == ("x.y.Field", {"n": 5})
    other = module.Awkward(class__="k", who=module.AwkwardField(n="text"), next=event)
    assert other.to_data()["who"] == ("x.z.Field", {"n": "text"})
    assert module.Awkward.from_data(schema.decode(schema.encode(schema.check(other.to_data())))) == other


def test_the_same_declarations_give_the_same_text() -> None:
    """No order, time or address gets into the text."""
    assert module_text([ROOT, contract_root(AWKWARD)]) == module_text([ROOT, contract_root(AWKWARD)])


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "person.py").write_text(module_text([ROOT]), encoding="utf-8")
    (folder / "both.py").write_text(module_text([ROOT, contract_root(AWKWARD)]), encoding="utf-8")
    return folder


def test_generated_code_is_clean_under_ruff(written: Path) -> None:
    """With the project's own strict rules, and laid out as the formatter would."""
    ruff = [sys.executable, "-m", "ruff"]
    checked = subprocess.run(
        [*ruff, "check", "--no-cache", "--config", "pyproject.toml", written], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout
    laid_out = subprocess.run(
        [*ruff, "format", "--no-cache", "--check", "--line-length", "110", written], capture_output=True, text=True, check=False
    )
    assert laid_out.returncode == 0, laid_out.stdout


@settings(max_examples=examples(120), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schemas_with_values())
def test_random_data_is_equal_after_model_encode_decode(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Data -> model -> Avro -> model gives the same model and the same data."""
    schema, value = pair
    annotated = schema | {"hutong": {"contract": "t.random", "version": 1, "key": ["f0"]}}
    module = generated(Root(title="Random", schema=annotated, base="ChangeEvent", facts={"contract": "t.random", "version": 1}))
    model = next(
        one for one in vars(module).values() if getattr(one, "avro_name", "") == schema["name"] and "contract" in vars(one)
    )
    event = model.from_data(value)
    compiled = model.event_schema()
    assert event.to_data() == value
    assert model.from_data(compiled.decode(compiled.encode(compiled.check(event.to_data())))) == event


@pytest.fixture(scope="module", params=[Path("schemas"), FI], ids=["sample", "fi"])
def declared(request: pytest.FixtureRequest) -> Path:
    return Path(request.config.rootpath) / request.param


def test_every_declared_contract_and_agreement_becomes_a_module(declared: Path, tmp_path: Path) -> None:
    """All of a set can be imported, is clean under ruff, and carries the schema that is registered, less its prose."""
    catalogue = load(declared)
    files = generate(catalogue, tmp_path / "models", catalogue.contracts, catalogue.agreements)
    (everything,) = generate(catalogue, tmp_path / "everything.py", catalogue.contracts, catalogue.agreements).items()
    assert len(files) > len(catalogue.contracts) + len(catalogue.agreements)
    for path, text in [*files.items(), everything]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    run = [sys.executable, "-m", "ruff", "check", "--no-cache", "--config", "pyproject.toml", tmp_path]
    checked = subprocess.run(run, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    sys.path.insert(0, str(tmp_path))
    try:
        module = importlib.import_module("everything")
        models = {one.contract: one for one in vars(module).values() if "contract" in getattr(one, "__dict__", {})}
    finally:
        sys.path.remove(str(tmp_path))
        del sys.modules["everything"]
    assert set(models) == set(catalogue.contracts)
    for name, model in models.items():
        newest = catalogue.contracts[name].newest
        assert fingerprint(model.event_schema().parsed) == fingerprint(newest.parsed)
        assert model.event_schema().key == newest.key


def run_command(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def test_the_command_writes_checks_and_names_what_is_wrong(tmp_path: Path) -> None:
    """A second run writes nothing; --check fails on a stale file; unknown names get a suggestion."""
    common = ("--schemas", str(FI), "--out", str(tmp_path / "models"))
    assert run_command(*common, "dvv.person_moved").output == "3 files, 3 of them written\n"
    assert run_command(*common, "dvv.person_moved").output == "3 files, 0 of them written\n"
    assert run_command(*common, "--check", "dvv.person_moved").exit_code == 0
    module = tmp_path / "models" / "dvv" / "person_moved.py"
    module.write_text("", encoding="utf-8")
    stale = run_command(*common, "--check", "dvv.person_moved")
    assert (stale.exit_code, "person_moved.py is not as the declarations say" in stale.output) == (1, True)
    assert run_command(*common, "--version", "1", "dvv.person_moved").exit_code == 0
    assert "version = 1" in (tmp_path / "models" / "dvv" / "person_moved_v1.py").read_text(encoding="utf-8")
    assert run_command("--schemas", str(FI), "--out", str(tmp_path / "one.py"), "--agreement", "moves-to-benefits").exit_code == 0
    for arguments, words in (
        (("dvv.person_movd",), "do you mean dvv.person_moved?"),
        (("--version", "9", "dvv.person_moved"), "has the versions 1 to 2"),
        (("--agreement", "nothing-like-it"), "there is no agreement nothing-like-it"),
    ):
        refused = run_command(*common, *arguments)
        assert refused.exit_code != 0
        assert words in refused.output
