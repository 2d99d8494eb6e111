"""What the shell completes: names of contracts, agreements, departments and flows, from the files' names alone.

Reading the declarations takes a second, and a person who presses a key waits for no second: the directories under ``schemas/``
say enough. Neighbours: commands name these at their arguments; ``hutong completion`` prints the shell's side.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

__all__ = ["agreements", "contracts", "departments", "flows", "services"]

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completer(names: Callable[[Path], Iterable[str]]) -> Completer:
    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        chosen = _chosen(ctx)
        found = sorted({name for name in names(_schemas(ctx)) if name.startswith(incomplete)} - chosen)
        return [CompletionItem(name) for name in found]

    return complete


def _schemas(ctx: click.Context) -> Path:
    """The directory of the declarations: as the option says, be it from the line, the environment or its default."""
    named = ctx.params.get("schemas")
    if named is not None:
        return Path(str(named))
    return Path(os.environ.get("HUTONG_SCHEMAS") or "schemas")


def _chosen(ctx: click.Context) -> set[str]:
    """What stands on the line already."""
    several = (value for value in ctx.params.values() if isinstance(value, tuple))
    return {one for value in several for one in value if isinstance(one, str)}


def _contracts(schemas: Path) -> Iterator[str]:
    for file in schemas.glob("contracts/*/*/contract.yaml"):
        yield f"{file.parent.parent.name}.{file.parent.name}"


def _agreements(schemas: Path) -> Iterator[str]:
    for file in schemas.glob("agreements/*/*.yaml"):
        yield file.stem


def _departments(schemas: Path) -> Iterator[str]:
    for kind in ("contracts", "agreements"):
        for directory in schemas.glob(f"{kind}/*/"):
            yield directory.name


def _flows(schemas: Path) -> Iterator[str]:
    for file in schemas.glob("flows/*.yaml"):
        yield file.stem


def _services(_: Path) -> Iterator[str]:
    from hutong.cli.run import runnable

    for name in runnable():
        yield name.rpartition(".")[2].replace("_", "-")


contracts = _completer(_contracts)
agreements = _completer(_agreements)
departments = _completer(_departments)
flows = _completer(_flows)
services = _completer(_services)
