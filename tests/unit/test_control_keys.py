"""Keys as the control plane keeps them: made once, kept by every apply, rotated from a moment on, forgotten. No broker."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from hutong.agreements.grant import Grant
from hutong.agreements.keys import KeyPeriod, fingerprint
from hutong.control.desired import Desired
from hutong.control.diff import difference
from hutong.control.keys import first_key, forgotten, granted, kept, rotated, states
from hutong.errors import ConfigurationError
from hutong.home import Home
from tests.declaring import Declarations
from tests.unit.test_control_diff import in_step, wants

ID = "moves-to-benefits"
NOW = 1_000_000


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(root=tmp_path / "home")


@pytest.fixture
def wanted(tmp_path: Path) -> Desired:
    return wants(Declarations(tmp_path / "schemas").catalogue())


def standing(wanted: Desired, home: Home) -> Grant:
    """The grant as a first apply leaves it."""
    home.ensure_key(ID)
    return wanted.grants[ID].grant(in_step(wanted).delivery_ids[ID]).model_copy(update={"pseudonym_keys": first_key(ID, home)})


def print_of(home: Home, name: str) -> str:
    return fingerprint(bytes.fromhex(home.read_key(name) or ""))


def test_a_rotation_is_kept_by_the_next_apply(wanted: Desired, home: Home) -> None:
    """A plan after it finds nothing to do; a changed agreement goes to the routers with the keys that stand there."""
    new = rotated(standing(wanted, home), home, from_ms=NOW + 10, now_ms=NOW)
    found = in_step(wanted)
    found = dataclasses.replace(found, grants={**found.grants, ID: new.to_json()}, keys=found.keys | {f"{ID}_2"})
    assert difference(wanted, found).changes == ()
    again = granted(wanted.grants[ID], 101, new.to_json())
    assert (again.pseudonym_keys, again.delivery_schema_id) == (new.pseudonym_keys, 101)


def test_a_rotation_names_old_and_new_key(wanted: Desired, home: Home) -> None:
    """Both with fingerprints, neither as it is; the third follows the second."""
    first = standing(wanted, home)
    second = rotated(first, home, from_ms=NOW + 10, now_ms=NOW)
    assert second.pseudonym_keys == (
        KeyPeriod(name=ID, fingerprint=print_of(home, ID)),
        KeyPeriod(name=f"{ID}_2", fingerprint=print_of(home, f"{ID}_2"), from_ms=NOW + 10),
    )
    for name in (ID, f"{ID}_2"):
        assert (home.read_key(name) or "").encode() not in second.to_json()
        assert (home.keys / name).stat().st_mode & 0o777 == 0o600
    third = rotated(second, home, from_ms=NOW + 99, now_ms=NOW + 50)
    assert [key.name for key in third.pseudonym_keys or ()] == [ID, f"{ID}_2", f"{ID}_3"]


def test_a_grant_without_keys_is_rotated_too(wanted: Desired, home: Home) -> None:
    """One from before there were fingerprints: its key is the agreement's, and gets one."""
    home.ensure_key(ID)
    new = rotated(wanted.grants[ID].grant(100), home, from_ms=NOW + 10, now_ms=NOW)
    assert [key.fingerprint for key in new.pseudonym_keys or ()] == [print_of(home, ID), print_of(home, f"{ID}_2")]


def test_a_rotation_that_was_broken_off_is_finished(wanted: Desired, home: Home) -> None:
    """The key that it had made, and nobody uses yet, is the new one."""
    first = standing(wanted, home)
    home.write_key(f"{ID}_2", "ab" * 32)
    new = rotated(first, home, from_ms=NOW + 10, now_ms=NOW)
    assert new.pseudonym_keys is not None
    assert new.pseudonym_keys[-1].fingerprint == fingerprint(b"\xab" * 32)


def test_rotating_is_refused_where_it_would_go_wrong(wanted: Desired, home: Home, tmp_path: Path) -> None:
    """While one is under way; in a home without the keys; in one with other keys: nothing is made there."""
    first = standing(wanted, home)
    second = rotated(first, home, from_ms=NOW + 10, now_ms=NOW)
    with pytest.raises(ConfigurationError, match="about to change"):
        rotated(second, home, from_ms=NOW + 20, now_ms=NOW)
    with pytest.raises(ConfigurationError, match="about to change"):
        forgotten(second, NOW)
    elsewhere = Home(root=tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="lacks the pseudonym key"):
        rotated(first, elsewhere, from_ms=NOW + 10, now_ms=NOW)
    elsewhere.ensure_key(ID)
    with pytest.raises(ConfigurationError, match="another than the routers use"):
        rotated(first, elsewhere, from_ms=NOW + 10, now_ms=NOW)
    assert elsewhere.read_key(f"{ID}_2") is None


def test_forgetting_leaves_the_present_key(wanted: Desired, home: Home) -> None:
    """For all events from then on; and at once, where the rotation says so."""
    second = rotated(standing(wanted, home), home, from_ms=NOW + 10, now_ms=NOW)
    one, gone = forgotten(second, NOW + 10)
    assert ([(key.name, key.from_ms) for key in one.pseudonym_keys or ()], gone) == ([(f"{ID}_2", None)], [ID])
    assert forgotten(one, NOW) == (one, [])
    at_once = rotated(one, home, from_ms=None, now_ms=NOW)
    assert [(key.name, key.from_ms) for key in at_once.pseudonym_keys or ()] == [(f"{ID}_3", None)]


def test_granted_again_an_agreement_has_its_newest_key(wanted: Desired, home: Home) -> None:
    """A key that was rotated away does not come back with a grant that was revoked meanwhile."""
    rotated(standing(wanted, home), home, from_ms=NOW + 10, now_ms=NOW)
    assert first_key(ID, home) == (KeyPeriod(name=f"{ID}_2", fingerprint=print_of(home, f"{ID}_2")),)


def test_a_home_without_the_keys_makes_no_others(wanted: Desired, home: Home) -> None:
    """An operator at another machine: what routers use is not replaced, and the plan says what to copy."""
    found = in_step(wanted)
    grants = {**found.grants, ID: standing(wanted, home).to_json()}
    compared = difference(wanted, dataclasses.replace(found, grants=grants, keys=found.keys - {ID}))
    assert compared.changes == ()
    assert any(f"lacks the pseudonym key {ID}" in note for note in compared.notes)
    empty = difference(wanted, dataclasses.replace(found, grants={}, keys=frozenset()))
    assert ID in {change.name for change in empty.changes if change.step == "key"}


def test_states_say_what_is_here(wanted: Desired, home: Home, tmp_path: Path) -> None:
    """Every key with its period; a home with another key of the name, or with none."""
    second = rotated(standing(wanted, home), home, from_ms=NOW + 10, now_ms=NOW)
    first, new = states({ID: second}, home)
    assert (first.name, first.from_ms, first.until_ms, first.here) == (ID, None, NOW + 10, "yes")
    assert (new.name, new.from_ms, new.until_ms, new.here) == (f"{ID}_2", NOW + 10, None, "yes")
    elsewhere = Home(root=tmp_path / "elsewhere")
    elsewhere.ensure_key(ID)
    assert [one.here for one in states({ID: second}, elsewhere)] == ["other", "no"]
    (plain,) = states({ID: wanted.grants[ID].grant(1)}, home)
    assert (plain.here, plain.fingerprint) == ("yes", print_of(home, ID))


@pytest.mark.parametrize("document", [None, b"", b"[]", b"{}", json.dumps({"pseudonym_keys": [{"from_ms": 1}]}).encode()])
def test_a_grant_that_names_no_keys_has_none_to_keep(document: bytes | None) -> None:
    """Whatever stands there: reading it never fails."""
    assert kept(document) is None
