"""What a running broker lets one principal do: asked in the broker's own words, and tried, for every topic and group at once.

Nearly everything is one request for all topics. What is tried leaves traces only where it is allowed: records on topics that the
principal may write. Neighbour: ``oracle`` says what should come of it.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it exports them, without saying so to type checkers
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from hutong.kafka.settings import Settings
from hutong.kafka.wire import Reader, array, connect, text

DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}
_SECONDS = 30.0
_TRIED = 60.0  # until every topic has answered a writer
_FETCH, _FETCH_VERSION = 1, 4


class Asking:
    """One principal at one bus.

    Args:
        settings: where, and as whom.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._config: dict[str, Any] = settings.client() | {"log_level": 0}
        self._admin = AdminClient(self._config)

    def seen(self) -> set[str]:
        """The topics that a list of all has."""
        return set(self._admin.list_topics(timeout=_SECONDS).topics)

    def stated(self, topics: Iterable[str]) -> dict[str, frozenset[str]]:
        """The operations on each topic that the broker says are allowed; none where it does not even say that it is there."""
        answers: Any = self._admin.describe_topics(
            TopicCollection(list(topics)), include_authorized_operations=True, request_timeout=_SECONDS
        )
        return {topic: _operations(future) for topic, future in answers.items()}

    def tried(self, topics: Iterable[str]) -> dict[str, set[str]]:
        """The operations on each topic that come through when they are tried. None of them changes the topic itself."""
        names = sorted(topics)
        found: dict[str, set[str]] = {name: set() for name in names}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        changes = [
            ConfigResource(
                ResourceType.TOPIC,
                name,
                incremental_configs=[ConfigEntry("retention.ms", "1", incremental_operation=AlterConfigOpType.SET)],
            )
            for name in names
        ]
        admin: Any = self._admin
        how = {"request_timeout": _SECONDS}
        attempts: list[tuple[str, Callable[[], Mapping[Any, Any]]]] = [
            ("DESCRIBE_CONFIGS", lambda: admin.describe_configs(resources, **how)),
            ("ALTER_CONFIGS", lambda: admin.incremental_alter_configs(changes, validate_only=True, **how)),
            ("ALTER", lambda: admin.create_partitions([NewPartitions(n, 1000) for n in names], validate_only=True, **how)),
            ("CREATE", lambda: admin.create_topics([NewTopic(n, num_partitions=1) for n in names], validate_only=True, **how)),
        ]
        for operation, attempt in attempts:
            for what, future in attempt().items():
                if not _is_denied(future):
                    found[getattr(what, "name", what)].add(operation)
        for operation, allowed in (("WRITE", self.written(names)), ("READ", self.read(names))):
            for name in allowed:
                found[name].add(operation)
        return found

    def made(self, topics: Iterable[str]) -> set[str]:
        """Topics that could be made; for those that must not be."""
        answers: Any = self._admin.create_topics([NewTopic(one, num_partitions=1) for one in topics], request_timeout=_SECONDS)
        return {topic for topic, future in answers.items() if not _is_denied(future)}

    def deleted(self, topics: Iterable[str]) -> set[str]:
        """Topics that could be deleted; for those that must not be."""
        answers: Any = self._admin.delete_topics(sorted(topics), request_timeout=_SECONDS)
        return {topic for topic, future in answers.items() if not _is_denied(future)}

    def written(self, topics: Iterable[str]) -> set[str]:
        """Topics that took a record."""
        told: dict[str, KafkaError | None] = {}
        producer = Producer(self._config | {"message.timeout.ms": int(_TRIED * 1000), "linger.ms": 0})
        for topic in topics:
            producer.produce(topic, b"x", b"k", on_delivery=lambda error, message: told.update({str(message.topic()): error}))
        producer.flush(_TRIED)
        assert told.keys() == set(topics), set(topics) - told.keys()
        assert all(error is None or error.code() in DENIED for error in told.values()), told
        return {topic for topic, error in told.items() if error is None}

    def read(self, topics: Iterable[str]) -> set[str]:
        """Topics that answer a fetch request. Kafka's own words, because a client sends none for a topic that it cannot see."""
        first = struct.pack(">iqi", 0, 0, 1)  # partition, offset, bytes
        body = struct.pack(">iiiib", -1, 0, 0, 1024 * 1024, 0) + array([text(topic) + array([first]) for topic in topics])
        with connect(self._settings) as connection:
            answer = connection.ask(_FETCH, _FETCH_VERSION, body)
        answer.take(">i")
        codes = {str(answer.text()): self._code(answer) for _ in answer.times()}
        answer.end()
        assert codes.keys() == set(topics)
        assert set(codes.values()) <= {0, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError.TOPIC_AUTHORIZATION_FAILED}, codes
        return {topic for topic, code in codes.items() if code != KafkaError.TOPIC_AUTHORIZATION_FAILED}

    @staticmethod
    def _code(answer: Reader) -> int:
        """The one partition's, of a topic in the answer to a fetch."""
        code = 0
        for _ in answer.times():
            _, code, _, _ = answer.take(">ihqq")
            for _ in answer.times():
                answer.take(">qq")
            (size,) = answer.take(">i")
            answer.slice(max(0, size))
        return code

    def groups(self, names: Iterable[str]) -> dict[str, frozenset[str]]:
        """The operations on each consumer group that the broker says are allowed."""
        answers: Any = self._admin.describe_consumer_groups(
            list(names), include_authorized_operations=True, request_timeout=_SECONDS
        )
        return {name: _operations(future) for name, future in answers.items()}

    def listed_groups(self) -> set[str]:
        """The groups that a list of all has."""
        answer: Any = self._admin.list_consumer_groups(request_timeout=_SECONDS)
        return {one.group_id for one in answer.result().valid}

    def commits_as(self, group: str, topic: str) -> bool:
        """Whether it may store a position in a group's name: that is what joining the group comes to."""
        place = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0, 0)])
        answer: Any = self._admin.alter_consumer_group_offsets([place], request_timeout=_SECONDS)
        error = answer[group].exception(timeout=_SECONDS)
        problems = [error.args[0]] if error else [one.error for one in answer[group].result().topic_partitions]
        return not any(one is not None and one.code() == KafkaError.GROUP_AUTHORIZATION_FAILED for one in problems)

    def looks_at(self, group: str) -> bool:
        """Whether it may see a group's positions."""
        answer: Any = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=_SECONDS)
        return not _is_denied(answer[group])

    def deletes_groups(self, names: Iterable[str]) -> set[str]:
        """Groups that could be deleted; for those that must not be."""
        answers: Any = self._admin.delete_consumer_groups(list(names), request_timeout=_SECONDS)
        return {name for name, future in answers.items() if not _is_denied(future)}

    def transacts_as(self, transactional_id: str) -> bool:
        """Whether it may write under a transactional id."""
        producer = Producer(self._config | {"transactional.id": transactional_id})
        try:
            producer.init_transactions(_SECONDS)
        except KafkaException as error:
            if error.args[0].code() in DENIED:
                return False
            raise
        return True

    def joins(self, group: str, topic: str) -> bool:
        """Whether a real consumer gets a topic's records in a group."""
        consumer = Consumer(self._config | {"group.id": group, "enable.partition.eof": True, "auto.offset.reset": "earliest"})
        try:
            consumer.subscribe([topic])
            deadline = time.monotonic() + _SECONDS
            while (message := consumer.poll(1)) is None:
                assert time.monotonic() < deadline, f"no answer about {topic} in {group}"
            error = message.error()
            assert error is None or error.code() in {*DENIED, KafkaError._PARTITION_EOF}, error
            return error is None or error.code() == KafkaError._PARTITION_EOF
        finally:
            consumer.close()


def _operations(future: Any) -> frozenset[str]:
    if _is_denied(future):
        return frozenset()
    return frozenset(operation.name for operation in future.result().authorized_operations or ())


def _is_denied(future: Any) -> bool:
    """Whether an answer is a refusal for want of rights."""
    error = future.exception(timeout=_SECONDS)
    if error is None:
        return False
    assert isinstance(error, KafkaException), error
    code = error.args[0].code()
    assert code not in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT), error
    return code in DENIED
