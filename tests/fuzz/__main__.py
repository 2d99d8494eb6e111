"""``python -m tests.fuzz``: a million hostile values against every place where input comes in; the first fault ends it.

Most of them go through the transcoders, whose two forms must agree; the others are shared among ``surfaces``. Memory is held too:
what a surface takes more of is bounded, and a wish of the extension beyond that ends the run at once.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.fuzz.attack import Found, Row, attack
from tests.fuzz.corpus import targets
from tests.fuzz.memory import at_most, resident_bytes
from tests.fuzz.report import table, write
from tests.fuzz.run import Difference, Summary, run
from tests.fuzz.surfaces import SURFACES

_MILLION = 1_000_000
_ROUND = 50_000  # values for the transcoders; then new schemas
_SCHEMAS = 150
_MORE_BYTES = 256 * 2**20
_MOST_GROWTH = 128 * 2**20  # what a surface may hold after its values: caches, metrics and what the allocator keeps
_REPORT = Path(".hutong/fuzz/report.json")


def main() -> None:
    """Run, and show what became of the values."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Hostile values against every surface.")
    parser.add_argument("--values", type=int, default=_MILLION, help="in all (default: a million)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same values")
    parser.add_argument("--surface", action="append", help="only this one, by the first letters of its name; may come again")
    parser.add_argument("--report", type=Path, default=_REPORT, help=f"where the report goes (default: {_REPORT})")
    asked = parser.parse_args()
    chosen = [one for one in SURFACES if not asked.surface or one.name.startswith(tuple(asked.surface))]
    rows: list[Row] = []
    try:
        with tempfile.TemporaryDirectory() as directory:
            for number, surface in enumerate(chosen):
                count = max(1, surface.share * asked.values // _MILLION)
                rows.append(attack(surface, count, asked.seed, Path(directory, str(number))))
                _held(rows[-1])
                print(f"{surface.name}: {surface.says}: {count:,} values", flush=True)
        if not asked.surface or "transcoders".startswith(tuple(asked.surface)):
            rows.insert(0, _transcoders(asked.values - sum(row.values for row in rows), asked.seed))
    except (Found, Difference) as fault:
        sys.exit(f"seed {asked.seed}: {fault}")
    print(table(rows))
    write(rows, asked.seed, asked.report)
    print(f"seed {asked.seed}; {asked.report}")


def _held(row: Row) -> None:
    if row.grown > _MOST_GROWTH:
        raise Found(f"{row.surface}: grew by {row.grown / 2**20:.0f} MiB while {row.values:,} values ran")


def _transcoders(values: int, seed: int) -> Row:
    """Both transcoders; see ``run``."""
    summary, row = Summary(), Row(surface="transcoders")
    began, number = time.perf_counter(), 0
    while summary.values < values:
        chosen = targets(seed * _MILLION + number, _SCHEMAS)
        before = resident_bytes()
        with at_most(_MORE_BYTES):
            run(chosen, min(_ROUND, values - summary.values), random.Random(seed * _MILLION + number), summary)
        row.grown = max(row.grown, resident_bytes() - before)
        number += 1
        print(f"transcoders: {summary.values:,} values after {time.perf_counter() - began:.0f} s", flush=True)
    row.values, row.slowest, row.seconds = summary.values, summary.slowest, time.perf_counter() - began
    row.outcomes.update(
        {
            "handed back": summary.values - summary.taken,
            "equal": summary.taken,
            "deliveries": summary.deliveries,
            "equal as data alone": summary.reformed,
        }
    )
    return row


if __name__ == "__main__":
    main()
