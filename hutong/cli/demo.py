"""``hutong demo``: run the demonstration, which is a program of its own that uses the bus as anybody would."""

from __future__ import annotations

import importlib.util
import os
import sys

import click

from hutong.cli._json import json_option
from hutong.language import said

__all__ = ["command"]

_PROGRAM = "demo"


@click.command(
    short_help="Run the demonstration on this machine.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    options_metavar="",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@json_option
def command(arguments: tuple[str, ...], as_json: bool) -> None:
    """Bring the bus up, let a small world live on it, and account for every event. `hutong demo --help` shows the options."""
    if importlib.util.find_spec(_PROGRAM) is None:
        raise click.UsageError(
            said("the demonstration is not part of the installed package; run it from a clone of the repository")
        )
    for_programs = ["--json"] if as_json else []
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", _PROGRAM, *for_programs, *arguments])  # noqa: S606 - becoming it keeps its signals and exit code
