"""Who reads what, and how far: the router's group on published topics, the recipients' groups on their channels.

A group reads a topic if it has stored a position on any of its partitions, or a member has one of them now. On a partition
without a stored position it stands at the beginning: where it would really begin is its own setting, and nobody else's to know.
Neighbours: ``kafka.groups`` asks the brokers; ``look`` holds the positions against the ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hutong.kafka.chunk import Place
from hutong.kafka.groups import Groups, Members
from hutong.kafka.lookout import Cluster
from hutong.lag.concern import Known

__all__ = ["Reading", "Readings", "readings"]

SERVICES_GROUPS = "hutong."
MOST_GROUPS = 50
"""Groups of one recipient that are told apart: their names are its own choice, and each is a label of all of its metrics."""

_MOST_ASKED = 2_000  # of one recipient: who makes more blinds nobody but itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A group that reads a topic.

    Attributes:
        group: its id.
        topic: what it reads.
        positions: partition -> stored position, where there is one.
    """

    group: str
    topic: str
    positions: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """All of them.

    Attributes:
        by_topic: topic -> who reads it.
        members: group -> who takes part now; one about which nobody answers is left out.
    """

    by_topic: Mapping[str, list[Reading]]
    members: Mapping[str, Members]


def readings(groups: Groups, cluster: Cluster, known: Known, router_group: str) -> Readings:
    """Ask the brokers.

    Args:
        groups: asks.
        cluster: the topics that are there.
        known: the agreements; they say whose channels these are.
        router_group: the routers' group; published topics are its to read even before it has stored a position.
    """
    channels: dict[str, set[str]] = {}
    for grant in known.grants.values():
        if grant.agreement.topic in cluster.partitions:
            channels.setdefault(grant.agreement.recipient, set()).add(grant.agreement.topic)
    there = groups.names()
    services = sorted({router_group, *(name for name in there if name.startswith(SERVICES_GROUPS))})
    members = groups.members(services)
    theirs: dict[str, set[str]] = {}  # group -> the channels that it may read
    for recipient, topics in channels.items():
        own = [name for name in there if name.startswith(f"{recipient}.")][:_MOST_ASKED]
        for name in own:
            theirs.setdefault(name, set()).update(topics)
    members |= groups.members(theirs)
    theirs = {name: theirs[name] for name in _told_apart(theirs, members, channels)}
    committed = groups.committed([*theirs, router_group])
    by_topic: dict[str, list[Reading]] = {}
    for name, topics in theirs.items():
        if name not in committed:
            continue  # its coordinator is silent: nobody knows how far it is, which is not the beginning
        stored = _by_topic(committed[name])
        for topic in topics & (stored.keys() | members.get(name, Members()).topics):
            by_topic.setdefault(topic, []).append(Reading(group=name, topic=topic, positions=stored.get(topic, {})))
    stored = _by_topic(committed.get(router_group, {}))
    for topic in cluster.partitions:
        if topic.startswith("pub.") and router_group in committed:
            by_topic[topic] = [Reading(group=router_group, topic=topic, positions=stored.get(topic, {}))]
    return Readings(by_topic=by_topic, members={name: members[name] for name in (*services, *theirs) if name in members})


def _told_apart(groups: Iterable[str], members: Mapping[str, Members], recipients: Iterable[str]) -> list[str]:
    """At most so many groups of each recipient, those with members first."""
    by_recipient: dict[str, list[str]] = {}
    for name in groups:
        owner = max((code for code in recipients if name.startswith(f"{code}.")), key=len)
        by_recipient.setdefault(owner, []).append(name)
    kept = []
    for names in by_recipient.values():
        names.sort(key=lambda name: (not members.get(name, Members()).count, name))
        kept += names[:MOST_GROUPS]
    return kept


def _by_topic(positions: Mapping[Place, int]) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = {}
    for (topic, partition), offset in positions.items():
        found.setdefault(topic, {})[partition] = offset
    return found
