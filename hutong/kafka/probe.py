"""Whether a Kafka cluster takes its clients: log in, and count the brokers that are in service."""

from __future__ import annotations

import logging

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from hutong.kafka.errors import refuses, translate
from hutong.kafka.settings import Settings

__all__ = ["brokers_in_service"]

_SILENT = logging.getLogger("hutong.kafka.probe")
_SILENT.propagate = False
_SILENT.addHandler(logging.NullHandler())


def brokers_in_service(settings: Settings, *, seconds: float) -> int:
    """How many brokers the cluster counts as its own.

    Args:
        settings: where, and as whom.
        seconds: how long to wait for an answer.

    Raises:
        NotAuthorised: the login is refused.
        BrokerUnavailable: nobody answers in time.
    """
    refused: list[KafkaError] = []

    def note(error: KafkaError) -> None:
        if refuses(error):
            refused.append(error)

    client: AdminClient | None = None
    try:
        client = AdminClient(
            settings.client() | {"error_cb": note, "socket.timeout.ms": max(1000, int(seconds * 1000))}, logger=_SILENT
        )
        client.poll(0)
        return len(client.list_topics(timeout=seconds).brokers)
    except KafkaException as error:
        if client is not None:
            client.poll(0)
        problem = refused[0] if refused else error
        raise translate(problem, "reach the bus", principal=settings.username, servers=settings.bootstrap_servers) from error
