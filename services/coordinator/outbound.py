"""What the coordinator sends: the events of cases in their flow owners' names, quarantine records, and the cases' changelog.

Nothing counts as sent before ``flush`` or ``store`` has returned. The changelog is not left to Faust's producer, which takes a
millisecond for a case. Neighbours: ``cases`` and ``serve`` call this, in the thread of the cases.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaException, Producer

from hutong.errors import BrokerUnavailable, ConfigurationError, DeliveryFailed, HutongError, NotAuthorised
from hutong.flows.work import Emitted
from hutong.kafka.clients import KafkaSender
from hutong.kafka.settings import Settings
from hutong.publisher import Publisher
from services.coordinator.inbox import STATE

__all__ = ["Outbound"]

_LOG = logging.getLogger("hutong")

_FLUSH_SECONDS = 30.0
_LARGEST_CASE = 4_000_000


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
        self._changelog: Producer | None = None

    def publish(self, owner: str, event: Emitted) -> None:
        """Send an event in its flow owner's name.

        Raises:
            HutongError: it cannot be sent; where that is not retriable, nor later.
        """
        publisher = self._publishers.get(owner)
        if publisher is None:
            publisher = self._publishers[owner] = Publisher(owner, settings=self._settings)
        publisher.publish(event.data, event.contract, id=event.id, time=event.time, traceparent=event.traceparent)

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

    def store(self, cases: Iterable[tuple[int, bytes, bytes]]) -> dict[int, int]:
        """Write cases to the changelog, and wait until the brokers have them.

        Args:
            cases: (partition, number, case).

        Returns:
            Partition -> offset of the last one written there.

        Raises:
            BrokerUnavailable: they do not have them; what is not confirmed is given up.
        """
        producer = self._changelog = self._changelog or Producer(self._settings.client() | _CHANGELOG, logger=_LOG)
        offsets: dict[int, int] = {}
        failed: list[str] = []

        def settle(error: Any, message: Any) -> None:
            if error is not None:
                failed.append(str(error))
            else:
                offsets[message.partition()] = max(message.offset(), offsets.get(message.partition(), 0))

        try:
            for partition, number, case in cases:
                producer.produce(STATE, case, number, partition=partition, on_delivery=settle)
            left = producer.flush(_FLUSH_SECONDS)
        except (KafkaException, BufferError) as error:
            failed.append(str(error))
            left = 0
        if failed or left:
            self._changelog = None
            producer.purge()
            raise BrokerUnavailable(f"cases are not stored on the bus, and are tried again: {failed[:1] or 'no answer'}")
        return offsets

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


_CHANGELOG: dict[str, Any] = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 1,
    "compression.type": "lz4",
    "message.max.bytes": _LARGEST_CASE,
    "message.timeout.ms": int(_FLUSH_SECONDS * 1000),
}
