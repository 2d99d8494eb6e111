"""What stands on a running bus, read in parallel and in batches; nothing is changed here.

Neighbours: ``desired`` is the other side, ``diff`` compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from hutong.control.desired import CONTROL_TOPIC, Desired
from hutong.home import Home
from hutong.kafka.admin import Admin
from hutong.kafka.compacted import read_all
from hutong.kafka.registry_admin import RegistryAdmin
from hutong.kafka.resources import Acl, TopicState
from hutong.kafka.settings import Settings
from hutong.transport import Registered

__all__ = ["PREFIXES", "Observed", "SubjectState", "observe"]

PREFIXES = ("pub.", "sub.", "quarantine.", "ctl.")
"""What the names of the bus's own topics begin with; other topics of a shared cluster are nobody's business here."""

_THREADS = 8  # requests to the registry at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectState:
    """A subject of the registry.

    Attributes:
        level: its own compatibility, or None where it has none.
        versions: all schemas, oldest first.
    """

    level: str | None
    versions: tuple[Registered, ...]


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
        keys: agreements that have a pseudonym key in this home.
    """

    topics: Mapping[str, TopicState] = field(default_factory=dict)
    subjects: Mapping[str, SubjectState] = field(default_factory=dict)
    delivery_ids: Mapping[str, int] = field(default_factory=dict)
    users: frozenset[str] = frozenset()
    acls: frozenset[Acl] | None = frozenset()
    grants: Mapping[str, bytes] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()


def observe(settings: Settings, admin: Admin, registry: RegistryAdmin, home: Home, wanted: Desired) -> Observed:
    """Look at the bus.

    Args:
        settings: of the operator.
        admin: the cluster's administrator.
        registry: the schema registry.
        home: where the pseudonym keys are.
        wanted: what the declarations want; only its subjects are looked up.

    Raises:
        BusError: the cluster or the registry cannot be reached, or refuses.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        topics, users, acls = pool.submit(admin.topics, PREFIXES), pool.submit(admin.users), pool.submit(admin.acls)
        known = frozenset(registry.subjects())
        names = [name for name in wanted.subjects if name in known and wanted.subjects[name].contract]
        asked = [grant for grant in wanted.grants.values() if grant.subject in known]
        states = pool.map(lambda name: _subject(registry, name), names)
        ids = pool.map(lambda grant: registry.lookup(grant.subject, grant.delivery_schema), asked)
        found = topics.result()
        grants = read_all(settings, CONTROL_TOPIC) if CONTROL_TOPIC in found else {}
        return Observed(
            topics=found,
            subjects=dict(zip(names, states, strict=True)),
            delivery_ids={grant.agreement.id: id_ for grant, id_ in zip(asked, ids, strict=True) if id_ is not None},
            users=users.result(),
            acls=acls.result(),
            grants=grants,
            keys=frozenset(path.name for path in home.keys.iterdir()) if home.keys.is_dir() else frozenset(),
        )


def _subject(registry: RegistryAdmin, name: str) -> SubjectState:
    versions = tuple(registry.version(name, number) for number in registry.versions(name))
    return SubjectState(level=registry.compatibility(name), versions=versions)
