"""The demo's people: valid, coherent, and the same for the same seed."""

from __future__ import annotations

from datetime import date

import pytest
from stdnum.cn import ric

from demo.population import FIRST_DAY, Population, populate
from demo.regions import check_digit, counties, identity_number


@pytest.fixture(scope="module")
def people() -> Population:
    return populate(7, 4000)


def test_check_digit_of_the_standards_sample() -> None:
    """The sample number of GB 11643 has the check digit X."""
    assert check_digit("11010519491231002") == "X"
    assert identity_number("110105", date(1949, 12, 31), 2) == "11010519491231002X"


def test_every_identity_number_is_valid_and_given_once(people: Population) -> None:
    """The public library accepts each number, and it says the person's own birth date and sex."""
    numbers = [person.identity_number for person in people.persons]
    assert len(set(numbers)) == len(numbers) >= 4000
    for person in people.persons:
        assert ric.is_valid(person.identity_number)
        assert ric.get_birth_date(person.identity_number) == person.born
        assert (int(person.identity_number[16]) % 2 == 1) is (person.sex == "MALE")


def test_households_are_coherent(people: Population) -> None:
    """Members and households name each other; one head; parents are at least 18 years older than children."""
    codes = {county.code for county in counties()}
    for household in people.households:
        members = [people.persons[number] for number in household.members]
        assert household.region in codes
        assert [member.kinship for member in members].count("SELF") == 1
        assert members[0].kinship == "SELF"
        assert all(member.household == household.number for member in members)
        head_years = members[0].born.year
        assert all(member.born.year >= head_years + 18 for member in members if member.kinship in {"SON", "DAUGHTER"})
        assert all(member.born.year <= head_years - 18 for member in members if member.kinship == "PARENT")
        assert all(member.born <= FIRST_DAY for member in members)


def test_the_seed_decides() -> None:
    """The same seed gives the same people, another seed gives others."""
    assert populate(3, 300) == populate(3, 300)
    assert populate(3, 300) != populate(4, 300)


def test_some_people_are_on_file_with_an_old_number(people: Population) -> None:
    """A few have only the 15-digit number in departments' records."""
    old = [person for person in people.persons if person.legacy_number is not None]
    assert old
    assert all(len(person.legacy_number or "") == 15 for person in old)
