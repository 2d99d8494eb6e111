"""``python -m bench``: chooses what is measured, runs the contenders over it in turn, and writes what came of it.

One bus serves the whole run, and is gone afterwards. Neighbours: ``measure``, ``latency`` and ``endurance`` do the runs,
``report`` prints.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from bench import report
from bench.bus import Bus
from bench.cases import CASES, STEADY, Case, chosen
from bench.check import Expected, Wrong
from bench.contenders.contender import Contender
from bench.contenders.faust import Faust
from bench.contenders.hutong import Hutong
from bench.contenders.kafka_streams import KafkaStreams
from bench.contenders.quix import Quix
from bench.contenders.raw_copy import RawCopy
from bench.endurance import Endurance
from bench.latency import Latency, Plan, latency
from bench.measure import Measured, run
from bench.workload import Workload
from hutong.control.quotas import NO_QUOTA
from hutong.embedded import down, up
from hutong.home import Home
from hutong.kafka.quotas import read_quotas, write_quotas

_MAKERS: dict[str, Callable[[Case], list[Contender]]] = {
    "hutong": lambda _: [Hutong()],
    "hutong_two": lambda _: [Hutong(name="hutong_two", routers=2)],
    "hutong_scraped": lambda _: [Hutong(name="hutong_scraped", scraped=True)],
    "hutong_traced": lambda _: [Hutong(name="hutong_traced", traces=True)],
    "kafka_streams": lambda _: [KafkaStreams()],
    "quix": lambda _: [Quix()],
    "faust": lambda _: [Faust()],
    "raw_copy": lambda case: [RawCopy(size=size) for size in case.timeable_copy_sizes],
}

_LATENCY, _ENDURANCE, _SDK, _COORDINATION = "latency", "endurance", "sdk", "coordination"
_OTHERS = {
    _LATENCY: "published to readable, at 1,000 and at 20,000 events/s, Hutong and Kafka Streams with its defaults",
    _ENDURANCE: "at full load: memory over time, agreements and routers that come and go",
    _COORDINATION: "cases of a flow through coordinators: rate, latency, and starting with many that are open",
    _SDK: "publishing and receiving in one process, and confluent-kafka's Avro classes",
}
_RATES = {1_000: 3, 20_000: 2}  # events a second -> rounds; the targets are at the first
_LATENCY_SECONDS = (12, 15)  # of warming and of measurement
_BROKER_SECONDS = 50  # until a new broker's Java has compiled what transactions need: before, its figures are of the compiler
_QUICK_SECONDS = (6, 6)
_SDK_EVENTS, _SDK_ROUNDS = 100_000, 3
_REVOCATIONS = 5
_CASES = {"cases": 3_000, "rate": 40.0, "seconds": 15.0, "open_cases": 100_000}
_QUICK_CASES = {"cases": 500, "rate": 20.0, "seconds": 5.0, "open_cases": 5_000}


def main(arguments: Sequence[str]) -> int:
    """Measure; returns the exit code."""
    options = _options(arguments)
    if options.list:
        for case in CASES.values():
            print(f"{case.name:<22}{case.title}{'  (only when named)' if case.extra else ''}")
        for name, title in _OTHERS.items():
            print(f"{name:<22}{title}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is taken down
    with tempfile.TemporaryDirectory(prefix="hutong-bench-") as folder:
        home = Home(root=Path(folder))
        try:
            up(home, attached=True)
            measure(Bus(home), options, Path(folder))
        except Wrong as wrong:
            print(f"no figures: {wrong}", file=sys.stderr)
            return 1
        finally:
            down(home)
    print(f"written to {options.out}")
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Hutong beside its peers.")
    names = [*CASES, *_OTHERS]
    parser.add_argument("--list", action="store_true", help="list the cases")
    parser.add_argument("--case", action="append", default=[], choices=names, metavar="NAME", help="only this one; repeat")
    parser.add_argument("--contender", action="append", default=[], choices=list(_MAKERS), help="only this one; repeat")
    parser.add_argument("--rounds", type=int, help="runs of each contender, in turn; by default what the case needs")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the number of events")
    parser.add_argument("--minutes", type=float, default=4.0, help="how long memory is watched")
    parser.add_argument("--quick", action="store_true", help="one case, few events and a little latency: less than three minutes")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was broken off: what --out holds is kept")
    parser.add_argument("--out", type=Path, default=report.LATEST, help="where the JSON goes")
    return parser.parse_args(arguments)


def measure(bus: Bus, options: argparse.Namespace, home: Path) -> None:
    """Everything that was asked for; what is done is written after each part.

    Raises:
        Wrong: a contender's output is not what it must be.
    """
    folder = home / "bench"
    folder.mkdir()
    document = report.begun(options.out, {"quick": options.quick, "scale": options.scale}, resume=options.resume)
    for name, part in _parts(bus, options, folder).items():
        results = document["cases"] if name in CASES else document
        if name not in results:
            began = time.monotonic()
            results[name] = part()
            print(f"{name}: {time.monotonic() - began:.0f} s in all", flush=True)
            report.write(options.out, document)


def _parts(bus: Bus, options: argparse.Namespace, folder: Path) -> dict[str, Callable[[], dict[str, Any]]]:
    """What is to be measured, by name, in order."""
    names = [name for name in options.case if name in CASES]
    others = [name for name in options.case if name in _OTHERS] or ([] if options.case else list(_OTHERS))
    cases = chosen(names, quick=options.quick, scale=options.scale) if names or not options.case else []
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        case.name: partial(compare, bus, case, options.contender, options.rounds or case.rounds, folder) for case in cases
    }
    asked: dict[str, Callable[[], dict[str, Any]]] = {
        _LATENCY: partial(latencies, bus, folder, quick=options.quick, rounds=options.rounds),
        _ENDURANCE: partial(endurance, bus, folder, minutes=options.minutes),
        _COORDINATION: partial(coordination, bus, folder, quick=options.quick),  # before a million deaths are published
        _SDK: partial(speed_of_sdk, bus, rounds=options.rounds or _SDK_ROUNDS),
    }
    return parts | {name: asked[name] for name in others if name in (_LATENCY, *options.case) or not options.quick}


def compare(bus: Bus, case: Case, wanted: Sequence[str], rounds: int, folder: Path) -> dict[str, Any]:
    """All contenders of a case in turn; prints the table and returns the document.

    Raises:
        Wrong: a contender's output is not what it must be.
    """
    contenders, skipped = _contenders(case, wanted)
    began = time.monotonic()
    declared = bus.declare(Workload(case))
    bus.publish(declared)
    expected = {copies: Expected(declared, copies=copies) for copies in {one.copies for one in contenders}}
    print(f"{case.name}: declared, published and worked out in {time.monotonic() - began:.0f} s", flush=True)
    found: dict[str, list[Measured]] = {one.name: [] for one in contenders}
    for number in range(rounds):
        for one in contenders:
            try:
                measured = run(bus, declared, one, expected[one.copies], group=_group(case, one, number), folder=folder)
            except Wrong as wrong:
                raise Wrong(f"{one.name} in {case.name}: {wrong}") from wrong
            found[one.name].append(measured)
            rate = f"{measured.events_per_s:,.0f} events/s, {measured.deliveries_per_s:,.0f} deliveries/s"
            print(f"  round {number + 1}, {one.name}: {rate}", flush=True)
    document = report.case_document(case, found, skipped)
    print(report.case_table(document), flush=True)
    return document


def _contenders(case: Case, wanted: Sequence[str]) -> tuple[list[Contender], dict[str, str]]:
    """Who can take part, and why the others cannot."""
    able: list[Contender] = []
    skipped: dict[str, str] = {}
    for name in case.contenders:
        for one in _MAKERS[name](case) if not wanted or name in wanted else []:
            problem = one.problem()
            if problem is None:
                able.append(one)
            else:
                skipped[one.name] = problem
                print(f"{one.name} is left out: {problem}", flush=True)
    return able, skipped


def _group(case: Case, contender: Contender, number: int | str) -> str:
    """A consumer group of a run's own, so that it begins at the first event."""
    return f"hutong.router.bench.{case.name}.{contender.name.replace('_', '-').replace('@', '-')}.{number}"


def latencies(bus: Bus, folder: Path, *, quick: bool, rounds: int | None) -> dict[str, Any]:
    """Hutong and Kafka Streams as it comes, in turn, at each rate; prints the table."""
    declared = bus.declare(Workload(STEADY))
    able = [one for one in (Hutong(), KafkaStreams(name="kafka_streams_default", tuned=False)) if one.problem() is None]
    document: dict[str, Any] = {}
    warm, seconds = _QUICK_SECONDS if quick else _LATENCY_SECONDS
    if able and not quick:
        before = Plan(rate=min(_RATES), warm_seconds=0, seconds=_BROKER_SECONDS)
        latency(bus, declared, able[0], before, group=_group(STEADY, able[0], "before"), folder=folder)
    for rate in list(_RATES)[:1] if quick else _RATES:
        plan = Plan(rate=rate, warm_seconds=warm, seconds=seconds)
        found: dict[str, list[Latency]] = {one.name: [] for one in able}
        for number in range(1 if quick else rounds or _RATES[rate]):
            for one in able:
                group = _group(STEADY, one, f"{rate}.{number}")
                measured = latency(bus, declared, one, plan, group=group, folder=folder)
                if measured:
                    found[one.name].append(measured)
                words = asdict(measured) if measured else "did not keep up; this round has no figure"
                print(f"  {rate:,} events/s, {one.name}: {words}", flush=True)
        document[f"at_{rate}_per_s"] = report.latency_document(rate, found)
    print(report.latency_table(document), flush=True)
    return document


def endurance(bus: Bus, folder: Path, *, minutes: float) -> dict[str, Any]:
    """Memory, revocations and rebalances; prints what came of it."""
    document = Endurance(bus, bus.declare(Workload(STEADY)), folder).run(minutes=minutes, changes=_REVOCATIONS)
    print(report.endurance_table(document), flush=True)
    return document


def speed_of_sdk(bus: Bus, *, rounds: int) -> dict[str, Any]:
    """Publisher and subscription, on the sample contracts; prints the table."""
    from bench import sdk, sdk_peer  # they need the extra ``identifiers``, which nothing else here does

    command = [sys.executable, "-m", "hutong", "apply", "--schemas", "schemas"]
    subprocess.run(command, env=os.environ | {"HUTONG_HOME": str(bus.home.root)}, check=True, stdout=subprocess.DEVNULL)
    write_quotas(bus.operator, dict.fromkeys(read_quotas(bus.operator) or {}, NO_QUOTA))  # not what is measured
    problem = sdk_peer.problem()
    figures = sdk.run(bus.home, "schemas", rounds, _SDK_EVENTS, beside=problem is None)
    document = report.sdk_document(figures, {"AvroSerializer, AvroDeserializer": problem} if problem else {})
    print(report.sdk_table(document), flush=True)
    return document


def coordination(bus: Bus, folder: Path, *, quick: bool) -> dict[str, Any]:
    """Cases through coordinators, on the sample contracts; prints what came of it."""
    from bench import coordination as cases  # as above

    document = cases.Coordination(bus, folder).run(**(_QUICK_CASES if quick else _CASES))  # type: ignore[arg-type]
    print(cases.table(document), flush=True)
    return document


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
