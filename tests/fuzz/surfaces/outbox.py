"""Rows of an outbox that no SDK has written: sent, or an error that the relay marks the row with; never one that ends it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectors.sources.outbox import _Row, _send
from hutong.contracts.avro import parse
from hutong.contracts.shape import fingerprint
from hutong.errors import HutongError
from hutong.testing import Bus
from tests.fuzz.attack import Found, Surface
from tests.fuzz.hostile import TEXTS, spoilt_bytes
from tests.samples import CONTRACT, PERSON_REGISTERED, contract_root, generated, person

__all__ = ["SURFACE"]

_MOMENTS = [None, datetime(2026, 1, 1, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, 23, tzinfo=UTC)]


class _Attack:
    def __init__(self) -> None:
        model: Any = generated(contract_root(PERSON_REGISTERED)).PersonRegistered
        self._publisher = Bus(models=[model]).publisher(CONTRACT.rpartition(".")[0])
        self._key, self._body = model.event_schema().pack(person())
        self._shape = fingerprint(parse(PERSON_REGISTERED))

    def draw(self, rng: random.Random) -> tuple[Any, ...]:
        """The columns of a row, each of its column's type: PostgreSQL's texts are UTF-8 without NUL."""

        def text(right: str) -> str:
            if rng.random() < 0.8:
                return right
            return rng.choice(TEXTS).replace("\0", "").encode("utf-8", "ignore").decode()

        body = spoilt_bytes(self._body, rng) if rng.random() < 0.3 else rng.choice((self._body, b"", b"x" * 1_000_000))
        trace, corrects = (
            rng.choice((None, None, text("00-" + "1" * 32 + "-" + "2" * 16 + "-01"))),
            rng.choice((None, None, text("e0"))),
        )
        version = rng.choice((1, 1, 1, 2, 0, -1, 2**31 - 1))
        return (
            1,
            text(CONTRACT),
            version,
            text(self._shape),
            text("e1"),
            text(self._key),
            body,
            rng.choice(_MOMENTS),
            trace,
            corrects,
        )

    def strike(self, value: tuple[Any, ...]) -> str:
        sent: list[Any] = []
        failed: dict[int, HutongError] = {}
        outage = _send(self._publisher, [_Row.of(value)], sent, failed)
        if outage is not None:
            raise Found(f"it would stop all others: {outage}")
        if failed:
            return type(failed[1]).__name__
        return "sent" if sent else "?"


@contextmanager
def _open(seed: int, directory: Path) -> Iterator[_Attack]:
    yield _Attack()


SURFACE = Surface(name="outbox", says="rows of an outbox table through the relay's sending", share=1_000, open=_open)
