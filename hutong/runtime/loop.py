"""The one run loop: call a step again and again, until told to stop.

A step does one unit of work and says whether there was any. Errors decide by their ``retriable`` what happens: try again after a
pause, or end the process with the reason. Services pass steps; they never loop themselves. Neighbour: ``stop``, the wish to end.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

from hutong.errors import HutongError
from hutong.runtime.health import Health
from hutong.runtime.stop import Stop

__all__ = ["Stop", "run"]

_LOG = logging.getLogger("hutong")

_FIRST_PAUSE = 0.1  # seconds; doubles with every failure in a row
_LONGEST_PAUSE = 5.0  # seconds; an outage that ends is noticed within this


def run(step: Callable[[], bool], *, stop: Stop, health: Health, idle_seconds: float = 0.0) -> None:
    """Run a step until stopped.

    Args:
        step: one unit of work; returns whether there was any.
        stop: ends the loop between two steps.
        health: told of every step and of every failure; not ready any more from the moment of the stop on.
        idle_seconds: pause after a step that had nothing to do; 0 where the step itself waits.

    Raises:
        HutongError: one that is not retriable, after which the process should end.
    """
    failures = 0
    health.ends_with(stop)
    while not stop.is_set():
        health.beat()
        try:
            busy = step()
        except HutongError as error:
            if not error.retriable:
                raise
            failures += 1
            health.failing(str(error))
            _LOG.warning("trying again", extra={"facts": {"error": str(error), "failures_in_a_row": failures}})
            stop.wait(_pause(failures))
            continue
        failures = 0
        health.working()
        if not busy and idle_seconds:
            stop.wait(idle_seconds)


def _pause(failures: int) -> float:
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads retries of many instances; no secret
