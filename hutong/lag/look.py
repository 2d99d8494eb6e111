"""One look at the bus: ask where everything stands, read what has come since, and say what waits for whom.

The routers need not run, nor anybody else: ends and positions are the brokers', whom a record concerns is worked out here.
The last stable offset is asked for before the positions, so that what was delivered meanwhile never counts as waiting.
Neighbours: ``services/monitor`` looks again and again, ``hutong lag`` once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hutong.agreements.grant import Grant
from hutong.contracts.schema import pub_topic
from hutong.kafka.chunk import Place
from hutong.kafka.groups import Groups
from hutong.kafka.lookout import Cluster, Lookout
from hutong.kafka.settings import Settings
from hutong.kafka.stretches import Stretches
from hutong.lag.concern import Concern, Known, of_deliveries
from hutong.lag.groups import Reading, Readings, readings
from hutong.lag.index import MOST, Index
from hutong.lag.memory import Losses, Restarts, Standing
from hutong.lag.pending import NOTHING, Waiting, total
from hutong.lag.settled import LEFT, Settled
from hutong.lag.snapshot import AgreementLag, Group, Snapshot
from hutong.transport import Record

__all__ = ["ROUTER_GROUP", "Onlooker"]

ROUTER_GROUP = "hutong.router"

_PUB, _SUB, _QUARANTINE = "pub.", "sub.", "quarantine."
_MOST_QUARANTINED = 10_000  # they stay for weeks, and their number beyond this is a disaster whatever it is
_UNKNOWN = Waiting(count=0, oldest_ms=None, exact=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sight:
    """What the brokers have said.

    Attributes:
        known: the agreements, as they were when this look began.
        starts: of partitions on which somebody stands before the end.
        standing: topic -> seconds that its last stable offset has stood still.
        restarted: topics that were deleted and made again since the last look.
    """

    at_ms: int
    known: Known
    cluster: Cluster
    readings: Readings
    starts: Mapping[Place, int]
    ends: Mapping[Place, int]
    standing: Mapping[str, float]
    restarted: frozenset[str]

    def places(self, topic: str) -> list[Place]:
        return [(topic, partition) for partition in self.cluster.partitions.get(topic, ())]

    def position(self, reading: Reading, place: Place) -> int:
        """Where a group goes on: what retention has deleted it cannot read any more."""
        return max(reading.positions.get(place[1], 0), self.starts.get(place, 0))


class Onlooker:
    """Looks at one bus, and remembers what it has seen.

    Args:
        settings: where, and as whom.
        concern: the agreements.
        settled: which records in quarantine are done with; by default none.
        router_group: the routers' consumer group.
        eager: whether one look is all there will be, and must read all that can be counted exactly.
    """

    def __init__(
        self,
        settings: Settings,
        concern: Concern,
        settled: Settled | None = None,
        *,
        router_group: str = ROUTER_GROUP,
        eager: bool = False,
    ) -> None:
        self._lookout, self._readers, self._stretches = Lookout(settings), Groups(settings), Stretches(settings)
        self._concern, self._settled, self._router_group = concern, settled or Settled(), router_group
        self._index = Index(self._stretches, eager=eager)
        self._losses, self._standing, self._restarts = Losses(), Standing(), Restarts()
        self._versions: Mapping[str, int] = {}
        self._settled_version = 0
        self._topics: frozenset[str] = frozenset()
        self._tops: dict[Place, int] = {}
        self._newest_ms: dict[Place, int] = {}

    def look(self, *, seconds: float) -> Snapshot:
        """The bus now.

        Args:
            seconds: how long to read at most; what is not known after that is estimated.

        Raises:
            HutongError: the brokers do not answer, or refuse.
        """
        try:
            sight = self._ask()
            self._settle(sight)
            self._index.read(sight.ends, lambda topic, records: self._judge(sight.known, topic, records), seconds)
            return self._snapshot(sight)
        except Exception:
            self._stretches.want({})  # what was fetched and not taken would be missing from the next look
            raise

    def sees(self, topic: str) -> bool:
        """Whether the topic was there at the last look."""
        return topic in self._topics

    def close(self) -> None:
        """Let go of the brokers."""
        self._readers.close()
        self._stretches.close()

    def _ask(self) -> _Sight:
        known = self._concern.known
        cluster = self._lookout.cluster()
        self._topics = frozenset(cluster.partitions)
        bus = [name for name in cluster.partitions if name.startswith((_PUB, _SUB, _QUARANTINE))]
        places = [(name, partition) for name in bus for partition in cluster.partitions[name]]
        tops = self._lookout.tops(places)
        at_ms = time.time_ns() // 1_000_000
        ends = self._lookout.ends(places)
        now = time.monotonic()
        standing: dict[str, float] = dict.fromkeys(bus, 0.0)
        for place, end in ends.items():
            if place in tops:
                standing[place[0]] = max(standing[place[0]], self._standing.note(place, end, tops[place], now))
        found = readings(self._readers, cluster, known, self._router_group)
        behind = {place for place, end in ends.items() if place[0].startswith(_QUARANTINE) or _is_behind(found, place, end)}
        changed = [place for place, top in tops.items() if place[0].startswith(_PUB) and self._tops.get(place, 0) != top]
        newest = self._lookout.newest_ms(changed)
        restarted = self._restarts.note(tops)
        self._newest_ms = {place: ms for place, ms in self._newest_ms.items() if place[0] not in restarted} | newest
        self._tops |= {place: tops[place] for place in newest}
        return _Sight(
            at_ms=at_ms,
            known=known,
            cluster=cluster,
            readings=found,
            starts=self._lookout.starts(behind),
            ends=ends,
            standing=standing,
            restarted=restarted,
        )

    def _settle(self, sight: _Sight) -> None:
        """Note what is lost, and say to the index where everybody stands."""
        for topic in sight.restarted:
            self._index.forget(topic)
        for contract, version in sight.known.versions.items():
            if self._versions.get(contract) != version:
                self._index.forget(pub_topic(contract))
        self._versions = sight.known.versions
        if self._settled.version != self._settled_version:
            self._settled_version = self._settled.version
            for topic in sight.cluster.partitions:
                if topic.startswith(_QUARANTINE):
                    self._index.forget(topic)
        granted = {pub_topic(contract) for contract in sight.known.contracts.values()}
        settled = []
        for place, end in sight.ends.items():
            topic = place[0]
            positions, most = [], MOST
            if topic.startswith(_QUARANTINE) and place in sight.starts:
                positions, most = [min(end, sight.starts[place])], _MOST_QUARANTINED
            for reading in sight.readings.by_topic.get(topic, ()):
                self._note_loss(sight, reading, place)
                if topic.startswith(_SUB) or topic in granted:
                    positions.append(min(end, sight.position(reading, place)))
            if positions:
                self._index.settle(place, positions, end, sight.at_ms, most=most)
                settled.append(place)
        self._index.keep(settled)

    def _note_loss(self, sight: _Sight, reading: Reading, place: Place) -> None:
        position, start = reading.positions.get(place[1]), sight.starts.get(place, 0)
        if position is None or start <= (begin := self._losses.begin(reading.group, place, position, start)):
            return
        unneeded = self._index.known_empty(place, begin, start)
        if place[0].startswith(_SUB) and start - begin == 1:
            unneeded = 1  # deliveries come in transactions: what follows the last of them is the transaction's marker
        self._losses.note(reading.group, place, start, start - begin - unneeded)

    def _judge(self, known: Known, topic: str, records: Sequence[Record]) -> list[list[str]]:
        if topic.startswith(_PUB):
            return self._concern.of_events(known, records)
        return of_deliveries(records) if topic.startswith(_SUB) else self._settled.left(records)

    def _snapshot(self, sight: _Sight) -> Snapshot:
        quarantine = [name for name in sight.cluster.partitions if name.startswith(_QUARANTINE)]
        last_ms: dict[str, int] = {}
        for (topic, _), newest in self._newest_ms.items():
            if topic in sight.cluster.partitions:
                contract = topic.removeprefix(_PUB)
                last_ms[contract] = max(newest, last_ms.get(contract, 0))
        return Snapshot(
            at_ms=sight.at_ms,
            agreements=dict(self._agreements(sight)),
            groups=self._groups(sight.readings),
            last_event_ms=last_ms,
            quarantined={name.removeprefix(_QUARANTINE): self._quarantined(sight, name) for name in quarantine},
            standing_seconds=sight.standing,
            brokers_in_service=len(sight.cluster.in_service),
            brokers_expected=len(sight.cluster.expected),
            under_replicated=sum(
                name.startswith((_PUB, _SUB, _QUARANTINE, "ctl.")) for name, _ in sight.cluster.under_replicated
            ),
        )

    def _groups(self, found: Readings) -> dict[str, Group]:
        lost: dict[str, dict[str, int]] = {name: {} for name in (*found.members, self._router_group)}
        for topic, several in found.by_topic.items():
            for reading in several:
                lost.setdefault(reading.group, {})[topic] = self._losses.of(reading.group, topic)
        count = {name: one.count for name, one in found.members.items()}
        return {name: Group(name=name, members=count.get(name), lost=of) for name, of in lost.items()}

    def _agreements(self, sight: _Sight) -> Iterator[tuple[str, AgreementLag]]:
        known = sight.known
        pub: dict[str, Waiting] = {}
        for contract, names in known.by_contract().items():
            reading = next(iter(sight.readings.by_topic.get(pub_topic(contract), ())), None)
            pub |= self._waiting(sight, pub_topic(contract), reading, names)
        channels: dict[str, list[str]] = {}
        for name, grant in known.grants.items():
            channels.setdefault(grant.agreement.topic, []).append(name)
        sub: dict[str, dict[str, Waiting]] = {name: {} for name in known.contracts}
        for topic, names in channels.items():
            for reading in sight.readings.by_topic.get(topic, ()):
                for name, waiting in self._waiting(sight, topic, reading, names).items():
                    sub[name][reading.group] = waiting
        for name, contract in sorted(known.contracts.items()):
            yield name, _lag(name, contract, known.grants.get(name), pub[name], sub[name], sight.at_ms)

    def _waiting(self, sight: _Sight, topic: str, reading: Reading | None, names: Iterable[str]) -> dict[str, Waiting]:
        """What waits on a topic for each of those named, behind one group."""
        names = list(names)
        places = sight.places(topic)
        if reading is None or not places:
            return dict.fromkeys(names, _UNKNOWN)
        parts: dict[str, list[Waiting]] = {name: [] for name in names}
        for place in places:
            end = sight.ends.get(place)
            position = 0 if end is None else min(end, sight.position(reading, place))
            found = dict.fromkeys(names, _UNKNOWN) if end is None else self._index.waiting(place, position, end, names)
            for name, waiting in found.items():
                parts[name].append(waiting)
        return {name: total(some) for name, some in parts.items()}

    def _quarantined(self, sight: _Sight, topic: str) -> Waiting:
        parts = []
        for place in sight.places(topic):
            if place in sight.ends and place in sight.starts:
                start, end = sight.starts[place], sight.ends[place]
                parts.append(self._index.waiting(place, min(start, end), end, [LEFT])[LEFT])
        return total(parts)


def _lag(
    name: str, contract: str, grant: Grant | None, delivery: Waiting, taking: Mapping[str, Waiting], at_ms: int
) -> AgreementLag:
    """An agreement's line; None for a grant that cannot be read, of which only the contract is known."""
    in_force = grant is None or grant.in_force((at_ms, at_ms))
    return AgreementLag(
        agreement=name,
        contract=contract,
        recipient=grant.agreement.recipient if grant else "",
        publisher=contract.rpartition(".")[0],
        topic=grant.agreement.topic if grant else "",
        in_force=in_force,
        valid_until_ms=grant.valid_until_ms if grant else None,
        objective_seconds=grant.freshness_seconds if grant else None,
        delivery=delivery if in_force else NOTHING,  # what is not in force when it is routed is not delivered
        taking=dict(sorted(taking.items())),
        at_ms=at_ms,
    )


def _is_behind(found: Readings, place: Place, end: int) -> bool:
    return any(reading.positions.get(place[1], 0) < end for reading in found.by_topic.get(place[0], ()))
