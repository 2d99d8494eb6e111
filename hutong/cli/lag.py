"""``hutong lag``: what is published and not delivered yet, what is delivered and not taken yet, and for how long.

Neighbours: ``hutong.lag`` measures, on the bus itself; the monitor exports the same numbers again and again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hutong.cli import FINE, FOUND, _complete
from hutong.cli._json import json_option, print_json, print_json_line
from hutong.cli.plan import OPERATOR, console
from hutong.contracts.schema import pub_topic
from hutong.errors import ConfigurationError
from hutong.kafka.settings import Settings
from hutong.lag.look import ROUTER_GROUP
from hutong.lag.now import LagNow
from hutong.lag.pending import Waiting
from hutong.lag.snapshot import AgreementLag, Snapshot
from hutong.language import said, said_many

__all__ = ["command"]

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_NOT_TOLD = "-"  # what nobody can say is not 0


@click.command(short_help="Show what is not delivered yet, and what is not taken yet.")
@click.argument("agreements", nargs=-1, metavar="[AGREEMENT]...", shell_complete=_complete.agreements)
@click.option("--watch", is_flag=True, help="Again and again, until Ctrl-C; with --json one line for every look.")
@click.option(
    "--router-group",
    default=ROUTER_GROUP,
    envvar="HUTONG_ROUTER_GROUP",
    show_default=True,
    show_envvar=True,
    help="Consumer group of the routers.",
)
@json_option
@click.pass_context
def command(ctx: click.Context, agreements: tuple[str, ...], watch: bool, router_group: str, as_json: bool) -> None:
    """Show what is not delivered yet and what is not taken yet, and for how long.

    For each agreement: how many deliveries are not made, and how old the oldest of their events is; for each group of its
    recipient: how many deliveries it has not taken. Counted in events, not in offsets; a number with ~ is an estimate, and -
    cannot be measured now.

    Exit code 0: all is within what the contracts promise; 1: an agreement is not or cannot be measured, or retention has deleted
    events that were not read; 2: wrong use, or no bus.
    """
    with LagNow(Settings.resolve(OPERATOR), router_group=router_group) as look:
        if watch:
            _watch(look, agreements, as_json=as_json)
        found = look()
        chosen = _chosen(found, agreements)
        if as_json:
            print_json(_document(found, chosen))
        else:
            _print(console(), found, chosen)
        in_trouble = any(one.kept is False or _untold(one) for one in chosen)
        ctx.exit(FOUND if in_trouble or _losses(found, chosen) else FINE)


def _watch(look: LagNow, agreements: tuple[str, ...], *, as_json: bool) -> None:
    """Goes on until it is interrupted."""
    if as_json or not sys.stdout.isatty():
        while True:
            found = look()
            if as_json:
                print_json_line(_document(found, _chosen(found, agreements)))
            else:
                _print(console(), found, _chosen(found, agreements))
            time.sleep(1.0)
    screen = Console(highlight=False)
    with Live(console=screen, auto_refresh=False) as shown:
        while True:
            found = look()
            shown.update(_table(_chosen(found, agreements)), refresh=True)
            time.sleep(1.0)


def _chosen(found: Snapshot, names: tuple[str, ...]) -> list[AgreementLag]:
    """Those that were asked for, by default all; those in trouble first, then those that wait longest."""
    unknown = [name for name in names if name not in found.agreements]
    if unknown:
        raise ConfigurationError(f"the bus has no agreement {unknown[0]}; `hutong lag` lists them all")
    wanted = [found.agreements[name] for name in names] if names else list(found.agreements.values())
    return sorted(wanted, key=lambda one: (one.kept is not False, not _untold(one), -one.freshness_seconds, one.agreement))


def _untold(one: AgreementLag) -> bool:
    """Whether it is in force and cannot be measured now: it may be late, and nobody would know."""
    return one.in_force and not one.told


def _document(found: Snapshot, chosen: list[AgreementLag]) -> dict[str, Any]:
    return {
        "at_ms": found.at_ms,
        "agreements": [_entry(one) for one in chosen],
        "lost_to_retention": [
            {"group": group, "topic": topic, "offsets": count} for group, topic, count in _losses(found, chosen)
        ],
    }


def _losses(found: Snapshot, chosen: list[AgreementLag]) -> list[tuple[str, str, int]]:
    """(group, topic, offsets) of what retention took; where agreements were asked for, from their own groups and the routers."""
    published = {pub_topic(one.contract) for one in chosen}
    taken = {(group, one.topic) for one in chosen for group in one.taking}
    everything = len(chosen) == len(found.agreements)
    return [
        (name, topic, count)
        for name, group in sorted(found.groups.items())
        for topic, count in sorted(group.lost.items())
        if count and (everything or topic in published or (name, topic) in taken)
    ]


def _entry(one: AgreementLag) -> dict[str, Any]:
    def waiting(what: Waiting, *, told: bool) -> dict[str, Any]:
        count, age = (what.count, round(one.age(what), 3)) if told else (None, None)
        return {"count": count, "exact": what.exact, "oldest_seconds": age}

    return {
        "agreement": one.agreement,
        "contract": one.contract,
        "publisher": one.publisher,
        "recipient": one.recipient,
        "in_force": one.in_force,
        "objective_seconds": one.objective_seconds,
        "kept": one.kept,
        "not_delivered": waiting(one.delivery, told=one.told),
        "not_taken": {group: waiting(what, told=what.measured) for group, what in one.taking.items()},
    }


def _print(to: Console, found: Snapshot, chosen: list[AgreementLag]) -> None:
    if chosen:
        to.print(_table(chosen))
    broken = sum(one.kept is False for one in chosen)
    if broken:
        line = said_many(broken, "{number} agreement is beyond its objective", "{number} agreements are beyond their objectives")
        to.print(Text(line, style="red"))
    if untold := sum(_untold(one) for one in chosen):
        line = said_many(
            untold,
            "{number} agreement cannot be measured now; see `hutong doctor`",
            "{number} agreements cannot be measured now; see `hutong doctor`",
        )
        to.print(Text(line, style="red"))
    for group, topic, count in _losses(found, chosen):
        lost = said_many(
            count,
            "retention has deleted {number} offset of {topic} before {group} passed it",
            "retention has deleted {number} offsets of {topic} before {group} passed them",
            topic=topic,
            group=group,
        )
        to.print(Text(lost, style="red"))
    to.print(said_many(len(chosen), "{number} agreement", "{number} agreements"))


def _table(chosen: list[AgreementLag]) -> Table:
    heads = ("agreement", "recipient", "not delivered", "for", "objective", "group", "not taken", "for")
    table = Table(box=None, pad_edge=False)
    for number, head in enumerate(heads):
        table.add_column(said(head), justify="right" if number in (2, 3, 4, 6, 7) else "left")
    for one in chosen:
        style = "red" if one.kept is False or _untold(one) else "dim" if not one.in_force else ""
        groups = list(_groups(one)) or [("", "", "")]
        own = (
            Text(one.agreement, style="bold"),
            Text(one.recipient),
            Text(_number(one.delivery, told=one.told), style=style),
            Text(_span(one.freshness_seconds, told=one.told) if one.in_force else said("not in force"), style=style),
            Text("" if one.objective_seconds is None else _span(one.objective_seconds)),
        )
        table.add_row(*own, *groups[0])
        for group in groups[1:]:
            table.add_row("", "", "", "", "", *group)
    return table


def _groups(one: AgreementLag) -> Iterator[tuple[str, str, str]]:
    for group, waiting in one.taking.items():
        yield group, _number(waiting, told=waiting.measured), _span(one.age(waiting), told=waiting.measured)


def _number(waiting: Waiting, *, told: bool) -> str:
    return f"{'' if waiting.exact else '~'}{waiting.count:,}" if told else _NOT_TOLD


def _span(seconds: float, *, told: bool = True) -> str:
    """A length of time, in the unit that suits it."""
    if not told:
        return _NOT_TOLD
    if seconds < _MINUTE:
        return f"{seconds:.1f} s" if seconds else "0 s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.1f} min"
    return f"{seconds / _HOUR:.1f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.1f} d"
