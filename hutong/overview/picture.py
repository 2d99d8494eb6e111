"""One look at the whole: the services, the agreements, the quarantine, and where the figures come from.

Neighbours: ``hutong top`` takes a look now and then and shows it; ``agreements`` and ``services`` are its parts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from hutong.errors import HutongError
from hutong.home import Home
from hutong.overview.agreements import AgreementState, Quarantine, agreements, in_order, quarantine
from hutong.overview.pages import Pages, read_pages
from hutong.overview.services import ServiceState, look
from hutong.runtime.addresses import known

__all__ = ["Picture", "Watcher"]

Source = Literal["monitor", "bus", "routers", "nobody"]

_NAMED = 3
"""Agreements that a sentence names; the picture shows them all."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """How the bus does.

    Attributes:
        source: who told of what is pending: the monitor's page, the bus itself (there is no monitor), nobody but the routers'
            pages (the bus could not be asked), or nobody at all.
        agreements: those in trouble first.
        quarantine: what goes there, and lies there.
        services: those that have announced themselves.
        problem: why the bus could not be asked, or what of it nobody could measure; empty where everything is told.
    """

    source: Source
    agreements: Sequence[AgreementState]
    quarantine: Sequence[Quarantine]
    services: Sequence[ServiceState]
    problem: str = ""

    @property
    def well(self) -> bool:
        """Whether all is told, nothing is late beyond its objective, and everything that has announced itself does its work."""
        if self.problem or any(one.untold or one.judgement == "broken" for one in self.agreements):
            return False
        return all(one.state == "up" for one in self.services)

    def to_document(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "well": self.well,
            "source": self.source,
            "problem": self.problem or None,
            "agreements": [{**asdict(one), "judgement": None if one.untold else one.judgement} for one in self.agreements],
            "quarantine": [asdict(one) for one in self.quarantine],
            "services": [asdict(one) for one in self.services],
        }


class Watcher:
    """Looks again and again; rates are those since the look before.

    Args:
        home: where services announce themselves.
        urls: further processes' metrics, elsewhere.
        lag: measures what is pending where no monitor tells it; returns the agreements, or raises a ``HutongError``.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        home: Home,
        urls: Sequence[str],
        lag: Callable[[], Sequence[AgreementState]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home, self._urls, self._lag, self._clock = home, tuple(urls), lag, clock
        self._before: Pages | None = None

    def look(self) -> Picture:
        """Look now."""
        services = look(known(self._home))
        answering = [one.url for one in services if one.state != "down"]
        now = read_pages([*answering, *self._urls], at=self._clock())
        before, self._before = self._before, now
        found, problem = agreements(now, before), ""
        source: Source = "monitor" if now.has("hutong_agreement_info") else "routers" if now.by_url else "nobody"
        if source != "monitor":
            try:
                found, source = _merged(self._lag(), found), "bus"
            except HutongError as error:
                problem = str(error)
        return Picture(
            source=source,
            agreements=found,
            quarantine=quarantine(now, before),
            services=_with_pages(services, now),
            problem=problem or _untold(found),
        )


def _untold(found: Sequence[AgreementState]) -> str:
    """Which agreements cannot be measured, as a sentence; empty where there is none."""
    names = sorted(one.agreement for one in found if one.untold)
    if not names:
        return ""
    shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"what is pending cannot be measured now for {shown}; see `hutong doctor`"


def _merged(lag: Sequence[AgreementState], counted: Sequence[AgreementState]) -> list[AgreementState]:
    """What was measured on the bus, with the rates that the routers tell."""
    rates = {one.agreement: one.rate for one in counted}
    return in_order(replace(one, rate=rates.get(one.agreement)) for one in lag)


def _with_pages(services: Sequence[ServiceState], now: Pages) -> list[ServiceState]:
    """The services with the age of their last poll, where their page tells it: it is younger than that of the health page."""
    found = []
    for one in services:
        page = now.by_url.get(one.url)
        ages = page.samples.get("hutong_process_poll_age_seconds", ()) if page else ()
        found.append(replace(one, step_seconds=max(age for _, age in ages)) if ages else one)
    return found
