"""The services that have announced themselves: those that do not do their work.

Neighbour: ``overview.services`` asks them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hutong.doctor.finding import Context, Finding, Group
from hutong.overview.services import ServiceState, look
from hutong.runtime.addresses import known

__all__ = ["GROUP", "Services"]


@dataclass(frozen=True, kw_only=True)
class Services:
    """The facts.

    Attributes:
        states: of every service that has announced itself in this home.
    """

    states: Sequence[ServiceState]


def look_at_services(context: Context) -> Services:
    """Ask the services."""
    return Services(states=look(known(context.home)))


def check_services(facts: Services) -> Iterator[Finding]:
    """Every service does its work."""
    for one in facts.states:
        if one.state == "down":
            yield Finding(
                check="services",
                severity="error",
                where=one.name,
                what="it has ended without saying so",
                remedy="its log says why, where it had the time; start it again, or `hutong down` forgets it",
            )
        elif one.state == "stuck":
            yield Finding(
                check="services",
                severity="error",
                where=one.name,
                what="its loop does not move any more",
                remedy="end it (pid {pid}) and start it again; another instance takes over its work meanwhile",
                facts={"pid": one.pid},
            )
        for part, problem in one.waiting_for.items():
            yield Finding(
                check="services",
                severity="warning",
                where=one.name,
                what="it waits for {part}: {problem}",
                remedy="it goes on by itself as soon as this is there",
                facts={"part": part, "problem": problem},
            )


GROUP = Group(name="services", look=look_at_services, checks={"services": check_services})
