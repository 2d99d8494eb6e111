"""``python -m tests.fuzz``: mutated values against the extension, for as long as one likes; the first difference ends it.

Memory is held too: while the values run, the process may take only so much more of it, and a larger wish ends it at once, also
one for memory that would never be used.
"""

from __future__ import annotations

import argparse
import random
import time

from tests.fuzz.corpus import targets
from tests.fuzz.memory import at_most, resident_bytes
from tests.fuzz.run import Summary, run

_ROUND = 50_000  # values; then new schemas
_SCHEMAS = 150
_MORE_BYTES = 256 * 1024 * 1024


def main() -> None:
    """Run, and print what became of the values."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Mutated values against the extension.")
    parser.add_argument("--values", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    summary, began, peak, number = Summary(), time.perf_counter(), 0, 0
    while summary.values < asked.values:
        seed = asked.seed * 1_000_000 + number
        chosen = targets(seed, _SCHEMAS)
        before = resident_bytes()
        with at_most(_MORE_BYTES):
            run(chosen, min(_ROUND, asked.values - summary.values), random.Random(seed), summary)
        peak = max(peak, resident_bytes() - before)
        number += 1
        print(f"{summary.values:,} values after {time.perf_counter() - began:.0f} s", flush=True)
    print(
        f"seed {asked.seed}: {summary.values:,} values, {summary.taken:,} taken, {summary.deliveries:,} deliveries equal to the "
        f"reference's ({summary.reformed:,} of them as data, the values' forms being unusual), no difference\n"
        f"slowest call {summary.slowest * 1000:.2f} ms of processor time, at most {summary.growth:.1f} bytes of deliveries per "
        f"byte of value and agreement, memory grew by at most {peak / 2**20:.1f} MiB while {_ROUND:,} values ran"
    )


if __name__ == "__main__":
    main()
