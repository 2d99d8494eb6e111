"""The router's account: delivered, filtered and quarantined add up to what was asked, whoever comes and goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from hutong.transcode.routing import RoutingTable
from services.router.account import Account, Tally
from tests.unit.test_router_service import good, handle, router
from tests.unit.test_routing import CONTRACT, grant

TOPIC = f"pub.{CONTRACT}"
REASON = {"contract": CONTRACT, "reason": "transform_failed"}


def batch(table: RoutingTable, events: int, delivered: dict[str, int], failed: dict[str, int] | None = None) -> Tally:
    tally = Tally()
    tally.events[TOPIC] = tally.under(table)[TOPIC] = events
    tally.delivered.update(delivered)
    tally.failed.update(failed or {})
    return tally


def table(*names: str) -> RoutingTable:
    return RoutingTable({name: grant(name, [{"field": "id"}]) for name in names}, {})


def filtered(registry: CollectorRegistry) -> dict[str, float]:
    found = (sample for family in registry.collect() for sample in family.samples if "filtered" in sample.name)
    return {sample.labels["agreement"]: sample.value for sample in found}


def test_what_is_neither_delivered_nor_quarantined_was_filtered() -> None:
    """From the first event after an agreement came, for each agreement by itself."""
    registry = CollectorRegistry()
    account = Account(registry)
    account.enter(batch(table("a", "b"), 10, {"a": 4}, {"a": 1}))
    assert filtered(registry) == {"a": 5, "b": 10}
    account.enter(batch(table("a", "b", "c"), 5, {"c": 5}))
    assert filtered(registry) == {"a": 10, "b": 15, "c": 0}


def test_an_agreement_that_goes_and_comes_back_goes_on_where_it_was() -> None:
    """What passed while it was away is not on its account, and nothing that was counted is taken back."""
    registry = CollectorRegistry()
    account = Account(registry)
    account.enter(batch(table("a", "b"), 10, {"a": 4}))
    account.enter(batch(table("b"), 100, {}))
    assert filtered(registry) == {"a": 6, "b": 110}
    account.enter(batch(table("a", "b"), 3, {"a": 1}))
    assert filtered(registry) == {"a": 8, "b": 113}


def test_a_table_that_changes_within_a_batch_is_asked_for_its_own_events_only() -> None:
    """Half a batch under each of two tables."""
    registry = CollectorRegistry()
    tally = batch(table("a"), 10, {"a": 10, "b": 7})
    tally.under(table("a", "b"))[TOPIC] += 7
    Account(registry).enter(tally)
    assert filtered(registry) == {"a": 7, "b": 0}


def test_a_batch_counts_when_it_is_committed(tmp_path: Path) -> None:
    """From the handler to the page: one event delivered, filtered and quarantined by an agreement each."""
    grants: list[Any] = [
        grant("all", [{"field": "id"}]),
        grant("north", [{"field": "id"}], rows=({"field": "region", "prefix": "99"},)),
        grant("mapped", [{"field": "code", "transform": "map", "code_list": "codes"}]),
    ]
    made, _, _ = router(tmp_path, *grants)
    registry = CollectorRegistry()
    made._account = Account(registry)
    handle(made, good(data={"code": "zz"}))
    assert registry.get_sample_value("hutong_router_events_total", {"contract": CONTRACT}) is None
    made.committed(0.1)
    assert registry.get_sample_value("hutong_router_events_total", {"contract": CONTRACT}) == 1
    assert registry.get_sample_value("hutong_router_deliveries_total", {"agreement": "all"}) == 1
    assert registry.get_sample_value("hutong_router_quarantined_total", REASON) == 1
    assert filtered(registry) == {"all": 0, "north": 1, "mapped": 0}
