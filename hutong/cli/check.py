"""``hutong check``: every error of the declarations at once, with file, line, field and what to do. Needs no bus.

Neighbours: ``catalogue`` finds them; ``plan`` and ``apply`` refuse declarations that this refuses.
"""

from __future__ import annotations

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
from hutong.cli._json import json_option, print_json
from hutong.errors import DeclarationError
from hutong.language import said, said_many, translated

__all__ = ["command", "expired", "schemas_option"]

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
@json_option
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
        print_json(_document(reading, errors))
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
        click.echo(f"{_where(warning)}: {click.style(said('warning'), fg='yellow')}: {_what(warning)}")
    for error in errors:
        click.echo(f"{_where(error)}: {click.style(said('error'), fg='red')}: {_what(error)}")
    catalogue = reading.catalogue
    counts = said(
        "{departments} departments, {contracts} contracts, {agreements} agreements, {flows} and {lists} code lists in {schemas} "
        "are right",
        departments=len(catalogue.departments),
        contracts=len(catalogue.contracts),
        agreements=len(catalogue.agreements),
        flows=said_many(len(catalogue.flows), "{number} flow", "{number} flows"),
        lists=len(catalogue.code_lists),
        schemas=schemas,
    )
    parts = [counts]
    if errors:
        files = said_many(len({error.file for error in errors}), "{number} file", "{number} files")
        parts.insert(0, said_many(len(errors), "{number} error in {files}", "{number} errors in {files}", files=files))
    if reading.warnings:
        parts.append(said_many(len(reading.warnings), "{number} warning", "{number} warnings"))
    click.echo(said("; ").join(parts))


def _where(error: DeclarationError) -> str:
    return error.file + (f":{error.line}" if error.line else "")


def _what(error: DeclarationError) -> str:
    problem = translated(error.problem)
    return f"{error.field}: {problem}" if error.field else problem


def _document(reading: Reading, errors: list[DeclarationError]) -> dict[str, Any]:
    catalogue = reading.catalogue
    return {
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
