"""Cases of the sample's verification through real coordinators: rate, latency, what many open cases take, and starting with them.

The applications and the answers go through the SDK; agencies answer as soon as they read a question, in this process. Records are
timed by the brokers' own stamps. Every report is held against what it must say; a wrong one, and there is no figure. That many
cases are open is made by copying some that were really opened into the changelog, which is all that a coordinator starts from.
Neighbours: ``coordinators`` starts and answers them, ``families`` makes events and expectations.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import families
from bench.bus import Bus, Place
from bench.check import Wrong
from bench.contenders.contender import Running
from bench.coordinators import PROGRESS, QUESTION, REPORT, Ministries, await_true, start
from hutong.kafka.topics import CASES_INBOX, CASES_STATE

__all__ = ["Coordination", "table"]

_EVENTS_OF_A_CASE = 9 + 27  # an application and eight answers in; questions, progress and the report out
_TARGET = 200
_WARMING = 100  # cases before the clock starts: the first ones look schemas up
_MODELS = 50  # open cases that are copied
_COPIES = 50_000_000  # numbers from here on are copies'
_STORED_SECONDS = 1.0  # cases are stored right after their questions went out


class Coordination:
    """Everything about cases, on a bus of the bench's.

    Args:
        bus: the bus.
        folder: for logs.
    """

    def __init__(self, bus: Bus, folder: Path) -> None:
        command = [sys.executable, "-m", "hutong", "apply", "--schemas", "schemas"]
        subprocess.run(command, env=os.environ | {"HUTONG_HOME": str(bus.home.root)}, check=True, stdout=subprocess.DEVNULL)
        self._bus, self._folder = bus, folder
        answers = [f"pub.{contract}" for contract in families.ANSWERS.values()]
        self._ministries = Ministries(bus, [QUESTION, PROGRESS, REPORT, CASES_INBOX, CASES_STATE, *answers])
        self._next = 0

    def run(self, *, cases: int, rate: float, seconds: float, open_cases: int) -> dict[str, Any]:
        """Measure everything.

        Args:
            cases: opened at once, for the rate.
            rate: cases a second, for latency.
            seconds: how long.
            open_cases: that are open when a coordinator starts.
        """
        try:
            document = {
                "one_coordinator": _told("one coordinator", self._throughput(1, cases)),
                "two_coordinators": _told("two coordinators", self._throughput(2, cases)),
                "latency": _told("latency", self._latency(rate, int(rate * seconds))),
                "open_cases": _told("open cases", self._open_cases(open_cases)),
            }
        finally:
            self._ministries.close()
        best = max(document[name]["cases_per_s"] for name in ("one_coordinator", "two_coordinators"))
        targets: dict[str, Any] = {"cases_per_s": {"at_least": _TARGET, "best": best, "met": best >= _TARGET}}
        return {**document, "targets": targets}

    def _take(self, count: int) -> range:
        """Numbers of applications that nobody has used."""
        self._next += count
        return range(self._next - count, self._next)

    def _throughput(self, coordinators: int, cases: int) -> dict[str, Any]:
        running = start(self._bus, self._folder, [f"bench-{number + 1}" for number in range(coordinators)])
        try:
            self._through(running, self._take(_WARMING))
            numbers, cpu = self._take(cases), running.cpu_seconds()
            starts = self._through(running, numbers)
            cpu = running.cpu_seconds() - cpu
            peak = running.memory_mb("VmHWM")
        finally:
            running.stop()
        began = min(one.timestamp()[1] for one in self._ministries.read(CASES_INBOX, starts))
        ended = max(one.timestamp()[1] for one in self._ministries.read(REPORT, starts))
        rate = cases / (ended - began) * 1000
        return {
            "cases": cases,
            "cases_per_s": round(rate, 1),
            "events_per_s": round(rate * _EVENTS_OF_A_CASE),
            "cpu_ms_per_case": round(cpu / cases * 1000, 2),
            "peak_mb": round(peak, 1),
        }

    def _through(self, running: Running, numbers: range, rate: float | None = None) -> dict[Place, int]:
        """Cases from their applications to their reports, which are checked; returns where the topics began."""
        starts = self._ministries.ends()
        with self._ministries.answering():
            began = time.monotonic()
            for at, number in enumerate(numbers) if rate else ():
                time.sleep(max(0.0, began + at / rate - time.monotonic()))  # type: ignore[operator]
                self._ministries.apply([number])
            if rate is None:
                self._ministries.apply(numbers)
            await_true(running, lambda: self._written(REPORT, starts) >= len(numbers), f"{len(numbers)} reports")
        self._check(starts, numbers)
        return starts

    def _written(self, topic: str, starts: Mapping[Place, int]) -> int:
        return sum(end - starts[place] for place, end in self._bus.ends([topic]).items())

    def _check(self, starts: Mapping[Place, int], numbers: range) -> None:
        """Hold every report against what it must say.

        Raises:
            Wrong: one says something else, is missing, or came twice.
        """
        found: dict[str, Any] = {}
        for message in self._ministries.read(REPORT, starts):
            data = self._ministries.data(message)
            if data["case_number"] in found:
                raise Wrong(f"{data['case_number']} was reported twice")
            data["discrepancies"] = [one["rule"] for one in data["discrepancies"]]
            data["confirmed"] = sorted(one["ask"] for one in data["confirmed"])
            found[data["case_number"]] = data
        for number in numbers:
            wanted = families.expected(number)
            data = found.pop(wanted["case_number"], {})
            if wrong := {name: data.get(name) for name, value in wanted.items() if data.get(name) != value}:
                raise Wrong(f"the report on {wanted['case_number']} has {wrong}")
        if found:
            raise Wrong(f"there are reports on {sorted(found)[:3]}, for which nobody has applied")

    def _latency(self, rate: float, cases: int) -> dict[str, Any]:
        """From an answer on its topic to the progress that says so, while cases come evenly."""
        running = start(self._bus, self._folder, ["bench-1"])
        try:
            self._through(running, self._take(_WARMING))
            starts = self._through(running, self._take(cases), rate)
        finally:
            running.stop()
        answered: dict[tuple[str, str], int] = {}
        for ask, contract in families.ANSWERS.items():
            for one in self._ministries.read(f"pub.{contract}", starts):
                answered[self._ministries.data(one)["case_number"], ask] = one.timestamp()[1]
        took = sorted(
            one.timestamp()[1] - answered[data["case_number"], data["ask"]]
            for one in self._ministries.read(PROGRESS, starts)
            if (data := self._ministries.data(one))["what"] == "ANSWERED"
        )
        return {
            "cases_per_s": rate,
            "answers": len(took),
            "p50_ms": statistics.median(took),
            "p99_ms": took[len(took) * 99 // 100],
        }

    def _open_cases(self, count: int) -> dict[str, Any]:
        """What open cases take, and how long a coordinator needs to begin with them: from the changelog, and from its disk."""
        running = start(self._bus, self._folder, ["bench-1"])
        try:
            without = running.memory_mb()
            numbers, starts = self._take(_MODELS), self._ministries.ends()
            self._ministries.apply(numbers)
            wanted = _MODELS * len(families.ANSWERS)
            await_true(running, lambda: self._written(QUESTION, starts) >= wanted, f"{wanted} questions")
            time.sleep(_STORED_SECONDS)
        finally:
            running.stop()
        found: dict[str, Any] = {"cases": count, "bytes_each": self._copy(starts, numbers, count)}
        for at, name in enumerate(("from_changelog", "from_disk")):  # the second time the same coordinator, with what it has
            found[name] = self._start_with(families.case_number(_COPIES + at))
        return found | {"growth_mb": round(found["from_disk"]["rss_mb"] - without, 1)}

    def _copy(self, starts: Mapping[Place, int], numbers: range, count: int) -> int:
        """Copies of open cases on the changelog, each under a number of its own; returns their size."""
        stored = {(one.key() or b"").decode(): one.value() or b"" for one in self._ministries.read(CASES_STATE, starts)}
        models = [(f"SQ-{number:08d}".encode(), stored[families.case_number(number)]) for number in numbers]
        for at in range(count):
            number, model = models[at % len(models)]
            value = model.replace(number, f"SQ-{_COPIES + at:08d}".encode())
            self._bus.queue(CASES_STATE, families.case_number(_COPIES + at).encode(), value, [])
        if self._bus.producer.flush(120):
            raise SystemExit("the open cases could not be written within 120 s")
        return round(statistics.mean(len(model) for _, model in models))

    def _start_with(self, case: str) -> dict[str, Any]:
        """Start, and let one of the open cases take an answer."""
        began = time.monotonic()
        running = start(self._bus, self._folder, ["restarted"])
        try:
            ready, starts = time.monotonic() - began, self._ministries.ends()
            self._ministries.answer(case, "income")
            self._ministries.flush()
            await_true(running, lambda: self._written(PROGRESS, starts) > 0, f"the first step of {case}")
            stepped = time.monotonic() - began
            (progress,) = map(self._ministries.data, self._ministries.read(PROGRESS, starts))
            if (progress["case_number"], progress["what"]) != (case, "ANSWERED"):
                raise Wrong(f"{case} was open and took no answer: {progress}")
            folder = self._bus.home.root / "coordinator" / "restarted"
            return {
                "ready_s": round(ready, 1),
                "first_step_s": round(stepped, 1),
                "rss_mb": round(running.memory_mb(), 1),
                "peak_mb": round(running.memory_mb("VmHWM"), 1),
                "disk_mb": round(sum(one.stat().st_size for one in folder.rglob("*") if one.is_file()) / 2**20, 1),
            }
        finally:
            running.stop()


def _told(name: str, found: dict[str, Any]) -> dict[str, Any]:
    print(f"  {name}: {found}", flush=True)
    return found


def table(document: Mapping[str, Any]) -> str:
    """The results as lines of text."""
    lines = ["cases of the verification, eight agencies each"]
    for name in ("one_coordinator", "two_coordinators"):
        one = document[name]
        lines.append(
            f"  {name.replace('_', ' '):<18}{one['cases_per_s']:>8,.0f} cases/s, {one['events_per_s']:,} events/s, "
            f"{one['cpu_ms_per_case']:.1f} ms of processor a case, at most {one['peak_mb']:.0f} MB"
        )
    latency, held = document["latency"], document["open_cases"]
    lines.append(
        f"  answer to progress at {latency['cases_per_s']:g} cases/s: "
        f"p50 {latency['p50_ms']:.0f} ms, p99 {latency['p99_ms']:.0f} ms"
    )
    lines.append(f"  {held['cases']:,} open cases of {held['bytes_each']:,} bytes: {held['growth_mb']:+.0f} MB of memory")
    for name in ("from_changelog", "from_disk"):
        one = held[name]
        lines.append(
            f"    {name.replace('_', ' ')}: ready in {one['ready_s']:.1f} s, first step after {one['first_step_s']:.1f} s; "
            f"{one['rss_mb']:.0f} MB (at most {one['peak_mb']:.0f}), {one['disk_mb']:.0f} MB on disk"
        )
    for name, target in document["targets"].items():
        verdict = "met" if target["met"] else "missed"
        lines.append(f"  target {name} >= {target['at_least']}: {target['best']:g}, {verdict}")
    return "\n".join(lines)
