"""The declarations, and whether the bus is as they say: topics, access, keys, schemas, agreements that no router can apply.

The difference is the one that ``hutong plan`` shows; here it is asked what of it keeps the bus from working.
Neighbours: ``catalogue`` reads, ``control`` observes and compares, ``runtime.agreements`` compiles as a router does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hutong.agreements.grant import contract_in
from hutong.catalogue.load import read
from hutong.control.access import access_notes
from hutong.control.changes import Change
from hutong.control.desired import Layout, desired
from hutong.control.diff import difference
from hutong.control.keys import kept
from hutong.control.observe import observe
from hutong.doctor.finding import Context, Finding, Group, several, some
from hutong.errors import ConfigurationError, HutongError
from hutong.home import Home
from hutong.kafka.admin import Admin
from hutong.kafka.registry_admin import RegistryAdmin
from hutong.kafka.settings import Settings
from hutong.runtime.agreements import Agreements

__all__ = ["BUS", "FILES", "Bus", "Files"]


@dataclass(frozen=True, kw_only=True)
class Files:
    """The facts about the files.

    Attributes:
        directory: where they are.
        errors: in order, with their places.
    """

    directory: Path
    errors: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Bus:
    """The facts about the bus.

    Attributes:
        changes: what ``hutong apply`` would do, removals left out.
        open: what stands on the bus and is declared nowhere.
        has_authorizer: whether the cluster keeps access rules at all.
        granted: agreements that are on the bus already.
        unusable: agreement -> why no router can apply it here.
        lacking: pseudonym keys that routers use and this home has not.
        notes: what there is to know of the cluster's access rules.
    """

    changes: Sequence[Change] = ()
    open: Sequence[Change] = ()
    has_authorizer: bool = True
    granted: frozenset[str] = frozenset()
    unusable: Mapping[str, str] = field(default_factory=dict)
    lacking: Sequence[str] = ()
    notes: Sequence[str] = ()


def look_at_files(context: Context) -> Files:
    """Read the declarations."""
    return Files(directory=context.schemas, errors=[str(error) for error in read(context.schemas).errors])


def look_at_bus(context: Context) -> Bus:
    """Compare the bus with the declarations, and compile what is on it."""
    settings = Settings.resolve("operator")
    admin, registry = Admin(settings), RegistryAdmin.of(settings)
    if not isinstance(registry, RegistryAdmin):
        raise ConfigurationError("this registry client cannot administer")
    wanted = desired(read(context.schemas).catalogue, Layout(brokers=admin.brokers()))
    found = observe(settings, admin, registry, context.home, wanted)
    compared = difference(wanted, found)
    return Bus(
        changes=compared.due(prune=False),
        open=[change for change in compared.stays(prune=False) if change.step == "acl"],
        has_authorizer=found.acls is not None,
        granted=frozenset(found.grants),
        unusable=_unusable(found.grants, context.home),
        lacking=[key.name for id_ in wanted.grants for key in kept(found.grants.get(id_)) or () if key.name not in found.keys],
        notes=[] if found.acls is None else list(access_notes(found)),
    )


def _unusable(grants: Mapping[str, bytes], home: Home) -> dict[str, str]:
    """The agreements that a router could not apply here, and records that would keep it from reading any of them."""
    problems: dict[str, str] = {}
    for name, document in grants.items():
        try:
            contract_in(document)
        except HutongError as error:
            problems[name] = str(error)
    agreements = Agreements(home)
    agreements.update({name: document for name, document in grants.items() if name not in problems})
    return problems | {name: str(problem) for name, problem in agreements.table.unusable.items()}


def check_files(facts: Files) -> Iterator[Finding]:
    """The declarations are right."""
    if facts.errors:
        yield Finding(
            check="declarations",
            severity="error",
            where=str(facts.directory),
            what="the declarations have errors ({number}); the first: {problem}",
            remedy="`hutong check` shows all of them with their lines",
            facts={"number": len(facts.errors), "problem": facts.errors[0]},
        )


def check_topics(facts: Bus) -> Iterator[Finding]:
    """Every topic is there, and is set as declared."""
    missing = [change.name for change in facts.changes if change.step == "topic" and change.action == "create"]
    yield from several(
        missing,
        check="topics",
        severity="error",
        what="{number} topics that the declarations need are not there",
        remedy="`hutong apply` makes them",
    )
    other = [change.name for change in facts.changes if change.step == "topic" and change.action == "change"]
    yield from several(
        other,
        check="topics",
        severity="warning",
        what="{number} topics are set otherwise than declared",
        remedy="`hutong plan` shows what differs, `hutong apply` sets it right",
    )


def check_access(facts: Bus) -> Iterator[Finding]:
    """Everybody may do what is declared, and nothing else."""
    if not facts.has_authorizer:
        yield Finding(
            check="access",
            severity="error",
            where="kafka",
            what="the cluster keeps no access rules: whoever reaches it may read and write everything",
            remedy="give the brokers an authorizer (authorizer.class.name), then run `hutong apply`",
        )
    missing = [change.name for change in facts.changes if change.step == "acl"]
    users = [change.name for change in facts.changes if change.step == "principal"]
    if missing or users:
        yield Finding(
            check="access",
            severity="error",
            where=some([*users, *missing]),
            what="{users} principals and {rules} access rules that are declared are not there",
            remedy="`hutong apply` adds them",
            facts={"users": len(users), "rules": len(missing)},
        )
    yield from several(
        [change.name for change in facts.open],
        check="access",
        severity="warning",
        what="{number} access rules on the bus are declared nowhere",
        remedy="`hutong plan` shows them; `hutong apply --prune` takes them away",
    )
    for note in facts.notes:
        yield Finding(
            check="access",
            severity="warning",
            where="kafka",
            what="{problem}",
            remedy="narrow that rule, or take it away, if nobody needs it",
            facts={"problem": note},
        )


def check_keys(facts: Bus) -> Iterator[Finding]:
    """The keys of agreements that are at work are here."""
    missing = [change.name for change in facts.changes if change.step == "key" and change.name in facts.granted]
    yield from several(
        [*missing, *facts.lacking],
        check="keys",
        severity="error",
        what="{number} keys of agreements that are at work are not in this home",
        remedy="put them back from the backup, or copy them from the home that made them; with a new key every pseudonym changes",
    )


def check_agreements(facts: Bus) -> Iterator[Finding]:
    """Every agreement on the bus can be applied, and says what is declared."""
    for name, problem in sorted(facts.unusable.items()):
        yield Finding(
            check="agreements",
            severity="error",
            where=name,
            what="no router can apply this agreement here: {problem}",
            remedy="its events go to quarantine meanwhile; put it right, `hutong apply`, then `hutong quarantine replay`",
            facts={"problem": problem},
        )
    steps = ("schema", "agreement", "flow")
    other = [change.name for change in facts.changes if change.step in steps]
    yield from several(
        other,
        check="agreements",
        severity="warning",
        what="{number} schemas, agreements or flows on the bus are not as declared",
        remedy="`hutong plan` shows whom it touches, `hutong apply` brings it onto the bus",
    )


FILES = Group(name="declarations", look=look_at_files, checks={"declarations": check_files})
BUS = Group(
    name="bus",
    look=look_at_bus,
    checks={"topics": check_topics, "access": check_access, "keys": check_keys, "agreements": check_agreements},
    needs=("declarations", "kafka", "registry"),
)
