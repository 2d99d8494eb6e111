"""A department's application as a process: ``python -m demo.systems DEPARTMENT CASES CLOCK...``.

It works through the cases that come to its department, from a file in the directory ``CASES``, when their simulated day has come
(``demo.clock``). Where its database is stands in ``DEMO_DATABASE``.
After each transaction it writes a line with what it has done so far.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import psycopg

from demo.cases import read_cases
from demo.clock import Clock, batches
from demo.systems import systems
from demo.systems.application import BATCH, Tally, serve
from hutong.catalogue.load import load

__all__ = ["main"]

_NICE = 5  # they make cases as fast as they can; the bus behind them goes first


def main(arguments: Sequence[str]) -> None:
    """Record all cases of one department."""
    department, directory, *clock = arguments
    os.nice(_NICE)
    system = next(system for system in systems() if system.department == department)
    declared = load(Path(os.environ["HUTONG_SCHEMAS"])).contracts
    contracts = {book.contract: declared[book.contract].newest for book in system.books}
    cases = read_cases(Path(directory), department)
    with psycopg.connect(os.environ["DEMO_DATABASE"]) as connection:
        work = batches(cases, Clock.of(clock), BATCH)
        _report(serve(system, connection, contracts, work, _report), done=True)


def _report(tally: Tally, *, done: bool = False) -> None:
    print(json.dumps(asdict(tally) | {"done": done}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
