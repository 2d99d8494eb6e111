"""The SDK's subscription over records that nobody has checked: an event that fastavro reads alike, or ``MalformedEvent``."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hutong.contracts.framing import FRAME_BYTES
from hutong.errors import MalformedEvent
from hutong.subscription import Subscription
from hutong.transport import Limits
from tests.fuzz.attack import Found, Surface
from tests.fuzz.corpus import Target, random_targets
from tests.fuzz.hostile import headers
from tests.fuzz.mutations import mutated
from tests.fuzz.surfaces.records import Record, Samples, Spoilt

__all__ = ["SURFACE"]

_RANDOM_SCHEMAS = 60


class _Bus:
    """A bus on which one record lies."""

    limits = Limits()

    def __init__(self, samples: Samples, more: Sequence[Target]) -> None:
        self.samples, self.record = samples, None
        self.more = {1_000 + number: target.event.schema for number, target in enumerate(more)}
        self.waiting: list[Record] = []

    def schemas(self) -> Any:
        return self

    def by_id(self, schema_id: int) -> Any:
        return self.more.get(schema_id) or self.samples.by_id(schema_id)

    def reader(self, *_: Any) -> Any:
        return self

    def read(self, limit: int, seconds: float) -> list[Record]:
        waiting, self.waiting = self.waiting, []
        return waiting

    def commit(self, positions: Any, *, wait: bool) -> bool:
        return True

    def close(self) -> None: ...


class _Attack:
    def __init__(self, seed: int) -> None:
        self._samples = Samples(seed)
        self._more = random_targets(seed, _RANDOM_SCHEMAS)
        self._bus = _Bus(self._samples, self._more)
        self._events = {number: target.event for number, target in enumerate(self._samples.targets, 1)}
        self._events |= {1_000 + number: target.event for number, target in enumerate(self._more)}
        self._offset = 0
        bus: Any = self._bus
        self._subscription: Subscription[Any] = Subscription("t", "c", transport=bus, remembered_ids=0)

    def draw(self, rng: random.Random) -> Spoilt:
        if rng.random() < 0.5:
            return self._samples.draw(rng, agreement="a")
        number = rng.randrange(len(self._more))
        target = self._more[number]
        body = mutated(rng.choice(target.bodies), target.bodies, rng)
        passed = self._samples.good_headers(target.event, agreement="a")
        value = b"\0" + (1_000 + number).to_bytes(4, "big") + body
        return Spoilt(contract="t.r", key=b"k", value=value, headers=headers(passed, rng) if rng.random() < 0.1 else list(passed))

    def strike(self, value: Spoilt) -> str:
        self._offset += 1
        self._bus.waiting = [Record("sub.t.c", value.key, value.value, value.headers, offset=self._offset)]
        try:
            event = self._subscription.poll(0.0)
        except MalformedEvent as error:
            self._subscription._buffer.clear()  # what an application does that reads on by itself
            if not error.reason or not error.problem or error.place is None:
                raise Found("refused without saying what or where") from None
            return error.reason
        if event is None or value.value is None:
            raise Found("it is gone")
        schema = self._events[int.from_bytes(value.value[1:FRAME_BYTES], "big")]
        if repr(event.data) != repr(schema.decode(value.value[FRAME_BYTES:])):
            raise Found("fastavro reads something else")
        return "read"


@contextmanager
def _open(seed: int, directory: Path) -> Iterator[_Attack]:
    yield _Attack(seed)


SURFACE = Surface(
    name="subscription",
    says="keys, values, frames and headers through the SDK's subscription",
    share=80_000,
    open=_open,
)
