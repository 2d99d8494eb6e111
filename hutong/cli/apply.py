"""``hutong apply``: makes the running bus as declared. Running it again changes nothing and says so.

Neighbours: ``plan`` shows the same difference without touching anything; ``control`` does the work.
"""

from __future__ import annotations

import time
from pathlib import Path

import click

from hutong.cli import FINE, FOUND
from hutong.cli._json import json_option, print_json
from hutong.cli.check import schemas_option
from hutong.cli.plan import Comparison, compare, console, partitions_option, prune_option, right_catalogue
from hutong.control.apply import apply
from hutong.control.changes import Change
from hutong.control.render import show
from hutong.language import said, said_many, translated

__all__ = ["command"]


@click.command(short_help="Make the running bus as declared.")
@schemas_option
@partitions_option
@prune_option
@json_option
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
        print_json({**found.to_document(prune=prune), "seconds": round(seconds, 3)})
    elif found.refusals:
        show(found, console(), prune=prune)
        click.echo(said("nothing was applied"))
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
        tell=(lambda _: None) if as_json else (lambda line: click.echo(translated(line))),
    )


def _conclude(comparison: Comparison, done: tuple[Change, ...], stays: int, seconds: float) -> None:
    for note in comparison.difference.notes:
        click.echo(f"{said('note')}: {translated(note)}")
    wanted = comparison.wanted
    has = said(
        "{contracts} contracts, {agreements} agreements, {flows}, {departments} departments",
        contracts=len(wanted.contracts),
        agreements=len(wanted.grants),
        flows=said_many(len(wanted.flows), "{number} flow", "{number} flows"),
        departments=len(wanted.departments),
    )
    if done:
        changes = said_many(len(done), "{number} change", "{number} changes")
        text = said(
            "applied {changes} in {seconds} s: the bus is as declared ({has})", changes=changes, seconds=f"{seconds:.1f}", has=has
        )
    else:
        text = said("nothing to do: the bus is as declared ({has})", has=has)
    if stays:
        text += said("; ") + said_many(
            stays,
            "{number} thing will stay until --prune (see `hutong plan`)",
            "{number} things will stay until --prune (see `hutong plan`)",
        )
    click.echo(text)
