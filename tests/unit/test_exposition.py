"""The metrics page is prometheus-client's own, byte for byte, whatever is on it and however it is asked for."""

from __future__ import annotations

import gzip
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Info, Summary, generate_latest
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from hutong.runtime.exposition import page, render
from tests.metrics_page import check_page

PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
ASKED = [
    "",
    "*/*",
    "text/plain",
    PROMETHEUS,
    "application/openmetrics-text; version=1.0.0",
    "text/plain;version=1.0.0;escaping=dots",
]

texts = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["\\", '"', "\n", "普查", "a\\n"])
numbers = (
    st.floats(allow_nan=False)
    | st.integers(-(10**9), 10**9)
    | st.sampled_from([0, 1e6, 999_999, 1_000_000, 1e7, 12_345_678, 1e22, -0.0, float("nan")])
)


def everything(values: list[tuple[str, Any]], text: str) -> CollectorRegistry:
    """A registry with a metric of each kind."""
    made = CollectorRegistry()
    counter = Counter("hutong_c", text, ["agreement", "a"], registry=made)
    gauge = Gauge("hutong_g", "plain", ["agreement"], registry=made)
    alone = Gauge("hutong_alone", text, registry=made)
    histogram = Histogram("hutong_h_seconds", "plain", ["agreement"], buckets=(0.1, 1, 1e7), registry=made)
    summary = Summary("hutong_s", "plain", registry=made)
    Info("hutong_i", "plain", registry=made).info({"version": text})
    for label, value in values:
        counter.labels(label, "x").inc(abs(value) if value == value else 1)
        gauge.labels(label).set(value)
        alone.set(value)
        histogram.labels(label).observe(value)
        summary.observe(value)
    return made


@given(st.lists(st.tuples(texts, numbers), max_size=5), texts)
def test_the_page_is_the_librarys(values: list[tuple[str, Any]], text: str) -> None:
    """Both formats, all kinds of metrics, any label and any number."""
    made = everything(values, text)
    assert render(made.collect(), openmetrics=True) == generate_openmetrics(made)
    assert render(made.collect(), openmetrics=False) == generate_latest(made)


@pytest.mark.parametrize("accept", ASKED)
def test_every_scraper_gets_what_the_library_would_give_it(accept: str) -> None:
    """Type and body, of a registry that holds still."""
    made = everything([("a", 1), ("b", 2.5)], "help")
    encoder, kind = choose_encoder(accept)
    assert page(made, "", accept, "") == ({"Content-Type": kind}, encoder(made))
    headers, body = page(made, "", accept, "gzip")
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == encoder(made)


class Odd:
    """Families that are beyond the quick way."""

    def __init__(self, family: Metric) -> None:
        self.family = family

    def collect(self) -> list[Metric]:
        return [self.family]

    def describe(self) -> list[Metric]:
        return []


def odd_families() -> list[Metric]:
    stamped = GaugeMetricFamily("hutong_stamped", "x", labels=["topic"])
    stamped.add_metric(["a"], 1, timestamp=1.5)
    foreign = GaugeMetricFamily("hutong.dotted", "x", value=1)
    unit = GaugeMetricFamily("hutong_x_seconds", "x", value=1, unit="seconds")
    unknown = Metric("hutong_u", "x", "unknown")
    unknown.add_sample("hutong_u", {}, 1)
    return [stamped, foreign, unit, unknown]


@pytest.mark.parametrize("family", odd_families(), ids=lambda one: str(one.name))
@pytest.mark.parametrize("accept", ASKED)
def test_what_is_unusual_is_left_to_the_library(family: Metric, accept: str) -> None:
    """The whole page is."""
    made = CollectorRegistry()
    made.register(Odd(family))  # type: ignore[arg-type]
    encoder, kind = choose_encoder(accept)
    assert page(made, "", accept, "") == ({"Content-Type": kind}, encoder(made))


def test_some_metrics_may_be_asked_for_by_name() -> None:
    """As of any exporter."""
    _, body = page(everything([("a", 1)], "help"), "name[]=hutong_alone", "", "")
    assert re.findall(r"^# TYPE (\w+)", body.decode(), re.MULTILINE) == ["hutong_alone"]


def test_the_page_of_this_process_is_strict_openmetrics() -> None:
    """With all that the SDK and the services have registered in it."""
    import connectors.sources._outbox_metrics
    import hutong.metrics
    import services.coordinator.metrics

    hutong.metrics.VIOLATIONS.labels("a.b.c", "type").inc(0)
    services.coordinator.metrics.ANSWERS.labels("f", "a.b", "late").inc(0)
    connectors.sources._outbox_metrics.OLDEST.labels("a.b").set(0)
    found = check_page(page(REGISTRY, "", PROMETHEUS, "")[1].decode())
    assert {"hutong_contract_violations", "hutong_answers", "hutong_outbox_oldest_seconds"} <= found.keys()
