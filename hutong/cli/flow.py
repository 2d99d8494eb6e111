"""``hutong flow``: flows in words, and tried on a scenario without a bus.

Neighbours: ``hutong check`` finds what is wrong with a flow; ``flows/scenario`` plays; ``hutong cases`` shows cases of a bus.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from hutong.catalogue import files
from hutong.catalogue.catalogue import Catalogue
from hutong.catalogue.load import load
from hutong.cli import FINE, FOUND, _complete
from hutong.cli._case import show_case
from hutong.cli._flow import flow_lines, words
from hutong.cli._help import cells
from hutong.cli._json import json_option, print_json
from hutong.cli._text import columns, padded
from hutong.cli.check import schemas_option
from hutong.cli.plan import console
from hutong.errors import ConfigurationError
from hutong.flows.flow import Flow
from hutong.language import said, said_many, translated
from hutong.simulation.expectation import Judged
from hutong.simulation.scenario import Player, read_scenario
from hutong.simulation.simulation import Simulation

__all__ = ["command"]

_WIDTH = 12
"""Of what a line is about; the name of the flow itself may be longer."""


@click.group(short_help="Show flows in words; try one on a scenario, without a bus.")
def command() -> None:
    """Show the declared flows in words, and try one on a scenario, without a bus."""


@command.command("list")
@schemas_option
@json_option
def list_(schemas: Path, as_json: bool) -> None:
    """List the declared flows."""
    flows = load(schemas).flows.values()
    if as_json:
        print_json({"flows": [{"id": one.id, "title": one.title, "owner": one.owner, "asks": len(one.ask)} for one in flows]})
        return
    rows = [(flow.id, _list_line(flow)) for flow in flows]
    click.echo("\n".join([*columns(rows), said_many(len(flows), "{number} flow", "{number} flows")]))


def _list_line(flow: Flow) -> str:
    asks = said_many(len(flow.ask), "asks {number} question", "asks {number} questions")
    return f"{words(flow.title)}; {asks}, {flow.owner}"


@command.command()
@click.argument("flow", shell_complete=_complete.flows)
@schemas_option
@json_option
def show(flow: str, schemas: Path, as_json: bool) -> None:
    """Show a flow in words: what opens a case, whom it asks what by when, how answers are judged, how it ends."""
    declared = _flow(load(schemas), flow)
    if as_json:
        print_json({"flow": declared.model_dump(mode="json", by_alias=True, exclude_unset=True)})
        return
    out = console()
    told = list(flow_lines(declared))
    width = max(_WIDTH, *(cells(head) + 1 for head, _ in told[1:]))
    for head, text in told:
        out.print(Text.assemble((f"{padded(head, width - 1)} ", "bold"), text))


@command.command()
@click.argument("flow", shell_complete=_complete.flows)
@click.option(
    "--scenario", type=click.Path(path_type=Path, dir_okay=False), required=True, help="What happens, and what must come of it."
)
@schemas_option
@json_option
@click.pass_context
def test(ctx: click.Context, flow: str, scenario: Path, schemas: Path, as_json: bool) -> None:
    """Play a scenario on the flow, in memory, and hold its expectations against what came of it.

    Exit code 0: all hold; 1: some do not; 2: wrong use, wrong declarations, or a scenario that cannot be played.
    """
    catalogue = load(schemas)
    declared = _flow(catalogue, flow)
    document = files.read(Path(), str(scenario), inside=False)  # wherever it is
    read = read_scenario(document, declared)
    simulation = Simulation.of(catalogue, read.start)
    judged = Player(read, document, declared, simulation).play()
    if as_json:
        print_json(_document(declared, scenario, simulation, judged))
    else:
        _print(console(), declared, scenario, simulation, judged)
    ctx.exit(FINE if all(one.holds for one in judged) else FOUND)


def _flow(catalogue: Catalogue, wanted: str) -> Flow:
    if wanted not in catalogue.flows:
        raise ConfigurationError(f"there is no flow {wanted}; there are: {', '.join(catalogue.flows) or 'none'}")
    return catalogue.flows[wanted]


def _document(flow: Flow, scenario: Path, simulation: Simulation, judged: Sequence[Judged]) -> dict[str, Any]:
    return {
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
            show_case(out, case, simulation.zone, words(flow.title))
    for number, reached in simulation.reached.items():
        if not reached:
            problem = said("no agreement brings this question to its agency")
            out.print(Text.assemble((f"{said('not reached')}  ", "red"), f"{number}: {problem}"))
    for event in simulation.quarantined:
        problem = f"{event.record.topic()}: {event.reason}: {translated(event.problem)}"
        out.print(Text.assemble((f"{said('quarantine')}  ", "red"), problem))
    for one in judged:
        what = (said("ok"), "green") if one.holds else (said("failed"), "red")
        found = "" if one.holds else said("; found: {found}", found=one.found)
        out.print(Text.assemble(f"{scenario}:{one.line}: ", what, f": {one.expected}{found}"))
    failed = sum(not one.holds for one in judged)
    total = said_many(len(judged), "{number} expectation", "{number} expectations")
    how = said("{number} failed", number=failed) if failed else said("all hold")
    out.print(f"{total}, {how}", markup=False)
