"""``hutong replay``: a period delivered again to one recipient, under its agreement as it is today, marked as a replay.

Neighbours: ``hutong.recovery.period`` does the work; ``hutong quarantine replay`` delivers what never was.
"""

from __future__ import annotations

import time
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from hutong.cli import FINE, FOUND, _complete
from hutong.cli._author import author_of, author_options
from hutong.cli._json import json_option, print_json
from hutong.cli._moment import MOMENT, counting
from hutong.cli.plan import console
from hutong.cli.quarantine import group_option, open_bus
from hutong.errors import ConfigurationError
from hutong.language import said, said_many
from hutong.recovery.bus import Bus
from hutong.recovery.ledger import Author
from hutong.recovery.period import Period, PeriodCounts, before, count_period, most_events, replay_period
from hutong.recovery.verdict import when

__all__ = ["command"]


@click.command(short_help="Deliver a period again to one recipient.")
@click.argument("agreement", shell_complete=_complete.agreements)
@click.option("--since", type=MOMENT, help="Published since: 2026-05-04T10:00, or 90m, 2h, 3d ago; by the broker's clock.")
@click.option("--until", type=MOMENT, help="Published before this moment; by default now.")
@click.option("--dry-run", is_flag=True, help="Only count, exactly, what would be delivered.")
@click.option("--rate", type=click.FloatRange(0.1), metavar="N", help="At most so many deliveries a second.")
@click.option("--resume", metavar="REPLAY", help="Go on with this replay, which did not come to its end.")
@click.option(
    "--anew", is_flag=True, help="Begin another, whatever was replayed before; what did not come to its end is given up."
)
@group_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@author_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    agreement: str,
    since: int | None,
    until: int | None,
    dry_run: bool,
    rate: float | None,
    resume: str | None,
    anew: bool,
    group: str,
    yes: bool,
    who: str | None,
    why: str,
    as_json: bool,
) -> None:
    """Deliver again to one recipient what was published in a period, under its agreement as it is today.

    The deliveries carry the replay's id, and a Subscription hands them out once more. A replay that was interrupted goes on where
    it was with --resume, or when the same command is given again with the same moments; one like 2h is another by then. Exit code
    0; 1: the agreement could not take some events; 2: wrong use, no bus, no such agreement in force, or another replay has taken
    over.
    """
    if resume and (anew or since is not None or until is not None):
        raise click.UsageError("--resume goes without --since, --until and --anew: the replay has its period")
    if since is None and not resume:
        raise click.UsageError("say since when, with --since")
    with open_bus() as bus:
        period = _period(bus, agreement, since, until, resume)
        if dry_run:
            with counting(said("counted"), most_events(bus, period, group), quiet=as_json) as advance:
                replay_id, counts = None, count_period(bus, period, group, advance)
        else:
            known = None if resume or anew else before(bus.ledger(), period, until_now=until is None)
            author, resume = author_of(who, why), known[0] if known else resume
            replay_id, counts = _deliver(bus, period, author, group, rate, resume, known, ask=not yes, quiet=as_json)
    _print(period, replay_id, counts, as_json=as_json)
    ctx.exit(FOUND if counts.failed else FINE)


def _period(bus: Bus, agreement: str, since: int | None, until: int | None, resume: str | None) -> Period:
    if resume:
        facts = bus.ledger().runs.get(resume, {})
        if facts.get("agreement") != agreement:
            raise ConfigurationError(f"no replay of {agreement} has the id {resume}; begin one without --resume")
        since, until = facts["since_ms"], facts["until_ms"]
    end = time.time_ns() // 1_000_000 if until is None else until
    if since is None or since >= end:
        raise click.UsageError("--since is not before --until")
    return Period(agreement=agreement, since_ms=since, until_ms=end)


def _deliver(
    bus: Bus,
    period: Period,
    author: Author,
    group: str,
    rate: float | None,
    resume: str | None,
    known: tuple[str, bool] | None,
    *,
    ask: bool,
    quiet: bool,
) -> tuple[str, PeriodCounts]:
    """Do it, if whoever is asked wants it; what the same command has done before is not done again."""
    if known is not None:
        _tell(*known)
        if known[1]:
            return known[0], PeriodCounts.read(bus.ledger().runs[known[0]]["counts"])
    if ask:
        _ask(bus, period, group)
    with counting(said("dealt with"), most_events(bus, period, group), quiet=quiet) as advance:
        return replay_period(bus, period, author, group=group, rate=rate, resume=resume, advance=advance)


def _tell(replay: str, is_done: bool) -> None:
    """What is known of the same period."""
    if is_done:
        click.echo(said("replay {replay} has delivered this period; --anew delivers it once more", replay=replay), err=True)
    else:
        click.echo(said("replay {replay} of this period did not come to its end; going on with it", replay=replay), err=True)


def _ask(bus: Bus, period: Period, group: str) -> None:
    number = most_events(bus, period, group)
    words = said_many(
        number,
        "Deliver again to {agreement} what was published from {since} to {until}, at most {number} event?",
        "Deliver again to {agreement} what was published from {since} to {until}, at most {number} events?",
        agreement=period.agreement,
        since=when(period.since_ms),
        until=when(period.until_ms),
    )
    click.confirm(words, err=True, abort=True)


def _print(period: Period, replay_id: str | None, counts: PeriodCounts, *, as_json: bool) -> None:
    if as_json:
        facts: dict[str, Any] = {"agreement": period.agreement, "since_ms": period.since_ms, "until_ms": period.until_ms}
        print_json({"replay": replay_id, "dry_run": replay_id is None, **facts, **counts.to_json()})
        return
    table = Table(said("published"), said("delivered"), said("filtered"), said("failed"), box=None, pad_edge=False)
    numbers = (counts.published, counts.delivered, counts.filtered, counts.failed.total())
    table.add_row(*map(str, numbers))
    console().print(table)
    for reason, count in sorted(counts.failed.items()):
        console().print(Text(f"{reason}: {count}", style="red"))
    if counts.left:
        click.echo(
            said_many(counts.left, "{number} event is left to the router", "at most {number} events are left to the router")
        )
    if replay_id is None:
        number = counts.delivered
        click.echo(said_many(number, "{number} delivery would be made", "{number} deliveries would be made"))
    else:
        click.echo(said("replay {replay} has come to its end", replay=replay_id))
