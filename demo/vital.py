"""Chapters of the demo's history that change who lives and who is married: deaths, marriages, divorces, births.

A death has several sources here as in life: the parlour records a cremation, the register strikes the person off because of a
certificate, a cremation or a court's declaration; some strike late, some never, some with another date, and some of those whom
a court declares dead come back and marry. Neighbours: ``living`` is the state, ``life`` turns the pages.
"""

from __future__ import annotations

from datetime import date, timedelta

from demo import names
from demo.changes import Cremation, Divorce, Marriage, RegisterCancelled
from demo.living import Month, Resident, Town

__all__ = ["births", "deaths", "declarations", "divorces", "marriages"]

_PARLOURS_A_COUNTY = 2


def deaths(town: Town, month: Month, count: int) -> None:
    """People die, the older the likelier."""
    for _ in range(count):
        # Gompertz: the risk doubles every eight years or so; 1 at the age of 98.
        resident = town.someone(
            lambda somebody: (
                town.free(somebody, month)
                and somebody.age(month.first) >= 18
                and town.random.random() < 2.0 ** ((somebody.age(month.first) - 98) / 8)
            ),
            tries=20_000,
        )
        if resident is not None:
            _die(town, month, resident)


def _die(town: Town, month: Month, resident: Resident) -> None:
    random = town.random
    died = month.day(random)
    home = town.home_of(resident)
    cremated = random.random() < 0.92
    if cremated:
        _cremate(town, resident, died)
    if random.random() < 0.95:
        late = random.random() < 0.12
        entered = died + timedelta(days=random.randint(60, 240) if late else random.randint(1, 28))
        # The family's word and the parlour's papers do not always agree.
        on_file = died + timedelta(days=random.choice((-2, -1, 1, 3))) if random.random() < 0.03 else died
        source = "CREMATION" if cremated and random.random() < 0.4 else random.choice(("CERTIFICATE", "FAMILY"))
        town.record(
            RegisterCancelled(
                day=max(entered, on_file + timedelta(days=1)),
                person=town.party(resident, resident.kinship),
                household=home.number,
                source=source,
                died=on_file,
            )
        )
    _bury(town, resident, month)


def _cremate(town: Town, resident: Resident, died: date) -> None:
    random = town.random
    home = town.home_of(resident)
    relatives = [town.people[number] for number in home.members if number != resident.number]
    adults = [relative for relative in relatives if relative.alive and relative.age(died) >= 18]
    applicant = random.choice(adults) if adults else None
    kinship = "OTHER" if applicant is None else _relation(resident, applicant)
    town.record(
        Cremation(
            day=died + timedelta(days=random.randint(2, 6)),
            deceased=town.party(resident),
            applicant=town.party(applicant, kinship) if applicant else None,
            died=died,
            cause=random.choices(("NATURAL", "ACCIDENT", "OTHER_EXTERNAL", "UNDETERMINED"), (92, 5, 2, 1))[0],
            certificate=random.random() < 0.85,
            region=home.region,
            parlour=random.randrange(_PARLOURS_A_COUNTY),
            ashes=random.choices(("CEMETERY", "COLUMBARIUM", "ECOLOGICAL", "TAKEN_BY_FAMILY", "NOT_STATED"), (45, 25, 10, 15, 5))[
                0
            ],
        )
    )


def _relation(deceased: Resident, applicant: Resident) -> str:
    """Kinship of the applicant to the deceased, as far as a household's list tells."""
    if applicant.number == deceased.spouse:
        return "SPOUSE"
    child = "SON" if applicant.sex == "MALE" else "DAUGHTER"
    match deceased.kinship, applicant.kinship:
        case ("SELF" | "SPOUSE", "SON" | "DAUGHTER") | ("PARENT", "SELF"):
            return child
        case ("SON" | "DAUGHTER", "SELF" | "SPOUSE") | ("SELF", "PARENT"):
            return "PARENT"
        case ("SON" | "DAUGHTER", "SON" | "DAUGHTER"):
            return "SIBLING"
        case ("PARENT", "SON" | "DAUGHTER"):
            return "GRANDCHILD"
        case _:
            return "OTHER"


def _bury(town: Town, resident: Resident, month: Month) -> None:
    resident.alive, resident.busy = False, month.index
    town.leave(resident)
    if resident.spouse is not None:
        survivor = town.people[resident.spouse]
        survivor.spouse, survivor.marital, survivor.married, survivor.busy = None, "WIDOWED", None, month.index


def declarations(town: Town, month: Month, count: int) -> None:
    """Courts declare missing people dead who are alive; some come back and marry a year or so later."""
    for _ in range(count):
        resident = town.someone(
            lambda somebody: (
                town.free(somebody, month)
                and somebody.marital in {"SINGLE", "DIVORCED"}
                and 25 <= somebody.age(month.first) <= 55
            )
        )
        if resident is None:
            continue
        day = month.day(town.random)
        town.record(
            RegisterCancelled(
                day=day,
                person=town.party(resident, resident.kinship),
                household=resident.home,
                source="COURT",
                died=day - timedelta(days=4 * 365 + 1),  # missing for four years, Civil Code article 46
            )
        )
        resident.struck, resident.busy = True, month.index + town.random.randint(8, 14)
        if town.random.random() < 0.6:
            town.missing.append(resident)


def marriages(town: Town, month: Month, count: int) -> None:
    """Couples marry, and live in the household of one of them or in a new one."""
    for _ in range(count):
        man = _single(town, month, "MALE")
        woman = _single(town, month, "FEMALE", near=man)
        if man and woman:
            _marry(town, month, man, woman)
    for resident in [somebody for somebody in town.missing if somebody.busy == month.index]:
        # Declared dead, and now at the counter: the sources conflict from here on.
        other = _single(town, month, "FEMALE" if resident.sex == "MALE" else "MALE", near=resident)
        if other:
            _marry(town, month, resident, other)


def _single(town: Town, month: Month, sex: str, near: Resident | None = None) -> Resident | None:
    around = near.age(month.first) if near else 0
    return town.someone(
        lambda somebody: (
            somebody.sex == sex
            and somebody.marital != "MARRIED"
            and 22 <= somebody.age(month.first) <= 65
            and town.free(somebody, month)
            and (near is None or (abs(somebody.age(month.first) - around) <= 12 and somebody.home != near.home))
        )
    )


def _marry(town: Town, month: Month, first: Resident, second: Resident) -> None:
    random = town.random
    day = month.day(random)
    host = first if random.random() < 0.6 else second
    guest = second if host is first else first
    restored = first.marital == second.marital == "DIVORCED" and random.random() < 0.1
    town.record(
        Marriage(
            day=day,
            first=town.party(first),
            second=town.party(second),
            region=town.home_of(host).region,
            restored=restored,
        )
    )
    for resident, spouse in ((first, second), (second, first)):
        resident.marital, resident.spouse, resident.married, resident.busy = "MARRIED", spouse.number, day, month.index
        resident.marriages += 1
    town.leave(guest)
    if host.kinship == "SELF":
        town.join(guest, town.home_of(host), "SPOUSE")
    else:
        old = town.home_of(host)
        town.leave(host)
        town.join(guest, town.new_home(host, old.region, old.address), "SPOUSE")


def divorces(town: Town, month: Month, count: int) -> None:
    """Couples divorce at the registry; one of them moves out."""
    for _ in range(count):
        resident = town.someone(
            lambda somebody: (
                somebody.spouse is not None
                and town.free(somebody, month)
                and somebody.age(month.first) < 75
                and town.free(town.people[somebody.spouse], month)
            )
        )
        if resident is None or resident.spouse is None:
            continue
        spouse = town.people[resident.spouse]
        home = town.home_of(resident)
        town.record(
            Divorce(
                day=month.day(town.random),
                first=town.party(resident),
                second=town.party(spouse),
                region=home.region,
                married=resident.married,
                children=sum(
                    town.people[number].kinship in {"SON", "DAUGHTER"} and town.people[number].age(month.first) < 18
                    for number in home.members
                ),
            )
        )
        for one in (resident, spouse):
            one.marital, one.spouse, one.married, one.busy = "DIVORCED", None, None, month.index
        town.leave(spouse)
        town.new_home(spouse, home.region, home.address.partition("号")[0] + "号副楼")


def births(town: Town, month: Month, count: int) -> None:
    """Children are born to married women; health records that, no system of this demo."""
    for _ in range(count):
        mother = town.someone(
            lambda somebody: (
                somebody.sex == "FEMALE"
                and somebody.marital == "MARRIED"
                and 21 <= somebody.age(month.first) <= 42
                and town.free(somebody, month)
            )
        )
        if mother is None or mother.spouse is None:
            continue
        sex = "MALE" if town.random.random() < 0.52 else "FEMALE"
        home = town.home_of(mother)
        born = month.day(town.random)
        number = town.numbering.new(home.region, born, sex)
        child = Resident(
            number=len(town.people),
            identity_number=number,
            recorded_number=number,
            name=town.people[mother.spouse].name[0] + names.given_name(town.random, sex),
            sex=sex,
            born=born,
            home=home.number,
            kinship="SON" if sex == "MALE" else "DAUGHTER",
            marital="SINGLE",
            disability=0,
            phone=names.phone(town.random),
            busy=month.index,
        )
        town.people.append(child)
        town.join(child, home, child.kinship)
        mother.busy = month.index
