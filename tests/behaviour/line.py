"""The straight line under test: the same few calls, whether the bus is in memory or real."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Protocol
from uuid import uuid4

from hutong import Publisher, ReceivedEvent, Subscription
from tests.declaring import FI

__all__ = ["FI", "MOVED", "Line", "collect", "move", "unique"]

MOVED = "dvv.person_moved"


class Line(Protocol):
    """A bus with the declarations of ``tests/declarations/fi`` in force, and its router at work."""

    def publisher(self, department: str) -> Publisher:
        """A department's publisher."""

    def subscription(self, recipient: str, channel: str, **options: Any) -> Subscription[Any]:
        """A recipient's subscription; a group of its own unless one is named."""

    def append(self, topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]) -> None:
        """Write raw bytes as the topic's department, past the SDK."""

    def quarantined(self, contract: str, key: bytes) -> list[str]:
        """The reasons for which records of this key were quarantined, so far."""


def unique(prefix: str = "t") -> str:
    """A name that no other test uses."""
    return f"{prefix}-{uuid4().hex[:12]}"


def move(number: int, **changes: Any) -> dict[str, Any]:
    """Data of a valid removal to Helsinki."""
    address = {"street": "Katu 1", "postal_code": "00100", "country": "FI"}
    member = {"hetu": "131052-308T", "role": "HEAD", "born_on": date(1952, 10, 13), "languages": ["fi", "sv"]}
    return {
        "notice_number": number,
        "municipality": "091",
        "moved_on": date(2026, 5, 4),
        "to_address": address,
        "members": [member],
        "received_at": datetime(2026, 5, 1, 8, tzinfo=UTC),
    } | changes


def collect(subscription: Subscription[Any], count: int, seconds: float = 30.0) -> list[ReceivedEvent[Any]]:
    """The next ``count`` events, or as many as come in time."""
    found: list[ReceivedEvent[Any]] = []
    deadline = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < deadline:
        event = subscription.poll(0.2)
        if event is not None:
            found.append(event)
    return found


def eventually(holds: Callable[[], bool], seconds: float = 30.0) -> bool:
    """Whether something becomes true in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
