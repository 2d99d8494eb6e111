"""The router's account: delivered, filtered and quarantined add up to what was asked, whoever comes and goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from hutong.transcode.routing import RoutingTable
from services.router.account import Account, Tally
from tests.unit.test_router_service import good, handle, router
from tests.unit.test_routing import CONTRACT, grant

TOPIC = f"pub.{CONTRACT}"
NOW = 1_800_000_000_000
LATENCY = "hutong_router_delivery_latency_seconds"
REASON = {"contract": CONTRACT, "reason": "transform_failed"}


def batch(table: RoutingTable, events: int, delivered: dict[str, int], failed: dict[str, int] | None = None) -> Tally:
    tally = Tally()
    tally.events[TOPIC] = tally.under(table)[TOPIC] = events
    tally.delivered.update(delivered)
    tally.failed.update(failed or {})
    return tally


def table(*names: str) -> RoutingTable:
    return RoutingTable({name: grant(name, [{"field": "id"}]) for name in names}, {})


def within(registry: CollectorRegistry, agreement: str, bound: str) -> float | None:
    """Deliveries that took no longer than this."""
    return registry.get_sample_value(f"{LATENCY}_bucket", {"agreement": agreement, "le": bound})


def filtered(registry: CollectorRegistry) -> dict[str, float]:
    found = (sample for family in registry.collect() for sample in family.samples if "filtered" in sample.name)
    return {sample.labels["agreement"]: sample.value for sample in found}


def test_what_is_neither_delivered_nor_quarantined_was_filtered() -> None:
    """From the first event after an agreement came, for each agreement by itself."""
    registry = CollectorRegistry()
    account = Account(registry)
    account.enter(batch(table("a", "b"), 10, {"a": 4}, {"a": 1}), NOW)
    assert filtered(registry) == {"a": 5, "b": 10}
    account.enter(batch(table("a", "b", "c"), 5, {"c": 5}), NOW)
    assert filtered(registry) == {"a": 10, "b": 15, "c": 0}


def test_an_agreement_that_goes_and_comes_back_goes_on_where_it_was() -> None:
    """What passed while it was away is not on its account, and nothing that was counted is taken back."""
    registry = CollectorRegistry()
    account = Account(registry)
    account.enter(batch(table("a", "b"), 10, {"a": 4}), NOW)
    account.enter(batch(table("b"), 100, {}), NOW)
    assert filtered(registry) == {"a": 6, "b": 110}
    account.enter(batch(table("a", "b"), 3, {"a": 1}), NOW)
    assert filtered(registry) == {"a": 8, "b": 113}


def test_a_table_that_changes_within_a_batch_is_asked_for_its_own_events_only() -> None:
    """Half a batch under each of two tables."""
    registry = CollectorRegistry()
    tally = batch(table("a"), 10, {"a": 10, "b": 7})
    tally.under(table("a", "b"))[TOPIC] += 7
    Account(registry).enter(tally, NOW)
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


def test_deliveries_are_counted_by_how_long_they_took() -> None:
    """Up to each bound, as a histogram; the sum of a name's buckets is its number of deliveries."""
    registry = CollectorRegistry()
    account = Account(registry)
    for age_ms, count in ((25, 1), (26, 2), (5_000, 3), (10**9, 4)):
        tally = Tally()
        tally.of_age(NOW - age_ms, NOW)
        tally.delivered["a"] = count
        account.enter(tally, NOW)
    assert [within(registry, "a", bound) for bound in ("0.025", "0.05", "1.0", "5.0", "300.0", "+Inf")] == [1, 3, 3, 6, 6, 10]
    assert registry.get_sample_value(f"{LATENCY}_count", {"agreement": "a"}) == 10
    assert registry.get_sample_value(f"{LATENCY}_sum", {"agreement": "a"}) == pytest.approx(0.025 + 0.052 + 15 + 4e6)
    assert registry.get_sample_value("hutong_router_deliveries_total", {"agreement": "a"}) == 10
    assert within(registry, "b", "+Inf") is None  # nothing was delivered, nothing is shown


@given(st.lists(st.tuples(st.integers(0, 400_000), st.integers(1, 9)), min_size=1, max_size=30))
def test_a_latency_is_never_told_too_short(chunks: list[tuple[int, int]]) -> None:
    """Chunks of any ages in one transaction: none falls below its own bucket, and none is told an eighth (or 5 ms) too long."""
    tally = Tally()
    for age_ms, count in chunks:
        tally.of_age(NOW - age_ms, NOW)
        tally.delivered["a"] = tally.delivered.get("a", 0) + count
    told = sorted(NOW - oldest for oldest, delivered in tally.made for _ in range(delivered["a"]))
    true = sorted(age for age, count in chunks for _ in range(count))
    assert len(told) == len(true)
    assert all(t <= one <= t + max(5, t / 7) + 1 for t, one in zip(true, told, strict=True))
    assert tally.oldest_ms == NOW - max(age for age, _ in chunks)


def test_events_that_wait_alike_are_counted_together() -> None:
    """A backlog of a minute, read in many chunks: one sum, not one for each chunk."""
    tally = Tally()
    for number in range(1_000):
        tally.of_age(NOW - 60_000 + number, NOW)
        tally.delivered["a"] = tally.delivered.get("a", 0) + 1
    assert len(tally.made) == 1
