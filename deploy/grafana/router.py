"""The dashboard *Router and Kafka*: the machinery, for those who run it."""

from __future__ import annotations

from deploy.grafana.panels import dashboard, query, row, series, stat
from deploy.grafana.queries import ZERO_STEPS, each, rate
from deploy.grafana.shared import halves

__all__ = ["DASHBOARD"]

_UP_STEPS = [(0, "red"), (1, "green")]
_AT = "{{service}} {{instance}}"
_OURS = "and on (job, instance) hutong_process_ready"


DASHBOARD = dashboard(
    "router",
    "Hutong: Router and Kafka 路由与集群",
    "Routers, brokers, registry, coordinator and monitor, for those who run them.",
    [],
    [
        stat("Routers ready 路由", "Routers that do their work.", 'sum(hutong_process_ready{service="router"})', steps=_UP_STEPS),
        stat(
            "Brokers missing",
            "Brokers that the cluster should have and does not.",
            "max(hutong_brokers_expected - hutong_brokers_in_service)",
            steps=ZERO_STEPS,
        ),
        stat(
            "Under-replicated",
            "Partitions with fewer copies than they should have.",
            "max(hutong_under_replicated_partitions)",
            steps=ZERO_STEPS,
        ),
        stat(
            "Stable offset behind",
            "For how long a transaction has held back readers of some topic.",
            "max(hutong_stable_offset_behind_seconds)",
            unit="s",
            steps=[(0, "green"), (20, "orange"), (60, "red")],
        ),
        stat("Registry", "1 where the schema registry answers.", "min(hutong_registry_up)", steps=_UP_STEPS),
        stat(
            "Monitor's last look",
            "What this page shows is as old as this.",
            "time() - max(hutong_monitor_last_round_timestamp_seconds)",
            unit="s",
            steps=[(0, "green"), (30, "orange"), (60, "red")],
        ),
        row("Services 服务"),
        series(
            "Ready",
            "1 where a service does its work, 0 where it waits for something.",
            query("max by (service, instance) (hutong_process_ready)", _AT),
            unit="short",
        ),
        series(
            "Age of the last step",
            "A service that is stuck does not come round to its next step.",
            query("max by (service, instance) (hutong_process_poll_age_seconds)", _AT),
            unit="s",
            steps=[(0, "green"), (60, "red")],
        ),
        series(
            "Processor",
            "Cores in use.",
            query(f"{rate('process_cpu_seconds_total')} {_OURS}", _AT),
            unit="short",
        ),
        series("Memory", "Resident memory.", query(f"process_resident_memory_bytes {_OURS}", _AT), unit="bytes"),
        row("Router 路由"),
        series(
            "Events in, deliveries out",
            "Per second, over all routers. Not granted: an agreement's rows or validity do not let the event through.",
            query(f"sum({rate('hutong_router_events_total')})", "events"),
            query(f"sum({rate('hutong_router_deliveries_total')})", "deliveries"),
            query(f"sum({rate('hutong_router_filtered_total')})", "not granted"),
            unit="suffix:/s",
        ),
        series(
            "Quarantined, by reason 隔离",
            "Events per second that routers put into quarantine.",
            query(f"sum by (reason) ({rate('hutong_router_quarantined_total')})", "{{reason}}"),
            unit="suffix:/s",
        ),
        series(
            "Transactions, by outcome 事务",
            "Aborted and unknown ones are done again; many of them mean trouble with the brokers.",
            query(f"sum by (outcome) ({rate('hutong_router_transactions_total')})", "{{outcome}}"),
            unit="suffix:/s",
        ),
        series(
            "From append to delivery",
            "The oldest event of each transaction, from its append to its topic until its deliveries are committed.",
            *halves("hutong_router_latency_seconds"),
            unit="s",
        ),
        series(
            "Time of a transaction", "From its first event read to its commit.", *halves("hutong_router_batch_seconds"), unit="s"
        ),
        series(
            "Events in a transaction",
            "The mean; the router finds by itself how many are best.",
            query(f"sum({rate('hutong_router_batch_events_sum')}) / sum({rate('hutong_router_batch_events_count')})", "events"),
            unit="short",
        ),
        series(
            "Rebalances",
            "Partitions given to, and taken from, routers in the last hour.",
            query("sum by (kind) (increase(hutong_router_rebalances_total[1h]))", "{{kind}}"),
            unit="short",
        ),
        series(
            "Waiting for the brokers",
            "Records that routers have written and the brokers have not acknowledged.",
            query("sum by (instance) (hutong_router_queue_depth)", "{{instance}}"),
            unit="short",
        ),
        series(
            "Time until a change of agreements is in force",
            "From the record on ctl.agreements to the router's new table, within 99 of 100 changes of the last hour.",
            query("histogram_quantile(0.99, sum by (le) (increase(hutong_router_revocation_seconds_bucket[1h])))", "in force"),
            query("histogram_quantile(0.99, sum by (le) (increase(hutong_router_table_seconds_bucket[1h])))", "compiled"),
            unit="s",
        ),
        series(
            "Agreements known",
            "Routers should know the same number.",
            query("max by (instance) (hutong_router_agreements)", "{{instance}}"),
            unit="short",
        ),
        row("Kafka and registry 集群"),
        series(
            "Brokers 集群",
            "Brokers in service, and how many there should be.",
            query("min(hutong_brokers_in_service)", "in service"),
            query("max(hutong_brokers_expected)", "expected"),
            unit="short",
        ),
        series(
            "Under-replicated partitions",
            "Partitions with fewer copies in step than they should have.",
            query("max(hutong_under_replicated_partitions)", "partitions"),
            unit="short",
        ),
        series(
            "Stable offset behind",
            "For how long the last stable offset has stood still: a transaction that hangs stops every reader of the topic.",
            query(f"topk(10, {each('hutong_stable_offset_behind_seconds', 'topic')})", "{{topic}}"),
            unit="s",
            steps=[(0, "green"), (60, "red")],
        ),
        series(
            "Consumer groups",
            "Members of the bus's own groups.",
            query('max by (group) (hutong_group_members{group=~"hutong[.].*"})', "{{group}}"),
            unit="short",
        ),
        series(
            "Time of the monitor's round",
            "How long the monitor takes to look at everything once.",
            *halves("hutong_monitor_round_seconds"),
            unit="s",
        ),
        series(
            "Lost to retention 过期丢失",
            "Offsets that retention deleted before a group passed them, since the monitor began.",
            query(f"topk(10, {each('hutong_lost_to_retention_total', 'topic, group')})", "{{topic}} ({{group}})"),
            unit="short",
            steps=ZERO_STEPS,
        ),
        row("Cases 案件"),
        series(
            "Open and late cases 案件",
            "Cases that are not closed, and those among them with an overdue question.",
            query("sum by (flow) (hutong_cases_open)", "{{flow}}: open"),
            query("sum by (flow) (hutong_cases_late)", "{{flow}}: late"),
            unit="short",
        ),
        series(
            "Age of the oldest case",
            "Of those that are not closed.",
            query("max by (flow) (hutong_case_age_seconds)", "{{flow}}"),
            unit="s",
        ),
        series(
            "Cases closed, by result 结案",
            "Cases per second.",
            query(f"sum by (flow, result) ({rate('hutong_cases_closed_total')})", "{{flow}}: {{result}}"),
            unit="suffix:/s",
        ),
        series(
            "Answers, by agency and outcome 答复",
            "Answers per second: in time, late, refused.",
            query(f"sum by (agency, outcome) ({rate('hutong_answers_total')})", "{{agency}}: {{outcome}}"),
            unit="suffix:/s",
        ),
        series(
            "Time of a step of cases",
            "One batch of the inbox, from its first record to its cases stored.",
            *halves("hutong_coordinator_step_seconds"),
            unit="s",
        ),
        series(
            "Records worked off",
            "Records of the inbox per second, and published events brought to it, by what they do.",
            query(f"sum({rate('hutong_coordinator_inbox_records_total')})", "inbox"),
            query(f"sum by (does) ({rate('hutong_coordinator_intake_records_total')})", "brought: {{does}}"),
            unit="suffix:/s",
        ),
    ],
)
