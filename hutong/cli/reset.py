"""``hutong reset``: throw the embedded bus away."""

from __future__ import annotations

import click

from hutong.cli._bars import ShownProgress
from hutong.embedded import reset
from hutong.home import Home

__all__ = ["command"]


@click.command(short_help="Stop the bus and delete its data.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(yes: bool) -> None:
    """Stop the bus and delete its events, schemas, databases, passwords, keys and logs. Downloads stay."""
    home = Home.find()
    if not home.root.is_dir():
        click.echo(f"there is nothing in {home.root}")
        return
    if not yes:
        click.confirm(f"Delete all events, schemas, databases, passwords and keys in {home.root}?", abort=True)
    reset(home, progress=ShownProgress())
    click.echo(f"{home.root} holds downloads only")
