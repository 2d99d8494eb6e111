"""Is there personal data where it does not belong? All that a run has left behind is looked through for its population's values.

Events that are broken in every way, with persons' numbers and names in the worst places, give logs and reasons the chance to tell
them (``hostile``). A value that was planted in a place of every kind must be found in the same look: 0 hits of a look that sees
nothing would prove nothing (``planted``). Neighbours: ``places`` says where to look, ``needles`` for what.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from demo.population import Population
from hutong.home import Home
from tests.integration.processes import ServiceProcess
from tests.torture import places
from tests.torture.hostile import provoke
from tests.torture.needles import Needles
from tests.torture.places import KINDS, Place
from tests.torture.planted import new_value, planted, planted_error

if TYPE_CHECKING:
    from tests.torture.world import World

__all__ = ["Hit", "look", "scan", "secrets_of", "values_of"]

_ALLOWED = frozenset({("secret", "environment")})
"""A process's environment is read by its own user alone, and is one of the two ways to give it a password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """Something that stands where it should not. It tells where, and not what.

    Attributes:
        what: "personal", "secret" or "planted".
        kind: what kind of place.
        place: which of them.
        number: which value of those that were looked for.
        form: how it is written there.
    """

    what: str
    kind: str
    place: str
    number: int
    form: str

    def __str__(self) -> str:
        return f"{self.kind} {self.place}: {self.what} value {self.number}, {self.form}"


def scan(world: World) -> list[Hit]:
    """Provoke what could leak, then look through everything.

    Raises:
        AssertionError: a planted value was not found: the look cannot be trusted.
    """
    value, errors = new_value(), provoke(world)
    with _monitor(world), planted(value, world.home, world.settings(), world.spans.endpoint):
        values = {"personal": values_of(world.population), "secret": secrets_of(world.home), "planted": [value]}
        found = [*errors, planted_error(value), *_places(world)]
        hits = look(found, Needles(values))
    size = sum(len(place.data) for place in found)
    world.say(f"looked through {len(found)} places, {size / 1e6:.1f} MB, for personal data and secrets")
    seen = {hit.kind for hit in hits if hit.what == "planted"}
    assert seen == set(KINDS), f"a planted value was not found in: {', '.join(sorted(set(KINDS) - seen))}"
    return [hit for hit in hits if hit.what != "planted"]


def look(found: Iterable[Place], needles: Needles) -> list[Hit]:
    """Look through places, their names included."""
    hits = []
    for place in found:
        named = needles.search(place.name.encode())
        name = "(its name tells)" if named else place.name
        for one in sorted(named | needles.search(place.data)):
            if (one.what, place.kind) not in _ALLOWED:
                hits.append(Hit(what=one.what, kind=place.kind, place=name, number=one.number, form=one.form))
    return hits


def values_of(population: Population) -> Iterator[str]:
    """All that tells of somebody."""
    for person in population.persons:
        yield from filter(None, (person.identity_number, person.legacy_number, person.name, person.phone))
    for household in population.households:
        yield household.address


def secrets_of(home: Home) -> Iterator[str]:
    """Passwords of principals and pseudonym keys of agreements."""
    for directory in (home.secrets, home.keys):
        for file in sorted(directory.glob("*")):
            yield file.read_text(encoding="utf-8").strip()


@contextmanager
def _monitor(world: World) -> Iterator[None]:
    """A monitor at work: its page tells of everything else."""
    monitor = ServiceProcess(world.home, "monitor", "torture")
    try:
        monitor.await_ready()
        yield
    finally:
        monitor.stop()


def _places(world: World) -> Iterator[Place]:
    settings = world.settings()
    noted, records = places.quarantine(settings)
    yield from noted
    yield from places.commands(world.home, records)
    yield from places.control_topics(settings)
    yield from places.pages(world.home)
    yield from places.processes(world.home)
    yield from (Place(kind="span", name=f"request {at}", data=body) for at, body in enumerate(world.spans.bodies))
    yield from places.files(world.home)
    yield from world.places
