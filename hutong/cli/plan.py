"""``hutong plan``: what ``hutong apply`` would change on the running bus, and which recipients and fields each change touches.

Neighbours: ``control`` computes and shows it; ``apply`` shares the way here.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click
from rich.console import Console

from hutong.catalogue.catalogue import Catalogue
from hutong.catalogue.load import read
from hutong.cli import FINE, FOUND
from hutong.cli._json import json_option, print_json
from hutong.cli.check import expired, schemas_option
from hutong.control.changes import Difference
from hutong.control.desired import Desired, Layout, desired
from hutong.control.diff import difference
from hutong.control.observe import observe
from hutong.control.observed import Observed
from hutong.control.render import show
from hutong.errors import ConfigurationError, DeclarationError
from hutong.home import Home
from hutong.kafka.admin import Admin
from hutong.kafka.registry_admin import RegistryAdmin
from hutong.kafka.settings import Settings
from hutong.language import said, translated

__all__ = ["Comparison", "command", "compare", "console", "partitions_option", "prune_option", "right_catalogue"]

OPERATOR = "operator"

partitions_option = click.option(
    "--partitions",
    type=click.IntRange(1, 200),
    envvar="HUTONG_PARTITIONS",
    show_envvar=True,
    help="Partitions of topics that are made new: how many readers can share one. By default two per broker.",
)
prune_option = click.option("--prune", is_flag=True, help="Also remove what has gone from the declarations.")


@click.command(short_help="Show what `apply` would change, and whom it touches.")
@schemas_option
@partitions_option
@prune_option
@json_option
@click.pass_context
def command(ctx: click.Context, schemas: Path, partitions: int | None, prune: bool, as_json: bool) -> None:
    """Show the difference between the declarations and the running bus, and which recipients and fields it touches.

    Exit code 0: nothing to do; 1: there are differences; 2: wrong use, wrong declarations, or no bus.
    """
    found = compare(right_catalogue(schemas), partitions).difference
    if as_json:
        print_json(found.to_document(prune=prune))
    else:
        show(found, console(), prune=prune)
    ctx.exit(FOUND if found.due(prune=prune) or found.refusals else FINE)


def console() -> Console:
    """A terminal as wide as it is; a file or a pipe gets whole lines."""
    return Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=400)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Declarations and bus side by side, with the ways to change the bus."""

    wanted: Desired
    found: Observed
    difference: Difference
    settings: Settings
    admin: Admin
    registry: RegistryAdmin
    home: Home


def compare(catalogue: Catalogue, partitions: int | None) -> Comparison:
    """Look at the bus and compare.

    Raises:
        HutongError: the bus cannot be found, reached or read.
    """
    settings, home = Settings.resolve(OPERATOR), Home.find()
    admin, registry = Admin(settings), RegistryAdmin.of(settings)
    if not isinstance(registry, RegistryAdmin):
        raise ConfigurationError("this registry client cannot administer")
    wanted = desired(catalogue, Layout(brokers=admin.brokers(), asked_partitions=partitions))
    found = observe(settings, admin, registry, home, wanted)
    return Comparison(
        wanted=wanted,
        found=found,
        difference=difference(wanted, found),
        settings=settings,
        admin=admin,
        registry=registry,
        home=home,
    )


def right_catalogue(schemas: Path) -> Catalogue:
    """The declarations, if they are right; expired agreements are told of, and stay as they are: they have stopped by themselves.

    Raises:
        DeclarationError: they are wrong; with the first ten errors.
        ConfigurationError: they are not there.
    """
    reading = read(schemas)
    if reading.errors:
        first = "\n".join(f"  {error}" for error in reading.errors[:10])
        raise DeclarationError(f"{len(reading.errors)} errors in {schemas}, see them all with `hutong check`:\n{first}")
    catalogue = reading.catalogue
    for stale in expired(catalogue, datetime.now(ZoneInfo(catalogue.timezone)).date()):
        click.echo(f"{click.style(said('warning'), fg='yellow')}: {translated(str(stale))}", err=True)
    return catalogue
