"""Router processes for tests."""

from __future__ import annotations

from hutong.home import Home
from tests.integration.processes import ServiceProcess, await_true, hutong

__all__ = ["RouterProcess", "await_true", "hutong"]


class RouterProcess(ServiceProcess):
    """One router."""

    def __init__(self, home: Home, name: str, *flags: str, **variables: str) -> None:
        super().__init__(home, "router", name, *flags, environment=variables)
