"""What stands on a Kafka cluster beside records, as plain values: topics and access rules.

Neighbours: ``admin`` reads and makes these, the control plane compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["Acl", "NewTopic", "Pattern", "Permission", "Resource", "TopicState"]

Resource = Literal["topic", "group", "transactional_id", "cluster"]
Pattern = Literal["literal", "prefixed"]
Permission = Literal["allow", "deny"]


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Acl:
    """A rule that lets a principal do something, or keeps it from it whatever else allows it, from any host.

    Attributes:
        principal: the user's name, without ``User:``.
        resource: kind of the resource.
        name: the resource's name, or what it begins with.
        pattern: which of the two.
        operation: ``READ``, ``WRITE``, ``DESCRIBE``, ..., or ``ALL``.
        permission: which of the two.
    """

    principal: str
    resource: Resource
    name: str
    pattern: Pattern
    operation: str
    permission: Permission = "allow"

    def __str__(self) -> str:
        what = (
            f"{self.resource.replace('_', ' ')}s {self.name}*" if self.pattern == "prefixed" else f"{self.resource} {self.name}"
        )
        return f"{self.principal} {self.deed} {what}"

    @property
    def deed(self) -> str:
        """What it may do, or may not, in words."""
        operation = "use" if self.operation == "ALL" else self.operation.replace("_", " ").lower()
        return f"may {operation}" if self.permission == "allow" else f"may not {operation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTopic:
    """A topic to create.

    Attributes:
        name: its name.
        partitions: their number; it stays, because keys are placed by it.
        replication: copies of each partition.
        config: topic configuration that differs from the cluster's.
    """

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicState:
    """A topic that is there.

    Attributes:
        partitions: their number.
        config: all configuration in force, defaults included.
    """

    partitions: int
    config: Mapping[str, str]
