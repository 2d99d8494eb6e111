"""The shell's completion, asked for as the shells ask for it; with a real bash, which presses no key but calls what Tab calls."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "schemas"
PROGRAM = f"#!{sys.executable}\nimport sys; sys.argv[0] = 'hutong'; from hutong.cli import main; main()\n"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A ``hutong`` on the path, and the sample declarations."""
    program = tmp_path / "bin" / "hutong"
    program.parent.mkdir()
    program.write_text(PROGRAM, encoding="utf-8")
    program.chmod(0o755)
    return {
        "PATH": f"{program.parent}:/usr/bin:/bin",
        "HUTONG_SCHEMAS": str(SAMPLES),
        "PYTHONPATH": ":".join(sys.path),
        "HOME": str(tmp_path),
        "TERM": "dumb",
    }


def complete(environment: dict[str, str], line: str) -> list[str]:
    """What a bash that has sourced the script offers for the last word of a line."""
    words = line.split(" ")
    script = (
        "source <(hutong completion bash); COMP_WORDS=(" + " ".join(f"'{word}'" for word in words) + ");"
        f" COMP_CWORD={len(words) - 1}; _hutong_completion hutong; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["/bin/bash", "--norc", "-c", script], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("hutong do", {"doctor", "down"}),
        ("hutong codegen mca.funeral.c", {"mca.funeral.cremation_recorded"}),
        ("hutong codegen --agreement divisions-p", {"divisions-province"}),
        ("hutong flow show de", {"death"}),
        ("hutong run rou", {"router"}),
        ("hutong export picture --recipient mca.sh", {"mca.shanxi"}),
    ],
)
def test_bash_offers_commands_and_names(environment: dict[str, str], line: str, offered: set[str]) -> None:
    """Commands, contracts, agreements, departments, flows and services, each where it belongs."""
    assert set(complete(environment, line)) == offered


def test_what_stands_on_the_line_is_not_offered_again(environment: dict[str, str]) -> None:
    """Nor is anything from the default directory when the line names another one."""
    line = "hutong codegen mca.funeral.cremation_recorded mca.funeral."
    assert set(complete(environment, line)) == {"mca.funeral.objection_decided"}
    nowhere = {**environment, "HUTONG_SCHEMAS": "/nowhere"}
    assert complete(nowhere, "hutong codegen mca") == []
    assert complete(nowhere, f"hutong codegen --schemas {SAMPLES} mca.funeral.c") == ["mca.funeral.cremation_recorded"]


def test_tab_completes_in_a_bash_at_a_terminal(environment: dict[str, str], tmp_path: Path) -> None:
    """The whole way: a person's bash, its line editor, the key."""
    start = tmp_path / "bashrc"
    start.write_text("PS1='> '\nbind 'set bell-style none'\nsource <(hutong completion bash)\necho ready\n", encoding="utf-8")
    child, handle = pty.fork()
    if child == 0:
        os.execve("/bin/bash", ["bash", "--noprofile", "--rcfile", str(start), "-i"], environment)  # noqa: S606 - a shell is the point
    try:
        assert _read_until(handle, "ready")
        os.write(handle, b"hutong flow show low-inc\t")
        assert _read_until(handle, "low-income-verification")
    finally:
        os.write(handle, b"\x15exit\n")
        os.close(handle)
        os.waitpid(child, 0)


def _read_until(handle: int, text: str) -> bool:
    got, deadline = "", time.monotonic() + 60
    while text not in got and time.monotonic() < deadline:
        if select.select([handle], [], [], 1.0)[0]:
            got += os.read(handle, 4096).decode("utf-8", "replace")
    return text in got


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_get_their_script(environment: dict[str, str], shell: str) -> None:
    """It defines a completion for ``hutong``; where the shell is installed, the shell finds no fault with it."""
    command = ["hutong", "completion", shell]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "_HUTONG_COMPLETE" in done.stdout
    if program := shutil.which(shell):
        checked = subprocess.run([program, "-n"], input=done.stdout, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
