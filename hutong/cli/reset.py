"""``hutong reset``: throw the embedded bus away."""

from __future__ import annotations

import click

from hutong.cli._bars import ShownProgress
from hutong.cli._json import json_option, print_json
from hutong.embedded import reset
from hutong.home import Home
from hutong.language import said

__all__ = ["command"]


@click.command(short_help="Stop the bus and delete its data.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def command(yes: bool, as_json: bool) -> None:
    """Stop the bus and delete its events, schemas, databases, passwords, keys and logs. Downloads stay."""
    home = Home.find()
    if as_json and not yes:
        raise click.UsageError(said("with --json nothing is asked: add --yes"))
    found = home.root.is_dir()
    if found:
        if not yes:
            question = said("Delete all events, schemas, databases, passwords and keys in {home}?", home=home.root)
            click.confirm(question, abort=True)
        reset(home, progress=ShownProgress())
    if as_json:
        print_json({"home": str(home.root), "deleted": found})
    elif found:
        click.echo(said("{home} holds downloads only", home=home.root))
    else:
        click.echo(said("there is nothing in {home}", home=home.root))
