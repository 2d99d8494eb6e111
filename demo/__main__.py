"""The demonstration: ``python -m demo`` (or ``hutong demo``, or ``make demo``).

Brings the bus up, plays its acts, settles the account from the sources' own books, and exits 1 if it does not add up.
Neighbours: ``stage`` is the run, ``report`` what is said of it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from rich.console import Console

from demo import report
from demo.life import MONTHS
from demo.stage import Size, Stage
from hutong.errors import HutongError
from hutong.home import Home

__all__ = ["PERSONS", "SEED", "main"]

PERSONS = 39_000  # some 50,500 events in five years
SEED = 20_260_101
_WIDTH = 130  # of the report in a file or a pipe


def main(arguments: Sequence[str]) -> int:
    """Run the demonstration.

    Returns:
        0 when the account adds up, 1 when it does not, 2 when the demo could not be played.
    """
    parser = argparse.ArgumentParser(
        prog="hutong demo", description="A small world lives on the bus, and every event is accounted for."
    )
    parser.add_argument("--seed", type=int, default=SEED, help="decides all that happens (default %(default)s)")
    parser.add_argument("--persons", type=int, default=PERSONS, help="size of the population (default %(default)s)")
    parser.add_argument("--months", type=int, default=MONTHS, help="simulated months (default %(default)s)")
    parser.add_argument("--verifications", type=int, default=500, help="families that are verified (default %(default)s)")
    parser.add_argument("--deaths", type=int, default=200, help="deaths that agencies act upon (default %(default)s)")
    parser.add_argument("--coordinators", type=int, default=1, help="coordinators that share the cases (default %(default)s)")
    parser.add_argument("--routers", type=int, default=1, help="routers that share the work (default %(default)s)")
    parser.add_argument("--schemas", type=Path, default=Path(os.environ.get("HUTONG_SCHEMAS") or "schemas"))
    parser.add_argument("--keep", action="store_true", help="leave the bus and the departments' databases running")
    parser.add_argument("--json", action="store_true", help="print the report for programs, and progress to standard error")
    asked = parser.parse_args(arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    shown_on = sys.stderr if asked.json else sys.stdout
    home, console = Home.find(), Console(file=shown_on, highlight=False, width=None if shown_on.isatty() else _WIDTH)
    size = Size(
        seed=asked.seed, persons=asked.persons, months=asked.months, verifications=asked.verifications, deaths=asked.deaths
    )
    shares = {"routers": asked.routers, "coordinators": asked.coordinators}
    stage = Stage(home=home, schemas=asked.schemas, size=size, **shares, console=console)
    try:
        run = stage.play(keep=asked.keep)
    except HutongError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("demo: interrupted; nothing is left running", file=sys.stderr)
        return 130
    report.write(run, home.root / "demo" / "report.json")
    if asked.json:
        print(report.as_json(run))
    else:
        report.show(run, console)
    return 0 if run.adds_up else 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
