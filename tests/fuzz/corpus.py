"""What is mutated: valid values of the sample contracts and of random schemas, with the agreements that they run under.

Neighbours: ``encoder`` writes the values in their rarer forms, ``run`` mutates them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st

from hutong.agreements.plan import Plan
from hutong.contracts.schema import EventSchema
from hutong.errors import ContractViolation
from hutong.transcode.native.transcoder import NativeTranscoder
from hutong.transcode.reference import ReferenceTranscoder, VersionPlans
from tests.avro_random import values
from tests.fuzz.agreements import cases, native, sample_agreements, versions
from tests.fuzz.encoder import Encoder

__all__ = ["Target", "random_targets", "samples", "targets"]

_RECORDS_OF_A_SAMPLE = 20


@dataclass(slots=True, kw_only=True)
class Target:
    """A schema, both transcoders over the same plans, and valid values.

    Attributes:
        event: the writer's schema.
        native: the extension's transcoder.
        reference: the oracle, over the plans that the extension does itself.
        keys: the Kafka key of each value.
        bodies: the values, without a frame.
    """

    event: EventSchema
    native: NativeTranscoder
    reference: ReferenceTranscoder
    keys: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def add(self, record: dict[str, Any], rng: random.Random) -> None:
        """Take a record in, as fastavro writes it and in another form."""
        try:
            key = self.event.key_of(record).encode()
        except ContractViolation:
            return
        encoder = Encoder(self.event.parsed, rng)
        for body in (self.event.encode(record), encoder.encode(record)):
            self.keys.append(key)
            self.bodies.append(body)


def targets(seed_: int, schemas: int) -> list[Target]:
    """The sample contracts, and so many random schemas."""
    return [*samples(seed_), *random_targets(seed_, schemas)]


@cache
def samples(seed_: int) -> list[Target]:
    """The sample contracts alone."""
    return [target for target in _samples(seed_, random.Random(seed_)) if target.bodies]


def random_targets(seed_: int, schemas: int) -> list[Target]:
    """So many random schemas alone."""
    return [target for target in _random(seed_, schemas, random.Random(seed_)) if target.bodies]


def _target(event: EventSchema, of: list[VersionPlans]) -> Target:
    fast = native(event, of)
    own = [VersionPlans(reader=version.reader) for version in of]
    for mine, all_ in zip(own, of, strict=True):
        for plan in all_.plans:
            if plan in fast.plans:
                mine.add(plan)
    return Target(event=event, native=fast, reference=ReferenceTranscoder(event, own))


def _samples(seed_: int, rng: random.Random) -> list[Target]:
    by_contract: dict[str, tuple[EventSchema, list[VersionPlans]]] = {}
    for agreement, event, of in sample_agreements():
        by_contract.setdefault(agreement.contract, (event, []))[1].extend(of)
    made = []
    for event, of in by_contract.values():
        target = _target(event, of)
        for record in _drawn(values(event.parsed.root, dict(event.parsed.named)), seed_, _RECORDS_OF_A_SAMPLE):
            target.add(record, rng)
        made.append(target)
    return made


def _random(seed_: int, count: int, rng: random.Random) -> list[Target]:
    made = []
    drawn: list[tuple[EventSchema, list[Plan], dict[str, Any]]] = _drawn(cases(), seed_, count)
    for event, plans, record in drawn:
        target = _target(event, versions(event, plans))
        target.add({**record, "k": record["k"] or "k"}, rng)
        made.append(target)
    return made


def _drawn(strategy: st.SearchStrategy[Any], seed_: int, count: int) -> list[Any]:
    """Examples of a strategy, the same ones for the same seed."""
    found: list[Any] = []

    @seed(seed_)
    @settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate])
    @given(strategy)
    def draw(value: Any) -> None:
        found.append(value)

    draw()
    return found
