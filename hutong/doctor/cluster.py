"""The brokers: are they all in service, what do they offer, does their clock agree, does anything stand still on them?

Neighbours: ``kafka.lookout``, ``clock``, ``versions`` and ``stalled`` ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hutong.doctor.finding import Context, Finding, Group, Severity, several
from hutong.embedded.state import load
from hutong.errors import BrokerUnavailable
from hutong.kafka.admin import Admin
from hutong.kafka.clock import Clock, broker_clock
from hutong.kafka.groups import Groups
from hutong.kafka.lookout import Lookout
from hutong.kafka.settings import Settings
from hutong.kafka.stalled import Stalled, stalled
from hutong.kafka.versions import Offer, broker_offer

__all__ = ["GROUP", "Kafka"]

OPERATOR = "operator"
_PREFIXES = ("pub.", "sub.", "quarantine.", "ctl.")
_SERVICES = {
    "hutong.router": ("no router runs: nothing is delivered", "start one with `hutong run router`"),
    "hutong.coordinator": ("no coordinator runs: cases stand still", "start one with `hutong run coordinator`"),
    "hutong.intake": ("no coordinator runs: no event comes to a case", "start one with `hutong run coordinator`"),
}
_NOBODY = "nobody takes part in this group now: its deliveries wait"

_CLOCK_SECONDS = 1.0
"""An agreement begins and ends to the second, by the brokers' clock; people set it by theirs."""
_TRANSACTION_SECONDS = 60.0
"""The embedded brokers let no transaction take longer; whatever is older hangs."""
_LEVEL = 25
"""``metadata.version`` of Kafka 4.0, the first release that Hutong's brokers may be."""


@dataclass(frozen=True, kw_only=True)
class Kafka:
    """The facts.

    Attributes:
        servers: where it was asked.
        in_service: brokers that answer.
        expected: brokers that should.
        offer: what the first of them offers; None where it does not say.
        clock: theirs against ours; None where nothing may be written.
        under_replicated: partitions with too few copies in step.
        stalled: partitions on which a transaction hangs.
        members: group of a service or of a recipient -> how many take part in it now.
    """

    servers: str
    in_service: int
    expected: int
    offer: Offer | None = None
    clock: Clock | None = None
    under_replicated: Sequence[str] = ()
    stalled: Sequence[Stalled] = ()
    members: Mapping[str, int] = field(default_factory=dict)


def look(context: Context) -> Kafka:
    """Look at the brokers."""
    settings = Settings.resolve(OPERATOR)
    Admin(settings).brokers()  # says what is wrong with the login, where something is
    lookout = Lookout(settings)
    cluster = lookout.cluster()
    places = [
        (name, partition) for name, parts in cluster.partitions.items() if name.startswith(_PREFIXES) for partition in parts
    ]
    state = load(context.home) if "127.0.0.1" in settings.bootstrap_servers else None
    with Groups(settings) as asked:
        groups = asked.members(_ours(asked.names(), cluster.partitions))
    return Kafka(
        servers=settings.bootstrap_servers,
        in_service=len(cluster.in_service),
        expected=max(len(cluster.expected), len(state.nodes) if state else 0),
        offer=_offer(settings),
        clock=None if context.look_only else broker_clock(settings),
        under_replicated=[f"{topic}[{partition}]" for topic, partition in sorted(cluster.under_replicated)],
        stalled=stalled(settings, lookout, places, older_than=_TRANSACTION_SECONDS),
        members={name: one.count for name, one in groups.items()},
    )


def _ours(groups: Sequence[str], topics: Iterable[str]) -> list[str]:
    """Groups of the services and of recipients; others of a shared cluster are nobody's business here."""
    recipients = {".".join(topic.split(".")[1:3]) for topic in topics if topic.startswith("sub.")}
    return [name for name in groups if name in _SERVICES or ".".join(name.split(".")[:2]) in recipients]


def _offer(settings: Settings) -> Offer | None:
    for address in settings.bootstrap_servers.split(","):
        try:
            return broker_offer(settings, address.strip())
        except BrokerUnavailable:
            continue
    return None


def check_brokers(facts: Kafka) -> Iterator[Finding]:
    """Every broker is in service."""
    if facts.in_service < facts.expected:
        yield Finding(
            check="brokers",
            severity="error",
            where=facts.servers,
            what="{found} of {wanted} brokers are in service",
            remedy="`hutong status` says which one is down; `hutong up` starts it again",
            facts={"found": facts.in_service, "wanted": facts.expected},
        )


def check_version(facts: Kafka) -> Iterator[Finding]:
    """The brokers are of a release that Hutong works with."""
    level = facts.offer.features.get("metadata.version", 0) if facts.offer else None
    if level is not None and level < _LEVEL:
        yield Finding(
            check="kafka-version",
            severity="warning",
            where=facts.servers,
            what="the cluster works at the level of a Kafka before 4.0 (metadata.version {level})",
            remedy="upgrade the brokers, then raise the level with `kafka-features.sh upgrade`; Hutong is tested with 4.3.1",
            facts={"level": level},
        )


def check_clock(facts: Kafka) -> Iterator[Finding]:
    """The brokers' clock and this machine's agree."""
    clock = facts.clock
    if clock is None or abs(clock.ahead_seconds) <= _CLOCK_SECONDS + clock.within_seconds:
        return
    yield Finding(
        check="clock",
        severity="warning",
        where=facts.servers,
        what="the brokers' clock is {seconds} s {direction} of this machine's",
        remedy="set both by the same time server (chrony, systemd-timesyncd): agreements begin and end by the brokers' clock",
        facts={"seconds": f"{abs(clock.ahead_seconds):.1f}", "direction": "ahead" if clock.ahead_seconds > 0 else "behind"},
    )


def check_replicas(facts: Kafka) -> Iterator[Finding]:
    """Every partition has its copies."""
    yield from several(
        facts.under_replicated,
        check="replicas",
        severity="warning",
        what="{number} partitions have fewer copies in step than they should",
        remedy="bring the missing broker back: with another one down, publishers have to wait",
    )


def check_transactions(facts: Kafka) -> Iterator[Finding]:
    """No transaction hangs."""
    for one in facts.stalled:
        yield Finding(
            check="transactions",
            severity="error",
            where=f"{one.topic}[{one.partition}]",
            what="a transaction has stood open for {seconds} s at offset {offset}: {behind} offsets wait behind it",
            remedy="`kafka-transactions.sh find-hanging`, then `abort`, ends it; see docs/runbooks",
            facts={"seconds": f"{one.age_seconds:.0f}", "offset": one.offset, "behind": one.behind},
        )


def check_groups(facts: Kafka) -> Iterator[Finding]:
    """Groups that have read before still have somebody who reads."""
    for name, members in sorted(facts.members.items()):
        if members:
            continue
        what, remedy = _SERVICES.get(name, (_NOBODY, "start the recipient's program again; delete the group if it is given up"))
        severity: Severity = "warning" if name in _SERVICES else "note"
        yield Finding(check="groups", severity=severity, where=name, what=what, remedy=remedy)


GROUP = Group(
    name="kafka",
    look=look,
    checks={
        "brokers": check_brokers,
        "kafka-version": check_version,
        "clock": check_clock,
        "replicas": check_replicas,
        "transactions": check_transactions,
        "groups": check_groups,
    },
)
