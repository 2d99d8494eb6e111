"""Administration of a Kafka cluster in batches: topics, users, access rules, and a compacted topic as a map.

Every call covers many resources at once, because a round trip per resource is what makes administration slow. Neighbours: the
control plane decides what to change; ``errors`` translates what goes wrong.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it exports them, without saying so to type checkers
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ClusterMetadata,
    ConfigEntry,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from confluent_kafka.admin import NewTopic as KafkaNewTopic  # type: ignore[attr-defined]

from hutong.errors import NotAuthorised
from hutong.kafka.errors import kafka_error, refuses, translate
from hutong.kafka.resources import Acl, NewTopic, TopicState
from hutong.kafka.settings import Settings

__all__ = ["Admin"]

_LOG = logging.getLogger("hutong")

T = TypeVar("T")

_REACH_SECONDS = 10.0
_LOT = 500
_SECONDS = 30.0  # a controller that needs longer for a batch is not healthy
_ITERATIONS = 4096  # of SCRAM: the broker's minimum; the passwords are 256 random bits, which no iteration makes safer

_RESOURCES = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional_id": ResourceType.TRANSACTIONAL_ID,
    "cluster": ResourceType.BROKER,
}
_RESOURCE_NAMES = {kind: name for name, kind in _RESOURCES.items()}
_PERMISSIONS = {"allow": AclPermissionType.ALLOW, "deny": AclPermissionType.DENY}
_PERMISSION_NAMES = {kind: name for name, kind in _PERMISSIONS.items()}
_PATTERNS = {"literal": ResourcePatternType.LITERAL, "prefixed": ResourcePatternType.PREFIXED}
_PATTERN_NAMES = {kind: name for name, kind in _PATTERNS.items()}


class Admin:
    """An administrator of one cluster.

    Args:
        settings: where, and as whom; the principal must be a super user.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # What goes wrong is raised; the client's own lines about each attempt would bury it.
        self._client = AdminClient(settings.client() | {"error_cb": self._on_error, "log_level": 0}, logger=_LOG)
        self._trouble: KafkaError | None = None

    def brokers(self) -> int:
        """How many brokers the cluster has. To be asked first: it finds out whether we can do anything here.

        Raises:
            BrokerUnavailable: none answers.
            NotAuthorised: the login is refused, or the principal may not administer.
        """
        brokers = len(self._metadata("reach the cluster").brokers)
        with self._explained("reach the cluster"):
            answer: Any = self._client.describe_cluster(include_authorized_operations=True, request_timeout=_SECONDS)
            allowed = set(answer.result().authorized_operations or ())
        # Asked now, because confluent-kafka 2.16.0 does not raise where these rights are missing later on: it takes the rules for
        # none, and corrupts its memory over the users.
        if not {AclOperation.DESCRIBE, AclOperation.ALTER, AclOperation.CREATE} <= allowed:
            who, where = self._settings.username, self._settings.bootstrap_servers
            raise NotAuthorised(f"{who} may not administer the cluster at {where}; log in as its operator, a super user")
        return brokers

    def topics(self, prefixes: Sequence[str]) -> dict[str, TopicState]:
        """The topics whose names begin with one of the prefixes, with their configuration."""
        known = self._metadata("list topics").topics
        with self._explained("read the configuration of topics"):
            found = {name: len(topic.partitions) for name, topic in known.items() if name.startswith(tuple(prefixes))}
            if not found:
                return {}
            asked = [ConfigResource(ResourceType.TOPIC, name) for name in found]
            configs = {r.name: f.result() for r, f in self._client.describe_configs(asked, request_timeout=_SECONDS).items()}
        return {
            name: TopicState(partitions=partitions, config={k: e.value for k, e in configs[name].items() if e.value is not None})
            for name, partitions in found.items()
        }

    def create_topics(self, topics: Iterable[NewTopic]) -> None:
        """Create topics; one that is there already is left as it is."""
        new = [
            KafkaNewTopic(t.name, num_partitions=t.partitions, replication_factor=t.replication, config=dict(t.config))
            for t in topics
        ]
        for some in _lots(new):
            futures = self._client.create_topics(some, operation_timeout=_SECONDS, request_timeout=_SECONDS)
            self._finish(futures, "create topic", ignore=(KafkaError.TOPIC_ALREADY_EXISTS,))

    def configure_topics(self, changes: Mapping[str, Mapping[str, str]]) -> None:
        """Set configuration of topics; what is not named stays."""
        resources = [
            ConfigResource(
                ResourceType.TOPIC,
                name,
                incremental_configs=[
                    ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in config.items()
                ],
            )
            for name, config in changes.items()
        ]
        for some in _lots(resources):
            self._finish(self._client.incremental_alter_configs(some, request_timeout=_SECONDS), "configure topic")

    def delete_topics(self, names: Iterable[str]) -> None:
        """Delete topics with all their records."""
        doomed = sorted(names)
        for some in _lots(doomed):
            futures = self._client.delete_topics(some, operation_timeout=_SECONDS, request_timeout=_SECONDS)
            self._finish(futures, "delete topic", ignore=(KafkaError.UNKNOWN_TOPIC_OR_PART,))

    def users(self) -> frozenset[str]:
        """The users with a SCRAM-SHA-512 password."""
        with self._explained("list users"):
            answer: Any = self._client.describe_user_scram_credentials(request_timeout=_SECONDS)
            found = answer.result()
        return frozenset(
            name
            for name, user in found.items()
            if any(info.mechanism is ScramMechanism.SCRAM_SHA_512 for info in user.scram_credential_infos)
        )

    def set_passwords(self, passwords: Mapping[str, str]) -> None:
        """Create users, or give them another password."""
        how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _ITERATIONS)
        self._alter_users([UserScramCredentialUpsertion(name, how, text.encode()) for name, text in passwords.items()])

    def delete_users(self, names: Iterable[str]) -> None:
        """Take users' passwords away, so that they cannot log in."""
        self._alter_users([UserScramCredentialDeletion(name, ScramMechanism.SCRAM_SHA_512) for name in sorted(names)])

    def _alter_users(self, alterations: list[UserScramCredentialAlteration]) -> None:
        if alterations:
            futures = self._client.alter_user_scram_credentials(alterations, request_timeout=_SECONDS)
            self._finish(futures, "set the password of user")

    def acls(self) -> frozenset[Acl] | None:
        """Every rule, or None where the cluster has no authorizer."""
        anything: Any = None  # the client's stubs do not know that a filter may leave things open
        everything = AclBindingFilter(
            ResourceType.ANY, anything, ResourcePatternType.ANY, anything, anything, AclOperation.ANY, AclPermissionType.ANY
        )
        try:
            found = self._client.describe_acls(everything, request_timeout=_SECONDS).result()
        except KafkaException as error:
            problem = kafka_error(error)
            if problem is not None and problem.code() == KafkaError.SECURITY_DISABLED:
                return None
            raise self._explain(error, "list access rules") from error
        return frozenset(_acl(binding) for binding in found)

    def create_acls(self, acls: Iterable[Acl]) -> None:
        """Add rules; one that is there already stays."""
        bindings = [
            AclBinding(
                _RESOURCES[acl.resource],
                acl.name,
                _PATTERNS[acl.pattern],
                f"User:{acl.principal}",
                "*",
                AclOperation[acl.operation],
                _PERMISSIONS[acl.permission],
            )
            for acl in acls
        ]
        for some in _lots(bindings):
            self._finish(self._client.create_acls(some, request_timeout=_SECONDS), "add the access rule")

    def delete_acls(self, acls: Iterable[Acl]) -> None:
        """Take rules away."""
        any_host: Any = None
        filters = [
            AclBindingFilter(
                _RESOURCES[acl.resource],
                acl.name,
                _PATTERNS[acl.pattern],
                f"User:{acl.principal}",
                any_host,
                AclOperation[acl.operation],
                _PERMISSIONS[acl.permission],
            )
            for acl in acls
        ]
        for some in _lots(filters):
            self._finish(self._client.delete_acls(some, request_timeout=_SECONDS), "remove the access rule")

    def _metadata(self, doing: str) -> ClusterMetadata:
        deadline = time.monotonic() + _REACH_SECONDS
        while True:
            try:
                return self._client.list_topics(timeout=1.0)
            except KafkaException as error:
                self._client.poll(0)  # lets the error callback say that the login was refused; the call itself only times out
                if self._trouble is not None or time.monotonic() > deadline:
                    raise self._explain(error, doing) from error

    def _finish(self, futures: Mapping[Any, Future[Any]], doing: str, ignore: Sequence[int] = ()) -> None:
        """Wait for every part of a batch, and raise the first failure when all have ended."""
        failed: tuple[Any, BaseException] | None = None
        for what, future in futures.items():
            error = future.exception()
            problem = kafka_error(error) if error else None
            if error is not None and failed is None and not (problem and problem.code() in ignore):
                failed = (what, error)
        if failed is not None:
            raise self._explain(failed[1], f"{doing} {_name(failed[0])}") from failed[1]

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise self._explain(error, doing) from error

    def _explain(self, error: BaseException, doing: str) -> Exception:
        # A refused login shows as a time-out; the error callback knows better.
        problem = self._trouble if self._trouble is not None else error
        return translate(problem, doing, principal=self._settings.username, servers=self._settings.bootstrap_servers)

    def _on_error(self, error: KafkaError) -> None:
        if refuses(error):
            self._trouble = error


def _lots(everything: list[T]) -> Iterator[list[T]]:
    """As much at once as a controller takes: it refuses an operation of more than 10,000 records, each topic being several."""
    return (everything[at : at + _LOT] for at in range(0, len(everything), _LOT))


def _acl(binding: Any) -> Acl:
    return Acl(
        principal=binding.principal.removeprefix("User:"),
        resource=_RESOURCE_NAMES.get(binding.restype, "cluster"),  # type: ignore[arg-type]
        name=binding.name,
        pattern=_PATTERN_NAMES.get(binding.resource_pattern_type, "literal"),  # type: ignore[arg-type]
        operation=binding.operation.name,
        permission=_PERMISSION_NAMES.get(binding.permission_type, "allow"),  # type: ignore[arg-type]
    )


def _name(what: Any) -> str:
    if isinstance(what, AclBinding):
        return f"'{_acl(what)}'"
    return str(getattr(what, "name", what))
