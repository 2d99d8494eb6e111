"""What an onlooker asks the brokers: who is in service, where partitions begin and end.

Nothing is read or changed here. One request covers many partitions; an answer that does not come for one of them is left out, and
the others stand. Neighbours: ``groups`` asks who reads what, and how far; ``stretches`` reads the records between two of these
offsets; ``hutong.lag`` makes sense of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # it exports it, and does not say so

from hutong.errors import BrokerUnavailable
from hutong.kafka.chunk import Place
from hutong.kafka.errors import kafka_error, translate
from hutong.kafka.passwords import Grace, follow
from hutong.kafka.settings import Settings

__all__ = ["Cluster", "Lookout"]

_LOG = logging.getLogger("hutong.kafka.lookout")
_LOG.propagate = False  # what goes wrong is raised; the client's own lines about each attempt would bury it
_LOG.addHandler(logging.NullHandler())

_SPEC: Any = OffsetSpec  # the client's own types are not told
_EARLIEST, _LATEST, _NEWEST = _SPEC.earliest(), _SPEC.latest(), _SPEC.max_timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster as its brokers describe it.

    Attributes:
        in_service: ids of the brokers that answer.
        expected: ids of those and of every broker that should hold a copy of something.
        partitions: topic -> its partitions, of topics that may be looked at.
        under_replicated: partitions with fewer copies in step than they should have.
    """

    in_service: frozenset[int]
    expected: frozenset[int]
    partitions: Mapping[str, tuple[int, ...]]
    under_replicated: frozenset[Place]


class Lookout:
    """Asks one cluster.

    Args:
        settings: where, and as whom; the principal needs DESCRIBE on what it asks about.
        seconds: how long to wait for an answer.
    """

    def __init__(self, settings: Settings, *, seconds: float = 5.0) -> None:
        self._settings, self._seconds = settings, seconds
        self._refused: KafkaError | None = None
        self._grace = Grace(settings)
        self._client = AdminClient(settings.client() | {"error_cb": self._on_error, "log_level": 0}, logger=_LOG)
        follow(self, settings, lambda lookout: lookout._client)

    def cluster(self) -> Cluster:
        """The brokers and the topics.

        Raises:
            BrokerUnavailable: nobody answers.
            NotAuthorised: the login is refused.
        """
        try:
            found = self._client.list_topics(timeout=self._seconds)
        except KafkaException as error:
            self._client.poll(0)  # lets the error callback say that the login was refused; the call itself only times out
            raise self._explain(self._refused or error, "reach the cluster") from error
        self._refused = None
        self._grace.worked()
        topics = {name: one.partitions for name, one in found.topics.items() if one.error is None}
        every = [((name, part), one) for name, parts in topics.items() for part, one in parts.items()]
        in_service = frozenset(found.brokers)
        return Cluster(
            in_service=in_service,
            expected=in_service.union(*(one.replicas for _, one in every)),
            partitions={name: tuple(sorted(parts)) for name, parts in topics.items()},
            under_replicated=frozenset(place for place, one in every if len(one.isrs) < len(one.replicas)),
        )

    def ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """Where readers of committed records find the end: the last stable offset.

        Raises:
            BrokerUnavailable: of all partitions' brokers none answers; so with the next three.
        """
        return self._offsets(places, _LATEST, IsolationLevel.READ_COMMITTED)

    def tops(self, places: Iterable[Place]) -> dict[Place, int]:
        """Where records end, those of open transactions included: the high watermark."""
        return self._offsets(places, _LATEST, IsolationLevel.READ_UNCOMMITTED)

    def starts(self, places: Iterable[Place]) -> dict[Place, int]:
        """The first offset that retention has left."""
        return self._offsets(places, _EARLIEST, IsolationLevel.READ_UNCOMMITTED)

    def newest_ms(self, places: Iterable[Place]) -> dict[Place, int]:
        """The time of the newest record, of partitions that have one."""
        found = self._listed(places, _NEWEST, IsolationLevel.READ_UNCOMMITTED)
        return {place: one.timestamp for place, one in found.items() if one.offset >= 0 and one.timestamp >= 0}

    def _offsets(self, places: Iterable[Place], where: Any, level: IsolationLevel) -> dict[Place, int]:
        return {place: one.offset for place, one in self._listed(places, where, level).items() if one.offset >= 0}

    def _listed(self, places: Iterable[Place], where: Any, level: IsolationLevel) -> dict[Place, Any]:
        asked = {TopicPartition(*place): where for place in places}
        if not asked:
            return {}
        futures = self._client.list_offsets(asked, isolation_level=level, request_timeout=self._seconds)
        found = {(place.topic, place.partition): self._answer(future) for place, future in futures.items()}
        answered = {place: one for place, one in found.items() if one is not None}
        if not answered:
            # One broker may be away, and the others' answers stand; where nobody answers, each further question would wait too.
            why = [self._explain(error, "look at offsets") for one in futures.values() if (error := one.exception()) is not None]
            if all(isinstance(one, BrokerUnavailable) for one in why):
                raise why[0]
        return answered

    def _answer(self, future: Future[Any]) -> Any:
        """What came of a question about one thing; None where nothing can be said of it now."""
        try:
            return future.result()
        except KafkaException as error:
            problem = kafka_error(error)
            if problem is not None and not problem.fatal():
                return None
            raise self._explain(error, "look at offsets and groups") from error

    def _explain(self, error: KafkaError | BaseException, doing: str) -> Exception:
        return translate(error, doing, principal=self._settings.username, servers=self._settings.bootstrap_servers)

    def _on_error(self, error: KafkaError) -> None:
        login = error.code() in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED)
        if login and not self._grace.covers(error):
            self._refused = error
