"""Who sends what to whom, how fast and how fresh: figures out of the services' pages. Pure.

The names are those of ``docs/metrics.md``. The monitor tells what is pending and how old it is, the routers how much they
deliver; without a monitor, whoever asks can give the lag that it has measured itself.
Neighbours: ``pages`` reads, ``cli/_top`` shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from hutong.overview.pages import Page, Pages

__all__ = ["AgreementState", "Judgement", "Quarantine", "agreements", "in_order", "quarantine"]

Judgement = Literal["fresh", "late", "broken", "idle"]

_LATE = 0.5
"""Share of the objective from which on freshness is shown as a warning."""


@dataclass(frozen=True, kw_only=True)
class AgreementState:
    """An agreement at work.

    Attributes:
        agreement: its id.
        contract: what goes.
        publisher: from whom.
        recipient: to whom.
        rate: deliveries a second; None where nobody has counted for a while.
        pending: deliveries not yet made; None where nobody says.
        exact: whether that was counted; where not, it is an estimate.
        freshness: age of the oldest event that is not delivered yet, seconds; 0 when there is none, None where nobody says.
        objective: how old that may be; None where the contract says nothing.
        untaken: deliveries that the recipient has not taken, of its group that has most of them; None without a group.
        in_force: whether the agreement is in force now; None where nobody says.
    """

    agreement: str
    contract: str
    publisher: str
    recipient: str
    rate: float | None = None
    pending: float | None = None
    exact: bool = True
    freshness: float | None = None
    objective: float | None = None
    untaken: float | None = None
    in_force: bool | None = None

    @property
    def untold(self) -> bool:
        """Whether it is in force and cannot be measured now: it may be late, and nobody would know."""
        return self.in_force is True and self.freshness is None

    @property
    def judgement(self) -> Judgement:
        """How it stands against its objective, as far as is told; see ``untold``."""
        if not self.freshness:
            return "fresh" if self.rate or self.pending else "idle"
        if self.objective is None:
            return "fresh"
        return "broken" if self.freshness > self.objective else "late" if self.freshness > _LATE * self.objective else "fresh"


@dataclass(frozen=True, kw_only=True)
class Quarantine:
    """What of a contract goes into quarantine.

    Attributes:
        contract: whose events.
        reason: the code of why; empty for what lies there whatever the reason.
        rate: records a second now; None where nobody has counted for a while.
        records: how many lie there.
    """

    contract: str
    reason: str = ""
    rate: float | None = None
    records: float | None = None


def agreements(now: Pages, before: Pages | None = None) -> list[AgreementState]:
    """The agreements that the pages tell of, those in trouble first."""
    facts = now.total("hutong_agreement_info", "agreement", "contract", "publisher", "recipient")
    known = {agreement: (contract, publisher, recipient) for agreement, contract, publisher, recipient in facts}
    counted = before is not None and any(url in before.by_url and _is_router(page) for url, page in now.by_url.items())
    rates = {name: rate for (name,), rate in now.rates(before, "hutong_router_deliveries_total", "agreement").items()}
    for agreement in {*rates, *_gauge(now, "hutong_router_deliveries_total")} - known.keys():
        known[agreement] = ("", "", "")  # without a monitor the routers' pages name agreements and nothing more
    pending, freshness = _gauge(now, "hutong_pending_deliveries"), _gauge(now, "hutong_delivery_freshness_seconds")
    objective, exact = _gauge(now, "hutong_freshness_objective_seconds"), _gauge(now, "hutong_pending_exact")
    in_force, untaken = _gauge(now, "hutong_agreement_in_force"), _gauge(now, "hutong_untaken_deliveries")
    found = [
        AgreementState(
            agreement=agreement,
            contract=contract,
            publisher=publisher,
            recipient=recipient,
            rate=rates.get(agreement, 0.0 if counted else None),
            pending=pending.get(agreement),
            exact=exact.get(agreement, 1.0) > 0,
            freshness=freshness.get(agreement),
            objective=objective.get(agreement),
            untaken=untaken.get(agreement),
            in_force=None if agreement not in in_force else in_force[agreement] > 0,
        )
        for agreement, (contract, publisher, recipient) in known.items()
    ]
    return in_order(found)


def in_order(found: Iterable[AgreementState]) -> list[AgreementState]:
    """Those in trouble first, then the busiest."""
    return sorted(found, key=_urgency)


def quarantine(now: Pages, before: Pages | None = None) -> list[Quarantine]:
    """What goes into quarantine now, by reason, and what lies there, by contract; only where there is any."""
    rates = now.rates(before, "hutong_router_quarantined_total", "contract", "reason")
    coming = [
        Quarantine(contract=contract, reason=reason, rate=rate) for (contract, reason), rate in sorted(rates.items()) if rate > 0
    ]
    lying = now.total("hutong_quarantine_records", "contract")
    return coming + [Quarantine(contract=contract, records=number) for (contract,), number in sorted(lying.items()) if number > 0]


_ORDER: Mapping[Judgement, int] = {"broken": 0, "late": 1, "fresh": 2, "idle": 3}


def _urgency(one: AgreementState) -> tuple[int, float, float, str]:
    order = _ORDER["late"] if one.untold else _ORDER[one.judgement]  # it may be late, and is not known to be
    return order, -(one.freshness or 0.0), -(one.rate or 0.0), one.agreement


def _is_router(page: Page) -> bool:
    return any(name.startswith("hutong_router_") for name in page.samples)


def _gauge(pages: Pages, name: str) -> dict[str, float]:
    """By agreement; where several processes or groups tell of one, what is most."""
    found: dict[str, float] = {}
    for page in pages.by_url.values():
        for labels, number in page.samples.get(name, ()):
            agreement = labels.get("agreement", "")
            found[agreement] = max(number, found.get(agreement, number))
    return found
