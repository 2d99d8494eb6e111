"""The dashboard *Flow*: who sends what to whom, and how fresh it arrives."""

from __future__ import annotations

from deploy.grafana.panels import Column, dashboard, matrix, query, row, series, stat, table
from deploy.grafana.queries import RATIO_STEPS, ZERO_STEPS, agreements, each, freshness_ratio, of, rate
from deploy.grafana.shared import budget_column, days_column, delivered, freshness_column, promise

__all__ = ["DASHBOARD"]

_DELIVERED = f"sum by (agreement) ({rate('hutong_router_deliveries_total')})"
_NAMES = "{{publisher}} → {{recipient}} ({{agreement}})"

DASHBOARD = dashboard(
    "flow",
    "Hutong: Flow 流向",
    "Who sends what to whom, and how fresh it arrives.",
    [],
    [
        stat("Agreements 协议", "Agreements that are in force now.", f"sum({each('hutong_agreement_in_force')})"),
        stat("Events/s", "Change events that routers read.", f"sum({rate('hutong_router_events_total')})"),
        stat("Deliveries/s 交付", "Deliveries that routers make.", f"sum({rate('hutong_router_deliveries_total')})"),
        stat("Pending 待交付", "Deliveries that are not made yet.", f"sum({each('hutong_pending_deliveries')})"),
        stat(
            "Worst freshness 时效",
            "Age of the oldest event that is published and not delivered, in parts of what its contract promises.",
            f"max({freshness_ratio()})",
            unit="percentunit",
            steps=RATIO_STEPS,
        ),
        stat(
            "In quarantine 隔离",
            "Events that could not be processed and wait for somebody to look at them.",
            f"sum({each('hutong_quarantine_records', 'contract')})",
            steps=ZERO_STEPS,
        ),
        row("Who sends to whom 谁发给谁"),
        matrix(
            "Freshness by publisher and recipient",
            "The worst freshness of the agreements between two departments, in parts of what the contract promises.",
            f"max by (publisher, recipient) ({of(f'({freshness_ratio()})')})",
            rows="publisher",
            columns="recipient",
            unit="percentunit",
            steps=RATIO_STEPS,
        ),
        matrix(
            "Deliveries per second by publisher and recipient",
            "How much flows between two departments.",
            f"sum by (publisher, recipient) ({of(_DELIVERED)})",
            rows="publisher",
            columns="recipient",
            unit="short",
            steps=[(0, "transparent"), (0.001, "semi-dark-blue")],
        ),
        table(
            "Agreements 协议",
            "Every agreement with its flow. Freshness is coloured against what the contract promises.",
            [
                Column(title="", expr=agreements()),
                Column(title="Publisher", label="publisher"),
                Column(title="Contract", label="contract"),
                Column(title="Recipient", label="recipient"),
                Column(title="Agreement", label="agreement"),
                Column(title="Deliveries/s", expr=_DELIVERED),
                Column(title="Pending", expr=each("hutong_pending_deliveries")),
                Column(title="Freshness", expr=each("hutong_delivery_freshness_seconds"), unit="s"),
                Column(title="Promised", expr=each("hutong_freshness_objective_seconds"), unit="s"),
                freshness_column(),
                budget_column(),
                days_column(),
            ],
            by="agreement",
            h=12,
        ),
        row("Over time 趋势"),
        promise(_NAMES),
        series(
            "Published, by publisher 发布",
            "Change events per second that routers read, by the department that published them.",
            query(
                f"sum by (publisher) (sum by (contract) ({rate('hutong_router_events_total')})"
                " * on (contract) group_left (publisher) max by (contract, publisher) (hutong_agreement_info))",
                "{{publisher}}",
            ),
            unit="suffix:/s",
            stack=True,
        ),
        delivered("Deliveries per second, by the department that receives them.", _DELIVERED),
        series(
            "Pending deliveries 待交付",
            "Deliveries that are not made yet, of the ten agreements with the most.",
            query(f"topk(10, {of(each('hutong_pending_deliveries'))})", _NAMES),
            unit="short",
        ),
        series(
            "Not taken yet 未接收",
            "Deliveries that the recipient's application has not passed, of the ten with the most.",
            query("topk(10, max by (agreement, group) (hutong_untaken_deliveries))", "{{agreement}} ({{group}})"),
            unit="short",
        ),
    ],
)
