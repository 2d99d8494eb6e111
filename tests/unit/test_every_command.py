"""What holds for every command: help, exit codes, and one JSON object for programs wherever results are printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from hutong.cli import _group, main
from tests.declaring import FI

ROOT = Path(__file__).parents[2]

NO_JSON = {"completion": "prints a shell's script"}


def _walk() -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []

    def walk(words: list[str], command: click.Command) -> None:
        if words:
            found.append((" ".join(words), command))
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                below = command.get_command(context, name)
                assert below is not None
                walk([*words, name], below)

    walk([], _group())
    return found


@pytest.fixture(scope="module")
def commands() -> list[tuple[str, click.Command]]:
    """Every command and subcommand by its name."""
    return _walk()


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command line; its exit code."""
    monkeypatch.setattr(sys, "argv", ["hutong", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code
    return code if isinstance(code, int) else 1


def test_help_is_0_and_wrong_use_is_2(
    commands: list[tuple[str, click.Command]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every command and subcommand tells its usage; an option that there is not gets a message and no trace."""
    ours = [name for name, _ in commands if name != "demo"]  # ``demo`` becomes another program
    assert len(ours) > 30
    for name in ours:
        assert run(monkeypatch, *name.split(), "--help") == 0, name
        assert capsys.readouterr().out.startswith(f"Usage: hutong {name}")
        assert run(monkeypatch, *name.split(), "--no-such-option") == 2, name
        err = capsys.readouterr().err
        assert "--no-such-option" in err
        assert "Traceback" not in err


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["--no-such-option"], 2)])
def test_the_demonstration_keeps_the_codes_too(arguments: list[str], code: int) -> None:
    """It is another program, and ends as the others do."""
    command = [
        sys.executable,
        "-c",
        "import sys; sys.argv[0] = 'hutong'; from hutong.cli import main; main()",
        "demo",
        *arguments,
    ]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == code


def test_the_demonstration_is_asked_for_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """What another program does with the option is its own matter; it gets it, with all else that was asked."""
    became: list[list[str]] = []

    def execv(_: str, command: list[str]) -> None:
        became.append(command[2:])
        sys.exit(0)

    monkeypatch.setattr(os, "execv", execv)
    assert run(monkeypatch, "demo", "--persons", "10", "--json", "--keep") == 0
    assert became == [["demo", "--json", "--persons", "10", "--keep"]]


def test_what_prints_results_prints_them_for_programs_too(commands: list[tuple[str, click.Command]]) -> None:
    """``--json`` everywhere but where a reason stands against it."""
    leaves = {name: command for name, command in commands if not isinstance(command, click.Group)}
    lacking = {
        name for name, command in leaves.items() if "--json" not in {option for one in command.params for option in one.opts}
    }
    assert lacking == set(NO_JSON)


OFFLINE = [
    (["check", "--schemas", FI, "--today", "2026-01-01"], 0, "errors"),
    (["flow", "list", "--schemas", FI], 0, "flows"),
    (["flow", "show", "claim-check", "--schemas", FI], 0, "flow"),
    (["run"], 0, "services"),
    (["status"], 1, "services"),
    (["down"], 0, "stopped"),
    (["reset", "--yes"], 0, "deleted"),
    (["codegen", "--schemas", FI, "--out", "models.py"], 0, "files"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "code", "key"), OFFLINE, ids=lambda value: str(value)[:30])
def test_the_first_key_is_the_version_of_the_form(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str], code: int, key: str
) -> None:
    """One object, ``format`` first; also with nothing there to find."""
    monkeypatch.setenv("HUTONG_HOME", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *arguments, "--json") == code
    document = json.loads(capsys.readouterr().out)
    assert (next(iter(document)), document["format"]) == ("format", 1)
    assert key in document


def test_the_files_of_codegen_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Written, unchanged, and with --check, those that differ."""
    out = tmp_path / "models.py"
    asked = ("codegen", "--schemas", FI, "--out", out, "--json")
    for arguments, code, state in (
        (asked, 0, "written"),
        (asked, 0, "unchanged"),
        ((*asked, "--check"), 0, "unchanged"),
    ):
        assert run(monkeypatch, *arguments) == code
        assert json.loads(capsys.readouterr().out)["files"] == [{"path": str(out), "state": state}]
    out.write_text("", encoding="utf-8")
    assert run(monkeypatch, *asked, "--check") == 1
    assert json.loads(capsys.readouterr().out)["files"] == [{"path": str(out), "state": "differs"}]


def test_json_asks_no_question(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program that did not say yes gets a 2, and nothing is deleted."""
    (tmp_path / "secrets").mkdir()
    monkeypatch.setenv("HUTONG_HOME", str(tmp_path))
    assert run(monkeypatch, "reset", "--json") == 2
    assert (tmp_path / "secrets").exists()
