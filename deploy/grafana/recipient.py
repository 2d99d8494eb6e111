"""The dashboard *Recipient*: one ministry's view of what it gets, how fresh, and what its applications have taken."""

from __future__ import annotations

from deploy.grafana.panels import Column, dashboard, query, row, series, stat, table, variable
from deploy.grafana.queries import DAYS_STEPS, ZERO_STEPS, agreements, days_left, each, of, rate
from deploy.grafana.shared import budget_column, days_column, freshness_column, halves, promise, worst_freshness

__all__ = ["DASHBOARD"]

_OURS = 'recipient="$recipient"'
_OUR_TOPICS = 'topic=~"sub[.]${recipient}[.].*"'
_AGREEMENTS = 'agreement=~"$agreement"'
_DELIVERED = f"sum by (agreement) ({rate('hutong_router_deliveries_total', _AGREEMENTS)})"
_UNTAKEN = each("hutong_untaken_deliveries", "agreement, group", _AGREEMENTS)
_TAKING = each("hutong_taking_freshness_seconds", "agreement, group", _AGREEMENTS)
_FROM = "{{publisher}} ({{agreement}})"

DASHBOARD = dashboard(
    "recipient",
    "Hutong: Recipient 接收部门",
    "What one department receives, how fresh, and what its applications have taken.",
    [
        variable("recipient", "Recipient 接收部门", "label_values(hutong_agreement_info, recipient)"),
        variable(
            "agreement",
            "Agreement 协议",
            f"label_values(hutong_agreement_info{{{_OURS}}}, agreement)",
            several=True,
        ),
    ],
    [
        stat("Agreements 协议", "In force now.", f"sum({each('hutong_agreement_in_force', matcher=_AGREEMENTS)})"),
        stat("Deliveries/s 交付", "Deliveries made to the department.", f"sum({_DELIVERED})"),
        worst_freshness(_OURS),
        stat("Not taken yet 未接收", "Deliveries that an application of the department has not passed.", f"sum({_UNTAKEN})"),
        stat(
            "Oldest not taken",
            "Age of the oldest delivery that an application has not passed.",
            f"max({_TAKING})",
            unit="s",
            steps=[(0, "green"), (600, "yellow"), (3600, "red")],
        ),
        stat(
            "Next agreement ends in",
            "Days until the first of the department's agreements ends; a dash where none has an end.",
            f"min({of(f'({days_left()})', _OURS)})",
            unit="d",
            steps=DAYS_STEPS,
        ),
        row("What arrives 到达"),
        table(
            "Agreements 协议",
            "Each agreement of the department.",
            [
                Column(title="", expr=agreements(_OURS)),
                Column(title="Publisher", label="publisher"),
                Column(title="Contract", label="contract"),
                Column(title="Agreement", label="agreement"),
                Column(
                    title="In force",
                    expr=each("hutong_agreement_in_force", matcher=_AGREEMENTS),
                    steps=[(0, "red"), (1, "green")],
                ),
                Column(title="Deliveries/s", expr=_DELIVERED),
                Column(title="Pending", expr=each("hutong_pending_deliveries", matcher=_AGREEMENTS)),
                freshness_column(_OURS),
                budget_column(_OURS),
                Column(title="Not taken", expr=each("hutong_untaken_deliveries", matcher=_AGREEMENTS)),
                days_column(_OURS),
            ],
            by="agreement",
        ),
        promise(_FROM, _OURS),
        series(
            "Deliveries, by agreement 交付",
            "Deliveries per second.",
            query(_DELIVERED, "{{agreement}}"),
            unit="suffix:/s",
            stack=True,
        ),
        series(
            "From append to delivery",
            "The time within which half and 99 of 100 events reach the topics; events of about one age as the oldest of them.",
            *halves("hutong_router_delivery_latency_seconds", _AGREEMENTS),
            unit="s",
        ),
        row("What its applications take 接收"),
        series(
            "Not taken yet, by application 未接收",
            "Deliveries that an application's consumer group has not passed.",
            query(_UNTAKEN, "{{agreement}} ({{group}})"),
            unit="short",
        ),
        series(
            "Age of the oldest not taken",
            "A line that rises by a second each second is an application that stands still.",
            query(_TAKING, "{{agreement}} ({{group}})"),
            unit="s",
        ),
        series(
            "Applications that read 应用",
            "Members of the department's consumer groups.",
            query('max by (group) (hutong_group_members{group=~"${recipient}[.].*"})', "{{group}}"),
            unit="short",
        ),
        series(
            "Handed to the applications",
            "Events per second that the SDK handed over, repetitions that it left out, and records that were no readable event.",
            query(f"sum({rate('hutong_received_events_total', _OUR_TOPICS)})", "handed over"),
            query(f"sum({rate('hutong_duplicate_events_total', _OUR_TOPICS)}) or vector(0)", "repetitions left out"),
            query(f"sum({rate('hutong_undecodable_events_total', _OUR_TOPICS)}) or vector(0)", "not readable"),
            unit="suffix:/s",
        ),
        series(
            "From the event to the application",
            "From the moment that the publisher gave the event to its arrival in an application of the department.",
            *halves("hutong_received_latency_seconds", _AGREEMENTS),
            unit="s",
        ),
        series(
            "Lost to retention 过期丢失",
            "Offsets that the topic's retention deleted before an application passed them, since the monitor began.",
            query(f"max by (topic, group) (hutong_lost_to_retention_total{{{_OUR_TOPICS}}})", "{{topic}} ({{group}})"),
            unit="short",
            steps=ZERO_STEPS,
        ),
    ],
)
