"""What one round of looking at the bus has found, as plain values.

Neighbours: ``look`` makes these; ``services/monitor`` exports them, ``hutong lag`` and ``hutong top`` print them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hutong.lag.pending import Waiting

__all__ = ["AgreementLag", "Group", "Snapshot"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgreementLag:
    """One agreement.

    Attributes:
        agreement: its id.
        contract: what it grants.
        recipient: to whom.
        publisher: the contract's department.
        topic: where its deliveries go.
        in_force: whether it is in force now.
        valid_until_ms: first instant no more in force; None where it is open-ended.
        objective_seconds: how old an event may get before it is delivered, as the contract promises; None where it does not.
        delivery: deliveries not made yet.
        taking: group -> deliveries made and not passed yet by the position that this group of the recipient has stored.
        at_ms: when it was looked at.
    """

    agreement: str
    contract: str
    recipient: str
    publisher: str
    topic: str
    in_force: bool
    valid_until_ms: int | None
    objective_seconds: float | None
    delivery: Waiting
    taking: Mapping[str, Waiting]
    at_ms: int

    @property
    def freshness_seconds(self) -> float:
        """Age of the oldest event that is published and not delivered yet; 0 where there is none, or it is not ``told``."""
        return self.age(self.delivery)

    @property
    def kept(self) -> bool | None:
        """Whether the contract's promise is kept now; None where there is none, nothing may be delivered, or nobody can say."""
        if self.objective_seconds is None or not self.in_force or not self.delivery.measured:
            return None
        if self.freshness_seconds > self.objective_seconds:
            return False
        return None if self.delivery.blind else True

    @property
    def told(self) -> bool:
        """Whether the numbers say something: not those of a part alone, unless they are bad enough by themselves."""
        return self.delivery.measured and (not self.delivery.blind or self.kept is False)

    def age(self, waiting: Waiting) -> float:
        """Seconds since the oldest of those that wait."""
        return 0.0 if waiting.oldest_ms is None else max(0.0, (self.at_ms - waiting.oldest_ms) / 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A consumer group: a recipient's, or one of the services.

    Attributes:
        name: its id.
        members: who takes part now; None where nobody says.
        lost: topic that it reads -> offsets that retention has deleted before the group passed them.
    """

    name: str
    members: int | None
    lost: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The bus at one moment.

    Attributes:
        at_ms: when, ms since the epoch.
        agreements: by id.
        groups: by name.
        last_event_ms: contract -> time of its newest event.
        quarantined: contract -> records in quarantine.
        standing_seconds: topic -> for how long its last stable offset has stood still behind the end.
        brokers_in_service: that answer.
        brokers_expected: that should.
        under_replicated: partitions of the bus's topics with fewer copies in step than they should have.
    """

    at_ms: int
    agreements: Mapping[str, AgreementLag] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    last_event_ms: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, Waiting] = field(default_factory=dict)
    standing_seconds: Mapping[str, float] = field(default_factory=dict)
    brokers_in_service: int = 0
    brokers_expected: int = 0
    under_replicated: int = 0

    @property
    def lost(self) -> int:
        """Offsets that retention took from anybody."""
        return sum(sum(group.lost.values()) for group in self.groups.values())
