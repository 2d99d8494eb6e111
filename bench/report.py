"""Results for people and for programs: a table with ratios, and JSON with machine and versions.

Neighbours: ``__main__`` collects what is reported here.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import confluent_kafka

from bench.cases import Case
from bench.contenders import kafka_streams
from bench.latency import Latency
from bench.measure import Measured
from hutong.embedded.java import java

__all__ = [
    "LATEST",
    "begun",
    "case_document",
    "case_table",
    "endurance_table",
    "environment",
    "latency_document",
    "latency_table",
    "sdk_document",
    "sdk_table",
    "write",
]

LATEST = Path(__file__).with_name("results") / "latest.json"

Rounds = Mapping[str, Sequence[Measured]]
"""Contender -> its runs."""

_BASELINE = "hutong"
_WATCHED = ("hutong_scraped", "hutong_traced")
_PEER = "kafka_streams_default"
_LATENCY_TARGETS = {1_000: {"p50_ms": 12.0, "p99_ms": 40.0}}
_LATENCY_RATIO = 0.3
_SDK_TARGETS = {"Publisher, dicts": 60_000, "Publisher, models ready": 40_000, "Subscription, dicts": 100_000}
_SDK_RATIO = ("Publisher, dicts", "AvroSerializer, schema given", 3.0)
_EFFECTS = {
    "revoked_last_routed_ms": "revocation written to last delivery routed",
    "granted_first_routed_ms": "new agreement written to first delivery routed",
    "granted_first_read_ms": "new agreement written to first delivery readable",
}


def case_document(case: Case, rounds: Rounds, skipped: Mapping[str, str]) -> dict[str, Any]:
    """A case's results, JSON-shaped.

    Args:
        case: what was run.
        rounds: the measured runs.
        skipped: contender -> why it did not take part.
    """
    contenders = {name: _summary(runs) for name, runs in rounds.items()}
    medians = {name: one["events_per_s"]["median"] for name, one in contenders.items()}
    document: dict[str, Any] = {
        "title": case.title,
        "events": case.events,
        "fan_out": case.fan_out,
        "size": case.size,
        "agreements": case.agreements,
        "topics": case.topics,
        "partitions": case.partitions,
        "contenders": contenders,
        "skipped": dict(skipped),
    }
    if _BASELINE in medians:
        for peer, median in _peers(medians).items():
            document[f"ratio_vs_{peer}"] = round(medians[_BASELINE] / median, 3)
    if "hutong_two" in medians:
        document["ratio_two_routers_vs_one"] = round(medians["hutong_two"] / medians[_BASELINE], 3)
    for name in _WATCHED:
        if name in medians and _BASELINE in medians:
            document[_ratio(name)] = round(medians[name] / medians[_BASELINE], 3)
    document["targets"] = {
        _ratio(peer): {"at_least": least, "met": document[_ratio(peer)] >= least}
        for peer, least in case.targets.items()
        if _ratio(peer) in document
    }
    return document


def _ratio(peer: str) -> str:
    return f"ratio_{peer}_vs_hutong" if peer in _WATCHED else f"ratio_vs_{peer}"


def _summary(runs: Sequence[Measured]) -> dict[str, Any]:
    return {
        "deliveries_per_s": _spread([one.deliveries_per_s for one in runs]),
        "events_per_s": _spread([one.events_per_s for one in runs]),
        "cpu_us_per_event": round(statistics.median(one.cpu_us for one in runs), 2),
        "peak_mb": round(max(one.peak_mb for one in runs), 1),
        "repeated_deliveries": sum(one.repeated for one in runs),
        "rounds": len(runs),
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values)), "low": round(min(values)), "high": round(max(values))}


def _peers(medians: Mapping[str, float]) -> dict[str, float]:
    """The medians to be compared with; of the raw copy its best transaction size."""
    peers: dict[str, float] = {}
    for name, median in medians.items():
        peer = name.partition("@")[0]
        if peer not in (_BASELINE, "hutong_two", *_WATCHED):
            peers[peer] = max(median, peers.get(peer, 0.0))
    return peers


def case_table(document: Mapping[str, Any]) -> str:
    """A case's results as lines of text."""
    unit = "deliveries_per_s" if document["fan_out"] else "events_per_s"
    rounds = max((one["rounds"] for one in document["contenders"].values()), default=0)
    lines = [f"{document['title']} ({document['events']:,} events, median of {rounds} rounds)"]
    lines.append(f"  {'':<18}{unit.replace('_per_s', '/s'):>13}{'spread':>22}{'CPU µs/event':>14}{'MB':>7}{'hutong is':>12}")
    contenders = document["contenders"]
    for name, one in contenders.items():
        rate = one[unit]
        spread = f"{rate['low']:,.0f} to {rate['high']:,.0f}"
        ratio = ""
        if name != _BASELINE and _BASELINE in contenders:
            ratio = f"{contenders[_BASELINE][unit]['median'] / rate['median']:.2f} x"
        again = f"  ({one['repeated_deliveries']} came again)" if one["repeated_deliveries"] else ""
        lines.append(
            f"  {name:<18}{rate['median']:>13,.0f}{spread:>22}{one['cpu_us_per_event']:>14.1f}{one['peak_mb']:>7.0f}{ratio:>12}"
            + again
        )
    lines += [f"  {name:<18}left out: {why}" for name, why in document["skipped"].items()]
    for name, target in document["targets"].items():
        verdict = "met" if target["met"] else "missed"
        lines.append(f"  target {name} >= {target['at_least']}: {document[name]:.2f}, {verdict}")
    return "\n".join(lines)


def latency_document(rate: int, found: Mapping[str, Sequence[Latency]]) -> dict[str, Any]:
    """Latencies at one rate, JSON-shaped: of each contender the median round."""
    document: dict[str, Any] = {
        name: {
            "p50_ms": round(statistics.median(one.p50_ms for one in runs), 1),
            "p99_ms": round(statistics.median(one.p99_ms for one in runs), 1),
            "p99_ms_spread": [min(one.p99_ms for one in runs), max(one.p99_ms for one in runs)],
            "publisher_late_ms": max(one.late_ms for one in runs),
            "rounds": len(runs),
        }
        for name, runs in found.items()
        if runs
    }
    document["kept_up"] = {name: len(runs) for name, runs in found.items()}
    targets = _LATENCY_TARGETS.get(rate, {}) if _BASELINE in document else {}
    if _BASELINE in document and _PEER in document:
        for percentile in ("p50_ms", "p99_ms"):
            ratio = document[_BASELINE][percentile] / document[_PEER][percentile]
            document[f"ratio_{percentile.removesuffix('_ms')}_vs_{_PEER}"] = round(ratio, 3)
    met = {name: document[_BASELINE][name] <= most for name, most in targets.items()}
    document["targets"] = {name: {"at_most": most, "met": met[name]} for name, most in targets.items()}
    ratio_name = f"ratio_p50_vs_{_PEER}"
    if ratio_name in document:
        document["targets"][ratio_name] = {"at_most": _LATENCY_RATIO, "met": document[ratio_name] <= _LATENCY_RATIO}
    return document


def latency_table(document: Mapping[str, Any]) -> str:
    """Latencies as lines of text."""
    lines = ["latency, published to readable with read_committed"]
    lines.append(f"  {'':<22}{'':<24}{'p50 ms':>9}{'p99 ms':>9}{'p99 spread':>24}")
    for rate, found in document.items():
        for name, one in found.items():
            if isinstance(one, dict) and "p50_ms" in one and "rounds" in one:
                low, high = one["p99_ms_spread"]
                spread = f"{low:.1f} to {high:.1f}"
                lines.append(f"  {rate:<22}{name:<24}{one['p50_ms']:>9.1f}{one['p99_ms']:>9.1f}{spread:>24}")
        for name, target in found["targets"].items():
            value = found[name] if name in found else found[_BASELINE][name]
            verdict = "met" if target["met"] else "missed"
            lines.append(f"  target {name} <= {target['at_most']:g}: {value:g}, {verdict}")
    return "\n".join(lines)


def endurance_table(document: Mapping[str, Any]) -> str:
    """Endurance as lines of text."""
    memory, pauses = document["memory"], document["rebalance"]
    lines = [
        f"one router at full load for {memory['minutes']:g} minutes, {memory['events_per_s']:,} events/s: "
        f"at most {memory['most_mb']:.0f} MB, growth {memory['growth_mb']:+.1f} MB",
    ]
    for name, words in _EFFECTS.items():
        one = document[name]
        lines.append(f"{words}: median {one['median']:.0f} ms, at most {one['most']:.0f} ms, {one['times']} times")
    undisturbed, join, leave = (f"{pauses[name]:.2f} s" for name in ("undisturbed_s", "join_s", "leave_s"))
    lines.append(
        f"longest stand-still of a partition: {undisturbed} undisturbed, {join} as a second router joins, {leave} as it leaves"
    )
    return "\n".join(lines)


def sdk_document(figures: Mapping[str, Mapping[str, float]], skipped: Mapping[str, str]) -> dict[str, Any]:
    """The SDK's speed, JSON-shaped, with its targets."""
    ours, peer, least = _SDK_RATIO
    targets: dict[str, dict[str, float | bool]] = {
        name: {"at_least": wanted, "met": figures[name]["per_s"] >= wanted}
        for name, wanted in _SDK_TARGETS.items()
        if name in figures
    }
    document: dict[str, Any] = {"figures": dict(figures), "skipped": dict(skipped), "targets": targets}
    if peer in figures:
        document["ratio_publisher"] = round(figures[ours]["per_s"] / figures[peer]["per_s"], 2)
        targets["ratio_publisher"] = {"at_least": least, "met": document["ratio_publisher"] >= least}
    return document


def sdk_table(document: Mapping[str, Any]) -> str:
    """The SDK's speed as lines of text."""
    figures = document["figures"]
    rounds = max((one["rounds"] for one in figures.values()), default=0)
    lines = [
        f"publishing and receiving in one process, median of {rounds} rounds",
        f"  {'':<36}{'events/s':>10}{'spread':>20}{'CPU µs/event':>14}",
    ]
    for name, one in figures.items():
        spread = f"{one['low']:,.0f} to {one['high']:,.0f}"
        lines.append(f"  {name:<36}{one['per_s']:>10,.0f}{spread:>20}{one['cpu_us']:>14.1f}")
    lines += [f"  {name:<36}left out: {why}" for name, why in document["skipped"].items()]
    for name, target in document["targets"].items():
        value = figures[name]["per_s"] if name in figures else document[name]
        lines.append(f"  target {name} >= {target['at_least']:,}: {value:,}, {'met' if target['met'] else 'missed'}")
    return "\n".join(lines)


def environment() -> dict[str, Any]:
    """Machine and versions."""
    processor = next(
        (line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    runtime = subprocess.run([java(), "-version"], capture_output=True, text=True, check=False).stderr.splitlines()
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": processor,
            "cores": os.cpu_count(),
            "memory_gb": round(memory, 1),
            "system": platform.platform(),
        },
        "versions": {
            "commit": _commit(),
            "python": platform.python_version(),
            "confluent_kafka": confluent_kafka.version(),
            "librdkafka": confluent_kafka.libversion()[0],
            "kafka": kafka_streams.VERSION,
            "kafka_streams": kafka_streams.VERSION,
            "java": runtime[0] if runtime else "",
        },
    }


def _commit() -> str:
    """The commit that was checked out; empty where this is no clone."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    except OSError:
        return ""
    return done.stdout.strip()


def begun(file: Path, how: Mapping[str, Any], *, resume: bool) -> dict[str, Any]:
    """The document that results go into: a new one, or what a run that was broken off has left.

    Args:
        file: where it lies.
        how: the run's settings; figures of other settings do not go with them.
        resume: whether to go on with it.

    Raises:
        SystemExit: it was measured with other settings.
    """
    if not resume or not file.exists():
        return {**how, **environment(), "cases": {}}
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if any(document.get(name) != value for name, value in how.items()):
        raise SystemExit(f"{file} is of a run with other settings; leave out --resume")
    return document


def write(file: Path, document: Mapping[str, Any]) -> None:
    """Write results where programs look for them."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
