"""The people of the demo's world on its first day: persons, households, kinship. A pure function of seed and size.

Neighbours: ``regions`` and ``names`` supply codes and names, ``life`` lets time pass. Every identity number is valid by
GB 11643 and by ``stdnum.cn.ric``. Nobody real is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from demo import names
from demo.regions import County, counties, identity_number, issuers

__all__ = ["FIRST_DAY", "Household", "Numbering", "Person", "Population", "legacy_number", "populate"]

FIRST_DAY = date(2020, 7, 1)
"""The day on which the population is as ``populate`` makes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody; what changes over time is in ``life``.

    Attributes:
        number: running number in the world.
        identity_number: 18 characters, GB 11643.
        legacy_number: the 15-digit number of before 1999, where a department's old records still hold only that.
        name: surname and given name.
        sex: MALE or FEMALE (GB/T 2261.1).
        born: date of birth.
        household: number of the household on the first day.
        kinship: to the household's head on the first day (GB/T 4761, first digit).
        marital: SINGLE, MARRIED, WIDOWED or DIVORCED on the first day.
        disability: grade 1 (gravest) .. 4, or 0.
        phone: kept in departments' own tables, never published.
    """

    number: int
    identity_number: str
    legacy_number: str | None
    name: str
    sex: str
    born: date
    household: int
    kinship: str
    marital: str
    disability: int
    phone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Household:
    """People who live together.

    Attributes:
        number: running number in the world.
        region: county code, GB/T 2260.
        address: written address.
        members: numbers of the persons, the head first.
    """

    number: int
    region: str
    address: str
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """Everybody, by number."""

    persons: tuple[Person, ...]
    households: tuple[Household, ...]


class Numbering:
    """Gives out identity numbers, none twice."""

    def __init__(self, random: Random, given: Iterable[str] = ()) -> None:
        self._random = random
        self._given = set(given)

    def new(self, near: str, born: date, sex: str) -> str:
        """A number for somebody of this sex, born on this day, living at the county ``near``."""
        while True:
            region = issuers().choose(self._random, near, born.year)
            sequence = 2 * self._random.randint(1, 498) + (1 if sex == "MALE" else 0)
            number = identity_number(region, born, sequence)
            if number not in self._given:
                self._given.add(number)
                return number


def legacy_number(number: str) -> str:
    """The 15-digit number that became this one: two digits of the year, no check digit."""
    return number[:6] + number[8:17]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Role:
    """A place in a household that somebody will take."""

    kinship: str
    sex: str
    age: float
    marital: str


def populate(seed: int, persons: int) -> Population:
    """At least ``persons`` people (the last household is complete), the same for the same arguments."""
    random = Random(f"population {seed}")  # noqa: S311 - a population, not a secret
    numbering = Numbering(random)
    places = counties()
    people: list[Person] = []
    households: list[Household] = []
    while len(people) < persons:
        place = random.choice(places)
        number = len(households)
        members = tuple(_settle(random, numbering, place, number, _household(random), first=len(people)))
        people.extend(members)
        address = place.full_name + names.street(random)
        households.append(
            Household(number=number, region=place.code, address=address, members=tuple(member.number for member in members))
        )
    return Population(persons=tuple(people), households=tuple(households))


def _settle(
    random: Random, numbering: Numbering, place: County, household: int, roles: Sequence[_Role], *, first: int
) -> Iterator[Person]:
    family_name = names.surname(random)
    for index, role in enumerate(roles):
        born = FIRST_DAY - timedelta(days=int(role.age * 365.25))
        identity = numbering.new(place.code, born, role.sex)
        inherits = role.kinship in {"SELF", "SON", "DAUGHTER"} or (role.kinship == "PARENT" and role.sex == "MALE")
        # One in 150 older people is still on file under the 15-digit number alone.
        old_record = role.age > 45 and random.random() < 1 / 150
        yield Person(
            number=first + index,
            identity_number=identity,
            legacy_number=legacy_number(identity) if old_record else None,
            name=(family_name if inherits else names.surname(random)) + names.given_name(random, role.sex),
            sex=role.sex,
            born=born,
            household=household,
            kinship=role.kinship,
            marital=role.marital,
            disability=random.randint(1, 4) if random.random() < 0.06 else 0,
            phone=names.phone(random),
        )


def _household(random: Random) -> list[_Role]:
    (build,) = random.choices(_KINDS, _SHARES)
    return build(random)


def _sex(random: Random) -> str:
    return "MALE" if random.random() < 0.51 else "FEMALE"


def _other(sex: str) -> str:
    return "FEMALE" if sex == "MALE" else "MALE"


def _alone(random: Random) -> list[_Role]:
    marital = "SINGLE" if random.random() < 0.75 else "DIVORCED"
    return [_Role(kinship="SELF", sex=_sex(random), age=random.uniform(22, 48), marital=marital)]


def _elder_alone(random: Random) -> list[_Role]:
    marital = "WIDOWED" if random.random() < 0.8 else "SINGLE"
    return [_Role(kinship="SELF", sex=_sex(random), age=random.uniform(65, 96), marital=marital)]


def _couple_of(random: Random, youngest: float, oldest: float) -> list[_Role]:
    age = random.uniform(youngest, oldest)
    sex = _sex(random)
    spouse_age = max(22.5, age + random.gauss(0, 2.5))
    return [
        _Role(kinship="SELF", sex=sex, age=age, marital="MARRIED"),
        _Role(kinship="SPOUSE", sex=_other(sex), age=spouse_age, marital="MARRIED"),
    ]


def _couple(random: Random) -> list[_Role]:
    return _couple_of(random, 24, 60)


def _elder_couple(random: Random) -> list[_Role]:
    return _couple_of(random, 62, 92)


def _nuclear(random: Random) -> list[_Role]:
    couple = _couple_of(random, 25, 55)
    return couple + list(_children(random, min(role.age for role in couple)))


def _children(random: Random, younger_parent: float) -> Iterator[_Role]:
    for _ in range(random.choices((1, 2, 3), (50, 42, 8))[0]):
        # Nobody is a parent before 20 or has a child after 44, and grown children have left.
        age = random.uniform(max(0.0, younger_parent - 44), min(24.0, younger_parent - 20))
        sex = _sex(random)
        yield _Role(kinship="SON" if sex == "MALE" else "DAUGHTER", sex=sex, age=age, marital="SINGLE")


def _three_generations(random: Random) -> list[_Role]:
    family = _nuclear(random)
    head = family[0]
    parents = [
        _Role(kinship="PARENT", sex=sex, age=min(99.0, head.age + random.uniform(20, 32)), marital="MARRIED")
        for sex in ("MALE", "FEMALE")
    ]
    if random.random() < 0.5:
        left = random.choice(parents)
        return [*family, _Role(kinship="PARENT", sex=left.sex, age=left.age, marital="WIDOWED")]
    return family + parents


_KINDS: tuple[Callable[[Random], list[_Role]], ...] = (
    _alone,
    _elder_alone,
    _couple,
    _elder_couple,
    _nuclear,
    _three_generations,
)
_SHARES = (15, 12, 12, 13, 33, 15)
