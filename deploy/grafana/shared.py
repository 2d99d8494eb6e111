"""Panels and columns that several dashboards have: for all agreements, or for those that a matcher chooses.

Neighbours: one file per dashboard; ``queries`` has what is asked, ``panels`` what it is shown in.
"""

from __future__ import annotations

from typing import Any

from deploy.grafana.panels import Column, query, series, stat, timeline
from deploy.grafana.queries import (
    ANY,
    BUDGET_STEPS,
    DAYS_STEPS,
    RATIO_STEPS,
    budget_left,
    days_left,
    freshness_ratio,
    of,
    quantile,
)

__all__ = ["budget_column", "days_column", "delivered", "freshness_column", "halves", "promise", "worst_freshness"]


def freshness_column(matcher: str = ANY) -> Column:
    """How old the oldest event not yet delivered is, against the promise."""
    return Column(title="Freshness / promised", expr=_one_each(freshness_ratio(), matcher), unit="percentunit", steps=RATIO_STEPS)


def budget_column(matcher: str = ANY) -> Column:
    """What is left of thirty days' error budget."""
    return Column(title="Error budget left", expr=_one_each(budget_left(), matcher), unit="percentunit", steps=BUDGET_STEPS)


def days_column(matcher: str = ANY) -> Column:
    """When the agreement ends."""
    return Column(title="Days left", expr=_one_each(days_left(), matcher), unit="d", steps=DAYS_STEPS)


def worst_freshness(matcher: str) -> dict[str, Any]:
    """The worst of a department's agreements."""
    return stat(
        "Worst freshness 时效",
        "The oldest event not yet delivered, in parts of what its contract promises.",
        f"max({of(f'({freshness_ratio()})', matcher)})",
        unit="percentunit",
        steps=RATIO_STEPS,
    )


def promise(legend: str, matcher: str = ANY) -> dict[str, Any]:
    """Each agreement's freshness over time, coloured against the promise."""
    return timeline(
        "Freshness against the promise 时效",
        "Green: as promised. Red: the oldest event not yet delivered is older than the contract promises.",
        query(of(f"({freshness_ratio()})", matcher), legend),
        unit="percentunit",
        steps=RATIO_STEPS,
    )


def delivered(text: str, value: str, matcher: str = ANY) -> dict[str, Any]:
    """Deliveries per second by recipient; ``value`` has them by agreement."""
    asked = query(f"sum by (recipient) ({of(value, matcher)})", "{{recipient}}")
    return series("Delivered, by recipient 交付", text, asked, unit="suffix:/s", stack=True)


def halves(histogram: str, matcher: str = ANY) -> list[dict[str, Any]]:
    """What half of the observations do not exceed, and 99 of 100."""
    return [query(quantile(part, histogram, matcher=matcher), legend) for part, legend in ((0.5, "half"), (0.99, "99 of 100"))]


def _one_each(value: str, matcher: str) -> str:
    """A value by agreement; of those that match, without the other labels."""
    return f"max by (agreement) ({of(f'({value})', matcher)})" if matcher else value
