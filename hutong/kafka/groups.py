"""What an onlooker asks about consumer groups: which there are, who takes part in them, and how far they have stored positions.

Asked over aiokafka: librdkafka 2.16 takes the whole process down where a broker answers such a question with "not the group's
coordinator", as each does that was just started (confluentinc/librdkafka#5040; seen: a monitor that ended with SIGSEGV in
``rd_kafka_handle_OffsetFetch`` when its broker was restarted). Nothing is read or changed here, and what is not answered for one
group is left out. Neighbours: ``lookout`` asks for everything else; ``hutong.lag`` makes sense of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, TypeVar

from aiokafka.client import AIOKafkaClient, CoordinationType  # type: ignore[import-untyped]  # it brings no types
from aiokafka.coordinator.protocol import ConsumerProtocol, ConsumerProtocolMemberAssignment  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError, for_code  # type: ignore[import-untyped]
from aiokafka.protocol.admin import DescribeGroupsRequest, ListGroupsRequest  # type: ignore[import-untyped]
from aiokafka.protocol.commit import OffsetFetchRequest  # type: ignore[import-untyped]

from hutong.errors import BrokerUnavailable
from hutong.kafka.chunk import Place
from hutong.kafka.passwords import follow
from hutong.kafka.settings import Settings
from hutong.kafka.topics import AGREEMENTS_TOPIC

__all__ = ["Groups", "Members"]

_METADATA_MS = 30_000  # a broker that was added is asked for its groups after that
_TRIES = 2  # a coordinator that has moved is looked up anew, and a connection that broke is made again

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Who takes part in a group now.

    Attributes:
        count: members.
        topics: topics of which a member has a partition.
    """

    count: int = 0
    topics: frozenset[str] = field(default_factory=frozenset)


class Groups:
    """Asks the brokers of one cluster about its groups. For one thread, in which no event loop runs.

    Args:
        settings: where, and as whom; the principal needs DESCRIBE on the groups.
        seconds: how long to wait for the answers to one question.
    """

    def __init__(self, settings: Settings, *, seconds: float = 5.0) -> None:
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it logs each attempt; what comes of them is said below
        self._settings, self._seconds = settings, seconds
        self._runner = asyncio.Runner()
        self._client: Any = None
        self._coordinators: dict[str, int] = {}
        follow(self, settings, lambda groups: groups)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def names(self) -> list[str]:
        """Every group that may be looked at; of the brokers that answer.

        Raises:
            BrokerUnavailable: none of them does.
        """
        return sorted({name for found in self._ask(self._listed()) for name in found})

    def members(self, groups: Iterable[str]) -> dict[str, Members]:
        """Who takes part in each group."""
        return self._of_each(groups, self._described)

    def committed(self, groups: Iterable[str]) -> dict[str, dict[Place, int]]:
        """How far each group has stored its position, on every partition where it has one."""
        return self._of_each(groups, self._fetched)

    def close(self) -> None:
        """Let go of the brokers."""
        if self._client is not None:
            self._runner.run(self._client.close())
        self._runner.close()

    def set_sasl_credentials(self, _: str, password: str) -> None:
        """Log in with another password from now on; aiokafka looks it up with every connection that it makes."""
        client = self._client
        if client is not None:
            client._sasl_plain_password = password

    def _ask(self, question: Awaitable[Answer]) -> Answer:
        async def within() -> Answer:
            return await asyncio.wait_for(question, self._seconds)

        try:
            return self._runner.run(within())
        except (KafkaError, OSError, TimeoutError) as error:
            raise BrokerUnavailable(
                f"no broker of {self._settings.bootstrap_servers} says which consumer groups there are; check that they run"
            ) from error

    def _of_each(self, groups: Iterable[str], about: Callable[[str], Awaitable[Answer]]) -> dict[str, Answer]:
        asked = sorted(groups)

        async def all_of_them() -> list[Answer | BaseException]:
            tries = [asyncio.ensure_future(self._try(name, about)) for name in asked]
            try:
                await asyncio.wait(tries, timeout=self._seconds) if tries else None
            finally:
                for one in tries:
                    one.cancel()
            return await asyncio.gather(*tries, return_exceptions=True)

        found = self._runner.run(all_of_them()) if asked else []
        return {name: one for name, one in zip(asked, found, strict=True) if not isinstance(one, BaseException)}

    async def _try(self, group: str, about: Callable[[str], Awaitable[Answer]]) -> Answer:
        for left in reversed(range(_TRIES)):
            try:
                return await about(group)
            except (KafkaError, OSError):
                self._coordinators.pop(group, None)
                if not left:
                    raise
        raise AssertionError("unreachable")

    async def _connected(self) -> Any:
        if self._client is None:
            settings = self._settings
            client = AIOKafkaClient(
                bootstrap_servers=settings.bootstrap_servers,
                request_timeout_ms=round(self._seconds * 1000),
                metadata_max_age_ms=_METADATA_MS,
                security_protocol=settings.security_protocol,
                ssl_context=settings.tls(),
                sasl_mechanism=settings.sasl_mechanism,
                sasl_plain_username=settings.username,
                sasl_plain_password=settings.current_password(),
            )
            client._topics = {AGREEMENTS_TOPIC}  # what it keeps up to date beside the brokers; by default all topics there are
            try:
                await client.bootstrap()
            except BaseException:
                await client.close()
                raise
            self._client = client
        return self._client

    async def _listed(self) -> list[list[str]]:
        client = await self._connected()
        nodes = [one.nodeId for one in client.cluster.brokers()]
        found = await asyncio.gather(*(client.send(node, ListGroupsRequest()) for node in nodes), return_exceptions=True)
        answers = [one for one in found if not isinstance(one, BaseException) and not one.error_code]
        if not answers:
            raise next((one for one in found if isinstance(one, KafkaError | OSError)), KafkaError("no broker is known"))
        return [[group[0] for group in one.groups] for one in answers]

    async def _coordinator(self, client: Any, group: str) -> int:
        node = self._coordinators.get(group)
        if node is None:
            node = self._coordinators[group] = await client.coordinator_lookup(CoordinationType.GROUP, group)
        return node

    async def _described(self, group: str) -> Members:
        client = await self._connected()
        answer = await client.send(await self._coordinator(client, group), DescribeGroupsRequest([group]))
        code, _, _, kind, _, members, *_ = answer.groups[0]
        _check(code)
        topics = {topic for one in members for topic in _topics(kind, one[4])}
        return Members(count=len(members), topics=frozenset(topics))

    async def _fetched(self, group: str) -> dict[Place, int]:
        client = await self._connected()
        answer = await client.send(await self._coordinator(client, group), OffsetFetchRequest(group, None))
        _check(answer.error_code)
        return {
            (topic, partition): offset
            for topic, partitions in answer.topics
            for partition, offset, _, code in partitions
            if not code and offset >= 0
        }


def _check(code: int) -> None:
    if code:
        raise for_code(code)()


def _topics(kind: str, assignment: bytes) -> list[str]:
    """The topics that a member has; none while partitions are given out, or where it is no consumer."""
    with suppress(ValueError):
        if kind == ConsumerProtocol.PROTOCOL_TYPE and assignment:
            return [topic for topic, _ in ConsumerProtocolMemberAssignment.decode(assignment).assignment]
    return []
