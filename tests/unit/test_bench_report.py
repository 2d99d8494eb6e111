"""Ratios, targets and tables of the benchmark, from made-up runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import report
from bench.cases import CASES
from bench.latency import Latency
from bench.measure import Measured


def runs(*rates: float, repeated: int = 0) -> list[Measured]:
    """Rounds of a contender, in events a second."""
    return [
        Measured(events_per_s=rate, deliveries_per_s=3 * rate, cpu_us=10.0, peak_mb=100.0 + number, repeated=repeated)
        for number, rate in enumerate(rates)
    ]


CASE = CASES["fan-out-3-small"]
ROUNDS = {
    "hutong": runs(90, 100, 80),
    "kafka_streams": runs(50, 60, 70),
    "raw_copy@10000": runs(110, 120, 100),
    "raw_copy@50000": runs(200, 120, 90),
    "faust": runs(9, 10, 11, repeated=2),
}


def test_ratios_are_of_medians() -> None:
    """And a peer with several settings counts at its best."""
    document = report.case_document(CASE, ROUNDS, {"quix": "there is no network"})
    assert document["ratio_vs_kafka_streams"] == 1.5
    assert document["ratio_vs_raw_copy"] == 0.75
    assert document["ratio_vs_faust"] == 9.0
    assert document["contenders"]["hutong"]["deliveries_per_s"] == {"median": 270, "low": 240, "high": 300}
    assert document["contenders"]["hutong"]["peak_mb"] == 102.0


def test_targets_are_met_or_missed() -> None:
    """Each is told with its ratio."""
    document = report.case_document(CASE, ROUNDS, {})
    assert document["targets"]["ratio_vs_kafka_streams"] == {"at_least": 1.5, "met": True}
    assert document["targets"]["ratio_vs_raw_copy"] == {"at_least": 0.85, "met": False}


def test_a_target_without_its_peer_is_not_judged() -> None:
    """A contender that could not take part is neither met nor missed."""
    document = report.case_document(CASE, {"hutong": runs(1, 2, 3)}, {"kafka_streams": "no javac"})
    assert document["targets"] == {}
    assert document["skipped"] == {"kafka_streams": "no javac"}


def test_two_routers_are_compared_with_one() -> None:
    """They are no peer, and have a ratio of their own."""
    document = report.case_document(CASES["two-routers"], {"hutong": runs(50), "hutong_two": runs(75)}, {})
    assert document["ratio_two_routers_vs_one"] == 1.5
    assert "ratio_vs_hutong_two" not in document


def test_the_table_tells_everything() -> None:
    """Rates, spread, ratios, what came again, who was left out, and the targets."""
    table = report.case_table(report.case_document(CASE, ROUNDS, {"quix": "there is no network"}))
    lines = {line.split()[0]: line for line in table.splitlines()[2:]}
    assert "180" in lines["kafka_streams"]
    assert "150 to 210" in lines["kafka_streams"]
    assert "1.50 x" in lines["kafka_streams"]
    assert "6 came again" in lines["faust"]
    assert "there is no network" in lines["quix"]
    assert "target ratio_vs_raw_copy >= 0.85: 0.75, missed" in table


def test_a_case_without_deliveries_counts_events() -> None:
    """Where everything is filtered there is nothing else to count."""
    document = report.case_document(CASES["filter-all"], {"hutong": runs(100), "raw_copy@10000": runs(200)}, {})
    assert document["ratio_vs_raw_copy"] == 0.5
    assert "events/s" in report.case_table(document)


def latencies(p50: float, p99: float) -> list[Latency]:
    """Three rounds, the middle one of which counts."""
    return [Latency(p50_ms=p50 + extra, p99_ms=p99 + extra, late_ms=1.0, deliveries=9) for extra in (-2.0, 0.0, 5.0)]


def test_latency_is_held_against_its_targets() -> None:
    """In ms, and as a part of Kafka Streams' own."""
    document = report.latency_document(1_000, {"hutong": latencies(12, 50), "kafka_streams_default": latencies(60, 120)})
    assert document["hutong"]["p50_ms"] == 12
    assert document["ratio_p50_vs_kafka_streams_default"] == 0.2
    assert {name: target["met"] for name, target in document["targets"].items()} == {
        "p50_ms": True,
        "p99_ms": False,
        "ratio_p50_vs_kafka_streams_default": True,
    }
    table = report.latency_table({"at_1000_per_s": document})
    assert "target p99_ms <= 40: 50, missed" in table
    assert "48.0 to 55.0" in table


def test_who_does_not_keep_the_rate_has_no_latency() -> None:
    """And no target is judged by the other's figures alone."""
    document = report.latency_document(1_000, {"hutong": [], "kafka_streams_default": latencies(60, 120)})
    assert document["kept_up"] == {"hutong": 0, "kafka_streams_default": 3}
    assert document["targets"] == {}
    assert "kafka_streams_default" in report.latency_table({"at_1000_per_s": document})


def figures(publishing: float, peer: float | None) -> dict[str, dict[str, float]]:
    """The SDK's, with or without a peer."""
    rates = {"Publisher, dicts": publishing, "Publisher, models ready": 50_000.0, "Subscription, dicts": 90_000.0}
    if peer:
        rates["AvroSerializer, schema given"] = peer
    return {name: {"per_s": rate, "low": rate, "high": rate, "cpu_us": 1.0, "rounds": 3} for name, rate in rates.items()}


def test_the_sdk_is_held_against_its_targets_and_its_peer() -> None:
    """Events a second of its own, and a ratio."""
    document = report.sdk_document(figures(61_000, 20_000), {})
    met = {name: target["met"] for name, target in document["targets"].items()}
    assert met == {
        "Publisher, dicts": True,
        "Publisher, models ready": True,
        "Subscription, dicts": False,
        "ratio_publisher": True,
    }
    table = report.sdk_table(document)
    assert "median of 3 rounds" in table
    assert "target ratio_publisher >= 3.0: 3.05, met" in table
    assert "target Subscription, dicts >= 100,000: 90,000.0, missed" in table


def test_the_sdk_without_its_peer() -> None:
    """Says why it is not there, and judges no ratio."""
    document = report.sdk_document(figures(61_000, None), {"AvroSerializer": "there is no network"})
    assert "ratio_publisher" not in document["targets"]
    assert "left out: there is no network" in report.sdk_table(document)


def test_a_run_that_was_broken_off_goes_on(tmp_path: Path) -> None:
    """With the same settings only; otherwise it begins anew."""
    file, how = tmp_path / "latest.json", {"quick": False, "scale": 1.0}
    assert report.begun(file, how, resume=True)["cases"] == {}
    report.write(file, report.begun(file, how, resume=False) | {"cases": {"a": 1}})
    assert report.begun(file, how, resume=True)["cases"] == {"a": 1}
    assert report.begun(file, how, resume=False)["cases"] == {}
    with pytest.raises(SystemExit, match="other settings"):
        report.begun(file, how | {"scale": 0.5}, resume=True)


def test_endurance_in_words() -> None:
    """One sentence for each promise."""
    effect = {"median": 120.0, "most": 300.0, "times": 5}
    table = report.endurance_table(
        {
            "memory": {"minutes": 10.0, "events_per_s": 50_000, "most_mb": 240.0, "last_mb": 239.0, "growth_mb": -1.5},
            "revoked_last_routed_ms": effect,
            "granted_first_routed_ms": effect,
            "granted_first_read_ms": effect,
            "rebalance": {"undisturbed_s": 0.3, "join_s": 1.25, "leave_s": 0.75},
        }
    )
    assert "50,000 events/s: at most 240 MB, growth -1.5 MB" in table
    assert "1.25 s as a second router joins" in table
    assert table.count("at most 300 ms") == 3


def test_results_say_where_they_come_from(tmp_path: Path) -> None:
    """Machine and versions stand beside the figures."""
    report.write(tmp_path / "new" / "latest.json", report.environment())
    document = json.loads((tmp_path / "new" / "latest.json").read_text())
    assert document["machine"]["cores"] >= 1
    assert document["versions"]["kafka_streams"] == "4.3.1"
    assert document["versions"]["java"]


def test_being_watched_is_compared_with_being_alone() -> None:
    """Variants of Hutong are no peers: their ratio is theirs to it, and each is held to its target."""
    found = report.case_document(
        CASES["metrics-overhead"], {"hutong": runs(100), "hutong_scraped": runs(98), "hutong_traced": runs(90)}, {}
    )
    assert (found["ratio_hutong_scraped_vs_hutong"], found["ratio_hutong_traced_vs_hutong"]) == (0.98, 0.9)
    assert [found["targets"][f"ratio_hutong_{name}_vs_hutong"]["met"] for name in ("scraped", "traced")] == [True, False]
    assert "ratio_vs_hutong_scraped" not in found
