"""The dashboard *Department*: one publisher's view of what it publishes and what becomes of it."""

from __future__ import annotations

from deploy.grafana.panels import Column, dashboard, query, row, series, stat, table, variable
from deploy.grafana.queries import ZERO_STEPS, agreements, each, of, quantile, rate
from deploy.grafana.shared import days_column, delivered, freshness_column, halves, promise, worst_freshness

__all__ = ["DASHBOARD"]

_OURS = 'publisher="$publisher"'
_CONTRACTS = 'contract=~"$contract"'
_LAST = "hutong_contract_last_event_timestamp_seconds"
_DELIVERED = f"sum by (agreement) ({rate('hutong_router_deliveries_total')})"
_FILTERED = f"sum by (agreement) ({rate('hutong_router_filtered_total')})"
_TO = "{{recipient}} ({{agreement}})"

DASHBOARD = dashboard(
    "department",
    "Hutong: Department 发布部门",
    "What one department publishes, and what becomes of it.",
    [
        variable("publisher", "Publisher 发布部门", "label_values(hutong_agreement_info, publisher)"),
        variable(
            "contract",
            "Contract 契约",
            f'label_values({_LAST}{{contract=~"${{publisher}}[.][^.]+"}}, contract)',
            several=True,
        ),
    ],
    [
        stat("Events/s 发布", "Change events that routers read.", f"sum({rate('hutong_router_events_total', _CONTRACTS)})"),
        stat("Recipients 接收部门", "Departments with an agreement.", f"count(count by (recipient) ({agreements(_OURS)}))"),
        stat(
            "Last event 最近事件",
            "Time since the newest event of any of the contracts.",
            f"min(time() - {each(_LAST, 'contract', _CONTRACTS)})",
            unit="s",
        ),
        worst_freshness(_OURS),
        stat(
            "In quarantine 隔离",
            "Events of the department that could not be processed.",
            f"sum({each('hutong_quarantine_records', 'contract', _CONTRACTS)})",
            steps=ZERO_STEPS,
        ),
        stat(
            "Refused/s 违约",
            "Events that the contract's rules refused before anything was sent. None is shown as 0.",
            f"sum({rate('hutong_contract_violations_total', _CONTRACTS)}) or vector(0)",
            steps=[(0, "green"), (0.0001, "orange")],
        ),
        row("What it publishes 发布"),
        table(
            "Contracts 契约",
            "Each contract of the department.",
            [
                Column(title="", expr=f"0 * {each(_LAST, 'contract', _CONTRACTS)}"),
                Column(title="Contract", label="contract"),
                Column(title="Time since last event", expr=f"time() - {each(_LAST, 'contract', _CONTRACTS)}", unit="s"),
                Column(title="Events/s", expr=f"sum by (contract) ({rate('hutong_router_events_total', _CONTRACTS)})"),
                Column(title="In quarantine", expr=each("hutong_quarantine_records", "contract", _CONTRACTS), steps=ZERO_STEPS),
            ],
            by="contract",
            w=12,
            h=8,
        ),
        series(
            "Events by contract",
            "Change events per second that routers read.",
            query(f"sum by (contract) ({rate('hutong_router_events_total', _CONTRACTS)})", "{{contract}}"),
            unit="suffix:/s",
            stack=True,
        ),
        series(
            "Confirmed to the applications",
            "Events per second that the brokers confirmed to the department's own applications, and those that they did not.",
            query(f"sum by (contract) ({rate('hutong_published_events_total', _CONTRACTS)})", "{{contract}}"),
            query(f"sum({rate('hutong_publish_failures_total', _CONTRACTS)}) or vector(0)", "not confirmed"),
            unit="suffix:/s",
        ),
        series(
            "Time to confirmation",
            "From publish to the brokers' confirmation, over all applications whose metrics are read.",
            *halves("hutong_publish_seconds"),
            unit="s",
        ),
        series(
            "Refused and quarantined, by reason 隔离原因",
            "Refused: the contract's rule was broken, nothing was sent. Quarantined: sent, and could not be processed.",
            query(f"sum by (rule) ({rate('hutong_contract_violations_total', _CONTRACTS)})", "refused: {{rule}}"),
            query(f"sum by (reason) ({rate('hutong_router_quarantined_total', _CONTRACTS)})", "quarantined: {{reason}}"),
            unit="suffix:/s",
        ),
        series(
            "Waiting in the outbox 发件箱",
            "Age of the oldest event that the department's database holds and no relay has published.",
            query('max(hutong_outbox_oldest_seconds{department="$publisher"})', "oldest"),
            unit="s",
        ),
        row("What becomes of it 去向"),
        table(
            "Recipients 接收部门",
            "Each agreement on the department's contracts.",
            [
                Column(title="", expr=agreements(_OURS)),
                Column(title="Contract", label="contract"),
                Column(title="Recipient", label="recipient"),
                Column(title="Agreement", label="agreement"),
                Column(title="Delivered/s", expr=f"sum by (agreement) ({of(_DELIVERED, _OURS)})"),
                Column(title="Not granted/s", expr=f"sum by (agreement) ({of(_FILTERED, _OURS)})"),
                Column(title="Pending", expr=f"sum by (agreement) ({of(each('hutong_pending_deliveries'), _OURS)})"),
                freshness_column(_OURS),
                days_column(_OURS),
            ],
            by="agreement",
        ),
        promise(_TO, _OURS),
        delivered("Deliveries per second of the department's events.", _DELIVERED, _OURS),
        series(
            "From append to delivery",
            "The time within which 99 of 100 events reach the recipient's topic; events of about one age as the oldest of them.",
            query(of(f"({quantile(0.99, 'hutong_router_delivery_latency_seconds', 'agreement')})", _OURS), _TO),
            unit="s",
        ),
    ],
)
