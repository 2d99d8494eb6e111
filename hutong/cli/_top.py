"""What ``hutong top`` shows: services, agreements, quarantine, as much of it as fits the terminal, trouble first.

Neighbours: ``overview.picture`` has looked; ``top`` shows it again and again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from hutong.language import said, said_many, translated
from hutong.overview.agreements import AgreementState, Quarantine
from hutong.overview.picture import Picture
from hutong.overview.services import ServiceState

__all__ = ["picture", "span"]

_FRESHNESS = {"fresh": "green", "late": "yellow", "broken": "bold red", "idle": "dim"}
_STATES = {"up": "green", "not ready": "yellow", "stuck": "bold red", "down": "bold red"}
_LEAST = 5
"""Agreements that are shown on the smallest terminal."""


def picture(found: Picture, *, height: int | None, now: datetime, live: bool) -> RenderableType:
    """The picture as something to print.

    Args:
        found: what was seen.
        height: lines that there are; None shows everything.
        now: the moment, as people write it.
        live: whether it will be followed by another, and can be ended with a key.
    """
    parts: list[RenderableType] = [_head(found, now, live=live), Text()]
    parts += _services(found.services)
    quarantine = list(_quarantine(found.quarantine))
    taken = 8 + len(found.services) + len(quarantine)
    room = len(found.agreements) if height is None else max(_LEAST, height - taken)
    parts += _agreements(found.agreements, room)
    if quarantine:
        parts += [Text(), *quarantine]
    return Group(*parts)


def span(seconds: float | None) -> str:
    """A time span as short as it can be read: ``0.4 s``, ``12 s``, ``3 min``, ``2 h``, ``5 d``."""
    if seconds is None:
        return "-"
    for least, unit in ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min")):
        if seconds >= least:
            return f"{seconds / least:.0f} {unit}"
    return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{seconds:.0f} s"


def _head(found: Picture, now: datetime, *, live: bool) -> Text:
    broken = sum(one.judgement == "broken" for one in found.agreements)
    well = (said("all is well"), "green") if found.well else (said("not all is well"), "bold red")
    total = said_many(len(found.agreements), "{number} agreement", "{number} agreements")
    late = said("{number} beyond their objective", number=broken)
    text = Text.assemble(("hutong top  ", "bold"), f"{now:%H:%M:%S}  ", well, f"  {total}{said(', ')}{late}  ")
    if found.source == "bus":
        text.append(said("no monitor runs: measured on the bus"), "dim")
    elif found.source != "monitor":
        text.append(said("nobody tells what is pending: start one with `hutong run monitor`"), "yellow")
    if found.problem:
        text.append(f"\n{translated(found.problem)}", "red")
    if live:
        text.append(f"  {said('q ends')}", "dim")
    return text


def _services(services: Sequence[ServiceState]) -> Iterator[RenderableType]:
    if not services:
        yield Text(said("no service has announced itself in this home; name others with --metrics"), style="yellow")
    else:
        table = Table(said("service"), said("state"), said("last step"), said("waits for"), box=None, pad_edge=False)
        for one in services:
            waits = "; ".join(f"{part}: {translated(problem)}" for part, problem in one.waiting_for.items())
            table.add_row(one.name, Text(said(one.state), style=_STATES[one.state]), span(one.step_seconds), Text(waits))
        yield table
    yield Text()


def _agreements(found: Sequence[AgreementState], room: int) -> Iterator[RenderableType]:
    if not found:
        return
    table = Table(box=None, pad_edge=False)
    for head in (said("publisher"), said("contract"), said("recipient"), said("agreement")):
        table.add_column(head, no_wrap=True, overflow="ellipsis")
    for head in (said("per second"), said("freshness"), said("objective"), said("pending"), said("untaken")):
        table.add_column(head, justify="right", no_wrap=True)
    for one in found[:room]:
        table.add_row(
            one.publisher,
            one.contract.removeprefix(f"{one.publisher}."),
            one.recipient,
            Text(one.agreement, style="dim" if one.in_force is False else ""),
            "-" if one.rate is None else f"{one.rate:,.1f}",
            Text(span(one.freshness), style=_FRESHNESS[one.judgement]),
            span(one.objective),
            _number(one.pending, exact=one.exact),
            _number(one.untaken, exact=True),
        )
    yield table
    rest = found[room:]
    if rest:
        broken = sum(one.judgement == "broken" for one in rest)
        more = said_many(len(rest), "and {number} more agreement", "and {number} more agreements")
        beyond = said("{number} beyond their objective", number=broken)
        yield Text(more + said(", ") + beyond, style="dim")


def _number(value: float | None, *, exact: bool) -> str:
    return "-" if value is None else f"{value:,.0f}" if exact else f"~{value:,.0f}"


def _quarantine(found: Sequence[Quarantine]) -> Iterator[RenderableType]:
    for one in found:
        if one.rate is not None:
            told = said("{contract}: {rate} a second, {code}", contract=one.contract, rate=f"{one.rate:,.1f}", code=one.reason)
            yield Text.assemble((f"{said('quarantine')}  ", "red"), told)
    lying = [one for one in found if one.records]
    if lying:
        total = sum(one.records or 0.0 for one in lying)
        text = said_many(int(total), "{number} record lies there", "{number} records lie there")
        where = ", ".join(one.contract for one in lying[:3]) + (", ..." if len(lying) > 3 else "")
        yield Text.assemble((f"{said('quarantine')}  ", "yellow"), f"{text}: {where}; ", said("see `hutong quarantine list`"))
