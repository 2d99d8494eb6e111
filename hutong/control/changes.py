"""The difference between declarations and bus, as values: what changes, and whom and which fields it touches.

Neighbours: ``diff`` makes these, ``apply`` carries them out, ``render`` shows them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from hutong.kafka.resources import Acl

__all__ = ["FORMAT", "Change", "Difference", "Effect", "FieldEffect", "Refusal", "Step"]

FORMAT = 1
"""Version of the JSON that ``--json`` prints; it changes when a key goes away or changes its meaning."""

Step = Literal["topic", "schema", "principal", "acl", "quota", "key", "agreement", "flow"]
"""Kinds of change, in the order in which they are made: whoever sees a grant or a flow must find everything that it speaks of."""

Action = Literal["create", "change", "remove"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldEffect:
    """What becomes of one field.

    Attributes:
        sign: ``+`` it comes, ``-`` it goes, ``~`` it comes otherwise than before.
        path: the field as the recipient sees it; in a contract, the contract's field.
        text: how, in words.
        classification: of the field in the contract, where it has one.
    """

    sign: Literal["+", "-", "~"]
    path: str
    text: str
    classification: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a change means for one recipient under one agreement.

    Attributes:
        recipient: the department's code.
        agreement: the agreement's id.
        fields: the fields that it touches.
        rows: ``wider``, ``narrower`` or ``changed``, or None where the same rows pass.
        details: everything else, in words.
    """

    recipient: str
    agreement: str
    fields: tuple[FieldEffect, ...] = ()
    rows: Literal["wider", "narrower", "changed"] | None = None
    details: tuple[str, ...] = ()

    @property
    def touches_data(self) -> bool:
        """Whether the recipient will get other data than before."""
        return bool(self.fields or self.rows or self.details)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing to create, change or remove on the bus.

    Attributes:
        step: its kind.
        action: what is done.
        name: of the topic, subject, principal, agreement, flow; for a rule, whom and what it is about.
        text: what happens, in words.
        contract: the contract it belongs to, if to one.
        agreement: the agreement it belongs to, if to one.
        fields: for a contract's schema, the fields that differ.
        effects: the recipients that the contract or agreement reaches.
        details: for a flow, what the change means for running cases, in words.
        prune: whether it is done only on request, because it takes something away that is on the bus.
        acls: for a rule, the single permissions.
    """

    step: Step
    action: Action
    name: str
    text: str
    contract: str | None = None
    agreement: str | None = None
    fields: tuple[FieldEffect, ...] = ()
    effects: tuple[Effect, ...] = ()
    details: tuple[str, ...] = ()
    prune: bool = False
    acls: tuple[Acl, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Something that the declarations want and the bus must not do; nothing is applied while there is one."""

    contract: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """All of it.

    Attributes:
        changes: in the order in which they are made.
        refusals: what stands in the way.
        notes: what the operator should know.
    """

    changes: tuple[Change, ...]
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()

    def due(self, *, prune: bool) -> tuple[Change, ...]:
        """What ``apply`` would do now."""
        return tuple(change for change in self.changes if prune or not change.prune)

    def stays(self, *, prune: bool) -> tuple[Change, ...]:
        """What has gone from the declarations and stays on the bus until it is pruned."""
        return () if prune else tuple(change for change in self.changes if change.prune)

    def to_document(self, *, prune: bool) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "format": FORMAT,
            "in_step": not self.due(prune=prune) and not self.refusals,
            "changes": [_entry(change) for change in self.due(prune=prune)],
            "stays_until_prune": [_entry(change) for change in self.stays(prune=prune)],
            "refusals": [asdict(refusal) for refusal in self.refusals],
            "notes": list(self.notes),
        }


def _entry(change: Change) -> dict[str, Any]:
    entry = asdict(change)
    del entry["prune"]
    entry["acls"] = [str(acl) for acl in change.acls]
    return entry
