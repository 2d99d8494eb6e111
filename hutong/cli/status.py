"""``hutong status``: what of the bus and of its services runs.

Neighbours: ``embedded`` knows the bus's parts, ``overview.services`` asks the services that have announced themselves; a bus of
somebody else's is asked whether it answers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict

import click

from hutong.cli import FINE, FOUND
from hutong.cli._json import json_option, print_json
from hutong.cli._text import columns
from hutong.embedded import Part, Status, status
from hutong.errors import HutongError
from hutong.home import BusAddress, Home
from hutong.language import said, translated
from hutong.overview.services import ServiceState, look
from hutong.runtime.addresses import known

__all__ = ["command"]

_MIB = 1024 * 1024
_STYLES = {"up": "green", "starting": "yellow", "not ready": "yellow", "stuck": "red", "down": "red"}


@click.command(short_help="Show what of the bus and its services runs.")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show what of the bus and of its services runs, where, and how much memory the bus takes.

    Exit code 0: all is up; 1: something is not.
    """
    home = Home.find()
    found, services = _elsewhere(home) or status(home), look(known(home))
    if as_json:
        print_json(_document(found, services))
    else:
        click.echo(_text(found, services))
    ctx.exit(FINE if found.up and all(one.state == "up" for one in services) else FOUND)


def _elsewhere(home: Home) -> Status | None:
    """The state of a bus that is not of this home, as far as a client sees it; None where the environment names none."""
    if not os.environ.get("HUTONG_KAFKA_BOOTSTRAP_SERVERS"):
        return None
    from hutong.kafka.probe import brokers_in_service
    from hutong.kafka.registry import Registry
    from hutong.kafka.settings import Settings

    settings = Settings.resolve("operator")
    parts = (
        _asked("kafka", lambda: brokers_in_service(settings, seconds=5.0)),
        _asked("registry", Registry.of(settings).subjects),
    )
    address = BusAddress(bootstrap_servers=settings.bootstrap_servers, registry_url=settings.registry_url)
    return Status(up=all(part.state == "up" for part in parts), home=home.root, address=address, parts=parts)


def _asked(name: str, ask: Callable[[], object]) -> Part:
    try:
        ask()
    except HutongError as error:
        return Part(name=name, state="down", problem=str(error))
    return Part(name=name, state="up")


def _document(found: Status, services: list[ServiceState]) -> dict[str, object]:
    return {
        **asdict(found),
        "up": found.up and all(one.state == "up" for one in services),
        "home": str(found.home),
        "services": [asdict(one) for one in services],
    }


def _text(found: Status, services: list[ServiceState]) -> str:
    rows = [(part.name, _state(part.state), _part(part)) for part in found.parts]
    if found.address:
        rows += [("kafka", "", found.address.bootstrap_servers), ("registry", "", found.address.registry_url)]
    rows += [(one.name, _state(one.state), _service(one)) for one in services]
    lines = columns(rows)
    if not found.parts:
        lines.insert(0, said("no bus in {home}; start one with `hutong up`", home=found.home))
    return "\n".join(lines)


def _state(state: str) -> str:
    return click.style(said(state), fg=_STYLES[state])


def _part(part: Part) -> str:
    if part.state == "down":
        return translated(part.problem)
    if part.pid is None:
        return ""
    port = f"{said('port {port}', port=part.port)}  " if part.port else ""
    return f"{port}pid {part.pid}  {part.rss_bytes // _MIB} MiB"


def _service(one: ServiceState) -> str:
    if one.state == "down":
        return said("it ended without saying so; start it again, or `hutong down` forgets it")
    if one.state == "stuck":
        if one.step_seconds is None:
            return said("pid {pid}  it runs and does not answer at {url}; end it and start it again", pid=one.pid, url=one.url)
        age = f"{one.step_seconds:.0f}"
        return said("pid {pid}  its loop has not moved for {seconds} s; see its log", pid=one.pid, seconds=age)
    waits = "; ".join(f"{part}: {translated(problem)}" for part, problem in one.waiting_for.items())
    return f"{one.url}  pid {one.pid}" + (f"  {said('waits for {parts}', parts=waits)}" if waits else "")
