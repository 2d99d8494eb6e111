"""Reading declarations: YAML and JSON with lines, and a directory with all its errors at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hutong.catalogue.document import MAX_BYTES
from hutong.catalogue.json import read_json
from hutong.catalogue.load import load, read
from hutong.catalogue.yaml import read_yaml
from hutong.contracts.annotate import without_annotations
from hutong.errors import ConfigurationError, DeclarationError
from tests.declaring import FI, Declarations


@pytest.fixture
def fi(tmp_path: Path) -> Declarations:
    return Declarations(tmp_path)


def test_yaml_scalars_are_those_of_json() -> None:
    """Dates, ``yes`` and numbers with leading zeros stay text; nothing depends on a YAML library's version."""
    text = 'a: 2025-01-01\nb: yes\nc: 014\nd: 1.5\ne: -3\nf: ~\ng: "12"\nh: true\ni: 0x1F\nj: 1_000\nk: .inf\nl: 12:30\n'
    assert read_yaml(text, "f").data == {
        **{"a": "2025-01-01", "b": "yes", "c": "014", "d": 1.5, "e": -3, "f": None, "g": "12", "h": True},
        **{"i": "0x1F", "j": "1_000", "k": ".inf", "l": "12:30"},
    }


def test_yaml_lines_are_those_of_the_keys() -> None:
    """Every part of a document knows its line, flow style and block style alike."""
    document = read_yaml("a:\n  - {b: 1,\n     c: 2}\n  - x\nd: |\n  text\n  more\ne: 1\n", "f")
    lines = {path: document.lines[path] for path in [("a",), ("a", 0), ("a", 0, "c"), ("a", 1), ("d",), ("e",)]}
    assert list(lines.values()) == [1, 2, 3, 4, 5, 8]
    assert document.line(("a", 0, "Alternative", "c")) == 3


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "twice, first on line 1"),
        ("a: &x 1\nb: *x\n", 1, "anchors"),
        ("a: 1\nb: *x\n", 2, "anchors"),
        ("a: !!python/object:os.system x\n", 1, "tag"),
        ("x: 1\na: b: c\n", 2, "not valid YAML"),
        ("a: 1\n---\nb: 2\n", 2, "several YAML documents"),
        ("", 1, "empty"),
        ("? {a: b}\n: 1\n", 1, "key must be plain text"),
        ("[" * 200, 1, "levels deep"),
    ],
)
def test_yaml_beyond_what_declarations_need_is_refused(text: str, line: int, words: str) -> None:
    """Whatever hides content from a reviewer, or is broken, is one error with its line."""
    with pytest.raises(DeclarationError, match=words) as caught:
        read_yaml(text, "f.yaml")
    assert caught.value.line == line
    assert caught.value.file == "f.yaml"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('{"a": 1,\n "a": 2}', 2, "twice"),
        ('{"a": 1,\n}', 2, "key in double quotes"),
        ("[1\n2]", 2, "',' or ']'"),
        ('{"a" 1}', 1, "':'"),
        ("[NaN]", 1, "value is expected"),
        ("[01]", 1, "',' or ']'"),
        ('"a\nb"', 1, "not valid JSON"),
        ("1\n2", 2, "after the end"),
        ("[" * 200, 1, "levels deep"),
        ("", 1, "value is expected"),
    ],
)
def test_json_errors_have_their_line(text: str, line: int, words: str) -> None:
    """A broken Avro schema says where it is broken."""
    with pytest.raises(DeclarationError, match=words) as caught:
        read_json(text, "v1.avsc")
    assert caught.value.line == line


def test_json_is_read_as_the_standard_library_reads_it() -> None:
    """The reader with lines and the one without agree on every schema of the set."""
    for file in FI.rglob("*.avsc"):
        text = file.read_text(encoding="utf-8")
        assert read_json(text, "f").data == json.loads(text)
    assert read_json('["\\ud83d\\ude00\\n", 1e3, -0.5, {"a": {}}, []]', "f").data == ["😀\n", 1000.0, -0.5, {"a": {}}, []]


def test_the_second_set_is_right(fi: Declarations) -> None:
    """Another country's declarations load without an error or a warning, whatever the types in them."""
    reading = fi.reading()
    assert [str(error) for error in (*reading.errors, *reading.warnings)] == []
    catalogue = reading.catalogue
    assert (len(catalogue.departments), len(catalogue.contracts)) == (8, 11)
    contract = catalogue.contracts["kela.benefit_decided"]
    assert [version.version for version in contract.versions] == [1, 2]
    assert contract.retention_ms == 730 * 86_400_000
    assert contract.freshness_s == 60
    assert contract.version(3) is None
    assert [one.id for one in catalogue.agreements_on(contract.name)] == ["benefits-for-statistics", "benefits-to-tax"]


def test_annotated_schemas_carry_every_rule(fi: Declarations) -> None:
    """The registered schema is the written one with the contract's facts, the same every time."""
    catalogue = fi.catalogue()
    newest = catalogue.contracts["kela.benefit_decided"].newest
    assert newest.schema["hutong"] == {
        "contract": "kela.benefit_decided",
        "version": 2,
        "key": ["decision_id"],
        "sharing": "conditional",
    }
    fields = {field["name"]: field for field in newest.schema["fields"]}
    assert fields["hetu"]["hutong"] == {
        "classification": "personal",
        "identifier": "fi.hetu",
        "unverifiedBy": "hetu_unverified",
    }
    granted = fields["outcome"]["type"][0]["fields"][0]
    assert granted["hutong"] == {"classification": "personal", "minimum": 0.0, "maximum": 100000.0}
    assert "codes" not in fields["kind"]["hutong"]
    written = json.loads(fi.text("contracts/kela/benefit_decided/v2.avsc"))
    assert without_annotations(newest.schema) == written
    moved = catalogue.contracts["dvv.person_moved"].newest.schema
    address = next(field for field in moved["fields"] if field["name"] == "from_address")["type"][1]
    assert address["fields"][2]["hutong"]["codes"] == ["FI", "SE", "NO", "DK", "IS"]
    assert json.dumps(fi.catalogue().contracts["kela.benefit_decided"].newest.schema) == json.dumps(newest.schema)


def test_all_errors_come_at_once_in_order(fi: Declarations) -> None:
    """One broken file does not hide another's errors; they come sorted by file and line."""
    fi.edit("departments.yaml", "timezone: Europe/Helsinki", "timezone: Europe/Nowhere")
    fi.edit("contracts/thl/vaccination_recorded/v1.avsc", '"name": "VaccinationRecorded"', '"name": "Vaccination"')
    fi.edit("agreements/stat/moves-for-statistics.yaml", "version: 1", "version: one")
    fi.write("codelists/broken.yaml", "id: [")
    errors = fi.reading().errors
    assert [error.file for error in errors] == [
        "agreements/stat/moves-for-statistics.yaml",
        "codelists/broken.yaml",
        "contracts/thl/vaccination_recorded/v1.avsc",
        "departments.yaml",
    ]
    assert all(error.line for error in errors)


def test_load_raises_the_first_error_and_counts_the_rest(fi: Declarations) -> None:
    """Whoever needs right declarations gets them, or one error that tells of the others."""
    assert load(fi.directory).timezone == "Europe/Helsinki"
    fi.edit("departments.yaml", "timezone: Europe/Helsinki", "timezone: Europe/Nowhere")
    fi.write("codelists/broken.yaml", "id: [")
    with pytest.raises(DeclarationError, match=r"and 1 more: run 'hutong check'"):
        load(fi.directory)


def test_a_directory_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    """A misspelt directory is not an empty set."""
    with pytest.raises(ConfigurationError, match="HUTONG_SCHEMAS"):
        read(tmp_path / "nowhere")


def test_files_that_are_no_text_or_too_large_are_refused(fi: Declarations) -> None:
    """Bytes that are no UTF-8 and files over the bound are one error each."""
    (fi.directory / "codelists/latin.yaml").write_bytes(b"id: latin\ntitle: {fi: \xe4}\n")
    (fi.directory / "codelists/large.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    errors = fi.reading().errors
    assert [(error.file, error.line) for error in errors] == [("codelists/large.yaml", None), ("codelists/latin.yaml", 2)]


def test_hidden_files_and_other_folders_are_left_alone(fi: Declarations) -> None:
    """An editor's files and folders that other tools own do not disturb."""
    fi.write("agreements/stat/.swap.yaml", "junk: [")
    fi.write("scenarios/anything.yaml", "junk: [")
    fi.write("README.md", "# Declarations\n")
    assert fi.reading().errors == ()
