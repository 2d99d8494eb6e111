"""What stands on a running bus, as plain data. Pure.

Neighbours: ``observe`` reads it off the bus, ``desired`` is the other side, ``diff`` compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hutong.kafka.resources import Acl, TopicState
from hutong.transport import Registered

__all__ = ["PREFIXES", "Observed", "SubjectState"]

PREFIXES = ("pub.", "sub.", "quarantine.", "ctl.")
"""What the names of the bus's own topics begin with; other topics of a shared cluster are nobody's business here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectState:
    """A subject of the registry.

    Attributes:
        level: its own compatibility, or None where it has none.
        versions: all schemas, oldest first, in the registry's own spelling.
        ids: for each wanted schema its id, or None where it is not registered. The registry is asked for it, because it may
            spell a schema otherwise than it was given (names, namespaces, order of keys).
    """

    level: str | None
    versions: tuple[Registered, ...]
    ids: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """A running bus.

    Attributes:
        topics: the bus's own topics.
        subjects: the contracts' subjects that are there.
        delivery_ids: agreement id -> id of its delivery schema, where it is registered.
        users: who has a password.
        acls: every access rule, or None on a cluster without an authorizer.
        grants: agreement id -> the bytes on ``ctl.agreements``.
        flows: flow id -> the bytes on ``ctl.flows``.
        keys: names of the keys in this home: of agreements, and of flows.
        quotas: user -> kind of quota -> value, or None where the cluster does not tell.
    """

    topics: Mapping[str, TopicState] = field(default_factory=dict)
    subjects: Mapping[str, SubjectState] = field(default_factory=dict)
    delivery_ids: Mapping[str, int] = field(default_factory=dict)
    users: frozenset[str] = frozenset()
    acls: frozenset[Acl] | None = frozenset()
    grants: Mapping[str, bytes] = field(default_factory=dict)
    flows: Mapping[str, bytes] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()
    quotas: Mapping[str, Mapping[str, float]] | None = field(default_factory=dict)
