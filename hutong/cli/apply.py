"""``hutong apply``: makes the running bus as declared. Running it again changes nothing and says so.

Neighbours: ``plan`` shows the same difference without touching anything; ``control`` does the work.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from hutong.cli import FINE, FOUND
from hutong.cli.check import schemas_option
from hutong.cli.plan import Comparison, compare, console, partitions_option, prune_option, right_catalogue
from hutong.control.apply import apply
from hutong.control.changes import Change
from hutong.control.render import show
from hutong.control.words import counted

__all__ = ["command"]


@click.command(short_help="Make the running bus as declared.")
@schemas_option
@partitions_option
@prune_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def command(ctx: click.Context, schemas: Path, partitions: int | None, prune: bool, as_json: bool) -> None:
    """Make the running bus as declared: topics, schemas, principals, access rules, keys, agreements, flows.

    Harmless when it is so already. A step that fails leaves what was done; run it again. Exit code 0: the bus is as declared;
    1: the declarations ask for something that the bus must refuse, and nothing was done; 2: failure or wrong use.
    """
    began = time.monotonic()
    comparison = compare(right_catalogue(schemas), partitions)
    found = comparison.difference
    done = () if found.refusals else _carry_out(comparison, prune=prune, as_json=as_json)
    seconds = time.monotonic() - began
    if as_json:
        click.echo(json.dumps({**found.to_document(prune=prune), "seconds": round(seconds, 3)}, ensure_ascii=False, indent=2))
    elif found.refusals:
        show(found, console(), prune=prune)
        click.echo("nothing was applied")
    else:
        _conclude(comparison, done, len(found.stays(prune=prune)), seconds)
    ctx.exit(FOUND if found.refusals else FINE)


def _carry_out(comparison: Comparison, *, prune: bool, as_json: bool) -> tuple[Change, ...]:
    return apply(
        comparison.difference,
        comparison.wanted,
        comparison.found,
        settings=comparison.settings,
        admin=comparison.admin,
        registry=comparison.registry,
        home=comparison.home,
        prune=prune,
        tell=(lambda _: None) if as_json else click.echo,
    )


def _conclude(comparison: Comparison, done: tuple[Change, ...], stays: int, seconds: float) -> None:
    for note in comparison.difference.notes:
        click.echo(f"note: {note}")
    wanted = comparison.wanted
    flows = f"{counted(len(wanted.flows), 'flow')}, " if wanted.flows else ""
    has = f"{len(wanted.contracts)} contracts, {len(wanted.grants)} agreements, {flows}{len(wanted.principals)} departments"
    rest = f"; {counted(stays, 'thing')} will stay until --prune (see `hutong plan`)" if stays else ""
    if done:
        click.echo(f"applied {counted(len(done), 'change')} in {seconds:.1f} s: the bus is as declared ({has}){rest}")
    else:
        click.echo(f"nothing to do: the bus is as declared ({has}){rest}")
