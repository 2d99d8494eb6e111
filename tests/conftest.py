"""What the tests share: one bus per run, started on first use, or the one that the command line names.

Unit and behaviour tests do not ask for it and run without any process. Whatever ends the test run ends the bus.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hutong.home import BusAddress, Home
from tests import outcomes

_PREFIX = "HUTONG_"
_FROM_OUTSIDE = {name: value for name, value in os.environ.items() if name.startswith(_PREFIX)}


@dataclass(frozen=True, kw_only=True)
class RunningBus:
    """A bus that takes clients.

    Args:
        address: where it is.
        home: the embedded bus's home, with the passwords of its principals; an empty one when the bus is somebody else's.
        environment: what a client or a service of it needs in its environment; ``Settings.resolve`` takes it too.
    """

    address: BusAddress
    home: Home
    environment: Mapping[str, str]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hutong", "the bus that integration tests use; by default they start an embedded one")
    group.addoption("--kafka-bootstrap-servers", help="an existing Kafka; credentials as HUTONG_KAFKA_* in the environment")
    group.addoption("--registry-url", help="its schema registry (Confluent API)")
    outcomes.pytest_addoption(parser)


def pytest_configure(config: pytest.Config) -> None:
    outcomes.pytest_configure(config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        # Starting the bus, perhaps with its downloads, is not part of any one test's time.
        if "bus" in getattr(item, "fixturenames", ()) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(120, func_only=True))


@pytest.fixture(autouse=True)
def _environment_of_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test sees the bus that it is given, never the one of the person who runs it."""
    for name in os.environ:
        if name.startswith(_PREFIX):
            monkeypatch.delenv(name)


@contextmanager
def temporary_home() -> Iterator[Home]:
    """A home for a while; what runs in it is stopped, and all of it deleted.

    Not below pytest's own directory: that one is closed to other users again and again, and PostgreSQL is one when we are root.
    """
    home = Home(root=Path(tempfile.mkdtemp(prefix="hutong-test-")))
    try:
        yield home
    finally:
        from hutong.embedded import down

        down(home)
        shutil.rmtree(home.root, ignore_errors=True)


@pytest.fixture
def own_home() -> Iterator[Home]:
    """An empty home that a test may ruin."""
    with temporary_home() as home:
        yield home


@pytest.fixture(scope="session")
def bus(request: pytest.FixtureRequest) -> Iterator[RunningBus]:
    """The bus of this test run. Tests share it: make topics, groups and principals of your own names."""
    with temporary_home() as home:
        yield from _bus(request, home)


def _bus(request: pytest.FixtureRequest, home: Home) -> Iterator[RunningBus]:
    servers, registry = request.config.getoption("--kafka-bootstrap-servers"), request.config.getoption("--registry-url")
    if servers or registry:
        if not (servers and registry):
            raise pytest.UsageError("--kafka-bootstrap-servers and --registry-url go together")
        named = {"HUTONG_KAFKA_BOOTSTRAP_SERVERS": servers, "HUTONG_REGISTRY_URL": registry, "HUTONG_HOME": str(home.root)}
        yield RunningBus(
            address=BusAddress(bootstrap_servers=servers, registry_url=registry),
            home=home,
            environment={**_FROM_OUTSIDE, **named},
        )
        return
    from hutong.embedded import up

    # Attached: the kernel ends it even if this process is killed and runs no clean-up.
    yield RunningBus(address=up(home, attached=True), home=home, environment={"HUTONG_HOME": str(home.root)})


@pytest.fixture
def bus_environment(bus: RunningBus, monkeypatch: pytest.MonkeyPatch) -> RunningBus:
    """The bus, as the one that this process's environment names: for what reads its settings there."""
    for name, value in bus.environment.items():
        monkeypatch.setenv(name, value)
    return bus
