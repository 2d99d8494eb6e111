"""``hutong flow``: flows in words, and tried on a scenario without a bus.

Neighbours: ``hutong check`` finds what is wrong with a flow; ``flows/scenario`` plays; ``hutong cases`` shows cases of a bus.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from hutong.catalogue import files
from hutong.catalogue.catalogue import Catalogue
from hutong.catalogue.load import load
from hutong.cli import FINE, FOUND
from hutong.cli._case import show_case
from hutong.cli.check import schemas_option
from hutong.cli.plan import console
from hutong.control.words import counted
from hutong.errors import ConfigurationError
from hutong.flows.flow import Ask, Duration, Event, Flow
from hutong.simulation.expectation import Judged
from hutong.simulation.scenario import Player, read_scenario
from hutong.simulation.simulation import Simulation

__all__ = ["command"]

FORMAT = 1
"""Version of the JSON that ``--json`` prints; it changes when a key goes away or changes its meaning."""


@click.group(short_help="Show flows in words; try one on a scenario, without a bus.")
def command() -> None:
    """Show the declared flows in words, and try one on a scenario, without a bus."""


@command.command("list")
@schemas_option
def list_(schemas: Path) -> None:
    """List the declared flows."""
    flows = load(schemas).flows.values()
    width = max((len(one.id) for one in flows), default=0)
    for flow in flows:
        click.echo(f"{flow.id:<{width}}  {_words(flow.title)}; asks {counted(len(flow.ask), 'question')}, {flow.owner}")
    click.echo(counted(len(flows), "flow"))


@command.command()
@click.argument("flow")
@schemas_option
def show(flow: str, schemas: Path) -> None:
    """Show a flow in words: what opens a case, whom it asks what by when, how answers are judged, how it ends."""
    out = console()
    for head, text in _told(_flow(load(schemas), flow)):
        out.print(Text.assemble((f"{head:<11} ", "bold"), text))


@command.command()
@click.argument("flow")
@click.option(
    "--scenario", type=click.Path(path_type=Path, dir_okay=False), required=True, help="What happens, and what must come of it."
)
@schemas_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def test(ctx: click.Context, flow: str, scenario: Path, schemas: Path, as_json: bool) -> None:
    """Play a scenario on the flow, in memory, and hold its expectations against what came of it.

    Exit code 0: all hold; 1: some do not; 2: wrong use, wrong declarations, or a scenario that cannot be played.
    """
    catalogue = load(schemas)
    declared = _flow(catalogue, flow)
    document = files.read(Path(), str(scenario))
    read = read_scenario(document, declared)
    simulation = Simulation.of(catalogue, read.start)
    judged = Player(read, document, declared, simulation).play()
    if as_json:
        click.echo(json.dumps(_document(declared, scenario, simulation, judged), ensure_ascii=False, indent=2))
    else:
        _print(console(), declared, scenario, simulation, judged)
    ctx.exit(FINE if all(one.holds for one in judged) else FOUND)


def _flow(catalogue: Catalogue, wanted: str) -> Flow:
    if wanted not in catalogue.flows:
        raise ConfigurationError(f"there is no flow {wanted}; there are: {', '.join(catalogue.flows) or 'none'}")
    return catalogue.flows[wanted]


def _document(flow: Flow, scenario: Path, simulation: Simulation, judged: Sequence[Judged]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "flow": flow.id,
        "scenario": str(scenario),
        "expectations": [
            {"line": one.line, "expected": one.expected, "holds": one.holds, "found": one.found or None} for one in judged
        ],
        "not_reached": [number for number, reached in simulation.reached.items() if not reached],
        "quarantined": [
            {"topic": one.record.topic(), "reason": one.reason, "problem": one.problem} for one in simulation.quarantined
        ],
        "cases": [case for case in simulation.cases.values() if case["flow"] == flow.id],
    }


def _print(out: Console, flow: Flow, scenario: Path, simulation: Simulation, judged: Sequence[Judged]) -> None:
    for case in simulation.cases.values():
        if case["flow"] == flow.id:
            show_case(out, case, simulation.zone, _words(flow.title))
    for number, reached in simulation.reached.items():
        if not reached:
            out.print(Text.assemble(("not reached  ", "red"), f"{number}: no agreement brings this question to its agency"))
    for event in simulation.quarantined:
        out.print(Text.assemble(("quarantine  ", "red"), f"{event.record.topic()}: {event.reason}: {event.problem}"))
    for one in judged:
        what = ("ok", "green") if one.holds else ("failed", "red")
        found = "" if one.holds else f"; found: {one.found}"
        out.print(Text.assemble(f"{scenario}:{one.line}: ", what, f": {one.expected}{found}"))
    failed = sum(not one.holds for one in judged)
    out.print(f"{counted(len(judged), 'expectation')}, {f'{failed} failed' if failed else 'all hold'}", markup=False)


def _told(flow: Flow) -> Iterator[tuple[str, str]]:
    """The flow, line by line: what it is about, and what there is to say."""
    yield flow.id, _words(flow.title)
    yield (
        "owner",
        f"{flow.owner}; cases are numbered {flow.prefix}-" + ("..., which hides the key" if flow.personal_key else "<key>"),
    )
    yield "legal basis", flow.legal_basis
    yield "purpose", flow.purpose
    for event in flow.events:
        yield event.does, _event(event)
    if people := flow.people:
        waits = "asks nothing before each has authorised it" if people.authorisation else "needs no authorisation"
        yield "people", f"{people.each}; {waits}"
    for ask in flow.ask:
        yield from _ask(ask)
    for name in flow.figures:
        yield "figure", name
    for rule in flow.rules:
        yield "rule", f"{rule.id}: {_words(rule.says)}"
        yield "", f"when {rule.when}; needs {', '.join(rule.needs)}"
    yield "deadline", f"{_span(flow.deadline)}, then it ends with what there is"
    parts = [("question", flow.question), ("progress", flow.progress), ("report", flow.outcome)]
    for name, emission in parts:
        if emission:
            yield "publishes", f"{emission.contract} ({name})"


def _event(event: Event) -> str:
    text = f"{event.contract}, by {' and '.join(event.case)}"
    text += f", where {event.when}" if event.when else ""
    return text + (f", given {event.given}" if event.given else "")


def _ask(ask: Ask) -> Iterator[tuple[str, str]]:
    agency = (
        ask.agency if isinstance(ask.agency, str) else f"whom {ask.agency.path or ask.agency.cel or ask.agency.constant} names"
    )
    text = f"{ask.id}: {agency}, within {_span(ask.within)}"
    text += f", for each of {ask.each}" if ask.each else ""
    text += f", after {ask.after}" if ask.after else ""
    text += f", where {ask.when}" if ask.when else ""
    text += "" if ask.required else ", optional"
    yield "undo" if ask.stage == "undo" else "ask", text
    yield "", _words(ask.question)
    if ask.remind:
        yield "", f"reminds after {', '.join(map(_span, ask.remind))}"
    if ask.escalate:
        yield "", f"tells {ask.escalate.to} after {_span(ask.escalate.after)}"
    yield "", f"answered by {', '.join(one.contract for one in ask.answer)}"


def _span(duration: Duration) -> str:
    ((unit, number),) = duration.model_dump(exclude_unset=True).items()
    return counted(number, unit.removesuffix("s").replace("_", " "))


def _words(texts: dict[str, str]) -> str:
    """English where there is any, and the others behind it."""
    ordered = sorted(texts, key=lambda language: (language != "en", language))
    return " / ".join(texts[language] for language in ordered)
