"""Kafka's errors in Hutong's words, translated here and nowhere else.

Neighbours: ``clients`` raises what this returns, ``from`` the original.
"""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from hutong.errors import (
    BrokerUnavailable,
    BusError,
    ConfigurationError,
    EventTooLarge,
    Fenced,
    HutongError,
    NotAuthorised,
    QueueFull,
)

__all__ = ["kafka_error", "refuses", "tells", "translate"]

_UNREACHABLE = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._SSL,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._WAIT_COORD,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
    }
)
_REFUSED = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)
_LOGIN = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED})
_NO_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION})
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_MSG_SIZE})
_FENCED = frozenset(
    {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.FENCED_INSTANCE_ID}
)
_GIVEN_UP = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})


def kafka_error(problem: KafkaError | BaseException) -> KafkaError | None:
    """The ``KafkaError`` inside what a Kafka client raised or reported."""
    if isinstance(problem, KafkaError):
        return problem
    if isinstance(problem, KafkaException) and problem.args and isinstance(problem.args[0], KafkaError):
        return problem.args[0]
    return None


def refuses(error: KafkaError) -> bool:
    """Whether it says that one side does not accept the other: a login, or a certificate, which trying again will not mend.

    A handshake that broke for another reason is a broker that is being stopped.
    """
    return error.code() in _LOGIN or (error.code() == KafkaError._SSL and "certificate" in error.str())


def tells(error: KafkaError) -> bool:
    """Whether what a client reports on the side says why nothing gets through."""
    return error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE) or refuses(error) or error.fatal()


def translate(problem: KafkaError | BaseException, doing: str, *, principal: str | None, servers: str) -> HutongError:
    """The Hutong error for a Kafka error.

    Args:
        problem: what the client raised or reported.
        doing: what was tried, with the resource: ``publish to pub.mca.funeral.cremation_recorded``.
        principal: who tried it.
        servers: the brokers' addresses.
    """
    error = kafka_error(problem)
    if error is None:
        return BusError(f"cannot {doing}: {problem}")
    code, who = error.code(), principal or "(no principal)"
    if code in _LOGIN:
        return NotAuthorised(
            f"cannot {doing}: the brokers at {servers} do not accept the password of {who}; check HUTONG_KAFKA_PASSWORD"
        )
    if code == KafkaError._SSL and refuses(error):
        return ConfigurationError(
            f"cannot {doing}: no TLS connection to the brokers at {servers}: {_first_line(error)}; "
            "check HUTONG_KAFKA_SSL_CA_LOCATION (and, where they ask for a certificate, HUTONG_KAFKA_SSL_CERTIFICATE_LOCATION)"
        )
    if code in _REFUSED:
        return NotAuthorised(
            f"{who} may not {doing}, or it does not exist: check the name, and whether 'hutong apply' has granted it to {who}"
        )
    if code in _UNREACHABLE:
        return BrokerUnavailable(
            f"cannot {doing}: no broker at {servers} answers ({error.name()}); check that the bus is up, then try again"
        )
    if code in _NO_TOPIC:
        return ConfigurationError(
            f"cannot {doing}: there is no such topic on the bus at {servers}; check the name, or run 'hutong apply'"
        )
    if code in _TOO_LARGE:
        return EventTooLarge(
            f"cannot {doing}: the encoded event is over the brokers' size limit; send a reference instead of the content"
        )
    if code in _FENCED:
        return Fenced(f"cannot {doing}: another client with the same identity has taken over; start a new one")
    if code == KafkaError._QUEUE_FULL:
        return QueueFull(f"cannot {doing}: the local queue is full; slow down, or wait for confirmations")
    if code in _GIVEN_UP:
        return BrokerUnavailable(
            f"cannot {doing}: given up before the brokers at {servers} confirmed it; publish it again with the same id"
        )
    fatal = "; the client is unusable now, make a new one" if error.fatal() else ""
    return BusError(f"cannot {doing}: {error.str()} ({error.name()}){fatal}")


def _first_line(error: KafkaError) -> str:
    """What librdkafka says, without OpenSSL's own lines below it."""
    return error.str().partition("\n")[0].partition(" (after ")[0].rstrip(": ")
