"""What the SDK tells of a process: how much waits for the brokers, and how old events are when they are handed over."""

from __future__ import annotations

import gc
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import REGISTRY

from hutong.metrics import RECEIVED_SECONDS
from hutong.testing import Bus
from tests.behaviour.line import FI, MOVED, move

AGREEMENT = "moves-to-benefits"


def shown(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_what_waits_for_the_brokers_is_counted_over_all_publishers() -> None:
    """A publisher that is gone does not count any more."""
    gc.collect()
    before = shown("hutong_publish_queue_depth")
    with Bus(FI) as bus:
        one, other = bus.publisher("dvv"), bus.publisher("dvv")
        one._sender.poll = other._sender.poll = lambda _: None  # type: ignore[method-assign]  # no confirmation comes in
        one.publish(move(1), MOVED)
        other.publish(move(2), MOVED)
        assert shown("hutong_publish_queue_depth") - before == 2
        del one._sender.poll
        one.flush()
        assert shown("hutong_publish_queue_depth") - before == 1
        del other
        gc.collect()
        assert shown("hutong_publish_queue_depth") - before == 0
        one.close()


def test_an_events_age_is_counted_when_it_is_handed_over() -> None:
    """By agreement, from the event's own time; one that comes from a clock ahead of ours is as new as can be."""
    names = [f"hutong_received_latency_seconds_{part}" for part in ("count", "sum")]
    before = [shown(name, agreement=AGREEMENT) for name in names]
    with Bus(FI) as bus, bus.subscription("kela", "population") as kela, bus.publisher("dvv") as dvv:
        for age in (90, 0, -60):
            dvv.publish(move(1), MOVED, time=datetime.now(UTC) - timedelta(seconds=age))
        assert [kela.poll(1) is not None for _ in range(3)] == [True] * 3
    count, total = (shown(name, agreement=AGREEMENT) - was for name, was in zip(names, before, strict=True))
    assert count == 3
    assert 90 <= total < 150


def test_many_are_observed_as_one_by_one() -> None:
    """Every bucket, and the sum."""
    together, single = (RECEIVED_SECONDS.labels(f"test-{name}") for name in ("together", "single"))
    amounts = [0.0, 0.05, 0.051, 3.0, 3.0, 86_400.0, 1e9]
    together.observe_all(list(reversed(amounts)))
    for amount in amounts:
        single.observe(amount)
    for suffix, labels in (
        ("sum", {}),
        ("count", {}),
        *(("bucket", {"le": one}) for one in ("0.05", "0.1", "10.0", "86400.0", "+Inf")),
    ):
        name = f"hutong_received_latency_seconds_{suffix}"
        assert shown(name, agreement="test-together", **labels) == pytest.approx(shown(name, agreement="test-single", **labels))
