"""``hutong check`` from the command line: what it prints and how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from hutong.cli import main
from tests.declaring import FI, Declarations


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command line; its exit code."""
    monkeypatch.setattr(sys, "argv", ["hutong", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code
    return code if isinstance(code, int) else 1


def test_right_declarations_end_with_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What is right is counted; the variable names the directory too."""
    assert run(monkeypatch, "check", "--schemas", FI, "--today", "2026-01-01") == 0
    assert "8 departments, 11 contracts, 13 agreements, 1 flow and 4 code lists" in capsys.readouterr().out
    monkeypatch.setenv("HUTONG_SCHEMAS", str(FI))
    assert run(monkeypatch, "check", "--today", "2026-01-01") == 0


def test_errors_end_with_1_and_stand_one_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """file:line, the field and what to do, so that an editor can jump there."""
    declarations = Declarations(tmp_path)
    line = declarations.edit("agreements/kela/moves-to-benefits.yaml", "{field: notice_number}", "{field: notice}")
    assert run(monkeypatch, "check", "--schemas", tmp_path) == 1
    out = capsys.readouterr().out
    assert f"agreements/kela/moves-to-benefits.yaml:{line}: error: fields[0].field: " in out
    assert "1 error in 1 file" in out


def test_expired_agreements_are_errors_of_the_day(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The same declarations are wrong once a validity has ended."""
    assert run(monkeypatch, "check", "--schemas", FI, "--today", "2032-01-01") == 1
    assert "valid.until: the validity ended on 2031-12-31" in capsys.readouterr().out


def test_json_is_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The same in JSON, with the version of its format."""
    assert run(monkeypatch, "check", "--schemas", FI, "--today", "2032-01-01", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["format"] == 1
    assert document["right"] == {"departments": 8, "contracts": 11, "agreements": 13, "flows": 1, "code_lists": 4}
    (error,) = document["errors"]
    assert error["file"] == "agreements/stat/moves-for-statistics.yaml"
    assert error["field"] == "valid.until"
    assert error["line"] > 1


def test_wrong_use_ends_with_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A directory that is not there, and a day that is none: one line, no stack trace."""
    assert run(monkeypatch, "check", "--schemas", tmp_path / "nowhere") == 2
    assert run(monkeypatch, "check", "--schemas", FI, "--today", "soon") == 2
    captured = capsys.readouterr()
    assert "there is no directory" in captured.err
    assert "Traceback" not in captured.err


def test_plan_and_apply_refuse_wrong_declarations(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Neither looks for a bus before the declarations are right."""
    declarations = Declarations(tmp_path / "set")
    declarations.edit("departments.yaml", "code: vero", "code: kela")
    monkeypatch.setenv("HUTONG_HOME", str(tmp_path / "home"))
    for command in ("plan", "apply"):
        assert run(monkeypatch, command, "--schemas", declarations.directory) == 2
        assert "see them all with `hutong check`" in capsys.readouterr().err


def test_without_a_bus_plan_and_apply_say_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """No bus, no environment: one line that says how to get one."""
    monkeypatch.setenv("HUTONG_HOME", str(tmp_path))
    for variable in ("HUTONG_KAFKA_BOOTSTRAP_SERVERS", "HUTONG_REGISTRY_URL"):
        monkeypatch.delenv(variable, raising=False)
    for command in ("plan", "apply"):
        assert run(monkeypatch, command, "--schemas", FI) == 2
        assert "hutong up" in capsys.readouterr().err
