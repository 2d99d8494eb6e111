"""``hutong run``: become one of the services or connectors. They are found by name; nothing here imports them."""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import sys
from pathlib import Path

import click

__all__ = ["command", "runnable"]

_PLACES = ("services", "connectors.sources", "connectors.sinks")


@click.command(
    short_help="Run a service or a connector.",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    options_metavar="",
)
@click.argument("service", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(service: str | None, arguments: tuple[str, ...]) -> None:
    """Run a service or a connector in the foreground, with the arguments that it takes.

    Without a name: list what there is. `hutong run SERVICE --help` shows its own help.
    """
    known = runnable()
    if service in (None, "-h", "--help"):
        with click.Context(command, info_name="hutong run") as context:
            click.echo(command.get_help(context))
        click.echo("\nThere are:\n" + _listed(known))
        return
    wanted = str(service).replace("/", ".").replace("-", "_")
    matches = [name for name in known if name == wanted or name.endswith(f".{wanted}")]
    if len(matches) != 1:
        problem = f"{service} could be {' or '.join(matches)}" if matches else f"there is no service or connector {service!r}"
        raise click.UsageError(f"{problem}; there are:\n{_listed(known)}")
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
    return (
        "\n".join(f"  {name.removeprefix('services.').removeprefix('connectors.')}" for name in known) or "  (none is installed)"
    )
