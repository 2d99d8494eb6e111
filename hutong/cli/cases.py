"""``hutong cases``: the cases of the bus's flows, as they are now, or as they go on.

It reads the table's changelog, so it needs neither the coordinator nor what the coordinator is made with. Personal data stays out
of lists, and of everything that goes on by itself. Neighbours: ``services/coordinator`` writes the table; ``_case`` prints.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hutong.cli import FINE, FOUND, _complete
from hutong.cli._case import entry_line, is_late, masked, moment, show_case
from hutong.cli._json import json_option, print_json, print_json_line
from hutong.cli.plan import OPERATOR, console
from hutong.errors import ConfigurationError
from hutong.flows.case import Case, Entry, restored
from hutong.kafka.changelog import changes
from hutong.kafka.compacted import read_all
from hutong.kafka.settings import Settings
from hutong.kafka.topics import CASES_STATE, FLOWS_TOPIC
from hutong.language import said, said_many

__all__ = ["command"]

_NO_FLOW = f"no flow is applied: the bus has no topic {CASES_STATE}; declare one in schemas/flows and run `hutong apply`"


@click.group(short_help="Show the cases of flows: who has answered, who has not.")
def command() -> None:
    """Show the cases of flows: what happened when, who has answered, who has not."""


@command.command("list")
@click.option("--flow", help="Only this flow's.", shell_complete=_complete.flows)
@click.option("--status", type=click.Choice(["expected", "waiting", "open", "review", "closed"]), help="Only these.")
@click.option("--late", is_flag=True, help="Only those with an overdue answer.")
@json_option
@click.pass_context
def list_(ctx: click.Context, flow: str | None, status: str | None, late: bool, as_json: bool) -> None:
    """List cases, the one that ends next first; no personal data.

    Exit code 0; with --late 1 if there is one; 2: wrong use, or no bus.
    """
    now_ms = time.time_ns() // 1_000_000
    rows: dict[str, dict[str, Any]] = {}
    settings = Settings.resolve(OPERATOR)
    for case in _cases(settings):
        row = _row(case, now_ms)
        wanted = flow in (None, row["flow"]) and status in (None, row["status"]) and (row["late"] or not late)
        if wanted:
            rows[row["number"]] = row
        else:
            rows.pop(row["number"], None)
    found = sorted(rows.values(), key=lambda row: (row["status"] == "closed", row["due_ms"], row["number"]))
    if as_json:
        print_json({"cases": found})
    else:
        _print_rows(found, _zones(settings))
    ctx.exit(FOUND if late and found else FINE)


@command.command()
@click.argument("number")
@click.option("--reveal", is_flag=True, help="Show personal data too.")
@json_option
def show(number: str, reveal: bool, as_json: bool) -> None:
    """Show a case by its number or its key; what it knows of persons is masked.

    Exit code 0; 2: there is no such case, wrong use, or no bus.
    """
    settings = Settings.resolve(OPERATOR)
    found: dict[str, Case] = {}
    for case in _cases(settings, number):
        if number in (case["number"], case["key"]):
            found[case["number"]] = case
    if not found:
        raise ConfigurationError(f"no case has the number or key {number}; `hutong cases list` has them all")
    shown: list[dict[str, Any]] = [{**case} if reveal else masked(case) for _, case in sorted(found.items())]
    if as_json:
        print_json({"cases": shown})
        return
    zones = _zones(settings)
    for one in shown:
        show_case(console(), one, zones.get(one["flow"], ZoneInfo("UTC")))


@command.command()
@click.argument("number", required=False)
@json_option
def watch(number: str | None, as_json: bool) -> None:
    """Print what happens to cases as it happens; of one case from its beginning, until it is closed. No personal data.

    Exit code 0: the case is closed; 2: wrong use, or no bus; 130: interrupted.
    """
    settings = Settings.resolve(OPERATOR)
    printed: dict[str, int] = {}
    zones: dict[str, ZoneInfo] | None = None
    tell = _as_json if as_json else _as_lines(console(), named=number is None)
    past, closed = True, False
    for case in _cases(settings, number, follow=True):
        zones = _zones(settings) if zones is None else zones  # asked late: without the first topic there is no second
        if case is None:
            past = False
        elif number in (None, case["number"], case["key"]):
            closed = case["status"] == "closed"
            new = case["entries"] - printed.get(case["number"], 0)
            printed[case["number"]] = case["entries"]
            for entry in case["timeline"][-new:] if new > 0 and (number or not past) else ():
                tell(case, entry, zones.get(case["flow"], ZoneInfo("UTC")))
        if number and closed and not past:
            return


def _as_json(case: Case, entry: Entry, _: ZoneInfo) -> None:
    print_json_line({"number": case["number"], "flow": case["flow"], "status": case["status"], "entry": entry})


def _as_lines(out: Console, *, named: bool) -> Callable[[Case, Entry, ZoneInfo], None]:
    def tell(case: Case, entry: Entry, zone: ZoneInfo) -> None:
        who = Text(f"{case['number']}  ", style="bold") if named else Text()
        out.print(who + entry_line(entry, zone))

    return tell


def _cases(settings: Settings, needle: str | None = None, *, follow: bool = False) -> Iterator[Any]:
    """Every state of every case, in order per case; None is where the past ends. Others than ``needle``'s are not decoded."""
    wanted = json.dumps(needle)[1:-1].encode() if needle is not None else b""
    for value in changes(settings, CASES_STATE, missing=_NO_FLOW, follow=follow):
        if value is None:
            yield None
        elif wanted in value or (needle is not None and needle.encode() in value):
            yield restored(json.loads(value))


def _zones(settings: Settings) -> dict[str, ZoneInfo]:
    """The time zone of each applied flow's deadlines."""
    return {id_: ZoneInfo(json.loads(value)["timezone"]) for id_, value in read_all(settings, FLOWS_TOPIC).items()}


def _row(case: Case, now_ms: int) -> dict[str, Any]:
    questions = case["questions"].values()
    return {
        **{name: case[name] for name in ("number", "flow", "status", "opened_ms", "due_ms", "closed_ms")},
        "result": case["report"]["result"] if case["report"] else None,
        "asked": len(questions),
        "answered": sum(one["status"] == "answered" for one in questions),
        "late": sorted({one["agency"] for one in questions if is_late(one, now_ms)}) if case["status"] != "closed" else [],
    }


def _print_rows(rows: list[dict[str, Any]], zones: dict[str, ZoneInfo]) -> None:
    heads = (said("case"), said("flow"), said("status"), said("opened"), said("due"), said("closed"), said("answers"))
    table = Table(*heads, said("overdue"), box=None, pad_edge=False)
    for row in rows:
        zone = zones.get(row["flow"], ZoneInfo("UTC"))
        table.add_row(
            Text(row["number"], style="bold"),
            Text(row["flow"]),
            Text(f"{said(row['status'])} {row['result'] or ''}".strip(), style="dim" if row["status"] == "closed" else "yellow"),
            *(moment(row[name], zone) for name in ("opened_ms", "due_ms", "closed_ms")),
            said("{answered} of {asked}", answered=row["answered"], asked=row["asked"]),
            Text(", ".join(row["late"]), style="red"),
        )
    if rows:
        console().print(table)
    click.echo(said_many(len(rows), "{number} case", "{number} cases"))
