"""``hutong check`` on directories that somebody hostile has made: a clear finding for each, and in no time."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hutong.agreements.cel import compile_expression
from hutong.catalogue.document import MAX_BYTES
from hutong.catalogue.load import read
from hutong.cli.check import command
from hutong.contracts.defaults import default_problem
from hutong.contracts.wellformed import faults
from hutong.errors import DeclarationError
from tests.fuzz.surfaces.declarations import small_tree
from tests.fuzz.surfaces.expressions import DATA, KNOWN

AGREEMENT = "agreements/kela/moves-to-benefits.yaml"
SCHEMA = "contracts/dvv/person_moved/v2.avsc"
CONTRACT = "contracts/dvv/person_moved/contract.yaml"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return small_tree(tmp_path / "tree")


def write(file: str, content: str | bytes) -> Callable[[Path], None]:
    """Puts something else into a file."""

    def spoil(root: Path) -> None:
        (root / file).write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))

    return spoil


def replace(file: str, old: str, new: str) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        text = (root / file).read_text(encoding="utf-8")
        assert old in text
        (root / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    return spoil


def schema(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Changes the newest schema."""

    def spoil(root: Path) -> None:
        document = json.loads((root / SCHEMA).read_bytes())
        change(document)
        (root / SCHEMA).write_text(json.dumps(document, indent=1), encoding="utf-8")

    return spoil


def link(file: str, target: str) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        (root / file).unlink(missing_ok=True)
        (root / file).symlink_to(target)

    return spoil


def fifo(root: Path) -> None:
    (root / AGREEMENT).unlink()
    os.mkfifo(root / AGREEMENT)


def outside(root: Path) -> None:
    secret = root.parent / "secret"
    secret.write_text("password: geheim\n", encoding="utf-8")
    link(AGREEMENT, str(secret))(root)


def mesh(document: dict[str, Any]) -> None:
    inner: Any = {"type": "record", "name": "M0", "doc": "d", "fields": [{"name": "x", "type": "string", "doc": "d"}]}
    for level in range(1, 30):
        fields = [{"name": "a", "type": inner, "doc": "d"}, {"name": "b", "type": f"M{level - 1}", "doc": "d"}]
        inner = {"type": "record", "name": f"M{level}", "doc": "d", "fields": fields}
    document["fields"].append({"name": "mesh", "type": inner, "doc": "d"})


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "billion laughs": (write(AGREEMENT, LAUGHS), AGREEMENT, "anchors and aliases"),
    "a tag that runs code": (write(AGREEMENT, "id: !!python/object/apply:os.system ['true']\n"), AGREEMENT, "the tag"),
    "a merge key": (write(AGREEMENT, "a: {b: 1}\nc: {<<: *a}\n"), AGREEMENT, "anchors and aliases"),
    "deep YAML": (write(AGREEMENT, "[" * 400_000), AGREEMENT, "nesting depth"),
    "deep YAML, line by line": (write(AGREEMENT, "- " * 400_000), AGREEMENT, "levels deep"),
    "deep JSON": (write(SCHEMA, '{"a":' * 150_000), SCHEMA, "levels deep"),
    "a key twice": (replace(AGREEMENT, "recipient: kela", "recipient: kela\nrecipient: vero"), AGREEMENT, "twice"),
    "a huge file": (write(AGREEMENT, b"#" * (MAX_BYTES + 1)), AGREEMENT, "over 1,000,000 bytes"),
    "a file of letters": (write(AGREEMENT, "x" * MAX_BYTES), AGREEMENT, "mapping"),
    "binary": (write(AGREEMENT, bytes(range(256)) * 100), AGREEMENT, "UTF-8"),
    "UTF-16": (write(AGREEMENT, "id: x\n".encode("utf-16")), AGREEMENT, "UTF-8"),
    "NUL": (write(AGREEMENT, "id: \0\n"), AGREEMENT, "not valid YAML"),
    "an empty file": (write(AGREEMENT, b""), AGREEMENT, "empty"),
    "a pipe": (fifo, AGREEMENT, "pipe"),
    "a device": (link(AGREEMENT, "/dev/zero"), AGREEMENT, "outside"),
    "a file from elsewhere": (outside, AGREEMENT, "outside"),
    "a link to nowhere": (link(AGREEMENT, "nowhere.yaml"), AGREEMENT, "cannot be read"),
    "a link to itself": (link(AGREEMENT, "moves-to-benefits.yaml"), AGREEMENT, "cannot be read"),
    "a long number": (replace(SCHEMA, '"type": "long"', f'"type": {"9" * 5_000}'), SCHEMA, "the number has more than"),
    "an endless number": (replace(SCHEMA, '"type": "long"', '"type": 1e999'), SCHEMA, "too large for a double"),
    "half a character": (replace(SCHEMA, "Somebody moved", "Somebody \\ud800 moved"), SCHEMA, "lone surrogate"),
    "a name for the terminal": (
        replace(AGREEMENT, "legal_basis:", '"\\x1b[2J\\x1b]0;x\\x07": 1\nlegal_basis:'),
        AGREEMENT,
        r"\\x1b\[2J",
    ),
    "ten thousand fields": (
        schema(lambda one: one["fields"].extend({"name": f"f{n}", "type": "string", "doc": "d"} for n in range(10_000))),
        SCHEMA,
        "more than 2,000 fields",
    ),
    "2^29 fields": (schema(mesh), SCHEMA, "more than 2,000 fields"),
    "an endless type": (
        schema(
            lambda one: one["fields"].append(
                {"name": "l", "doc": "d", "type": ["null", {"type": "array", "items": "PersonMoved"}]}
            )
        ),
        SCHEMA,
        "describes no such property",
    ),
    "a union of a thousand": (
        schema(
            lambda one: one["fields"].append(
                {"name": "u", "doc": "d", "type": [{"type": "fixed", "name": f"F{n}", "size": 1} for n in range(1_000)]}
            )
        ),
        SCHEMA,
        "1,000 branches",
    ),
    "forty thousand symbols, one twice": (
        schema(
            lambda one: one["fields"].append(
                {
                    "name": "e",
                    "doc": "d",
                    "type": {"type": "enum", "name": "E", "symbols": [*(f"S{n}" for n in range(40_000)), "S7"]},
                }
            )
        ),
        SCHEMA,
        "S7 is there twice",
    ),
    "a decimal of a thousand million digits": (
        schema(
            lambda one: one["fields"].append(
                {"name": "d", "doc": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10**9}}
            )
        ),
        SCHEMA,
        "digits from 1 to 1000",
    ),
    "a CEL loop in a loop": (
        replace(AGREEMENT, "rows:", 'rows:\n  - {cel: "members.all(a, members.all(b, members.all(c, a == b)))"}'),
        AGREEMENT,
        "loop",
    ),
    "a long CEL expression": (
        replace(AGREEMENT, "rows:", f'rows:\n  - {{cel: "{"1+" * 600}1 == 1"}}'),
        AGREEMENT,
        "1000 characters",
    ),
    "a CEL pattern": (replace(AGREEMENT, "rows:", "rows:\n  - {cel: \"municipality.matches('(a+)+$')\"}"), AGREEMENT, "matches"),
    "a pattern that explodes": (
        replace(CONTRACT, 'pattern: "^[0-9]{3}$"', 'pattern: "^(([0-9])+)+$"'),
        CONTRACT,
        "fits a text in many ways",
    ),
}


@pytest.mark.parametrize(("spoil", "file", "words"), HOSTILE.values(), ids=HOSTILE.keys())
def test_each_is_a_clear_finding(tree: Path, spoil: Callable[[Path], None], file: str, words: str) -> None:
    """With its file, in less than a second, and nothing that a terminal would obey."""
    assert not read(tree).errors
    spoil(tree)
    began = time.process_time()
    done = CliRunner().invoke(command, ["--schemas", str(tree)])
    seconds = time.process_time() - began
    assert done.exit_code == 1, done.output
    assert not done.exception or isinstance(done.exception, SystemExit)
    assert done.output.isprintable() or set(done.output) - {"\n"} == {one for one in done.output if one.isprintable()}
    errors = read(tree).errors
    assert any(
        error.file == file and (not words or words.replace("\\", "") in str(error).replace("\\", "")) for error in errors
    ), [str(error) for error in errors]
    assert "geheim" not in done.output
    assert seconds < 1


def test_a_links_target_inside_is_read(tree: Path) -> None:
    """That is how a cluster mounts a directory of files."""
    (tree / "..data").mkdir()
    (tree / "departments.yaml").rename(tree / "..data" / "departments.yaml")
    (tree / "departments.yaml").symlink_to("..data/departments.yaml")
    assert not read(tree).errors


def test_a_directory_that_leads_to_itself_is_read_once(tree: Path) -> None:
    """The reader goes two levels down and no further."""
    (tree / "contracts/dvv/again").symlink_to(tree / "contracts")
    (tree / "agreements/again").symlink_to(tree)
    files = {error.file for error in read(tree).errors}
    assert files
    assert all(file.startswith(("contracts/dvv/again", "agreements/again/")) and file.count("/") <= 3 for file in files)


def test_a_file_name_that_is_no_text_is_shown(tree: Path) -> None:
    """Whatever bytes it has."""
    (tree / AGREEMENT).rename(tree / "agreements/kela" / os.fsdecode(b"\xff\x1b[2J.yaml"))
    done = CliRunner().invoke(command, ["--schemas", str(tree)])
    assert done.exit_code == 1
    assert r"\udcff\x1b[2J.yaml" in done.output


def test_a_default_in_unions_of_unions_is_judged_once() -> None:
    """Each level would double the questions, and the answer's length."""
    value: Any = 1
    for _ in range(40):
        value = {"x": value}
    branches = [
        {"type": "record", "name": f"A{n}", "fields": [{"name": "x", "type": ["null", "A0", "A1", "A2", "string"]}]}
        for n in range(3)
    ]
    named = {one["name"]: one for one in branches}
    began = time.process_time()
    problem = default_problem(value, ["null", "A0", "A1", "A2"], named, "")
    assert problem
    assert len(problem) < 500
    assert time.process_time() - began < 1


def test_a_large_enum_is_looked_through_once() -> None:
    """Not once for each of its symbols."""
    began = time.process_time()
    assert not faults({"type": "enum", "name": "E", "symbols": [f"S{n}" for n in range(60_000)]})
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "text",
    [
        "l.all(x, x in l)",
        "l.exists(x, t.contains(x))",
        "l.filter(x, t + x == x).size() > 0",
        "m.all(x, x in m)",
        "size(t + t + t + t) > 0",
    ],
)
@pytest.mark.parametrize("data", DATA)
def test_a_condition_over_an_event_of_a_megabyte_ends_in_time(text: str, data: dict[str, Any]) -> None:
    """Where each item is compared with all of them, there may not be many."""
    condition = compile_expression(text, KNOWN)
    began = time.process_time()
    with suppress(ValueError):  # too many for a loop, or not a number
        condition(data)
    assert time.process_time() - began < 0.1


def test_an_expression_may_not_add_without_end() -> None:
    """Every addition may copy a text of a megabyte."""
    with pytest.raises(DeclarationError, match="adds more than 16 times"):
        compile_expression("size(" + "+".join(["t"] * 18) + ") > 0", KNOWN)
