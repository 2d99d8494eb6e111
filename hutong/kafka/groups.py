"""What an onlooker asks about consumer groups: which there are, who takes part in them, and how far they have stored positions.

Asked over aiokafka: librdkafka 2.16 takes the whole process down where a broker answers such a question with "not the group's
coordinator", as each does that was just started (confluentinc/librdkafka#5040; seen: a monitor that ended with SIGSEGV in
``rd_kafka_handle_OffsetFetch`` when its broker was restarted). Nothing is read or changed here, and what is not answered for one
group is left out. Neighbours: ``lookout`` asks for everything else; ``hutong.lag`` makes sense of it.
"""

from __future__ import annotations

import asyncio
import logging
import time
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
_AT_ONCE = 50  # questions under way
_LATE_SECONDS = 2.0  # to hang up
_CLOSE_SECONDS = 0.5

Answer = TypeVar("Answer")
Thing = TypeVar("Thing")


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
        self._password: str | None = None
        self._coordinators: dict[str, int] = {}
        self._deadline = 0.0
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
        found = self._ask(self._nodes, self._listed)
        if not found:
            raise BrokerUnavailable(
                f"no broker of {self._settings.bootstrap_servers} says which consumer groups there are; check that they run"
            )
        return sorted({name for names in found.values() for name in names})

    def members(self, groups: Iterable[str]) -> dict[str, Members]:
        """Who takes part in each group; nothing of one about which nobody answers."""
        # One question for each: aiokafka 0.14 reads the answer about several wrongly from the second on (its version 3 as 2).
        return self._ask(_given(groups), self._described)

    def committed(self, groups: Iterable[str]) -> dict[str, dict[Place, int]]:
        """How far each group has stored its position, on every partition where it has one; as ``members``."""
        return self._ask(_given(groups), self._fetched)

    def close(self) -> None:
        """Let go of the brokers."""
        with suppress(KafkaError, OSError):
            self._runner.run(self._hang_up())
        self._runner.close()

    def set_sasl_credentials(self, _: str, password: str) -> None:
        """Log in with another password from now on; aiokafka looks it up with every connection that it makes."""
        self._password, client = password, self._client
        if client is not None:
            client._sasl_plain_password = password

    def _ask(
        self, things: Callable[[], Awaitable[Iterable[Thing]]], about: Callable[[Thing], Awaitable[Answer]]
    ) -> dict[Thing, Answer]:
        """What is answered in time about each of some things, which are found out first."""

        async def asked() -> dict[Thing, Answer]:
            return await self._each(await things(), about)

        async def within() -> dict[Thing, Answer]:
            self._deadline = time.monotonic() + self._seconds
            try:
                return await asyncio.wait_for(asked(), self._seconds + _LATE_SECONDS)
            except (KafkaError, OSError, TimeoutError):  # not even connected
                await self._hang_up()
                return {}

        return self._runner.run(within())

    async def _each(self, things: Iterable[Thing], about: Callable[[Thing], Awaitable[Answer]]) -> dict[Thing, Answer]:
        """The answers that come before the deadline."""
        free, answers = asyncio.Semaphore(_AT_ONCE), dict[Thing, Answer]()

        async def one(thing: Thing) -> None:
            async with free:
                answers[thing] = await self._try(thing, about)

        await self._connected()
        asking = [asyncio.ensure_future(one(thing)) for thing in things]
        if not asking:
            return answers
        _, left = await asyncio.wait(asking, timeout=max(0.0, self._deadline - time.monotonic()))
        for task in left:
            task.cancel()
        for error in await asyncio.gather(*asking, return_exceptions=True):
            if error is not None and not isinstance(error, KafkaError | OSError | LookupError | asyncio.CancelledError):
                raise error
        if left:
            # Brokers answer a connection's questions in order: those that nobody waits for any more would hold up the next ones.
            await self._hang_up()
        return answers

    async def _try(self, thing: Thing, about: Callable[[Thing], Awaitable[Answer]]) -> Answer:
        for left in reversed(range(_TRIES)):
            try:
                return await about(thing)
            except (KafkaError, OSError, LookupError):  # the last: another's time-out took the connection away
                if not left:
                    raise
        raise AssertionError("unreachable")

    async def _hang_up(self) -> None:
        """Close all connections; a broker that does not answer is not waited for."""
        client, self._client = self._client, None
        if client is None:
            return
        closing = asyncio.ensure_future(client.close())
        _, late = await asyncio.wait([closing], timeout=_CLOSE_SECONDS)
        for task in late:
            task.cancel()
        for connection in list(client._conns.values()):
            if connection._writer is not None:
                connection._writer.transport.abort()
        await asyncio.gather(closing, return_exceptions=True)

    async def _connected(self) -> Any:
        if self._client is None:
            settings = self._settings
            client = AIOKafkaClient(
                bootstrap_servers=settings.bootstrap_servers,
                request_timeout_ms=round(self._seconds * 1000 / 3),  # one that is silent is left while there is time for others
                metadata_max_age_ms=_METADATA_MS,
                security_protocol=settings.security_protocol,
                ssl_context=settings.tls(),
                sasl_mechanism=settings.sasl_mechanism,
                sasl_plain_username=settings.username,
                sasl_plain_password=self._password or settings.current_password(),
            )
            client._topics = {AGREEMENTS_TOPIC}  # what it keeps up to date beside the brokers; by default all topics there are
            try:
                await client.bootstrap()
            except BaseException:
                await client.close()
                raise
            self._client = client
        return self._client

    async def _nodes(self) -> list[int]:
        client = await self._connected()
        return [one.nodeId for one in client.cluster.brokers()]

    async def _listed(self, node: int) -> list[str]:
        client = await self._connected()
        answer = await client.send(node, ListGroupsRequest())
        if answer.error_code:
            raise for_code(answer.error_code)()
        return [name for name, *_ in answer.groups]

    async def _coordinator(self, group: str) -> int:
        node = self._coordinators.get(group)
        if node is None:
            client = await self._connected()
            node = self._coordinators[group] = await client.coordinator_lookup(CoordinationType.GROUP, group)
        return node

    async def _described(self, group: str) -> Members:
        (code, _, _, kind, _, members, *_), *_ = (await self._asked(group, DescribeGroupsRequest([group]))).groups
        self._check(group, code)
        topics = {topic for one in members for topic in _topics(kind, one[4])}
        return Members(count=len(members), topics=frozenset(topics))

    async def _fetched(self, group: str) -> dict[Place, int]:
        answer = await self._asked(group, OffsetFetchRequest(group, None))
        self._check(group, answer.error_code)
        return {
            (topic, partition): offset
            for topic, partitions in answer.topics
            for partition, offset, _, code in partitions
            if not code and offset >= 0
        }

    async def _asked(self, group: str, question: Any) -> Any:
        """The answer of the group's coordinator."""
        client = await self._connected()
        try:
            return await client.send(await self._coordinator(group), question)
        except BaseException:
            self._coordinators.pop(group, None)  # it may have moved: it is looked up anew the next time
            raise

    def _check(self, group: str, code: int) -> None:
        if code:
            self._coordinators.pop(group, None)
            raise for_code(code)()


def _given(groups: Iterable[str]) -> Callable[[], Awaitable[Iterable[str]]]:
    async def given() -> Iterable[str]:
        return groups

    return given


def _topics(kind: str, assignment: bytes) -> list[str]:
    """The topics that a member has; none while partitions are given out, or where it is no consumer."""
    with suppress(ValueError):
        if kind == ConsumerProtocol.PROTOCOL_TYPE and assignment:
            return [topic for topic, _ in ConsumerProtocolMemberAssignment.decode(assignment).assignment or ()]
    return []
