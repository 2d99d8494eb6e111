"""Users and access rules: the difference between what is declared and what the cluster holds. Pure.

A rule is the bus's business when it is about the bus's own topics, a department's own groups, or groups and transactions of the
bus's services; other rules of a shared cluster are left alone. Neighbours: ``rights`` has what is declared; ``diff`` puts these
changes among the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from hutong.control.changes import Change
from hutong.control.desired import Desired
from hutong.control.observed import PREFIXES, Observed
from hutong.kafka.resources import Acl
from hutong.principals import FORMER, MONITOR, SERVICES

__all__ = ["access_changes", "access_notes"]

_SUCCEEDED = "cannot log in any more; routers and coordinators have principals of their own now: start them anew first"


def access_changes(wanted: Desired, found: Observed) -> Iterator[Change]:
    """Users to make, rules to add, and what has gone from the declarations."""
    for code in sorted(wanted.principals - found.users):
        yield Change(step="principal", action="create", name=code, text="a password is made and kept in this home's secrets")
    if found.acls is None:
        return
    ours = frozenset(acl for acl in found.acls if _is_ours(acl))
    gone = ours - wanted.acls
    users = {acl.principal for acl in gone if acl.resource == "group"} - wanted.principals
    for code in sorted(users & found.users):
        text = _SUCCEEDED if code == FORMER else "cannot log in any more"
        yield Change(step="principal", action="remove", name=code, text=text, prune=True)
    owners = _owners(wanted)
    for acls in _grouped(wanted.acls - found.acls):
        contract, agreement = owners.get(acls[0].name, (None, None))
        yield Change(
            step="acl",
            action="create",
            name=f"{acls[0].principal}: {acls[0].resource} {acls[0].name}",
            text=_text(acls),
            contract=contract,
            agreement=agreement,
            acls=acls,
        )
    for acls in _grouped(gone):
        name = f"{acls[0].principal}: {acls[0].resource} {acls[0].name}"
        yield Change(step="acl", action="remove", name=name, text=_text(acls), prune=True, acls=acls)


def access_notes(found: Observed) -> Iterator[str]:
    """What the operator should know of the cluster's rules."""
    if found.acls is None:
        yield "the cluster has no authorizer: anybody who reaches it may read and write everything, and no access rule is set"
        return
    for acl in sorted(found.acls):
        if acl.resource == "topic" and acl.permission == "allow" and not _is_ours(acl) and _covers(acl):
            yield f"a rule from elsewhere reaches the bus's topics: {acl}"


def _is_ours(acl: Acl) -> bool:
    if acl.resource == "topic":  # whoever forbids something there has a reason that is not ours to judge
        return acl.permission == "allow" and acl.name.startswith(PREFIXES)
    if acl.resource in ("group", "transactional_id") and acl.principal in SERVICES | {FORMER} and acl.name.startswith("hutong."):
        return True
    if acl.resource != "group" or acl.pattern != "prefixed":
        return False
    if acl.principal == MONITOR:
        return acl.operation == "DESCRIBE" and acl.name.endswith(".")
    if acl.permission == "deny":
        return acl.operation == "ALL" and acl.name.startswith(f"{acl.principal}.")
    # The control plane gives a principal exactly this rule on groups; whoever has it is, or was, a department.
    return acl.name == f"{acl.principal}."


def _covers(acl: Acl) -> bool:
    if acl.pattern == "literal":
        return acl.name == "*"
    return any(prefix.startswith(acl.name) for prefix in PREFIXES)


def _owners(wanted: Desired) -> dict[str, tuple[str | None, str | None]]:
    owners: dict[str, tuple[str | None, str | None]] = {}
    for name, contract in wanted.contracts.items():
        owners[contract.topic] = (name, None)
    for id_, grant in wanted.grants.items():
        owners.setdefault(grant.agreement.topic, (grant.agreement.contract, id_))
    return owners


def _grouped(acls: Iterable[Acl]) -> Iterator[tuple[Acl, ...]]:
    """Rules about one resource for one principal together."""
    for _, group in groupby(sorted(acls), key=lambda acl: (acl.principal, acl.resource, acl.name, acl.pattern, acl.permission)):
        yield tuple(group)


def _text(acls: tuple[Acl, ...]) -> str:
    first = acls[0]
    what = (
        f"{first.resource.replace('_', ' ')}s {first.name}*" if first.pattern == "prefixed" else f"{first.resource} {first.name}"
    )
    return f"{first.principal} {' and '.join([first.deed, *(acl.operation.lower() for acl in acls[1:])])} {what}"
