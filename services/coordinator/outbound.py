"""What the coordinator sends: the events of cases in their flow owners' names, and quarantine records.

Nothing counts as sent before ``flush`` has returned. Neighbours: ``cases`` calls this, in the thread of the cases; the cases' own
states go through ``hutong.kafka.changelog_writer``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from hutong.envelope import Sealed
from hutong.errors import BrokerUnavailable, ConfigurationError, DeliveryFailed, HutongError, NotAuthorised
from hutong.flows.work import Emitted
from hutong.kafka.clients import KafkaSender
from hutong.kafka.settings import Settings
from hutong.publisher import Publisher

__all__ = ["Outbound"]

_LOG = logging.getLogger("hutong")

_FLUSH_SECONDS = 30.0


class Outbound:
    """One set of producers, used by one thread.

    Args:
        settings: the bus, as the services' principal.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._publishers: dict[str, Publisher] = {}
        self._sender: KafkaSender | None = None
        self._failed: HutongError | None = None

    def publish(self, owner: str, event: Emitted) -> None:
        """Send an event in its flow owner's name.

        Raises:
            HutongError: it cannot be sent; where that is not retriable, nor later.
        """
        publisher = self._publishers.get(owner)
        if publisher is None:
            publisher = self._publishers[owner] = Publisher(owner, settings=self._settings)
        sealed = Sealed(event.id, event.key, event.body, event.time, event.traceparent)
        publisher.forward(event.contract, event.version, event.shape, sealed)

    def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
        """Send a record as it is."""
        if self._sender is None:
            self._sender = KafkaSender(self._settings)
        sender = self._sender

        def settle(error: Any, _: Any) -> None:
            if error is not None:
                self._failed = sender.explain(error, topic)

        sender.send(topic, key, value, list(headers), settle)  # type: ignore[arg-type]  # a record may lack key and value

    def flush(self) -> None:
        """Wait until the brokers have everything.

        Raises:
            BrokerUnavailable: they do not; send it all again. What was sent and not confirmed is given up.
        """
        try:
            for publisher in self._publishers.values():
                publisher.flush(_FLUSH_SECONDS)
            if self._sender is not None:
                self._sender.flush(_FLUSH_SECONDS)
            failed, self._failed = self._failed, None
            if failed is not None:
                raise failed
        except (DeliveryFailed, HutongError) as error:
            self.give_up()
            if isinstance(error, NotAuthorised | ConfigurationError):
                _LOG.error("a topic may not be written", extra={"facts": {"error": str(error)}})
            raise BrokerUnavailable(f"what a case has to say is not confirmed, and sent again: {error}") from error

    def give_up(self) -> None:
        """Forget what is not confirmed, and begin with new producers."""
        publishers, self._publishers = self._publishers, {}
        sender, self._sender = self._sender, None
        for publisher in publishers.values():
            with suppress(HutongError):
                publisher.close(0)
        if sender is not None:
            sender.discard()
        self._failed = None
