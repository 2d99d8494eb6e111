"""Routers as an orchestrator sees them, on a bus of their own: how they end, what their page says, and where their spans go."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from hutong import Publisher, Subscription
from hutong.home import Home
from hutong.kafka.compacted import write
from hutong.kafka.control import AGREEMENTS_TOPIC
from tests.behaviour.line import FI, MOVED, collect, move, unique
from tests.integration.routers import Start, await_true, hutong
from tests.integration.test_router import Load, all_delivered, check_exactly_once, settings, starting_points
from tests.metrics_page import ACCEPT, check_page
from tests.spans import Collector, collector, spans_to, use

pytestmark = pytest.mark.timeout(240)


@pytest.mark.long
def test_a_router_ends_in_order_under_load(home: Home, start: Start) -> None:
    """SIGTERM: not ready from that moment on, ended within 10 s with 0, and nothing lost or twice when another goes on."""
    since = starting_points(home)
    router = start().await_ready()
    with Load(home, rate=2000, keys=50) as load:
        await_true(lambda: router.metric("hutong_router_transactions_total", outcome="committed") > 2, "it works")
        began = time.monotonic()
        router.process.terminate()
        await_true(lambda: router.get("/health/ready")[0] != 200, "it is not ready any more", 10)
        unready = time.monotonic()
        while router.process.poll() is None:
            assert router.get("/health/ready")[0] in (503, 0)
        ended = time.monotonic()
        print(f"not ready after {unready - began:.3f} s, ended after {ended - began:.3f} s")
        assert router.process.returncode == 0  # 1 where it had to be ended after 8 s
        start("b").await_ready()
    await_true(lambda: all_delivered(home, load, since), "everything is delivered", 60)
    check_exactly_once(home, load, since)
    assert [line["message"] for line in router.log()][-1] == "stopped"


def test_the_page_of_a_router_at_work(home: Home, start: Start) -> None:
    """Strict OpenMetrics; latency by agreement, transactions, rebalances and the time that a revocation took are there."""
    router = start("page").await_ready()
    with Publisher("dvv", settings=settings(home, "dvv")) as publisher:
        for number in range(50):
            publisher.publish(move(number), MOVED)
    await_true(lambda: router.metric("hutong_router_delivery_latency_seconds_count") >= 100, "all is counted")
    write(settings(home), AGREEMENTS_TOPIC, {"moves-to-benefits": None})
    await_true(lambda: router.metric("hutong_router_revocation_seconds_count") == 1, "the revocation is in force")
    hutong(home, "apply", "--schemas", str(FI))
    page = check_page(router.get("/metrics", ACCEPT)[1])
    samples = {(one.name, tuple(one.labels.values())): one.value for family in page.values() for one in family.samples}
    for agreement in ("moves-to-benefits", "moves-for-statistics"):
        count = samples["hutong_router_delivery_latency_seconds_count", (agreement,)]
        assert count == samples["hutong_router_deliveries_total", (agreement,)] >= 50
        assert samples["hutong_router_delivery_latency_seconds_bucket", (agreement, "+Inf")] == count
    assert samples["hutong_router_transactions_total", ("committed",)] >= 1
    assert samples["hutong_router_rebalances_total", ("assigned",)] >= 1
    assert samples["hutong_router_queue_depth", ()] >= 0
    assert samples["hutong_process_ready", ()] == 1
    assert samples["hutong_process_info", ("page", "router", page["hutong_process"].samples[0].labels["version"])] == 1


@pytest.fixture
def collected() -> Iterator[Collector]:
    with collector() as found:
        yield found


def test_an_event_is_one_trace_from_publish_to_receive(
    home: Home, start: Start, collected: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Publisher, router and recipient are three processes' worth of clients; the collector sees parents and children."""
    router = start("traced", HUTONG_TRACING="1", OTEL_EXPORTER_OTLP_ENDPOINT=collected.endpoint, OTEL_BSP_SCHEDULE_DELAY="100")
    router.await_ready()
    use(monkeypatch, spans_to(OTLPSpanExporter(endpoint=f"{collected.endpoint}/v1/traces")))
    kela = Subscription("kela", "population", settings=settings(home, "kela"), group=f"kela.{unique()}")
    with kela, Publisher("dvv", settings=settings(home, "dvv")) as publisher:
        for number in range(3):
            publisher.publish(move(number), MOVED)
        events = collect(kela, 3)
    assert len(events) == 3
    await_true(lambda: len(collected.named("deliver moves-to-benefits")) == 3, "the router's spans have arrived")
    router.stop()
    by_id = {span.id: span for span in collected.spans}
    for event in events:
        _, trace, receive_id, _ = (event.attributes.traceparent or "").split("-")
        receive = by_id[receive_id]
        deliver = by_id[receive.parent]
        route = by_id[deliver.parent]
        publish = by_id[route.parent]
        assert {receive.trace, deliver.trace, route.trace, publish.trace} == {trace}
        names = (publish.name, route.name, deliver.name, receive.name)
        assert names == (f"publish {MOVED}", f"route {MOVED}", "deliver moves-to-benefits", "receive kela.population")
        assert (route.service, deliver.service) == ("hutong-router", "hutong-router")
        assert publish.parent == ""
        assert {one.facts["messaging.message.id"] for one in (publish, route, deliver, receive)} == {event.attributes.id}
        others = [span for span in collected.spans if span.parent == route.id and span is not deliver]
        assert [span.name for span in others] == ["deliver moves-for-statistics"]
    assert not any(span.error for span in collected.spans)
