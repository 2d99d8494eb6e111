"""What each department may ask of the brokers, so that one that floods does not take the others' share. Pure.

Only departments have quotas: the operator's services do everybody's work, and slowing them down slows everybody. Kinds of quota
that are not declared here (of somebody else's making) are left alone. Neighbours: ``desired`` has these, ``diff`` puts the
changes among the others, ``kafka.quotas`` carries them out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from hutong.contracts.departments import DEFAULT_QUOTA, Department
from hutong.control.changes import Change
from hutong.control.observed import Observed
from hutong.kafka.quotas import PUBLISH, RECEIVE, REQUESTS

if TYPE_CHECKING:
    from hutong.control.desired import Desired

__all__ = ["NO_QUOTA", "quota", "quota_changes", "quota_notes"]

_MB = 1_000_000
_WORDS = {PUBLISH: "publish {:g} MB/s", RECEIVE: "receive {:g} MB/s", REQUESTS: "{:g} % of a thread"}

NO_QUOTA: Mapping[str, None] = dict.fromkeys(_WORDS)
"""Takes away what is set here."""


def quota(department: Department) -> dict[str, float]:
    """A department's quota as the brokers know it; each broker grants so much."""
    limits = DEFAULT_QUOTA.under(department.quota)
    bytes_of = {PUBLISH: limits.publish_mb_per_s, RECEIVE: limits.receive_mb_per_s}
    found = {kind: megabytes * _MB for kind, megabytes in bytes_of.items() if megabytes is not None}
    return found if limits.request_percent is None else {**found, REQUESTS: limits.request_percent}


def quota_changes(wanted: Desired, found: Observed) -> Iterator[Change]:
    """Quotas to set, and those of departments that are gone, and of whoever should have none."""
    if found.quotas is None:
        return
    for code, limits in wanted.quotas.items():
        there = _ours(found.quotas.get(code, {}))
        if there != limits:
            yield Change(step="quota", action="change" if there else "create", name=code, text=_text(there, limits))
    for code in sorted(found.quotas):
        there = _ours(found.quotas[code])
        if there and code not in wanted.quotas and (code in wanted.principals or _was_department(code, found)):
            yield Change(step="quota", action="remove", name=code, text=_text({}, there), prune=True)


def quota_notes(found: Observed) -> Iterator[str]:
    """What the operator should know of quotas."""
    if found.quotas is None:
        yield "this cluster does not tell of quotas: a department that floods can slow the others down"


def _was_department(code: str, found: Observed) -> bool:
    """The control plane gives every department exactly this rule on groups."""
    return any(acl.principal == code and acl.resource == "group" and acl.name == f"{code}." for acl in found.acls or ())


def _ours(limits: Mapping[str, float]) -> dict[str, float]:
    return {kind: value for kind, value in limits.items() if kind in _WORDS}


def _text(there: Mapping[str, float], limits: Mapping[str, float]) -> str:
    words = _words(limits)
    return f"{_words(there)} -> {words}" if there else words


def _words(limits: Mapping[str, float]) -> str:
    known = [_WORDS[kind].format(limits[kind] / (1 if kind == REQUESTS else _MB)) for kind in _WORDS if kind in limits]
    return ", ".join(known) or "no limit"
