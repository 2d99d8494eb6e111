"""The router's handler with the sample agreements: each event delivered, filtered or quarantined, the same with the lane."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from hutong.errors import EventTooLarge
from hutong.home import Home
from hutong.kafka.chunk import PolledChunk
from hutong.kafka.schemas import WriterSchemas
from hutong.transcode.native.transcoder import extension
from services.router.account import Account
from services.router.handler import Router
from services.router.table import Agreements
from tests.fuzz.agreements import sample_agreements
from tests.fuzz.attack import Found, Surface
from tests.fuzz.surfaces.records import Record, Samples, Spoilt

__all__ = ["SURFACE"]

_TAKEN = 2_000_000


class _Output:
    """An open transaction that keeps what it is given."""

    def __init__(self, *, fast: bool) -> None:
        self.is_fast = fast
        self.made: list[tuple[str, bytes | None, bytes | None, list[tuple[str, bytes]]]] = []

    def produce(self, topic: str, key: bytes | None, value: bytes | None, headers: Any) -> None:
        if len(value or b"") + len(key or b"") + sum(len(name) + len(one or b"") for name, one in headers) > _TAKEN:
            raise EventTooLarge(topic)
        self.made.append((topic, key, value, list(headers)))

    def run(
        self, lane: Any, chunk: Any, at: int, end: int, now_ms: int, delivered: Any, routed: Any, traced: Any = None
    ) -> tuple[int, str, Any]:
        assert extension is not None
        collected = extension.Collected(_TAKEN)
        stopped: tuple[int, str, Any] = lane.run(chunk.native, at, end, collected, now_ms, delivered, routed, traced)
        self.made += [(topic, key, value, headers) for topic, _, key, value, headers in collected.take()]
        return stopped


class _Attack:
    def __init__(self, seed: int, directory: Path) -> None:
        self._samples = Samples(seed)
        home = Home(root=directory)
        agreements = Agreements(home)
        documents = {}
        for agreement, _, versions in sample_agreements():
            home.ensure_key(agreement.id)
            documents[agreement.id] = versions[0].plans[0].grant.to_json()
        agreements.update(documents)
        if agreements.table.unusable:
            raise Found(f"the sample agreements are not usable: {agreements.table.unusable}")
        self._router = Router(
            lambda: agreements.table,
            WriterSchemas(self._samples),  # type: ignore[arg-type]
            Account(CollectorRegistry()),
        )

    def draw(self, rng: random.Random) -> Spoilt:
        return self._samples.draw(rng)

    def strike(self, value: Spoilt) -> str:
        slow = self._through(value, fast=False)
        if extension is not None and self._through(value, fast=True) != slow:
            raise Found("the lane makes something else of it")
        return _judged(value, slow)

    def _through(self, value: Spoilt, *, fast: bool) -> list[Any]:
        message = Record(f"pub.{value.contract}", value.key, value.value, value.headers)
        messages: Any = [message]
        chunk, output = PolledChunk(messages), _Output(fast=fast)
        if fast and extension is not None:
            chunk.native = extension.Batch([message])
        self._router.begin()
        self._router.handle(chunk, output)
        self._router.committed(0.0)
        return sorted(output.made, key=repr)


def _judged(value: Spoilt, made: list[Any]) -> str:
    places = Counter(
        (topic, dict(headers).get("ce_agreement" if topic.startswith("sub.") else "hutong_agreement"))
        for topic, _, _, headers in made
    )
    if twice := [place for place, times in places.items() if times > 1]:
        raise Found(f"made twice: {twice[0]}")
    reasons = set()
    for topic, _, kept, headers in made:
        if topic.startswith("sub."):
            continue
        told = dict(headers)
        reason, problem = told.get("hutong_reason"), told.get("hutong_problem")
        if topic != f"quarantine.{value.contract}" or not reason or not problem:
            raise Found(f"quarantined without a reason, or elsewhere: {topic}")
        if reason == b"internal_error":
            raise Found("nobody foresaw it")
        if kept != value.value and "hutong_left_out" not in told:
            raise Found("quarantined as something else than it was")
        if "hutong_agreement" not in told and len(made) > 1:
            raise Found("quarantined as a whole, and delivered too")
        reasons.add(reason.decode())
    return min(reasons) if reasons else "delivered" if made else "filtered"


@contextmanager
def _open(seed: int, directory: Path) -> Iterator[_Attack]:
    yield _Attack(seed, directory)


SURFACE = Surface(
    name="router",
    says="keys, values, frames and headers through the router's handler and its lane",
    share=120_000,
    open=_open,
)
