"""The command line as such: one file per command, loaded late, one line per error, exit codes as documented."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import hutong.cli
from hutong.errors import HutongError
from tests.declaring import FI

MAIN = "import sys; sys.argv[0] = 'hutong'; from hutong.cli import main; main()"


def hutong_command(*arguments: str, home: Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAIN, *arguments],
        env={"HUTONG_HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )


def test_every_command_has_its_file_and_help(tmp_path: Path) -> None:
    """The help lists each command file once, with what it does; helpers are not commands."""
    done = hutong_command("--help", home=tmp_path)
    listed = set(re.findall(r"^  (\S+)", done.stdout.partition("Commands:")[2], re.MULTILINE))
    files = {file.stem for file in Path(hutong.cli.__file__).parent.glob("*.py") if not file.name.startswith("_")}
    assert listed == files >= {"up", "down", "status", "reset", "run"}
    for command in ("up", "down", "status", "reset", "run"):
        assert hutong_command(command, "--help", home=tmp_path).stdout.startswith(f"Usage: hutong {command}")


def test_version_loads_nothing_heavy(tmp_path: Path) -> None:
    """Asking for the version does not load Kafka's client, Avro or the embedded bus."""
    code = f"{MAIN.removesuffix('main()')}\ntry: main()\nexcept SystemExit: print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True)
    assert "hutong, version" in done.stdout
    assert not [name for name in ("confluent_kafka", "fastavro", "jgo", "rich", "hutong.embedded") if f"'{name}'" in done.stdout]


@pytest.mark.parametrize("arguments", [("nope",), ("up", "--brokers", "many"), ("run", "nope"), ("up", "--brokers", "2")])
def test_wrong_use_is_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Exit code 2, and a message without a trace."""
    done = hutong_command(*arguments, home=tmp_path)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> str | int | None:
    """What ``hutong down`` exits with, where this happens within it."""

    def fail(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr("hutong.embedded.down", fail)
    monkeypatch.delitem(sys.modules, "hutong.cli.down", raising=False)
    monkeypatch.setattr(sys, "argv", ["hutong", "down"])
    with pytest.raises(SystemExit) as ended:
        hutong.cli.main()
    del sys.modules["hutong.cli.down"]  # it holds what failed: the next test must not find it
    return ended.value.code


def test_error_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What Hutong raises on purpose is shown as its message, and nothing else."""
    assert raising(HutongError("it cannot be done; do something else"), monkeypatch) == 2
    assert capsys.readouterr().err == "hutong: it cannot be done; do something else\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (PermissionError(13, "Permission denied", "/f"), "/f: Permission denied; run as the user whom it belongs to, or name"),
        (OSError(30, "Read-only file system", b"/f"), "/f: Read-only file system; put that right or name another place"),
        (OSError(24, "Too many open files"), "the system refuses: Too many open files; `hutong doctor`"),
        (TimeoutError(), "the system refuses: TimeoutError; "),
    ],
)
def test_what_the_system_refuses_is_one_line(
    error: OSError, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What, where and what to do instead of a trace; exit code 2."""
    assert raising(error, monkeypatch) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"hutong: {told}")
    assert err.count("\n") == 1


def test_a_reader_that_has_gone_is_no_failure_of_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`hutong ... | head` complains of nothing."""
    code = raising(BrokenPipeError(32, "Broken pipe"), monkeypatch)
    assert code != 2
    assert capsys.readouterr().err == ""


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file where a directory must be: for what codegen writes, and for a whole home."""
    (tmp_path / "file").touch()
    inside = tmp_path / "file" / "models"
    for arguments, home in ((("codegen", "--schemas", str(FI), "--out", str(inside)), tmp_path), (("up",), inside)):
        done = hutong_command(*arguments, home=home)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert str(tmp_path / "file") in done.stderr


def test_commands_on_a_home_without_a_bus(tmp_path: Path) -> None:
    """Nothing there is nothing to stop, to delete or to be up; nothing is made by looking."""
    home = tmp_path / "none"
    status = hutong_command("status", home=home)
    assert (status.returncode, status.stdout) == (1, f"no bus in {home}; start one with `hutong up`\n")
    assert hutong_command("status", "--json", home=home).returncode == 1
    assert (hutong_command("down", home=home).stdout, hutong_command("reset", "--yes", home=home).returncode) == (
        "nothing was running\n",
        0,
    )
    assert not home.exists()


def test_reset_asks(tmp_path: Path) -> None:
    """Without a yes nothing is deleted; with one everything goes but the downloads."""
    for name in ("jars", "secrets", "kafka", "run", "not-ours"):
        (tmp_path / name).mkdir()
    refused = hutong_command("reset", home=tmp_path, input="n\n")
    assert refused.returncode != 0
    assert (tmp_path / "secrets").exists()
    assert hutong_command("reset", home=tmp_path, input="y\n").returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jars", "not-ours", "run"]


def test_run_finds_services_by_name(tmp_path: Path) -> None:
    """Services are found where they are installed, listed on demand and when the name is unknown, and get their arguments."""
    package = tmp_path / "services"
    for name in ("echo", "halfway"):
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "echo" / "__main__.py").write_text("import sys; print(sys.argv[1:]); sys.exit(7)")
    sources = tmp_path / "connectors" / "sources"
    sources.mkdir(parents=True)
    for file in (sources.parent / "__init__.py", sources / "__init__.py", sources / "library.py"):
        file.touch()
    (sources / "a_table.py").write_text("if __name__ == '__main__': print('here')")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"PYTHONPATH": f"{tmp_path}:{Path(hutong.cli.__file__).parents[2]}", "PATH": "/usr/bin:/bin"}
        return subprocess.run(
            [sys.executable, "-c", MAIN, "run", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    assert run().stdout.endswith("There are:\n  sources.a_table\n  echo\n")
    assert run("nope").stderr.endswith("there is no service or connector 'nope'; there are:\n  sources.a_table\n  echo\n")
    assert run("a-table").stdout == "here\n"
    started = run("echo", "--option", "value", "--help")
    assert (started.returncode, started.stdout) == (7, "['--option', 'value', '--help']\n")
    assert run("sources/a-table").returncode == 0
