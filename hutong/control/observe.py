"""Looks at a running bus, in parallel and in batches; nothing is changed here.

Neighbours: ``observed`` has the values, ``kafka.admin`` and the registry are asked.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hutong.control.desired import Desired, Subject
from hutong.control.observed import PREFIXES, Observed, SubjectState
from hutong.home import Home
from hutong.kafka.admin import Admin
from hutong.kafka.compacted import read_all
from hutong.kafka.quotas import read_quotas
from hutong.kafka.registry_admin import RegistryAdmin
from hutong.kafka.settings import Settings
from hutong.kafka.topics import AGREEMENTS_TOPIC, FLOWS_TOPIC

__all__ = ["observe"]

_THREADS = 8  # requests to the registry at a time


def observe(settings: Settings, admin: Admin, registry: RegistryAdmin, home: Home, wanted: Desired) -> Observed:
    """Look at the bus.

    Args:
        settings: of the operator.
        admin: the cluster's administrator.
        registry: the schema registry.
        home: where the keys are.
        wanted: what the declarations want; only its subjects are looked up.

    Raises:
        BusError: the cluster or the registry cannot be reached, or refuses.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        topics, users, acls = pool.submit(admin.topics, PREFIXES), pool.submit(admin.users), pool.submit(admin.acls)
        quotas = pool.submit(read_quotas, settings)
        known = frozenset(registry.subjects())
        names = [name for name in wanted.subjects if name in known and wanted.subjects[name].contract]
        asked = [grant for grant in wanted.grants.values() if grant.subject in known]
        states = pool.map(lambda name: _subject(registry, wanted.subjects[name]), names)
        ids = pool.map(lambda grant: registry.lookup(grant.subject, grant.delivery_schema), asked)
        found = topics.result()
        grants = read_all(settings, AGREEMENTS_TOPIC) if AGREEMENTS_TOPIC in found else {}
        flows = read_all(settings, FLOWS_TOPIC) if FLOWS_TOPIC in found else {}
        return Observed(
            topics=found,
            subjects=dict(zip(names, states, strict=True)),
            delivery_ids={grant.agreement.id: id_ for grant, id_ in zip(asked, ids, strict=True) if id_ is not None},
            users=users.result(),
            acls=acls.result(),
            grants=grants,
            flows=flows,
            quotas=quotas.result(),
            keys=frozenset(path.name for path in home.keys.iterdir()) if home.keys.is_dir() else frozenset(),
        )


def _subject(registry: RegistryAdmin, subject: Subject) -> SubjectState:
    return SubjectState(
        level=registry.compatibility(subject.name),
        versions=tuple(registry.version(subject.name, number) for number in registry.versions(subject.name)),
        ids=tuple(registry.lookup(subject.name, schema) for schema in subject.schemas),
    )
