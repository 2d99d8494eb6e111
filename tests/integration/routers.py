"""Router processes for tests, and the bus of their own that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hutong.embedded import up
from hutong.home import Home
from tests.behaviour.line import FI
from tests.conftest import temporary_home
from tests.integration.processes import ServiceProcess, await_true, hutong

__all__ = ["RouterProcess", "Start", "await_true", "bus_with_line", "hutong", "starting"]


class RouterProcess(ServiceProcess):
    """One router."""

    def __init__(self, home: Home, name: str, *flags: str, **variables: str) -> None:
        super().__init__(home, "router", name, *flags, environment=variables)


Start = Callable[..., RouterProcess]
"""Starts a router: (name, flags, variables)."""


@contextmanager
def bus_with_line() -> Iterator[Home]:
    """A bus on which the declarations ``fi`` are applied."""
    with temporary_home() as home:
        up(home, attached=True)
        hutong(home, "apply", "--schemas", str(FI))
        yield home


@contextmanager
def starting(home: Home) -> Iterator[Start]:
    """Starts routers, and ends them whatever happens."""
    started: list[RouterProcess] = []

    def start(name: str = "a", *flags: str, **variables: str) -> RouterProcess:
        started.append(RouterProcess(home, name, *flags, **variables))
        return started[-1]

    try:
        yield start
    finally:
        for router in started:
            router.stop()
