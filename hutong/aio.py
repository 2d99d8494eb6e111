"""The same publisher and subscription for asyncio: they wait without blocking the loop, and do nothing else of their own.

Neighbours: ``publisher`` and ``subscription`` have the work; look-ups that may block run in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, Self, Unpack, overload

from hutong.contracts.avro import Schema
from hutong.errors import DeliveryFailed, QueueFull
from hutong.handle import Confirmed, PublishHandle
from hutong.options import Options
from hutong.publisher import Event, Publisher
from hutong.subscription import Data, Model, ReceivedEvent, Subscription
from hutong.transport import Transport

if TYPE_CHECKING:
    from hutong.kafka.settings import Settings

__all__ = ["AsyncPublisher", "AsyncSubscription"]

_POLL_SECONDS = 0.001  # confirmations come from librdkafka's own threads; the loop looks this often while some are awaited
_READ_SECONDS = 0.5


class AsyncPublisher:
    """``Publisher`` for asyncio, used within one event loop. The arguments are ``Publisher``'s."""

    def __init__(
        self,
        department: str,
        *,
        settings: Settings | None = None,
        contracts: Mapping[str, Schema] | None = None,
        transport: Transport | None = None,
    ) -> None:
        self._publisher = Publisher(department, settings=settings, contracts=contracts, transport=transport)
        self._poller: asyncio.Task[None] | None = None

    async def publish(
        self,
        event: Event,
        contract: str | None = None,
        *,
        id: str | None = None,
        time: datetime | None = None,
        traceparent: str | None = None,
        corrects: str | None = None,
    ) -> Confirmed:
        """Check, encode and send an event, and wait for the brokers; raises what ``Publisher.publish`` and its handle raise.

        Several at once (``asyncio.gather``) share batches. A cancelled call may have sent its event.
        """
        if not self._publisher.is_prepared(event, contract):
            await asyncio.to_thread(self._publisher.prepare, event, contract)
        handle = await self._send(event, contract, id=id, time=time, traceparent=traceparent, corrects=corrects)
        if not handle.done():
            await self._settled(handle)
        return handle.result(0)

    async def flush(self, timeout: float = 30.0) -> None:
        """As ``Publisher.flush``."""
        await asyncio.to_thread(self._publisher.flush, timeout)

    async def close(self, timeout: float = 30.0) -> None:
        """As ``Publisher.close``."""
        await asyncio.to_thread(self._publisher.close, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, _: object) -> None:
        try:
            await self.close()
        except DeliveryFailed as failure:
            if exc is None:
                raise
            exc.add_note(str(failure))

    async def _send(self, event: Event, contract: str | None, **attributes: Any) -> PublishHandle:
        deadline: float | None = None
        loop = asyncio.get_running_loop()
        while True:
            try:
                return self._publisher.publish(event, contract, block=False, **attributes)
            except QueueFull:
                deadline = deadline or loop.time() + self._publisher.limits.block_seconds
                if loop.time() >= deadline:
                    raise
                self._publisher.poll(0)
                await asyncio.sleep(_POLL_SECONDS)

    async def _settled(self, handle: PublishHandle) -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def wake() -> None:
            if not done.done():
                done.set_result(None)

        handle.when_done(lambda _: loop.call_soon_threadsafe(wake))
        if self._poller is None or self._poller.done():
            self._poller = loop.create_task(self._poll())
        await done

    async def _poll(self) -> None:
        while self._publisher.pending:
            self._publisher.poll(0)
            await asyncio.sleep(_POLL_SECONDS)


class AsyncSubscription(Generic[Data]):
    """``Subscription`` for asyncio: ``async for event in subscription``. The arguments are ``Subscription``'s."""

    @overload
    def __init__(
        self: AsyncSubscription[dict[str, Any]], recipient: str, channel: str, *, model: None = None, **options: Unpack[Options]
    ) -> None: ...

    @overload
    def __init__(
        self: AsyncSubscription[Model],
        recipient: str,
        channel: str,
        *,
        model: type[Model] | Sequence[type[Model]],
        **options: Unpack[Options],
    ) -> None: ...

    def __init__(self, recipient: str, channel: str, *, model: Any = None, **options: Unpack[Options]) -> None:
        self._subscription: Subscription[Data] = Subscription(recipient, channel, model=model, **options)
        self._idle_timeout = options.get("idle_timeout")
        # One thread of its own: a Kafka consumer is used by one thread at a time.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hutong-subscription")
        self._reading: Future[ReceivedEvent[Data] | None] | None = None

    async def poll(self, timeout: float = 0.0) -> ReceivedEvent[Data] | None:
        """As ``Subscription.poll``. A cancelled call loses no event: the next call gets it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            if self._reading is None:
                left = max(0.0, deadline - loop.time())
                self._reading = self._thread.submit(self._subscription.poll, min(left, _READ_SECONDS))
            reading = self._reading
            # The shield keeps the read going when this call is cancelled.
            event = await asyncio.shield(asyncio.wrap_future(reading))
            self._reading = None
            if event is not None or loop.time() >= deadline:
                return event

    async def __aiter__(self) -> AsyncIterator[ReceivedEvent[Data]]:
        while True:
            event = await self.poll(_READ_SECONDS if self._idle_timeout is None else self._idle_timeout)
            if event is not None:
                yield event
            elif self._idle_timeout is not None:
                return

    async def join(self, timeout: float = 30.0) -> Self:
        """As ``Subscription.join``."""
        await self._in_thread(self._subscription.join, timeout)
        return self

    async def commit(self, *, with_last: bool = False) -> None:
        """As ``Subscription.commit``."""
        await self._in_thread(lambda: self._subscription.commit(with_last=with_last))

    async def close(self) -> None:
        """As ``Subscription.close``."""
        await self._in_thread(self._subscription.close)
        self._thread.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return await self.join()

    async def __aexit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: Any) -> None:
        await self._in_thread(self._subscription.__exit__, exc_type, exc, trace)
        self._thread.shutdown(wait=False)

    async def _in_thread(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
