"""The people of the demo's world as they are now: who lives, where, with whom, and what each household receives.

Neighbours: ``population`` gives the first day, the chapters of ``life`` change this and write down what they did.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from demo.changes import Change, Party
from demo.population import FIRST_DAY, Numbering, Person, Population
from demo.regions import counties

__all__ = ["Aid", "Home", "Month", "Resident", "Town"]


@dataclass(slots=True, kw_only=True)
class Resident:
    """Somebody, now.

    Attributes:
        number: as in the population.
        recorded_number: what departments have on file, 18 characters or an old 15-digit number.
        alive: whether they live; one who was only declared dead does.
        struck: whether the household register has cancelled them.
        spouse: the husband or wife, a resident's number.
        married: the day of the present marriage, where it was in the simulated time.
        marriages: how often they have been married.
        busy: the last month in which something happened to them: nobody marries and dies in one month.
    """

    number: int
    identity_number: str
    recorded_number: str
    name: str
    sex: str
    born: date
    home: int
    kinship: str
    marital: str
    disability: int
    phone: str
    alive: bool = True
    struck: bool = False
    spouse: int | None = None
    married: date | None = None
    marriages: int = 0
    busy: int = -1

    def age(self, day: date) -> int:
        """Whole years on a day."""
        return day.year - self.born.year - ((day.month, day.day) < (self.born.month, self.born.day))


@dataclass(slots=True, kw_only=True)
class Aid:
    """A benefit that a household has applied for or receives, yuan a month."""

    case: int
    kind: str
    population_class: str
    applicant: int
    amount: Decimal


@dataclass(slots=True, kw_only=True)
class Home:
    """A household, now; the first of ``members`` is its head. Nobody lives in one without members."""

    number: int
    region: str
    address: str
    members: list[int]
    aid: Aid | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """A simulated month."""

    index: int
    first: date

    @classmethod
    def number(cls, index: int) -> Month:
        """The month that many months after the first."""
        years, month = divmod(FIRST_DAY.month - 1 + index, 12)
        return cls(index=index, first=date(FIRST_DAY.year + years, month + 1, 1))

    def day(self, random: Random) -> date:
        """Any day of it."""
        return self.first + timedelta(days=random.randrange(calendar.monthrange(self.first.year, self.first.month)[1]))


@dataclass(slots=True, kw_only=True)
class Town:
    """Everybody and everything.

    Attributes:
        random: the one source of chance.
        people: everybody who ever lived here, by number.
        homes: every household, by number.
        numbering: gives out identity numbers.
        missing: people declared dead who will be back in the month ``busy``.
        old_records: people on file under a 15-digit number.
        history: what has happened so far, in no particular order.
        cases: how many applications for benefits there have been.
    """

    random: Random
    people: list[Resident]
    homes: list[Home]
    numbering: Numbering
    missing: list[Resident] = field(default_factory=list)
    old_records: list[Resident] = field(default_factory=list)
    history: list[Change] = field(default_factory=list)
    cases: int = 0

    @classmethod
    def found(cls, population: Population, random: Random) -> Town:
        """The world on its first day."""
        people = [_resident(person) for person in population.persons]
        homes = [
            Home(number=home.number, region=home.region, address=home.address, members=list(home.members))
            for home in population.households
        ]
        for home in homes:
            _pair(people, home)
        return cls(
            random=random,
            people=people,
            homes=homes,
            numbering=Numbering(random, given=(person.identity_number for person in population.persons)),
            old_records=[resident for resident in people if len(resident.recorded_number) == 15],
        )

    def record(self, change: Change) -> None:
        """Something happened."""
        self.history.append(change)

    def someone(self, fits: Callable[[Resident], bool], tries: int = 2000) -> Resident | None:
        """Somebody of whom this is true, each as likely as the other; None where hardly anybody is."""
        people, chance = self.people, self.random.random
        for _ in range(tries):
            resident = people[int(chance() * len(people))]
            if fits(resident):
                return resident
        return None

    def free(self, resident: Resident, month: Month) -> bool:
        """Whether they live, are on the register, and nothing has happened to them this month."""
        return resident.alive and not resident.struck and resident.busy < month.index

    def home_of(self, resident: Resident) -> Home:
        """Where they live."""
        return self.homes[resident.home]

    def party(self, resident: Resident, kinship: str = "SELF") -> Party:
        """They, as a clerk writes them down today."""
        return Party(
            number=resident.number,
            identity_number=resident.recorded_number,
            unverified=len(resident.recorded_number) != 18,
            name=resident.name,
            sex=resident.sex,
            born=resident.born,
            region=self.home_of(resident).region,
            phone=resident.phone,
            marital=resident.marital,
            marriages=resident.marriages,
            kinship=kinship,
        )

    def parties(self, home: Home) -> tuple[Party, ...]:
        """The living members of a household."""
        members = (self.people[number] for number in home.members)
        return tuple(self.party(member, member.kinship) for member in members if member.alive)

    def leave(self, resident: Resident) -> None:
        """Take them out of their household; the next member becomes its head."""
        home = self.home_of(resident)
        home.members.remove(resident.number)
        if resident.kinship == "SELF" and home.members:
            self.people[home.members[0]].kinship = "SELF"
            for number in home.members[1:]:
                if self.people[number].kinship == "SPOUSE":
                    self.people[number].kinship = "OTHER"

    def join(self, resident: Resident, home: Home, kinship: str) -> None:
        """Put them into a household."""
        home.members.append(resident.number)
        resident.home, resident.kinship = home.number, kinship

    def new_home(self, resident: Resident, region: str, address: str) -> Home:
        """A household of their own."""
        home = Home(number=len(self.homes), region=region, address=address, members=[])
        self.homes.append(home)
        self.join(resident, home, "SELF")
        return home

    def somewhere(self, near: str) -> tuple[str, str]:
        """Code and full name of a county: mostly in the same province."""
        place = self.random.choice(counties(near[:2] if self.random.random() < 0.7 else ""))
        return place.code, place.full_name


def _resident(person: Person) -> Resident:
    return Resident(
        number=person.number,
        identity_number=person.identity_number,
        recorded_number=person.legacy_number or person.identity_number,
        name=person.name,
        sex=person.sex,
        born=person.born,
        home=person.household,
        kinship=person.kinship,
        marital=person.marital,
        disability=person.disability,
        phone=person.phone,
        marriages=0 if person.marital == "SINGLE" else 1,
    )


def _pair(people: list[Resident], home: Home) -> None:
    """Head and spouse are married to each other, and so are two parents of the head."""
    members = [people[number] for number in home.members]
    for kinship in ({"SELF", "SPOUSE"}, {"PARENT"}):
        pair = [member for member in members if member.kinship in kinship and member.marital == "MARRIED"]
        if len(pair) == 2:
            pair[0].spouse, pair[1].spouse = pair[1].number, pair[0].number
