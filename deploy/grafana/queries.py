"""Queries that several dashboards ask, and the colours of their answers. Neighbours: one file per dashboard.

Two monitors may run for a moment: what both tell is taken once, with ``max by``.
"""

from __future__ import annotations

from deploy.grafana.panels import Steps

__all__ = [
    "ANY",
    "BUDGET",
    "BUDGET_STEPS",
    "DAYS_STEPS",
    "RATIO_STEPS",
    "ZERO_STEPS",
    "agreements",
    "budget_left",
    "days_left",
    "each",
    "freshness_ratio",
    "of",
    "quantile",
    "rate",
]

BUDGET = 0.001
"""The share of time in which freshness may be beyond the objective, as in deploy/prometheus/rules/freshness.yml."""
RATIO_STEPS: Steps = [(0, "green"), (0.5, "yellow"), (0.8, "orange"), (1, "red")]
"""Freshness in parts of its objective."""
ZERO_STEPS: Steps = [(0, "green"), (1, "red")]
"""What should be none at all."""
BUDGET_STEPS: Steps = [(0, "red"), (0.0001, "orange"), (0.5, "green")]
DAYS_STEPS: Steps = [(0, "red"), (7, "orange"), (30, "green")]
_WINDOW = "$__rate_interval"
ANY = ""


def rate(counter: str, matcher: str = ANY) -> str:
    """How fast a counter counts, per second."""
    return f"rate({counter}{_braced(matcher)}[{_WINDOW}])"


def each(gauge: str, by: str = "agreement", matcher: str = ANY) -> str:
    """A gauge of the monitor, once for each value of a label."""
    return f"max by ({by}) ({gauge}{_braced(matcher)})"


def agreements(matcher: str = ANY) -> str:
    """1 for each agreement, with its contract, publisher and recipient."""
    return f"max by (agreement, contract, publisher, recipient) (hutong_agreement_info{_braced(matcher)})"


def of(value: str, matcher: str = ANY) -> str:
    """A value by agreement, for the agreements that match, with their contract, publisher and recipient."""
    return f"{value} * on (agreement) group_left (contract, publisher, recipient) {agreements(matcher)}"


def freshness_ratio() -> str:
    """By agreement: how old the oldest event not yet delivered is, in parts of what the contract promises."""
    return f"{each('hutong_delivery_freshness_seconds')} / on (agreement) {each('hutong_freshness_objective_seconds')}"


def budget_left() -> str:
    """By agreement: which part of thirty days' error budget is left; 1 is all of it, below 0 it is overdrawn."""
    broken = 'sum by (agreement) (increase(hutong_freshness_sla_seconds_total{kept="false"}[30d]))'
    return f"1 - {broken} / sum by (agreement) (increase(hutong_freshness_sla_seconds_total[30d])) / {BUDGET}"


def days_left() -> str:
    """By agreement: days until it ends; agreements without an end are not among them."""
    return f"({each('hutong_agreement_valid_until_timestamp_seconds')} - time()) / 86400"


def quantile(part: float, histogram: str, by: str = "", matcher: str = ANY) -> str:
    """The value that a part of the observations does not exceed."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({part}, sum by ({labels}) ({rate(histogram + '_bucket', matcher)}))"


def _braced(matcher: str) -> str:
    return f"{{{matcher}}}" if matcher else ""
