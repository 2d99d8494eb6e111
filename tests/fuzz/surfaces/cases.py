"""The coordinator: events through the intake, records of the inbox through the worker; nothing gets out, no case is spoilt."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.coordinator.cases import decode
from services.coordinator.inbox import Inboxed
from tests.fuzz.attack import Found, Surface
from tests.fuzz.hostile import NUMBERS, TEXTS, Headers, headers, spoilt_bytes
from tests.integration.loan_flow import LAND, REQUESTED, TAX
from tests.unit import test_coordinator_intake, test_coordinator_service

__all__ = ["INBOX", "INTAKE"]

Event = tuple[str, bytes | None, Headers]


def _text(rng: random.Random) -> str:
    return rng.choice(TEXTS).encode("utf-8", "replace").decode()


class _Intake:
    def __init__(self, directory: Path) -> None:
        self._intake = test_coordinator_intake.Intake(directory)
        self._at = 0

    def draw(self, rng: random.Random) -> Event:
        intake = self._intake
        if rng.random() < 0.5:
            income = rng.choice([number for number in NUMBERS if type(number) is int and abs(number) < 2**63])
            data = {"loan": _text(rng) or "x", "person": _text(rng), "income": income}
            made = intake.record(REQUESTED, data)
        else:
            made = intake.answered(_text(rng) or "LC-1", _text(rng) or "LC-1-income")
        value, passed = made.value(), made.headers()
        if rng.random() < 0.5:
            value = spoilt_bytes(value or b"", rng)
        if rng.random() < 0.4:
            passed = headers(passed, rng)
        return made.topic().removeprefix("pub."), value, passed

    def strike(self, value: Event) -> str:
        contract, body, passed = value
        made = self._intake.take(test_coordinator_intake.Record(contract, body, passed, 9))
        for topic, _, _, told in made:
            if topic.startswith("quarantine.") and (not told.get("hutong_reason") or told["hutong_reason"] == b"internal_error"):
                raise Found("quarantined without a reason that was foreseen")
        return "passed over" if not made else "quarantined" if made[0][0].startswith("quarantine.") else "brought to a case"


class _Inbox:
    def __init__(self, directory: Path) -> None:
        self._line = test_coordinator_service.Line(directory)

    def draw(self, rng: random.Random) -> Inboxed:
        line, key = self._line, rng.choice(("1", "2", "3"))
        made = rng.choice(
            (
                line.opened(key, id_=rng.choice(("a", "b", _text(rng)[:200] or "x"))),
                line.answered(key, "houses", department=LAND),
                line.answered(key, "income", department=TAX),
                line.clock(key, rng.choice((0, 10**6, 10**12, -1))),
            )
        )
        if rng.random() < 0.3:
            made = made._replace(value=None if made.value is None or rng.random() < 0.1 else spoilt_bytes(made.value, rng))
        if rng.random() < 0.4:
            spoilt: Any = headers([(name, value) for name, value in made.headers if rng.random() < 0.95], rng)
            made = made._replace(headers=spoilt)
        if rng.random() < 0.1:
            made = made._replace(key=rng.choice((None, b"", b"x" * 1_000)))
        return made

    def strike(self, value: Inboxed) -> str:
        line = self._line
        line.outbound.records.clear()
        line.outbound.events.clear()
        line.run(value)
        for stored in line.store.values():
            decode(stored)
        reasons = {told["hutong_reason"] for *_, told in line.outbound.records if "hutong_reason" in told}
        if b"internal_error" in reasons:
            raise Found("nobody foresaw it")
        return min(reasons).decode() if reasons else "applied"


@contextmanager
def _intake(seed: int, directory: Path) -> Iterator[_Intake]:
    yield _Intake(directory)


@contextmanager
def _inbox(seed: int, directory: Path) -> Iterator[_Inbox]:
    yield _Inbox(directory)


INTAKE = Surface(name="cases: intake", says="published events through the coordinator's intake", share=2_500, open=_intake)
INBOX = Surface(name="cases: inbox", says="records of the inbox through the coordinator's worker", share=2_500, open=_inbox)
