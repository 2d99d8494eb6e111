"""``hutong backup``: the control plane of the running bus as one file. ``restore`` is the way back."""

from __future__ import annotations

from pathlib import Path

import click

from hutong.cli._json import json_option, print_json
from hutong.control.backup import save, take
from hutong.home import Home
from hutong.kafka.admin import Admin
from hutong.kafka.registry_admin import RegistryAdmin
from hutong.kafka.settings import Settings
from hutong.language import said

__all__ = ["command"]

OPERATOR = "operator"


@click.command(short_help="Keep the control plane of the bus in one file.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file; it must not be there yet.")
@json_option
def command(out: Path, as_json: bool) -> None:
    """Keep the control plane of the running bus in one file.

    That is: topics, users, access rules, schemas with their ids, agreements, flows, keys. Events and cases are not in it.
    The file holds passwords and pseudonym keys: it is made readable by you alone; keep it so.
    """
    settings, home = Settings.resolve(OPERATOR), Home.find()
    registry = RegistryAdmin.of(settings)
    assert isinstance(registry, RegistryAdmin)  # noqa: S101 - of() makes its own class
    found = take(settings, Admin(settings), registry, home)
    save(found, out)
    counts = {
        "topics": len(found.topics),
        "subjects": len(found.subjects),
        "principals": len(found.passwords),
        "access_rules": len(found.acls),
        "keys": len(found.keys),
        "records": sum(map(len, found.records.values())),
    }
    if as_json:
        print_json({"file": str(out), **counts, "without_password": list(found.without_password)})
        return
    click.echo(
        said(
            "{file}: {topics} topics, {subjects} subjects, {principals} principals, {access_rules} access rules, {keys} keys, "
            "{records} agreements and flows",
            file=out,
            **counts,
        )
    )
    for name in found.without_password:
        click.echo(said("note: this home has no password of {name}; it needs a new one after a restore", name=name))
