"""``hutong restore``: a new bus from what ``hutong backup`` has kept."""

from __future__ import annotations

from pathlib import Path

import click

from hutong.cli._json import json_option, print_json
from hutong.control.backup import load, restore
from hutong.home import Home
from hutong.kafka.admin import Admin
from hutong.kafka.registry_admin import RegistryAdmin
from hutong.kafka.settings import Settings
from hutong.language import said

__all__ = ["command"]

OPERATOR = "operator"


@click.command(short_help="Make a new bus from a backup.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
def command(file: Path, as_json: bool) -> None:
    """Make a new bus as the one was that `hutong backup` has looked at.

    The bus must be up and have no agreements, the registry no schemas: nothing is replaced. Every schema gets the id that it had.
    Where it breaks off, run it again.
    """
    backup = load(file)
    settings, home = Settings.resolve(OPERATOR), Home.find()
    registry = RegistryAdmin.of(settings)
    assert isinstance(registry, RegistryAdmin)  # noqa: S101 - of() makes its own class
    restore(backup, settings, Admin(settings), registry, home, (lambda _: None) if as_json else click.echo)
    counts = {"topics": len(backup.topics), "subjects": len(backup.subjects), "principals": len(backup.passwords)}
    if as_json:
        print_json({"file": str(file), **counts, "without_password": list(backup.without_password)})
        return
    click.echo(said("the bus is as it was: {topics} topics, {subjects} subjects, {principals} principals", **counts))
    for name in backup.without_password:
        click.echo(said("note: {name} has no password yet; `hutong apply` makes one", name=name))
