"""``hutong check``: every error of the declarations at once, with file, line, field and what to do. Needs no bus.

Neighbours: ``catalogue`` finds them; ``plan`` and ``apply`` refuse declarations that this refuses.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from hutong.agreements.check import expiry_finding
from hutong.catalogue.catalogue import Catalogue, Reading
from hutong.catalogue.load import read
from hutong.cli import FINE, FOUND
from hutong.control.words import counted
from hutong.errors import DeclarationError

__all__ = ["command", "expired", "schemas_option"]

FORMAT = 1
"""Version of the JSON that ``--json`` prints; it changes when a key goes away or changes its meaning."""

schemas_option = click.option(
    "--schemas",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("schemas"),
    envvar="HUTONG_SCHEMAS",
    show_envvar=True,
    show_default=True,
    help="Directory of the declarations.",
)


@click.command(short_help="Check the declarations, offline.")
@schemas_option
@click.option(
    "--today",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Judge validity as of this day instead of today in the declarations' time zone.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def command(ctx: click.Context, schemas: Path, today: datetime | None, as_json: bool) -> None:
    """Check the declarations, offline: every error at once, with file, line, field and what to do.

    Exit code 0: nothing is wrong (there may be warnings); 1: errors; 2: wrong use.
    """
    reading = read(schemas)
    catalogue = reading.catalogue
    day = today.date() if today else datetime.now(ZoneInfo(catalogue.timezone)).date()
    errors = _in_order([*reading.errors, *expired(catalogue, day)])
    if as_json:
        click.echo(json.dumps(_document(reading, errors), ensure_ascii=False, indent=2))
    else:
        _print(reading, errors, schemas)
    ctx.exit(FOUND if errors else FINE)


def expired(catalogue: Catalogue, today: date) -> list[DeclarationError]:
    """The agreements that are no more in force, as errors with their places."""
    found = []
    for id_, agreement in catalogue.agreements.items():
        if finding := expiry_finding(agreement, today):
            found.append(catalogue.sources["agreement", id_].error(finding.problem, finding.place))
    return found


def _in_order(errors: Sequence[DeclarationError]) -> list[DeclarationError]:
    return sorted(errors, key=lambda error: (error.file, error.line or 0, error.field))


def _print(reading: Reading, errors: list[DeclarationError], schemas: Path) -> None:
    for warning in reading.warnings:
        click.echo(f"{_where(warning)}: {click.style('warning', fg='yellow')}: {_what(warning)}")
    for error in errors:
        click.echo(f"{_where(error)}: {click.style('error', fg='red')}: {_what(error)}")
    catalogue = reading.catalogue
    counts = (
        f"{len(catalogue.departments)} departments, {len(catalogue.contracts)} contracts, "
        f"{len(catalogue.agreements)} agreements, {counted(len(catalogue.flows), 'flow')} and "
        f"{len(catalogue.code_lists)} code lists in {schemas} are right"
    )
    files = len({error.file for error in errors})
    summary = f"{counted(len(errors), 'error')} in {counted(files, 'file')}; {counts}" if errors else counts
    click.echo(f"{summary}; {counted(len(reading.warnings), 'warning')}" if reading.warnings else summary)


def _where(error: DeclarationError) -> str:
    return error.file + (f":{error.line}" if error.line else "")


def _what(error: DeclarationError) -> str:
    return f"{error.field}: {error.problem}" if error.field else error.problem


def _document(reading: Reading, errors: list[DeclarationError]) -> dict[str, Any]:
    catalogue = reading.catalogue
    return {
        "format": FORMAT,
        "errors": [_entry(error) for error in errors],
        "warnings": [_entry(warning) for warning in reading.warnings],
        "right": {
            "departments": len(catalogue.departments),
            "contracts": len(catalogue.contracts),
            "agreements": len(catalogue.agreements),
            "flows": len(catalogue.flows),
            "code_lists": len(catalogue.code_lists),
        },
    }


def _entry(error: DeclarationError) -> dict[str, Any]:
    return {"file": error.file, "line": error.line, "field": error.field, "problem": error.problem}
