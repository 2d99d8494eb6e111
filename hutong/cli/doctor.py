"""``hutong doctor``: what is wrong with the installation, this home and the bus, and what to do about it.

Neighbours: ``hutong.doctor`` has the checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from hutong.cli import FINE, FOUND
from hutong.cli._json import json_option, print_json
from hutong.cli._text import padded
from hutong.cli.check import schemas_option
from hutong.doctor.examination import GROUPS
from hutong.doctor.finding import Context, Examined, Finding, examine
from hutong.home import Home
from hutong.language import said, said_many, translated

__all__ = ["command"]

_STYLES = {"error": "red", "warning": "yellow", "note": "blue"}
_WORDS = frozenset({"problem", "direction"})
"""Facts that are words of ours."""


@click.command(short_help="Find what is wrong with the installation, this home and the bus.")
@schemas_option
@click.option("--look-only", is_flag=True, help="Write nothing: the brokers' clock, which only a write tells, is left out.")
@json_option
@click.pass_context
def command(ctx: click.Context, schemas: Path, look_only: bool, as_json: bool) -> None:
    """Find what is wrong with the installation, this home and the bus; each finding comes with what to do about it.

    It looks at versions, disk, rights of passwords and keys, ports, processes, certificates, services, declarations, brokers,
    clock, registry, topics, access rules, keys and agreements. Nothing is changed; to learn the brokers' time, a topic is made
    and taken away again.

    Exit code 0: nothing is wrong (there may be notes); 1: there are errors or warnings; 2: wrong use.
    """
    examined = examine(Context(home=Home.find(), schemas=schemas, look_only=look_only), GROUPS)
    if as_json:
        findings = [one.to_document() for one in examined.findings]
        checks = {"done": list(examined.done), "left_out": list(examined.left_out)}
        print_json({"well": examined.well, "findings": findings, "checks": checks})
    else:
        click.echo("\n".join(_lines(examined)))
    ctx.exit(FINE if examined.well else FOUND)


def _lines(examined: Examined) -> Sequence[str]:
    lines: list[str] = []
    for one in examined.findings:
        facts = {name: translated(str(value)) if name in _WORDS else value for name, value in one.facts.items()}
        severity = click.style(padded(said(one.severity), 8), fg=_STYLES[one.severity])
        lines.append(f"{severity} {one.check}  {one.where}{said(': ')}{said(one.what, **facts)}")
        lines.append(f"{' ' * 8} -> {said(one.remedy, **facts)}")
    return [*lines, _summary(examined)]


def _summary(examined: Examined) -> str:
    text = said_many(len(examined.done), "{number} check", "{number} checks")
    if examined.left_out:
        left_out = said_many(len(examined.left_out), "{number} left out", "{number} left out")
        text += f" ({left_out}: {', '.join(examined.left_out)})"
    errors, warnings = _count(examined.findings, "error"), _count(examined.findings, "warning")
    if not (errors or warnings):
        return text + said(": ") + said("nothing is wrong")
    counts = [
        said_many(errors, "{number} error", "{number} errors"),
        said_many(warnings, "{number} warning", "{number} warnings"),
    ]
    return text + said(": ") + said(", ").join(counts)


def _count(findings: Sequence[Finding], severity: str) -> int:
    return sum(one.severity == severity for one in findings)
