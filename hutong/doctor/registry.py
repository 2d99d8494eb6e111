"""The schema registry: does it answer, and soon? Without it the routers wait at the first schema that they do not know.

Neighbour: ``kafka.registry`` asks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from hutong.doctor.finding import Context, Finding, Group
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings

__all__ = ["GROUP", "Answer"]

_SLOW_SECONDS = 1.0
"""An answer takes a few milliseconds; a router that starts asks for hundreds of schemas."""
_CLOCK_SECONDS = 5.0
"""The date that it sends has no parts of a second."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The facts.

    Attributes:
        url: where it was asked.
        seconds: how long a question for all subjects took, the second time.
        ahead_seconds: by how much this machine's clock is ahead of its; None where it does not say.
    """

    url: str
    seconds: float
    ahead_seconds: float | None


def look(_: Context) -> Answer:
    """Ask the registry."""
    registry = Registry.of(Settings.resolve("operator"))
    registry.subjects()  # the first question also makes it warm
    began = time.monotonic()
    registry.subjects()
    return Answer(url=registry.url, seconds=time.monotonic() - began, ahead_seconds=registry.clock_offset())


def check_latency(facts: Answer) -> Iterator[Finding]:
    """It answers soon."""
    if facts.seconds > _SLOW_SECONDS:
        yield Finding(
            check="registry-latency",
            severity="warning",
            where=facts.url,
            what="the registry takes {seconds} s to list its subjects",
            remedy="give it more memory or a quicker database, or bring it nearer to the routers",
            facts={"seconds": f"{facts.seconds:.1f}"},
        )


def check_clock(facts: Answer) -> Iterator[Finding]:
    """Its clock and this machine's agree."""
    if facts.ahead_seconds is not None and abs(facts.ahead_seconds) > _CLOCK_SECONDS:
        yield Finding(
            check="registry-clock",
            severity="warning",
            where=facts.url,
            what="the registry's clock is {seconds} s {direction} of this machine's",
            remedy="set both by the same time server (chrony, systemd-timesyncd)",
            facts={
                "seconds": f"{abs(facts.ahead_seconds):.0f}",
                "direction": "behind" if facts.ahead_seconds > 0 else "ahead",
            },
        )


GROUP = Group(name="registry", look=look, checks={"registry-latency": check_latency, "registry-clock": check_clock})
