"""``hutong export``: prints, writes what differs, tells programs, and does what its page says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from hutong.catalogue.load import load
from hutong.cli.export import command
from hutong.errors import ConfigurationError, DeclarationError
from hutong.export.text import yaml_text
from tests.declaring import FI, Declarations

ROOT = Path(__file__).parents[2]
KINDS = sorted(command.commands)
KEYS = {
    "asyncapi": "document",
    "odcs": "contracts",
    "openlineage": "events",
    "picture": "agreements",
    "strimzi": "resources",
}


def export(*arguments: str, schemas: Path = FI, catch: bool = False) -> Result:
    kind, *rest = arguments
    return CliRunner().invoke(command, [kind, "--schemas", str(schemas), *rest], catch_exceptions=catch)


def documents(text: str) -> list[Any]:
    return list(yaml.safe_load_all(text))


def test_every_kind_is_on_its_page() -> None:
    """The page has a row for each kind, and no other."""
    page = (ROOT / "docs/exports.md").read_text(encoding="utf-8")
    rows = {row.split("|")[1].strip().split("`")[1].split()[0] for row in page.splitlines() if row.startswith("| `")}
    assert rows == set(KINDS) == KEYS.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_printed_and_for_programs(kind: str) -> None:
    """Without a file the text comes out and nothing else; ``--json`` has its format at the top and the same content."""
    printed, program = export(kind), export(kind, "--json")
    assert (printed.exit_code, program.exit_code) == (0, 0)
    told = json.loads(program.stdout)
    assert told["format"] == 1
    content = told[KEYS[kind]]
    match kind:
        case "asyncapi":
            assert documents(printed.stdout) == [content]
        case "odcs" | "strimzi":
            assert documents(printed.stdout) == content
        case "openlineage":
            lines = [json.loads(line) for line in printed.stdout.splitlines()]
            assert [one | {"eventTime": ""} for one in lines] == [one | {"eventTime": ""} for one in content]
        case "picture":
            assert printed.stdout.startswith("flowchart LR\n")
            assert printed.stdout.count("|") == 2 * len(content)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "openlineage"])
def test_the_same_declarations_give_the_same_file(kind: str, tmp_path: Path) -> None:
    """A second time nothing is written, and both times are told."""
    file = tmp_path / "deep" / "out.yaml"
    assert export(kind, "--out", str(file)).stdout == f"{file}: written\n"
    before = file.read_bytes()
    assert export(kind, "--out", str(file)).stdout == f"{file}: unchanged\n"
    told = json.loads(export(kind, "--out", str(file), "--json").stdout)
    assert told == {"format": 1, "files": [{"path": str(file), "state": "unchanged"}]}
    file.write_bytes(b"\xff")
    assert export(kind, "--out", str(file)).stdout == f"{file}: written\n"
    assert file.read_bytes() == before


def test_contracts_get_a_file_each(tmp_path: Path) -> None:
    """A directory holds one data contract per contract, or per agreement of a recipient."""
    out = tmp_path / "contracts"
    catalogue = load(FI)
    told = export("odcs", "--out", str(out)).stdout
    assert told == f"{len(catalogue.contracts)} files, {len(catalogue.contracts)} of them written\n"
    assert {path.name for path in out.iterdir()} == {f"{name}.odcs.yaml" for name in catalogue.contracts}
    assert export("odcs", "--recipient", "kela", "--out", str(tmp_path / "kela")).exit_code == 0
    wanted = {f"{one.id}.odcs.yaml" for one in catalogue.agreements.values() if one.recipient == "kela"}
    assert {path.name for path in (tmp_path / "kela").iterdir()} == wanted


def test_json_files_and_pictures_go_by_their_names(tmp_path: Path) -> None:
    """The end of a file's name decides between YAML and JSON, Mermaid and SVG."""
    export("asyncapi", "--out", str(tmp_path / "bus.json"))
    assert json.loads((tmp_path / "bus.json").read_text(encoding="utf-8"))["asyncapi"] == "3.0.0"
    export("picture", "--out", str(tmp_path / "bus.svg"))
    assert (tmp_path / "bus.svg").read_text(encoding="utf-8").startswith("<svg ")
    export("picture", "--out", str(tmp_path / "bus.md"), "--lang", "zh")
    assert (tmp_path / "bus.md").read_text(encoding="utf-8").startswith("flowchart LR")
    assert export("picture", "--style", "svg").stdout.startswith("<svg ")


def test_the_bus_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of every other command say where the bus is; the options win."""
    monkeypatch.setenv("HUTONG_KAFKA_BOOTSTRAP_SERVERS", "kafka.one:9093")
    monkeypatch.setenv("HUTONG_REGISTRY_URL", "https://registry.one")
    (made,) = documents(export("asyncapi").stdout)
    assert made["servers"]["bus"]["host"] == "kafka.one:9093"
    assert made["servers"]["bus"]["bindings"]["kafka"]["schemaRegistryUrl"] == "https://registry.one"
    (made,) = documents(export("asyncapi", "--bootstrap-servers", "kafka.two:9093", "--partitions", "7").stdout)
    assert made["servers"]["bus"]["host"] == "kafka.two:9093"
    assert {one["bindings"]["kafka"]["partitions"] for one in made["channels"].values()} == {7}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "strimzi"])
def test_a_name_that_is_not_there_is_told(kind: str) -> None:
    """A misspelt recipient ends with what it may have meant."""
    with pytest.raises(ConfigurationError, match="do you mean kela"):
        export(kind, "--recipient", "kella")


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_declarations_are_refused(kind: str, tmp_path: Path) -> None:
    """Nothing is written of declarations that ``hutong check`` refuses."""
    fi = Declarations(tmp_path / "schemas")
    fi.write("codelists/broken.yaml", "id: [")
    with pytest.raises(DeclarationError, match="hutong check"):
        export(kind, "--out", str(tmp_path / "out.yaml"), schemas=fi.directory)
    assert not (tmp_path / "out.yaml").exists()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file where a directory should be, or the other way round."""
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file" / "out.yaml", tmp_path):
        with pytest.raises(ConfigurationError, match="name another place with --out"):
            export("asyncapi", "--out", str(out))


def test_what_the_page_says_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of the page, as it stands there, on the declarations that come with the project."""
    monkeypatch.chdir(tmp_path)
    catalogue = load(ROOT / "schemas")
    monkeypatch.setattr("hutong.cli.export.right_catalogue", lambda _: catalogue)  # read once for all the lines
    page = (ROOT / "docs/exports.md").read_text(encoding="utf-8")
    lines = [line.partition("#")[0].strip() for line in page.splitlines() if line.startswith("hutong export ")]
    assert len(lines) >= len(KINDS)
    for line in lines:
        done = CliRunner().invoke(command, shlex.split(line)[2:], catch_exceptions=False)
        assert done.exit_code == 0, line
        if named := re.search(r"--out (\S+)", line):
            assert (tmp_path / named[1]).exists(), line


def test_yaml_is_the_same_to_old_and_new_readers() -> None:
    """Texts that some version of YAML takes for a number, a date or a truth are in quotes; there are no anchors."""
    shared = {"a": "x"}
    texts = ["1e3", "0o17", "0x1F", "1_000", "12:30", "2025-01-01", ".5", "+1", "-", "yes", "on", "null", "~", "", "1.0", "真"]
    text = yaml_text([{"texts": texts, "one": shared, "two": shared}])
    assert documents(text) == [{"texts": texts, "one": shared, "two": shared}]
    assert not re.search(r"[&*]id", text)
    for plain in re.findall(r"^- ([^'\"\s].*)$", text, re.MULTILINE):
        assert not re.match(r"[-+.]?[0-9]", plain), plain
