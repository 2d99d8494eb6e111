"""``python -m tests.torture``: chooses the faults, lets them strike, and tells what came of it.

The exit code is 1 when a count is not 0. Neighbours: ``runner`` does it, ``report`` tells it.
"""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
import time
from collections.abc import Sequence

from rich.console import Console

from hutong.home import Home
from tests.torture.fault import Fault
from tests.torture.faults import FAULTS
from tests.torture.personal import scan
from tests.torture.report import document, show, write
from tests.torture.runner import Row, run
from tests.torture.world import World

__all__ = ["main"]

_WIDTH = 190


def main(arguments: Sequence[str]) -> int:
    """Torture; returns the exit code."""
    options = _options(arguments)
    chosen = _chosen(options)
    if options.list:
        for fault, times in chosen:
            print(f"{fault.name:<26}{times:>4} x  {fault.says}{' (three brokers)' if fault.brokers == 3 else ''}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is taken down
    seed, began = options.seed, time.monotonic()
    print(f"seed {seed}", flush=True)
    rows: list[Row] = []
    hits: list[str] = []
    for brokers in sorted({fault.brokers for fault, _ in chosen}):
        with World(brokers=brokers, seed=seed, short=options.short) as world:
            rows += run(world, [(fault, times) for fault, times in chosen if fault.brokers == brokers])
            if not options.no_scan:
                hits += [str(hit) for hit in scan(world)]
    facts = {"short": options.short, "seconds": round(time.monotonic() - began, 1)}
    report = document(rows, seed=seed, hits=None if options.no_scan else hits, **facts)
    path = Home.find().root / "torture" / "report.json"
    write(path, report)
    show(rows, Console(width=_WIDTH))
    for hit in hits:
        print(f"personal data: {hit}")
    looked = "not looked for" if options.no_scan else f"{len(hits)} hits"
    print(f"seed {seed}, {report['seconds']:.0f} s; personal data where they do not belong: {looked}; report in {path}")
    return 0 if report["clean"] else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description="Faults under load, and what became of it.")
    parser.add_argument("--list", action="store_true", help="list the faults, and end")
    parser.add_argument("--fault", action="append", choices=sorted(FAULTS), help="only this one; may be given several times")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="of everything that is drawn")
    parser.add_argument("--short", action="store_true", help="the faults of the short run, few times each")
    parser.add_argument("--times-factor", type=float, default=1.0, help="strike so many times as often")
    parser.add_argument("--no-scan", action="store_true", help="do not look for personal data at the end")
    return parser.parse_args(arguments)


def _chosen(options: argparse.Namespace) -> list[tuple[Fault, int]]:
    """The faults with how often each strikes; one that was asked for by name strikes at least once."""
    found = []
    for fault in FAULTS.values():
        times = round((fault.short_times if options.short else fault.times) * options.times_factor)
        if options.fault is None and times:
            found.append((fault, times))
        elif options.fault is not None and fault.name in options.fault:
            found.append((fault, max(1, times)))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
