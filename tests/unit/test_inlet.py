"""The reading end's farewell: a change of partitions in the middle of it harms nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import TopicPartition

from hutong.kafka import inlet
from hutong.kafka.settings import Settings


class Consumer:
    """A client that is given another partition while it leaves, and then loses all."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.closed = False

    def subscribe(self, _topics: list[str], *, on_assign: Callable[..., None], on_revoke: Callable[..., None], **_: Any) -> None:
        self._on_assign, self._on_revoke = on_assign, on_revoke
        on_assign(self, [TopicPartition("t", 0)])

    def close(self) -> None:
        self._on_assign(self, [TopicPartition("t", 1)])
        self._on_revoke(self, [TopicPartition("t", 1)])
        self.closed = True


class Inbox:
    """The extension's inbox: it takes no partition once it is closed."""

    def __init__(self) -> None:
        self.led: list[tuple[str, int]] = []
        self.closed = False

    def lead(self, topic: str, partition: int) -> None:
        if self.closed:
            raise RuntimeError("the inbox is closed")
        self.led.append((topic, partition))

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("native", [True, False])
def test_a_change_of_partitions_while_it_leaves(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    """The inbox is closed before the group is left, so what comes in between is not the inbox's any more."""
    inbox = Inbox()
    monkeypatch.setattr(inlet, "Consumer", Consumer)
    monkeypatch.setattr(inlet, "inbox_of", lambda _: inbox if native else None)
    made = inlet.Inlet(
        Settings(bootstrap_servers="nowhere:1", registry_url="http://nowhere"), group="g", instance="i", topics=["t"]
    )
    monkeypatch.setattr(made, "_latest", Inbox())
    client = made._consumer
    made.close()
    assert (client.closed, made.assigned) == (True, set())  # type: ignore[attr-defined]
    assert (inbox.led, inbox.closed) == ([("t", 0)] if native else [], native)
    assert made.rebalances == {"assigned": 2, "revoked": 1, "lost": 0}
    made._on_lost(client, [TopicPartition("t", 2)])
    assert made.rebalances["lost"] == 1
