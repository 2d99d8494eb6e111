"""Client quotas of users: what a broker lets each publish, read and ask, read from the cluster and set on it.

confluent-kafka has no such call. DescribeClientQuotas and AlterClientQuotas (KIP-546) are spoken in their version 0, which has
been there since Kafka 2.6; any broker takes them and passes changes on to the controller. Decision 17 says why like this.
Neighbours: ``wire`` has the connection, the control plane decides.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from confluent_kafka import KafkaError

from hutong.errors import BrokerUnavailable, HutongError, NotAuthorised
from hutong.kafka.errors import translate
from hutong.kafka.settings import Settings
from hutong.kafka.wire import Reader, array, connect, text

__all__ = ["PUBLISH", "RECEIVE", "REQUESTS", "Quotas", "parse_altered", "parse_described", "read_quotas", "write_quotas"]

PUBLISH, RECEIVE, REQUESTS = "producer_byte_rate", "consumer_byte_rate", "request_percentage"

Quotas = Mapping[str, Mapping[str, float]]
"""User -> kind -> value."""

_DESCRIBE, _ALTER, _VERSION = 48, 49, 0
_ANY_NAME = 2
_LOT = 500  # users in one request; a controller refuses one of more than 10,000 records


def read_quotas(settings: Settings) -> dict[str, dict[str, float]] | None:
    """The quotas that single users have, whatever client they use; None where the cluster does not let us see.

    Raises:
        BusError: the cluster cannot be reached, or refuses the login.
    """
    component = text("user") + struct.pack(">b", _ANY_NAME) + text(None)
    with connect(settings) as connection:
        try:
            return parse_described(connection.ask(_DESCRIBE, _VERSION, array([component]) + b"\1"), settings)
        except (NotAuthorised, ValueError, struct.error):  # a broker that does not know a request closes the connection
            return None
        except OSError as error:
            raise _unreadable(settings, error) from error


def write_quotas(settings: Settings, changes: Mapping[str, Mapping[str, float | None]]) -> None:
    """Set quotas of users; None takes one away, and what is not named stays.

    Raises:
        BusError: the cluster cannot be reached, or refuses.
    """
    users = sorted(changes)
    for at in range(0, len(users), _LOT):
        entries = [_entry(user, changes[user]) for user in users[at : at + _LOT]]
        with connect(settings) as connection:
            try:
                parse_altered(connection.ask(_ALTER, _VERSION, array(entries) + b"\0"), settings)
            except (OSError, ValueError, struct.error) as error:
                raise _unreadable(settings, error) from error


def _entry(user: str, quota: Mapping[str, float | None]) -> bytes:
    operations = [
        text(kind) + struct.pack(">d?", 0.0 if value is None else value, value is None) for kind, value in quota.items()
    ]
    return array([text("user") + text(user)]) + array(operations)


def parse_described(answer: Reader, settings: Settings) -> dict[str, dict[str, float]]:
    """Read the answer about quotas.

    Raises:
        BusError: it is a refusal.
        ValueError: it is no such answer.
    """
    answer.take(">i")  # throttling
    (code,) = answer.take(">h")
    answer.text()
    if code:
        raise _refused(code, "read client quotas", settings)
    found = dict(_described(answer))
    answer.end()
    return found


def _described(answer: Reader) -> Iterator[tuple[str, dict[str, float]]]:
    for _ in answer.times():
        entity = {answer.text(): answer.text() for _ in answer.times()}
        values = {str(answer.text()): answer.real() for _ in answer.times()}
        user = entity.pop("user", None)
        if user is not None and not entity:
            yield user, values


def parse_altered(answer: Reader, settings: Settings) -> None:
    """Read the answer to a change.

    Raises:
        BusError: it is a refusal.
        ValueError: it is no such answer.
    """
    answer.take(">i")  # throttling
    failed: list[tuple[int, str]] = []
    for _ in answer.times():
        (code,) = answer.take(">h")
        answer.text()
        entity = [(answer.text(), answer.text()) for _ in answer.times()]
        if code:
            failed.append((code, " ".join(str(name) for _, name in entity)))
    answer.end()
    if failed:
        code, user = failed[0]
        raise _refused(code, f"set the quota of {user}", settings)


def _refused(code: int, doing: str, settings: Settings) -> HutongError:
    return translate(KafkaError(code), doing, principal=settings.username, servers=settings.bootstrap_servers)


def _unreadable(settings: Settings, error: Exception) -> HutongError:
    return BrokerUnavailable(
        f"no broker at {settings.bootstrap_servers} answers about quotas as Kafka 2.6 or later does ({type(error).__name__})"
    )
