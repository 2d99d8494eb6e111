"""A virtual environment per framework whose requirements do not go with Hutong's, made once and kept in the cache."""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

from bench.contenders.contender import CACHE, Running, Task, write_plan

__all__ = ["output", "ready", "start"]

_APPS = Path(__file__).with_name("apps")
_INSTALL_SECONDS = 300.0
_COMPLETE = ".complete"


def ready(name: str, requirements: Sequence[str]) -> str | None:
    """Have the environment; why not, in words, where it cannot be made."""
    folder = CACHE / name
    wanted = "\n".join(requirements)
    mark = folder / _COMPLETE
    if mark.exists() and mark.read_text() == wanted:
        return None
    print(f"installing {', '.join(requirements)} into {folder}", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"{requirements[0]} was not installed within {_INSTALL_SECONDS:g} s"
    if done.returncode:
        return f"{requirements[0]} cannot be installed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"
    mark.write_text(wanted)
    return None


def start(name: str, app: str, task: Task) -> Running:
    """Start an app of ``apps`` in its environment."""
    plan = write_plan(task, folder=str(task.folder / f"{task.group}-data"))
    running = Running(log=task.folder / f"{task.group}.log")
    running.add(_command(name, app, plan), _environment())
    return running


def output(name: str, app: str, plan: Path) -> str:
    """Run an app of ``apps`` in its environment to its end; what it printed."""
    done = subprocess.run(_command(name, app, plan), env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{app} failed: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    return done.stdout


def _command(name: str, app: str, plan: Path) -> list[str]:
    return [str(CACHE / name / "bin" / "python"), str(_APPS / app), str(plan)]


def _environment() -> dict[str, str]:
    return {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
