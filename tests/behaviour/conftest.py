"""The straight line in memory; ``tests/integration`` runs the same suite on a real broker."""

from __future__ import annotations

from typing import Any

import pytest

from hutong import Publisher, Subscription
from hutong.testing import Bus
from tests.behaviour.line import FI, Line, unique


class MemoryLine:
    """In memory, in this process."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def publisher(self, department: str) -> Publisher:
        return self._bus.publisher(department)

    def subscription(self, recipient: str, channel: str, **options: Any) -> Subscription[Any]:
        return self._bus.subscription(recipient, channel, **{"group": f"{recipient}.{unique()}"} | options)

    def append(self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        self._bus.append(topic, key, value, headers)

    def quarantined(self, contract: str, key: bytes) -> list[str]:
        return [one.reason for one in self._bus.quarantined(contract) if one.record.key() == key]


@pytest.fixture(scope="session")
def memory_bus() -> Bus:
    return Bus(FI)


@pytest.fixture
def line(memory_bus: Bus) -> Line:
    return MemoryLine(memory_bus)
