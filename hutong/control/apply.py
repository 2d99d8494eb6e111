"""Makes the bus as declared: the changes of a difference, step by step, each in few batched calls.

The steps' order lets a router that sees a grant find its topic, schema and key; a failure leaves what was done, and the next run
does the rest. Neighbours: ``diff`` says what to do, ``kafka.admin`` and the registry do it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from hutong.agreements.grant import Grant
from hutong.certificates import certify_principals
from hutong.control.changes import Change, Difference, Step
from hutong.control.desired import Desired, Subject, WantedGrant
from hutong.control.diff import missing_schemas
from hutong.control.keys import first_key, granted
from hutong.control.observed import Observed
from hutong.control.quotas import NO_QUOTA
from hutong.control.words import counted
from hutong.errors import ConfigurationError, DeclarationError
from hutong.home import Home
from hutong.kafka.admin import Admin
from hutong.kafka.compacted import write
from hutong.kafka.quotas import write_quotas
from hutong.kafka.registry_admin import RegistryAdmin
from hutong.kafka.settings import Settings
from hutong.kafka.topics import AGREEMENTS_TOPIC, FLOWS_TOPIC

__all__ = ["apply"]

_THREADS = 8  # requests to the registry at a time
_IN_FORCE_SECONDS = 10.0  # until all brokers know a new rule; some milliseconds in practice
_TAKEN_BACK_SECONDS = (
    1.0  # until no router delivers under old terms, not even one that cannot hear of the new ones (decision 0018)
)

Tell = Callable[[str], None]


def apply(
    difference: Difference,
    wanted: Desired,
    found: Observed,
    *,
    settings: Settings,
    admin: Admin,
    registry: RegistryAdmin,
    home: Home,
    prune: bool = False,
    tell: Tell = lambda _: None,
) -> tuple[Change, ...]:
    """Carry out a difference.

    Args:
        difference: what to do.
        wanted: the declarations' side, that the difference was made from.
        found: the bus's side.
        settings: of the operator.
        admin: the cluster's administrator.
        registry: the schema registry.
        home: where passwords and keys are kept.
        prune: whether to remove what has gone from the declarations.
        tell: is told of each step that begins.

    Returns:
        What was done.

    Raises:
        DeclarationError: the difference has refusals; nothing was done.
        BusError: a step failed; run it again.
    """
    if difference.refusals:
        first = difference.refusals[0]
        raise DeclarationError(f"{first.contract}: {first.text}; nothing was applied")
    due = difference.due(prune=prune)
    work = _Work(wanted, found, settings, admin, registry, home)
    revoked = [change for change in due if change.step == "agreement" and change.action == "remove"]
    if revoked:  # first of all: whatever fails below, nobody keeps getting what was taken back
        tell(f"revoking {_count(revoked, 'agreement')}")
        work.write_agreements({change.name: None for change in revoked})
    for step, words, make in work.steps():
        changes = [change for change in due if change.step == step and change.action != "remove"]
        if changes:
            tell(words.format(_count(changes, _NOUNS[step])))
            make(changes)
    work.remove([change for change in due if change.action == "remove"], tell)
    if any(change.step in ("principal", "acl") for change in due):
        work.await_access()
    if any(change.step == "agreement" and change.action != "create" for change in due):
        work.await_taken_back()
    return due


_NOUNS: dict[Step, str] = {
    "topic": "topic",
    "schema": "schema change",
    "principal": "principal",
    "acl": "access rule",
    "quota": "quota",
    "key": "key",
    "agreement": "agreement",
    "flow": "flow",
}


def _count(changes: Sequence[Change], noun: str) -> str:
    return counted(len(changes), noun)


class _Work:
    def __init__(
        self, wanted: Desired, found: Observed, settings: Settings, admin: Admin, registry: RegistryAdmin, home: Home
    ) -> None:
        self.wanted, self.found, self.settings = wanted, found, settings
        self.admin, self.registry, self.home = admin, registry, home
        self.schema_ids = dict(found.delivery_ids)
        self.written = time.monotonic()

    def steps(self) -> list[tuple[Step, str, Callable[[list[Change]], None]]]:
        """Every step's kind, words and deed, in order."""
        return [
            ("topic", "making {}", self.topics),
            ("schema", "registering {}", self.schemas),
            ("principal", "making {}", self.principals),
            ("acl", "setting {}", self.acls),
            ("quota", "setting {}", self.quotas),
            ("key", "making {}", self.keys),
            ("agreement", "sending {} to the routers", self.agreements),
            ("flow", "sending {} to the coordinators", self.flows),
        ]

    def topics(self, changes: list[Change]) -> None:
        topics = self.wanted.topics
        self.admin.create_topics(topics[change.name] for change in changes if change.action == "create")
        self.admin.configure_topics({change.name: topics[change.name].config for change in changes if change.action == "change"})

    def schemas(self, changes: list[Change]) -> None:
        contracts = {change.name for change in changes if change.agreement is None}
        grants = [self.wanted.grants[change.agreement] for change in changes if change.agreement is not None]
        with ThreadPoolExecutor(_THREADS) as pool:
            registered = pool.map(self.register_contract, [self.wanted.subjects[name] for name in sorted(contracts)])
            ids = pool.map(self.register_delivery, grants)
            list(registered)
            self.schema_ids.update(zip([grant.agreement.id for grant in grants], ids, strict=True))

    def register_contract(self, subject: Subject) -> None:
        state = self.found.subjects.get(subject.name)
        missing = missing_schemas(subject, state)
        again = state is not None and len(missing) > 1
        try:
            if again:
                # An older version with new annotations need not be compatible with what came after it. Hutong has checked the
                # whole history; the registry's own check is for others, and is set again below.
                self.registry.set_compatibility(subject.name, "NONE")
            for schema in missing:
                self.registry.register(subject.name, schema)
        finally:
            if again or state is None or state.level != subject.level:
                self.registry.set_compatibility(subject.name, subject.level)

    def register_delivery(self, grant: WantedGrant) -> int:
        try:
            return self.registry.register(grant.subject, grant.delivery_schema)
        except ConfigurationError:
            # A registry whose default asks for compatibility; a delivery follows its agreement alone.
            self.registry.set_compatibility(grant.subject, "NONE")
            return self.registry.register(grant.subject, grant.delivery_schema)

    def principals(self, changes: list[Change]) -> None:
        self.admin.set_passwords({change.name: self.home.ensure_secret(change.name) for change in changes})
        certify_principals(self.home, [change.name for change in changes])

    def acls(self, changes: list[Change]) -> None:
        self.admin.create_acls(acl for change in changes for acl in change.acls)

    def quotas(self, changes: list[Change]) -> None:
        write_quotas(self.settings, {change.name: {**NO_QUOTA, **self.wanted.quotas[change.name]} for change in changes})

    def keys(self, changes: list[Change]) -> None:
        for change in changes:
            self.home.ensure_key(change.name)

    def agreements(self, changes: list[Change]) -> None:
        grants = {change.name: self.grant(change.name, self.found.grants.get(change.name)) for change in changes}
        self.write_agreements({id_: grant.to_json() for id_, grant in grants.items()})

    def write_agreements(self, records: Mapping[str, bytes | None]) -> None:
        write(self.settings, AGREEMENTS_TOPIC, records)
        self.written = time.monotonic()

    def grant(self, id_: str, there: bytes | None) -> Grant:
        made = granted(self.wanted.grants[id_], self.schema_ids[id_], there)
        return made if there is not None else made.model_copy(update={"pseudonym_keys": first_key(id_, self.home)})

    def flows(self, changes: list[Change]) -> None:
        wanted, there, now_ms = self.wanted.flows, self.found.flows, time.time_ns() // 1_000_000
        records = {change.name: wanted[change.name].after(there.get(change.name), now_ms) for change in changes}
        write(self.settings, FLOWS_TOPIC, {id_: record.to_json() for id_, record in records.items()})

    def remove(self, changes: list[Change], tell: Tell) -> None:
        """What has gone: users before their rules, since the rules tell whose users they were."""
        of = {step: [change for change in changes if change.step == step] for step in _NOUNS}
        if of["flow"]:
            tell(f"stopping {_count(of['flow'], 'flow')}")
            write(self.settings, FLOWS_TOPIC, {change.name: None for change in of["flow"]})
        if of["principal"]:
            tell(f"removing {_count(of['principal'], 'principal')}")
            self.admin.delete_users(change.name for change in of["principal"])
        if of["quota"]:
            tell(f"removing {_count(of['quota'], 'quota')}")
            write_quotas(self.settings, {change.name: NO_QUOTA for change in of["quota"]})
        if of["acl"]:
            tell(f"removing {_count(of['acl'], 'access rule')}")
            self.admin.delete_acls(acl for change in of["acl"] for acl in change.acls)
        if of["topic"]:
            tell(f"removing {_count(of['topic'], 'topic')}")
            self.admin.delete_topics(change.name for change in of["topic"])

    def await_taken_back(self) -> None:
        """Whoever is told "applied" is told too that nothing more is delivered under what was revoked or narrowed.

        There is nobody to ask, since a router may be cut off: it is the routers who stop by themselves within this time.
        """
        time.sleep(max(0.0, self.written + _TAKEN_BACK_SECONDS - time.monotonic()))

    def await_access(self) -> None:
        """Wait until the brokers know the new users and rules, so that whoever is told "applied" can work."""
        deadline = time.monotonic() + _IN_FORCE_SECONDS
        while time.monotonic() < deadline:
            acls = self.admin.acls()
            if self.wanted.principals <= self.admin.users() and (acls is None or self.wanted.acls <= acls):
                return
            time.sleep(0.05)
