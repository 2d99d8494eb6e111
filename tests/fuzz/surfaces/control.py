"""Records on ``ctl.agreements``: each is applied, or unusable, or stops the change; the other agreements stay in force."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hutong.errors import DeclarationError
from hutong.home import Home
from services.router.table import Agreements
from tests.fuzz.agreements import sample_agreements
from tests.fuzz.attack import Found, Surface
from tests.fuzz.hostile import spoilt, spoilt_bytes

__all__ = ["SURFACE"]


class _Attack:
    def __init__(self, directory: Path) -> None:
        home = Home(root=directory)
        self._agreements = Agreements(home)
        self._good = {}
        for agreement, _, versions in sample_agreements()[:4]:
            home.ensure_key(agreement.id)
            self._good[agreement.id] = versions[0].plans[0].grant.to_json()
        self._agreements.update(dict(self._good))

    def draw(self, rng: random.Random) -> tuple[str, bytes]:
        name = rng.choice((*self._good, "new", "", "../x", "é" * 300))
        document = rng.choice(list(self._good.values()))
        choice = rng.random()
        if choice < 0.7:
            document = json.dumps(spoilt(json.loads(document), rng), default=str).encode("utf-8", "surrogatepass")
        elif choice < 0.9:
            document = spoilt_bytes(document, rng)
        else:
            document = rng.choice((b"", b"{}", b"null", b"[" * 100_000, b'{"agreement":' * 20_000, b"\xff", rng.randbytes(80)))
        return name, document

    def strike(self, value: tuple[str, bytes]) -> str:
        name, document = value
        try:
            self._agreements.update({**self._good, name: document})
        except DeclarationError as error:
            # What cannot even be told apart stops the change, and the router waits: passing it over might lose deliveries.
            if not error.problem:
                raise Found("refused without a reason") from None
            return "the change waits"
        unusable = self._agreements.table.unusable
        others = [other for other in self._good if other != name and other in unusable]
        if any("disagree" not in str(unusable[other]) for other in others):  # of two schemas of one version, one must give way
            raise Found(f"another agreement fell with it: {others[0]}: {unusable[others[0]]}")
        return "unusable" if name in unusable or others else "in force"


@contextmanager
def _open(seed: int, directory: Path) -> Iterator[_Attack]:
    logger = logging.getLogger("hutong")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield _Attack(directory)
    finally:
        logger.setLevel(before)


SURFACE = Surface(
    name="ctl.agreements",
    says="spoilt grants through what the router makes of the control topic",
    share=3_000,
    open=_open,
)
