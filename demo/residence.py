"""Chapters of the demo's history in the household register: households move, names and numbers change.

Neighbours: ``living`` is the state, ``life`` turns the pages.
"""

from __future__ import annotations

from demo import names
from demo.changes import HouseholdMoved, IdentityChanged
from demo.living import Home, Month, Resident, Town

__all__ = ["identity_changes", "moves"]


def moves(town: Town, month: Month, count: int) -> None:
    """Whole households move, two in three within their province."""
    for _ in range(count):
        head = town.someone(lambda somebody: somebody.kinship == "SELF" and town.free(somebody, month))
        if head is not None:
            _move(town, month, town.home_of(head))


def _move(town: Town, month: Month, home: Home) -> None:
    random = town.random
    members = town.parties(home)
    left = home.region
    home.region, place = town.somewhere(near=left)
    home.address = place + names.street(random)
    town.record(
        HouseholdMoved(
            day=month.day(random),
            household=home.number,
            members=members,
            from_region=left,
            to_region=home.region,
            to_address=home.address,
        )
    )
    for member in members:
        town.people[member.number].busy = month.index


def identity_changes(town: Town, month: Month, count: int) -> None:
    """People change their given name, or have an old 15-digit number replaced in the files."""
    for _ in range(count):
        old_record = town.random.choice(town.old_records) if town.old_records and town.random.random() < 0.2 else None
        if old_record is not None:
            town.old_records.remove(old_record)
            if town.free(old_record, month):
                _change(town, month, old_record)
        elif (resident := town.someone(lambda somebody: town.free(somebody, month))) is not None:
            _change(town, month, resident)


def _change(town: Town, month: Month, resident: Resident) -> None:
    old_name, old_number = resident.name, resident.recorded_number
    if len(old_number) == 15:
        resident.recorded_number = resident.identity_number
    else:
        family_name = old_name[:2] if len(old_name) == 4 else old_name[:1]
        while resident.name == old_name:
            resident.name = family_name + names.given_name(town.random, resident.sex)
    resident.busy = month.index
    town.record(
        IdentityChanged(day=month.day(town.random), person=town.party(resident), old_name=old_name, old_number=old_number)
    )
