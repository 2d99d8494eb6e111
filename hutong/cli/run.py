"""``hutong run``: become one of the services or connectors. They are found by name; nothing here imports them."""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import sys
from pathlib import Path

import click

from hutong.cli import _complete
from hutong.cli._json import json_option, print_json
from hutong.language import said

__all__ = ["command", "runnable"]

_PLACES = ("services", "connectors.sources", "connectors.sinks")


@click.command(
    short_help="Run a service or a connector.",
    # What follows the name is the service's own, also where it looks like an option of ours.
    context_settings={"ignore_unknown_options": True, "help_option_names": [], "allow_interspersed_args": False},
    options_metavar="",
)
@click.argument("service", required=False, shell_complete=_complete.services)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@json_option
def command(service: str | None, arguments: tuple[str, ...], as_json: bool) -> None:
    """Run a service or a connector in the foreground, with the arguments that it takes.

    Without a name: list what there is. `hutong run SERVICE --help` shows its own help.
    """
    known = runnable()
    if service is None and as_json:
        print_json({"services": [_short(name) for name in known]})
        return
    if service in (None, "-h", "--help"):
        with click.Context(command, info_name="hutong run") as context:
            click.echo(command.get_help(context))
        click.echo("\n" + said("There are:") + "\n" + _listed(known))
        return
    wanted = str(service).replace("/", ".").replace("-", "_")
    matches = [name for name in known if name == wanted or name.endswith(f".{wanted}")]
    if len(matches) != 1:
        if matches:
            problem = said("{service} could be {names}; there are:", service=service, names=" / ".join(matches))
        else:
            problem = said("there is no service or connector {service}; there are:", service=repr(service))
        raise click.UsageError(f"{problem}\n{_listed(known)}")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", matches[0], *arguments])  # noqa: S606 - becoming it keeps its signals and exit code


def runnable() -> list[str]:
    """Module names of every service and connector that is installed."""
    found: list[str] = []
    for place in _PLACES:
        try:
            package = importlib.util.find_spec(place)
        except ModuleNotFoundError:
            continue
        if package is None or package.submodule_search_locations is None:
            continue
        for module in pkgutil.iter_modules(list(package.submodule_search_locations)):
            if module.name.startswith("_"):
                continue
            if _can_run(f"{place}.{module.name}", package=module.ispkg):
                found.append(f"{place}.{module.name}")
    return sorted(found)


def _can_run(name: str, *, package: bool) -> bool:
    """Whether ``python -m`` does something: a package with ``__main__``, or a module that asks whether it is the main one."""
    if package:
        return importlib.util.find_spec(f"{name}.__main__") is not None
    spec = importlib.util.find_spec(name)
    return spec is not None and spec.origin is not None and "__main__" in Path(spec.origin).read_text(encoding="utf-8")


def _listed(known: list[str]) -> str:
    return "\n".join(f"  {_short(name)}" for name in known) or f"  ({said('none is installed')})"


def _short(name: str) -> str:
    return name.removeprefix("services.").removeprefix("connectors.")
