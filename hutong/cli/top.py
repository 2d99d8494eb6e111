"""``hutong top``: who sends what to whom, how fast and how fresh, and what runs: now, and again and again.

Neighbours: ``overview`` looks, ``_top`` shows. The monitor measures what is pending; where none runs, ``overview.lag`` does.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime

import click
from rich.console import Console
from rich.live import Live

from hutong.cli import FINE, FOUND
from hutong.cli._json import json_option, print_json, print_json_line
from hutong.cli._keys import pressed_keys
from hutong.cli._top import picture
from hutong.cli.plan import OPERATOR, console
from hutong.home import Home
from hutong.overview.lag import Measure
from hutong.overview.picture import Picture, Watcher

__all__ = ["command"]

_ENDS = ("q", "Q", "\x03", "\x04")


@click.command(short_help="Watch agreements, freshness, quarantine and services, live.")
@click.option("--once", is_flag=True, help="Look once, and end; as where the output is no terminal.")
@click.option("--interval", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True, help="Seconds between two looks.")
@click.option(
    "--metrics",
    multiple=True,
    metavar="URL",
    envvar="HUTONG_METRICS_URLS",
    show_envvar=True,
    help="Address of a service that runs elsewhere; repeatable, in the variable separated by blanks.",
)
@json_option
@click.pass_context
def command(ctx: click.Context, once: bool, interval: float, metrics: tuple[str, ...], as_json: bool) -> None:
    """Watch who sends what to whom, how fast and how fresh, what goes into quarantine, and which services run. q ends it.

    Colours: green keeps the contract's objective, yellow has used half of it, red is beyond it. With --json a line for every
    look.

    Exit code with --once: 0: all is well; 1: an agreement is beyond its objective or cannot be measured, a service does not do
    its work, or the bus cannot be asked; 2: wrong use.
    """
    with closing(Measure(OPERATOR)) as measure:
        watcher = Watcher(Home.find(), metrics, measure)
        if once or not (as_json or sys.stdout.isatty()):
            ctx.exit(_once(watcher, interval, as_json=as_json))
        if as_json:
            while True:
                print_json_line(watcher.look().to_document())
                time.sleep(interval)
        _watch(watcher.look, interval)


def _once(watcher: Watcher, interval: float, *, as_json: bool) -> int:
    watcher.look()
    time.sleep(interval)  # a rate needs two looks
    found = watcher.look()
    if as_json:
        print_json(found.to_document())
    else:
        console().print(picture(found, height=None, now=_now(), live=False))
    return FINE if found.well else FOUND


def _watch(look: Callable[[], Picture], interval: float) -> None:
    screen = Console(highlight=False)
    with pressed_keys() as pressed, Live(console=screen, screen=True, auto_refresh=False) as shown:
        while True:
            shown.update(picture(look(), height=screen.height, now=_now(), live=True), refresh=True)
            if pressed(interval) in _ENDS:
                return


def _now() -> datetime:
    return datetime.now().astimezone()
