"""What is published: the events of one writer, drawn from seed and population. Pure.

Most are good events of the SDK. Some are of a plain Kafka client that adds a header of its own, some cannot be granted to one
agreement, and some are broken in ways that must bring them to quarantine: each of these tells of persons in places where
careless software would repeat it. Neighbours: ``load`` publishes these, ``granted`` says who may see them.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from demo.population import Population
from tests.torture.ledger import Entry, now_ms

__all__ = ["DEPARTMENT", "PAYMENT", "PERSON", "Story", "payment", "person"]

DEPARTMENT = "people.register"
PERSON, PAYMENT = "people.register.person_changed", "people.register.payment_made"

_BROKEN = ("undecodable", "forged_source", "wrong_type", "wrong_key", "null_value")
"""Reasons for quarantine, as ``docs/quarantine.md`` has them."""

_UNCOUNTED = 30  # one in so many persons' events cannot be granted to statistics
_ODD = 60  # one in so many is broken
_PLAIN = 40  # one in so many comes from a plain client


def person(population: Population, number: int, sequence: int, *, size: int = 3, id: str = "") -> Entry:
    """An event about a person of the population."""
    one = population.persons[number]
    address = population.households[one.household]
    data = {
        "identity_number": one.identity_number,
        "sequence": sequence,
        "name": one.name,
        "phone": one.phone,
        "address": address.address,
        "region": address.region,
        "household_size": size,
        "changed_at": now_ms(),
    }
    return Entry(id=id or str(uuid.uuid4()), contract=PERSON, key=one.identity_number, sequence=sequence, data=data)


def payment(account: str, payee: str, sequence: int, amount: int, id: str = "") -> Entry:
    """An event about an account."""
    data = {"account": account, "sequence": sequence, "payee": payee, "amount": amount}
    return Entry(id=id or str(uuid.uuid4()), contract=PAYMENT, key=account, sequence=sequence, data=data)


@dataclass
class Story:
    """The events of one writer.

    Args:
        population: of whom it tells.
        persons: numbers of the persons that are this writer's, and nobody else's.
        name: of the writer; its accounts begin with it.
        random: chance.
        sequence: of its first event; rises from event to event.
    """

    population: Population
    persons: Sequence[int]
    name: str
    random: Random
    sequence: int = 0
    _plain_keys: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self._odd, self._plain, self._usual = self.persons[:3], self.persons[3:6], self.persons[6:]
        self._plain_keys = frozenset(self.population.persons[one].identity_number for one in self._plain)

    def next(self) -> Entry:
        """The next event."""
        self.sequence += 1
        chance = self.random
        if chance.randrange(_ODD) == 0:
            return self._broken(chance.choice(self._odd), chance.choice(_BROKEN))
        size = 0 if chance.randrange(_UNCOUNTED) == 0 else chance.randint(1, 9)
        if chance.randrange(_PLAIN) == 0:
            return person(self.population, chance.choice(self._plain), self.sequence, size=size)
        if chance.randrange(3) == 0:
            account = f"{self.name}-{chance.randrange(20)}"
            payee = self.population.persons[chance.choice(self._usual)].name
            return payment(account, payee, self.sequence, chance.randrange(1000))
        return person(self.population, chance.choice(self._usual), self.sequence, size=size)

    def is_plain(self, entry: Entry) -> bool:
        """Whether a plain client is to publish it."""
        return bool(entry.broken) or entry.key in self._plain_keys

    def _broken(self, number: int, broken: str) -> Entry:
        """Its id is an application's own, and holds a person's number: no log may repeat it."""
        made = person(self.population, number, self.sequence)
        odd_id = f"{made.key}/{self.name}/{self.sequence}"
        key = f"{made.key}0" if broken == "wrong_key" else made.key
        return Entry(id=odd_id, contract=PERSON, key=key, sequence=self.sequence, data=made.data, broken=broken)
