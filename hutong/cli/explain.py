"""``hutong explain``: one event, through which agreements it went or did not go, and why. No personal data.

Neighbours: ``hutong.recovery.trace`` finds out; ``hutong quarantine explain`` tells of a record in quarantine.
"""

from __future__ import annotations

from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hutong.cli import FINE, FOUND, _complete
from hutong.cli._json import json_option, print_json
from hutong.cli._moment import MOMENT, counting
from hutong.cli.plan import console
from hutong.cli.quarantine import group_option, open_bus
from hutong.event import harmless_id
from hutong.language import said, translated
from hutong.recovery.record import told_id
from hutong.recovery.trace import Trace, trace
from hutong.recovery.verdict import TROUBLE, Answer, Verdict, when

__all__ = ["command"]

_STYLES = {
    Verdict.DELIVERED: "green",
    Verdict.PENDING: "yellow",
    **dict.fromkeys(TROUBLE, "red"),
}
_WORDS = {verdict: verdict.value.replace("_", " ") for verdict in Verdict}


@click.command(short_help="Trace an event: where it went, where not, and why.")
@click.argument("event_id")
@click.option("--contract", shell_complete=_complete.contracts, help="Of this contract; by default all are looked through.")
@click.option("--since", type=MOMENT, help="Published since then; by default what the id says.")
@click.option("--everywhere", is_flag=True, help="Look on every recipient's topic, also for agreements that are gone.")
@group_option
@json_option
@click.pass_context
def command(
    ctx: click.Context, event_id: str, contract: str | None, since: int | None, everywhere: bool, group: str, as_json: bool
) -> None:
    """Trace an event by its id: where it was published, and through which agreements it went or did not go, and why.

    Exit code 0; 1: it is in quarantine, or an agreement could not take it; 2: there is no such event, wrong use, or no bus.
    """
    with open_bus() as bus, counting(said("looked at"), quiet=as_json) as advance:
        found = trace(bus, event_id, group=group, contract=contract, since_ms=since, everywhere=everywhere, advance=advance)
    if as_json:
        print_json(_document(found))
    else:
        _show(console(), found)
    ctx.exit(FOUND if any(one.verdict in TROUBLE for one in found.answers) or _is_left(found) else FINE)


def _is_left(found: Trace) -> bool:
    return any(not found.ledger.is_settled(one) for one in found.quarantined)


def _document(found: Trace) -> dict[str, Any]:
    return {
        "event": harmless_id(found.event_id),
        "contract": found.contract,
        "place": str(found.place),
        "copies": [str(one) for one in found.copies],
        "published_ms": found.published_ms,
        "is_kept": found.is_kept,
        "quarantine": [
            {
                "reason": one.reason,
                "problem": one.problem,
                "agreement": one.agreement,
                "place": str(one.place),
                "settled": found.ledger.is_settled(one),
            }
            for one in found.quarantined
        ],
        "agreements": [_answer(found, one) for one in found.answers],
    }


def _answer(found: Trace, one: Answer) -> dict[str, Any]:
    return {
        "agreement": one.agreement,
        "recipient": one.recipient,
        "verdict": one.verdict.value,
        "why": one.why,
        "deliveries": [
            {"place": str(made.place), "at_ms": made.at_ms, "replay": made.replay, "by": _by(found, made.replay)}
            for made in one.deliveries
        ],
    }


def _by(found: Trace, replay: str | None) -> str | None:
    """Who made a delivery by a replay."""
    who = found.ledger.runs.get(replay or "", {}).get("who")
    return None if who is None else str(who)


def _show(out: Console, found: Trace) -> None:
    out.print(Text.assemble((told_id(found.event_id), "bold"), f"  {found.contract}"))
    kept = "" if found.is_kept else f"  ({said('no longer kept there')})"
    out.print(Text(f"{said('published')} {when(found.published_ms)}  {found.place}{kept}"))
    for place in found.copies:
        out.print(Text(f"{said('published again')} {place}"))
    for record in found.quarantined:
        state = said("replayed") if found.ledger.is_settled(record) else said("in quarantine")
        whom = f" ({record.agreement})" if record.agreement else ""
        out.print(Text(f"{state}{whom}: {record.reason}: {translated(record.problem)}", style="yellow"))
    table = Table(said("agreement"), said("recipient"), said("verdict"), said("why"), box=None, pad_edge=False)
    for one in found.answers:
        verdict = Text(said(_WORDS[one.verdict]), style=_STYLES.get(one.verdict, "dim"))
        table.add_row(one.agreement, one.recipient, verdict, Text(translated(one.why)))
        for made in one.deliveries:
            if made.replay:
                who = _by(found, made.replay)
                by = f" {said('by')} {who}" if who else ""
                table.add_row("", "", Text(said("replay")), Text(f"{made.place}  {when(made.at_ms)}  {made.replay}{by}"))
    if found.answers:
        out.print(table)
    else:
        out.print(said("no agreement is on this contract"))
