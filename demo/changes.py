"""What can happen in the demo's world, as facts of one case at one counter.

Neighbours: ``life`` makes these, the systems under ``demo/systems`` record them and tell the bus. A change carries everything
that the clerk at the counter knows, the telephone number included; what leaves the department is the system's decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar

__all__ = [
    "BenefitAdjusted",
    "BenefitApplied",
    "BenefitChange",
    "BenefitGranted",
    "BenefitStopped",
    "Change",
    "Cremation",
    "Divorce",
    "HouseholdMoved",
    "IdentityChanged",
    "Marriage",
    "Party",
    "RegisterCancelled",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A person as a clerk writes them down.

    Attributes:
        number: the person's number in the world; no department knows it.
        identity_number: 18 characters, or 15 when ``unverified``; what the clerk typed, right or wrong.
        unverified: the number is an old one that no check applies to.
        name: the name on the day.
        sex: MALE or FEMALE.
        born: date of birth.
        region: county code of the residence on the day.
        phone: telephone number.
        marital: SINGLE, MARRIED, WIDOWED or DIVORCED before the change.
        marriages: how often they have been married before the change.
        kinship: to the person or the household head that the case is about.
    """

    number: int
    identity_number: str
    unverified: bool
    name: str
    sex: str
    born: date
    region: str
    phone: str
    marital: str
    marriages: int
    kinship: str = "SELF"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One case.

    Attributes:
        department: code of the department at whose counter it happens.
        day: the day of the entry.
        defect: the kind of slip in this entry, or None; nobody at the counter knows of it.
    """

    department: ClassVar[str] = ""
    day: date
    defect: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cremation(Change):
    """A funeral parlour cremated somebody."""

    department: ClassVar[str] = "mca.funeral"
    deceased: Party
    applicant: Party | None
    died: date
    cause: str
    certificate: bool
    region: str
    parlour: int
    ashes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Marriage(Change):
    """Two people married."""

    department: ClassVar[str] = "mca.marriage"
    first: Party
    second: Party
    region: str
    restored: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Divorce(Change):
    """Two people were divorced by agreement at the registry."""

    department: ClassVar[str] = "mca.marriage"
    first: Party
    second: Party
    region: str
    married: date | None
    children: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseholdMoved(Change):
    """A household moved; its head is the first of ``members``."""

    department: ClassVar[str] = "mps.population"
    household: int
    members: tuple[Party, ...]
    from_region: str
    to_region: str
    to_address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterCancelled(Change):
    """The household register struck somebody off.

    Attributes:
        person: who.
        household: number of their household.
        source: what convinced the clerk: CERTIFICATE, CREMATION, COURT or FAMILY.
        died: the date of death on file here; the parlour's may be another.
    """

    department: ClassVar[str] = "mps.population"
    person: Party
    household: int
    source: str
    died: date


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityChanged(Change):
    """A name was changed, or an old 15-digit number replaced by the 18-digit one."""

    department: ClassVar[str] = "mps.population"
    person: Party
    old_name: str
    old_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BenefitChange(Change):
    """What all benefit changes share.

    Attributes:
        case: running number of the application, and of the benefit that comes of it.
        applicant: who receives the money.
        region: county code.
        kind: SUBSISTENCE_ALLOWANCE, EXTREME_HARDSHIP_SUPPORT, ...
        population_class: SUBSISTENCE, EXTREME_HARDSHIP, ...
        size: how many people the amount counts.
    """

    department: ClassVar[str] = "mca.assistance"
    case: int
    applicant: Party
    region: str
    kind: str
    population_class: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BenefitApplied(BenefitChange):
    """An application was accepted for verification; incomes are yuan a month."""

    members: tuple[Party, ...]
    address: str
    incomes: tuple[Decimal, ...]
    signed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BenefitGranted(BenefitChange):
    """A benefit begins; yuan a month for the whole household."""

    amount: Decimal
    begins: date


@dataclass(frozen=True, slots=True, kw_only=True)
class BenefitAdjusted(BenefitChange):
    """A benefit's amount changes after re-verification."""

    old_amount: Decimal
    amount: Decimal
    begins: date
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BenefitStopped(BenefitChange):
    """A benefit ends; ``ends`` is the first day without it."""

    amount: Decimal
    ends: date
    reason: str
