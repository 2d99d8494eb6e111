"""Records as the client hands them out, and the sample contracts' events to spoil: what several surfaces share."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.event import Attributes
from tests.fuzz.corpus import Target, samples
from tests.fuzz.hostile import Headers, headers, spoilt_bytes
from tests.fuzz.mutations import mutated

__all__ = ["Record", "Samples", "Spoilt"]

_NOW_MS = int(datetime.now(UTC).timestamp() * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoilt:
    """An event with something wrong, or nothing."""

    contract: str
    key: bytes | None
    value: bytes | None
    headers: Headers


class Record:
    """A record of the client's."""

    def __init__(self, topic: str, key: bytes | None, value: bytes | None, headers: Any, *, offset: int = 7) -> None:
        self._topic, self._key, self._value, self._headers, self._offset = topic, key, value, headers, offset

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> Any:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return 2, _NOW_MS

    def latency(self) -> float | None:
        return None

    def error(self) -> None:
        return None


class Samples:
    """The sample contracts' events.

    Args:
        seed: of the values.

    Attributes:
        ids: contract -> the registry's id of its newest version.
        schemas: id -> the schema.
    """

    def __init__(self, seed: int) -> None:
        self.targets: list[Target] = samples(seed)
        self.ids = {target.event.contract: number for number, target in enumerate(self.targets, 1)}
        self.schemas = {self.ids[target.event.contract]: target.event.schema for target in self.targets}
        self._bodies = {target.event.contract: target.bodies for target in self.targets}

    def by_id(self, schema_id: int) -> Any:
        """As a registry does."""
        return self.schemas.get(schema_id)

    def good_headers(self, event: EventSchema, *, agreement: str | None = None) -> list[tuple[str, bytes]]:
        """What the SDK writes."""
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        source = f"urn:hutong:{event.department}"
        return Attributes(id="e1", source=source, type=event.contract, time=moment, agreement=agreement).to_headers()

    def draw(self, rng: random.Random, *, agreement: str | None = None) -> Spoilt:
        """An event of which the value, the frame, the key or the headers are spoilt; one in fifty is right."""
        target = rng.choice(self.targets)
        at = rng.randrange(len(target.bodies))
        key: bytes | None = target.keys[at]
        value: bytes | None = frame(self.ids[target.event.contract]) + target.bodies[at]
        passed: Headers = list(self.good_headers(target.event, agreement=agreement))
        choice = rng.random()
        if choice < 0.55:
            value = frame(self.ids[target.event.contract]) + mutated(target.bodies[at], target.bodies, rng)
        elif choice < 0.65:
            value = self._other_value(target, at, rng)
        elif choice < 0.72:
            key = rng.choice((None, b"", b"\xff", target.keys[at] + b"|", b"k" * 100_001, b"x", spoilt_bytes(key or b"", rng)))
        elif choice < 0.98:
            passed = headers(self.good_headers(target.event, agreement=agreement), rng)
        return Spoilt(contract=target.event.contract, key=key, value=value, headers=passed)

    def _other_value(self, target: Target, at: int, rng: random.Random) -> bytes | None:
        """No value, no frame, another's frame, or noise."""
        body = target.bodies[at]
        match rng.randrange(6):
            case 0:
                return rng.choice((None, b"", b"\0", b"\0\0\0\0\1", b"\1\0\0\0\1" + body))
            case 1:
                return frame(rng.choice((0, 2**31, 2**32 - 1, 999))) + body
            case 2:
                return frame(rng.choice(list(self.schemas))) + body
            case 3:
                return rng.randbytes(rng.choice((1, 4, 5, 6, 60, 2_000)))
            case 4:
                return spoilt_bytes(frame(self.ids[target.event.contract]) + body, rng)
        return frame(self.ids[target.event.contract]) + body + bytes(rng.choice((1, 50_000)))
