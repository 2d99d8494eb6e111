"""The bus as Strimzi's resources: a ``KafkaTopic`` for each topic, a ``KafkaUser`` with its rules for each principal. Pure.

Made from the same ``desired`` as ``hutong apply``, so that both ways leave the same topics and the same rules. Schemas, keys and
agreements are no resources of a cluster: ``hutong apply`` brings those. Neighbours: ``hutong export`` writes this down,
``deploy/kubernetes`` has the cluster that it belongs to.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from hutong.catalogue.catalogue import Catalogue
from hutong.control.desired import Desired, Layout, desired
from hutong.errors import ConfigurationError
from hutong.kafka.quotas import PUBLISH, RECEIVE, REQUESTS
from hutong.kafka.resources import Acl, NewTopic
from hutong.principals import OPERATOR

__all__ = ["CLUSTER", "documents"]

API = "kafka.strimzi.io/v1"
CLUSTER = "hutong"
"""Name of the ``Kafka`` resource that everything belongs to."""

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST = 253
_HASH = 8
_RESOURCES = {"topic": "topic", "group": "group", "transactional_id": "transactionalId", "cluster": "cluster"}
_QUOTAS = {PUBLISH: "producerByteRate", RECEIVE: "consumerByteRate", REQUESTS: "requestPercentage"}
_PATTERNS = {"literal": "literal", "prefixed": "prefix"}


def documents(catalogue: Catalogue, layout: Layout, *, cluster: str = CLUSTER) -> Iterator[dict[str, Any]]:
    """Every resource, topics first.

    Args:
        catalogue: the declarations.
        layout: of the cluster.
        cluster: name of the ``Kafka`` resource.

    Raises:
        ConfigurationError: a department's code cannot name a ``KafkaUser``.
    """
    wanted = desired(catalogue, layout)
    for name in sorted(wanted.topics):
        yield _topic(wanted.topics[name], cluster)
    for principal, acls in _rules(wanted):
        yield _user(principal, acls, wanted.quotas.get(principal, {}), cluster)


def resource_name(topic: str) -> str:
    """A name that Kubernetes takes: the topic's own where it can be, else one that is like it and nobody else's."""
    if _NAME.fullmatch(topic) and len(topic) <= _LONGEST:
        return topic
    plain = re.sub(r"[^a-z0-9.-]", "-", topic.lower())
    plain = re.sub(r"[-.]*\.[-.]*", ".", plain).strip("-.")[: _LONGEST - _HASH - 1].rstrip("-.")
    return f"{plain or 'topic'}-{hashlib.sha256(topic.encode()).hexdigest()[:_HASH]}"


def _topic(topic: NewTopic, cluster: str) -> dict[str, Any]:
    name = resource_name(topic.name)
    spec: dict[str, Any] = {} if name == topic.name else {"topicName": topic.name}
    spec |= {"partitions": topic.partitions, "replicas": topic.replication, "config": dict(sorted(topic.config.items()))}
    return _resource("KafkaTopic", name, cluster, spec)


def _rules(wanted: Desired) -> Iterator[tuple[str, list[Acl]]]:
    """Each principal with its rules; the operator has none, being a super user."""
    of: dict[str, list[Acl]] = {principal: [] for principal in (*wanted.principals, OPERATOR)}
    for acl in wanted.acls:
        of.setdefault(acl.principal, []).append(acl)
    for principal in sorted(of):
        yield principal, sorted(of[principal])


def _user(principal: str, acls: Iterable[Acl], quota: Mapping[str, float], cluster: str) -> dict[str, Any]:
    if not _NAME.fullmatch(principal):
        raise ConfigurationError(
            f"{principal} cannot be a KafkaUser, whose name is the principal's: Kubernetes takes no underscore; "
            "give the department a code without underscores, or make users and rules with `hutong apply` alone"
        )
    spec: dict[str, Any] = {"authentication": {"type": "scram-sha-512"}}
    rules = [_acl(list(some)) for _, some in groupby(acls, key=lambda acl: (acl.resource, acl.name, acl.pattern, acl.permission))]
    if rules:
        spec["authorization"] = {"type": "simple", "acls": rules}
    if quota:
        spec["quotas"] = {_QUOTAS[kind]: round(value) for kind, value in quota.items()}  # whole numbers alone
    return _resource("KafkaUser", principal, cluster, spec)


def _acl(acls: list[Acl]) -> dict[str, Any]:
    first = acls[0]
    resource = {"type": _RESOURCES[first.resource], "name": first.name, "patternType": _PATTERNS[first.pattern]}
    if first.resource == "cluster":
        del resource["name"], resource["patternType"]  # there is one
    return {
        "type": first.permission,
        "resource": resource,
        "operations": [_operation(acl.operation) for acl in acls],
        "host": "*",
    }


def _operation(name: str) -> str:
    """``DESCRIBE_CONFIGS`` as Strimzi writes it."""
    return "".join(word.capitalize() for word in name.split("_"))


def _resource(kind: str, name: str, cluster: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"strimzi.io/cluster": cluster}}
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}
