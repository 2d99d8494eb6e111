"""An agreement's fields as a tree over the contract's structure: what is granted of each record, in the declared order.

``a.b`` and ``a.c`` become one branch ``a`` with two leaves. Neighbours: ``projection`` walks this beside the schema.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hutong.agreements.agreement import Constant, Copy, Derive, FieldGrant, Generalise, MapCodes, Mask, Pseudonymise

__all__ = ["Branch", "Computed", "Leaf", "grants_tree"]


@dataclass(slots=True, kw_only=True)
class Leaf:
    """A field granted with its transform. ``position`` is the entry's index in the agreement, for messages."""

    segment: str
    grant: Copy | Mask | Pseudonymise | Generalise | MapCodes
    position: int


@dataclass(slots=True, kw_only=True)
class Computed:
    """A field that comes from no single field."""

    grant: Constant | Derive
    position: int


@dataclass(slots=True, kw_only=True)
class Branch:
    """A field of which only parts are granted."""

    segment: str
    position: int = 0
    items: list[Branch | Leaf | Computed] = field(default_factory=list)

    def branch(self, segment: str, position: int) -> Branch:
        """The branch of this segment, made at its first mention."""
        for item in self.items:
            if isinstance(item, Branch) and item.segment == segment:
                return item
        made = Branch(segment=segment, position=position)
        self.items.append(made)
        return made


def grants_tree(fields: tuple[FieldGrant, ...]) -> Branch:
    """The tree of an agreement's field entries; the root's segment is empty."""
    root = Branch(segment="")
    for position, grant in enumerate(fields):
        if isinstance(grant, (Constant, Derive)):
            root.items.append(Computed(grant=grant, position=position))
            continue
        node = root
        *above, last = grant.field.split(".")
        for segment in above:
            node = node.branch(segment, position)
        node.items.append(Leaf(segment=last, grant=grant, position=position))
    return root
