"""``hutong quarantine``: what lies there, why, what to do about it, and doing it: events that can go through now are delivered.

No value of an event is printed unless it is asked for, which is recorded. Neighbours: ``hutong.recovery`` does the work,
``_quarantine`` prints; ``hutong replay`` delivers a period again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from hutong.cli import FINE, FOUND, _complete
from hutong.cli._author import author_of, author_options
from hutong.cli._json import json_option, print_json
from hutong.cli._moment import MOMENT, counting
from hutong.cli._quarantine import (
    Listed,
    explained_json,
    show_explained,
    show_list,
    show_record,
    show_survey,
    shown,
    survey_json,
)
from hutong.cli.plan import OPERATOR, console
from hutong.errors import ConfigurationError
from hutong.event import rfc3339
from hutong.home import Home
from hutong.kafka.settings import Settings
from hutong.language import said, said_many
from hutong.recovery.bus import Bus
from hutong.recovery.judge import Outcome
from hutong.recovery.ledger import access
from hutong.recovery.quarantine import replay_quarantine, settle_quarantine
from hutong.recovery.record import QuarantineRecord
from hutong.recovery.remedies import REMEDIES
from hutong.recovery.selection import Selection
from hutong.recovery.survey import Survey, judged, selected, survey

__all__ = ["command", "group_option", "open_bus"]

Command = TypeVar("Command", bound=Callable[..., Any])


group_option = click.option(
    "--group",
    envvar="HUTONG_ROUTER_GROUP",
    default="hutong.router",
    show_default=True,
    show_envvar=True,
    help="The routers' consumer group: where it stands says what was routed.",
)


def open_bus() -> Bus:
    """The bus, as its operator."""
    return Bus(Settings.resolve(OPERATOR), Home.find())


def _selecting(command: Command) -> Command:
    """The options that say which records are meant."""
    reasons = click.Choice(sorted(REMEDIES))
    for option in (
        click.option("--event", metavar="EVENT", help="Only this event: its id, or its place topic/partition/offset."),
        click.option("--until", type=MOMENT, help="Only what came into quarantine before this moment."),
        click.option("--since", type=MOMENT, help="Only what came into quarantine since: 2026-05-04T10:00, or 90m, 2h, 3d ago."),
        click.option(
            "--agreement",
            "agreements",
            multiple=True,
            shell_complete=_complete.agreements,
            help="Only what was quarantined for this agreement alone.",
        ),
        click.option("--reason", "reasons", multiple=True, type=reasons, help="Only for this reason.", metavar="REASON"),
        click.option(
            "--contract", "contracts", multiple=True, shell_complete=_complete.contracts, help="Only events of this contract."
        ),
    ):
        command = option(command)
    return command


def _selection(options: dict[str, Any]) -> Selection:
    return Selection(
        contracts=frozenset(options["contracts"]),
        reasons=frozenset(options["reasons"]),
        agreements=frozenset(options["agreements"]),
        since_ms=options["since"],
        until_ms=options["until"],
        event=options["event"],
    )


@click.group(short_help="Show what lies in quarantine, why, and deliver what can be delivered.")
def command() -> None:
    """Show what lies in quarantine, why, what to do about it, and deliver what can go through now."""


@command.command("list")
@_selecting
@json_option
@click.pass_context
def list_(ctx: click.Context, /, as_json: bool, **options: Any) -> None:
    """Count the records in quarantine by contract and reason.

    Exit code 0: nothing is left to be dealt with; 1: something is; 2: wrong use, or no bus.
    """
    with open_bus() as bus, counting(said("records"), quiet=as_json) as looked_at:
        listed = Listed(bus.ledger())
        for record in selected(bus, _selection(options), looked_at):
            listed.add(record)
    if as_json:
        print_json({"quarantine": listed.rows()})
    else:
        show_list(console(), listed)
    ctx.exit(FOUND if listed.left.total() else FINE)


@command.command()
@click.argument("event")
@click.option("--reveal", is_flag=True, help="Show the event's values too; who did is recorded.")
@author_options
@json_option
def show(event: str, reveal: bool, who: str | None, why: str, as_json: bool) -> None:
    """Show an event in quarantine by its id, or by its place topic/partition/offset. Its values are masked.

    Exit code 0; 2: there is no such event in quarantine, wrong use, or no bus.
    """
    with open_bus() as bus:
        documents = []
        for record in _records_of(bus, event):
            if reveal:
                bus.note(access(author_of(who, why), record.place, rfc3339(datetime.now(UTC))))  # before anybody sees them
            original = bus.original(record)
            schema = bus.schema_of(original) if original else None
            documents.append(shown(record, original, schema, reveal=reveal))
    if as_json:
        print_json({"records": documents})
        return
    for document in documents:
        show_record(console(), document)


@command.command()
@click.argument("event")
@json_option
@click.pass_context
def explain(ctx: click.Context, event: str, as_json: bool) -> None:
    """Say why an event is in quarantine, what to do, and whether it would go through now. No personal data.

    Exit code 0: nothing is left to be done; 1: something is; 2: there is no such event in quarantine, wrong use, or no bus.
    """
    with open_bus() as bus:
        ledger = bus.ledger()
        documents = []
        for record in _records_of(bus, event):
            now = judged(bus, record, ledger, lambda *key: key in ledger.done)
            documents.append(explained_json(record, now, ledger))
    if as_json:
        print_json({"records": documents})
    else:
        for document in documents:
            show_explained(console(), document)
    ctx.exit(FINE if all(document["settled"] for document in documents) else FOUND)


@command.command()
@_selecting
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--again", is_flag=True, help="Also what has failed too often, or has nothing left to do.")
@click.option("--rate", type=click.FloatRange(0.1), metavar="N", help="At most so many deliveries a second.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@author_options
@json_option
@click.pass_context
def replay(
    ctx: click.Context,
    /,
    dry_run: bool,
    again: bool,
    rate: float | None,
    yes: bool,
    who: str | None,
    why: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Deliver what lies in quarantine and can go through now, as it was published, under the agreements of now.

    Each delivery is made once, however often it is replayed. What fails again stays in quarantine, and is counted. Exit code 0;
    1: something failed again; 2: wrong use, no bus, or another replay has taken over.
    """
    selection, replay_id = _selection(options), None
    with open_bus() as bus:
        if dry_run or not yes:
            with counting(said("looked at"), quiet=as_json) as looked_at:
                found = survey(bus, selection, bus.ledger(), again=again, advance=looked_at)
        if not dry_run and (yes or _agreed(found, as_json=as_json)):
            with counting(said("records"), quiet=as_json) as advance:
                author = author_of(who, why)
                replay_id, found = replay_quarantine(bus, selection, author, rate=rate, again=again, advance=advance)
    if as_json:
        print_json({"replay": replay_id, "dry_run": dry_run, **survey_json(found)})
    else:
        show_survey(console(), found)
        click.echo(_conclusion(found, replay_id))
    ctx.exit(FOUND if found.total(Outcome.FAILED) or found.total(Outcome.GIVEN_UP) else FINE)


@command.command()
@_selecting
@click.option("--yes", is_flag=True, help="Do not ask.")
@author_options
@json_option
def settle(yes: bool, who: str | None, why: str, as_json: bool, **options: Any) -> None:
    """Note that nothing is left to do about records, where the publisher has published their events anew, say.

    Nothing is delivered or deleted; they are not counted as left any more. Say which, and why, with --why. Exit code 0; 2: wrong
    use, or no bus.
    """
    selection = _selection(options)
    if not selection.to_json() or not why:
        raise click.UsageError("say which records are settled, and why, with --why")
    with open_bus() as bus:
        ledger = bus.ledger()
        left = sum(not ledger.is_settled(record) for record in selected(bus, selection))
        if left and not yes:
            click.confirm(said_many(left, "Settle {number} record?", "Settle {number} records?"), err=True, abort=True)
        number = settle_quarantine(bus, selection, author_of(who, why)) if left else 0
    if as_json:
        print_json({"settled": number})
    else:
        click.echo(said_many(number, "{number} record is settled", "{number} records are settled"))


def _agreed(found: Survey, *, as_json: bool) -> bool:
    """Whether whoever sees what would be done wants it done."""
    count = found.total(Outcome.DELIVERED)
    if not count:  # nothing goes to anybody, and what became of each record is noted
        return bool(found.records)
    if not as_json:
        show_survey(console(), found)
    return click.confirm(said_many(count, "Make {number} delivery?", "Make {number} deliveries?"), err=True, abort=True)


def _conclusion(found: Survey, replay_id: str | None) -> str:
    number = found.total(Outcome.DELIVERED)
    if replay_id is None:
        return said_many(number, "{number} delivery would be made", "{number} deliveries would be made")
    return said_many(
        number, "{number} delivery made, replay {replay}", "{number} deliveries made, replay {replay}", replay=replay_id
    )


def _records_of(bus: Bus, event: str) -> list[QuarantineRecord]:
    found = list(selected(bus, Selection(event=event)))
    if not found:
        raise ConfigurationError("no such event is in quarantine; `hutong quarantine list` counts what is there")
    return found
