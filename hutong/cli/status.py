"""``hutong status``: what of the embedded bus runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from hutong.cli import FINE, FOUND
from hutong.embedded import Part, Status, status
from hutong.home import Home

__all__ = ["command"]

_MIB = 1024 * 1024


@click.command(short_help="Show what of the bus runs; exit code 0 when all of it does.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show what of the bus runs, where, and how much memory it takes. Exit code 0: all is up; 1: something is not."""
    found = status(Home.find())
    click.echo(json.dumps(_plain(found), indent=2) if as_json else _text(found))
    ctx.exit(FINE if found.up else FOUND)


def _plain(found: Status) -> dict[str, object]:
    facts = asdict(found)
    return facts | {"home": str(found.home)} if isinstance(found.home, Path) else facts


def _text(found: Status) -> str:
    if not found.parts:
        return f"no bus in {found.home}; start one with `hutong up`"
    lines = [f"{part.name:<12} {part.state:<9} {_details(part)}".rstrip() for part in found.parts]
    if found.address:
        lines += [f"kafka        {found.address.bootstrap_servers}", f"registry     {found.address.registry_url}"]
    return "\n".join(lines)


def _details(part: Part) -> str:
    if part.pid is None:
        return part.problem
    port = f"port {part.port}  " if part.port else ""
    return f"{port}pid {part.pid}  {part.rss_bytes // _MIB} MiB"
