"""A router that delivers under the agreements that it knows, however old: the negative control of one that is cut off.

As Hutong's was at first. Run as a program, it is a router. Neighbours: ``hutong.kafka.control`` says what the guard is,
``faults.agreements`` strikes.
"""

from __future__ import annotations

import sys

from hutong.kafka.control import ControlTopic
from hutong.runtime.logs import configure
from services.router.__main__ import main
from tests.integration.routers import RouterProcess

__all__ = ["HeedlessRouter"]


class HeedlessRouter(RouterProcess):
    """The process."""

    module = "tests.torture.heedless"


def _go_on(self: ControlTopic) -> None:
    """Do not look."""


if __name__ == "__main__":
    ControlTopic.await_current = ControlTopic.check = _go_on  # type: ignore[method-assign]
    configure("router")
    main(sys.argv[1:])
