"""Pseudonym keys that change: the moment of publication alone decides which one an event gets, in each of the three ways."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from hutong.agreements.grant import Grant
from hutong.agreements.keys import ALWAYS, KeyPeriod, fingerprint, newest_name, next_name, windows
from hutong.agreements.transforms import pseudonym
from hutong.home import Home
from hutong.runtime.agreements import Agreements
from hutong.transcode import choice
from hutong.transcode.native.transcoder import extension
from hutong.transcode.routing import Inbound, Routed, RoutingTable
from tests.unit.test_routing import CONTRACT, DAY, V1, grant, read, record

OLD, NEW = b"o" * 32, b"n" * 32
CHANGE = 5 * DAY
PERIODS = (
    KeyPeriod(name="one", fingerprint=fingerprint(OLD)),
    KeyPeriod(name="one_2", fingerprint=fingerprint(NEW), from_ms=CHANGE),
)
BOTH = {"one": OLD, "one_2": NEW}
HIDDEN = [{"field": "id", "transform": "pseudonymise"}, {"field": "code"}]


def changing(*periods: KeyPeriod, rows: tuple[dict[str, str], ...] = ()) -> Grant:
    return grant("one", HIDDEN, rows=rows).model_copy(update={"pseudonym_keys": periods or PERIODS})


def routed(table: RoutingTable, at: int, now: int = 9 * DAY) -> Routed:
    return table.route(record(at=at), {7: V1}.get, now)


def hidden(made: Routed, of: Grant) -> tuple[str, str]:
    """The pseudonym in the delivery, and the one that is its key."""
    (delivery,), (data,) = made.deliveries, read(made, of)
    return data["id"], delivery.key.decode()


@pytest.fixture(params=["native", "compiled"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "native" and extension is None:
        pytest.skip("the extension hutong_native is not built")
    monkeypatch.setattr(choice, "_wanted", request.param == "native")


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("rows", [(), ({"field": "region", "equals": "14"},), ({"cel": "region == '14'"},)])
def test_publication_decides_which_key(rows: tuple[dict[str, str], ...]) -> None:
    """Before the change the old one, from it on the new one; when the router comes to it, and what its clock says, is nothing."""
    one = changing(rows=rows)
    table = RoutingTable({"one": one}, BOTH)
    before, after = pseudonym(OLD, "k1"), pseudonym(NEW, "k1")
    for now in (CHANGE - DAY, CHANGE, 9 * DAY):
        assert hidden(routed(table, CHANGE - 1, now), one) == (before, before)
        assert hidden(routed(table, CHANGE, now), one) == (after, after)
        assert hidden(routed(table, CHANGE + DAY, now), one) == (after, after)
    assert routed(table, CHANGE).asked == 1


@pytest.mark.skipif(extension is None, reason="the extension hutong_native is not built")
def test_the_lane_changes_over_at_the_same_event() -> None:
    """A batch across the change: the lane takes all of it, and counts one agreement."""
    assert extension is not None
    one = changing()
    table = RoutingTable({"one": one}, BOTH)
    moments = [CHANGE - 2, CHANGE - 1, CHANGE, CHANGE + 1]
    routed(table, CHANGE)  # the first of its schema goes through Python
    batch = extension.Batch([_message(record(at=at)) for at in moments])
    sink, delivered = extension.Collected(None), dict[str, int]()
    assert table.lane is not None
    assert table.lane.run(batch, 0, len(moments), sink, 9 * DAY, delivered, {}) == (4, "end", None)
    keys = [key.decode() for _, _, key, _, _ in sink.take()]
    assert keys == [pseudonym(secret, "k1") for secret in (OLD, OLD, NEW, NEW)]
    assert delivered == {"one": 4}


def _message(inbound: Inbound) -> SimpleNamespace:
    timestamp = (2, inbound.appended_ms)
    return SimpleNamespace(
        topic=lambda: inbound.topic,
        key=lambda: inbound.key,
        value=lambda: inbound.value,
        headers=lambda: inbound.headers,
        timestamp=lambda: timestamp,
    )


@pytest.mark.usefixtures("_way")
def test_a_key_that_is_not_here_concerns_its_own_events_alone() -> None:
    """A router that has not got the new key goes on with the old one up to the change, and quarantines from there on."""
    one = changing()
    table = RoutingTable({"one": one}, {"one": OLD})
    assert "one_2" in str(table.unusable["one"])
    assert hidden(routed(table, CHANGE - 1), one)[0] == pseudonym(OLD, "k1")
    late = routed(table, CHANGE)
    assert late.deliveries == []
    assert [(one.reason, one.agreement) for one in late.quarantined] == [("unusable_agreement", "one")]


def test_another_key_of_the_same_name_is_not_used() -> None:
    """Wrong pseudonyms could never be taken back: a key whose fingerprint differs is as none."""
    table = RoutingTable({"one": changing()}, {"one": OLD, "one_2": b"x" * 32})
    assert "another one than its own" in str(table.unusable["one"])
    assert routed(table, CHANGE).deliveries == []


def test_an_older_grant_names_no_key() -> None:
    """Its one key has the agreement's own name, and no fingerprint to be held against; its JSON is as it was."""
    plain = grant("one", HIDDEN)
    assert b"pseudonym_keys" not in plain.to_json()
    assert hidden(routed(RoutingTable({"one": plain}, {"one": NEW}), 1), plain)[0] == pseudonym(NEW, "k1")
    again = Grant.from_json(changing().to_json())
    assert again.pseudonym_keys == PERIODS


def test_a_table_after_the_change_takes_over_what_stays() -> None:
    """Announcing a change compiles that agreement anew and no other."""
    other = grant("other", [{"field": "code"}])
    first = RoutingTable({"one": grant("one", HIDDEN), "other": other}, {"one": OLD, "other": OLD})
    second = RoutingTable({"one": changing(), "other": other}, {**BOTH, "other": OLD}, before=first)
    known, now = first._contracts[CONTRACT]._compiled, second._contracts[CONTRACT]._compiled
    assert set(now) == {"one", "one_2", "other"}
    assert now["other"].plan is known["other"].plan
    made = {one.agreement: one.key for one in routed(second, CHANGE).deliveries}
    assert made["one"] == pseudonym(NEW, "k1").encode()


def test_periods_and_names() -> None:
    """Each key ends where the next begins; names count up, and nobody else's are taken for them."""
    assert [window for _, window in windows(PERIODS)] == [(ALWAYS[0], CHANGE), (CHANGE, ALWAYS[1])]
    assert next_name("one", ["one"]) == "one_2"
    assert next_name("one", ["one", "one_2", "one_9"]) == "one_10"
    there = ["one", "one_2", "one_10", "one-more_11", "flow.one", "one_x", ".new-one_99"]
    assert newest_name("one", there) == "one_10"
    assert newest_name("two", there) is None
    assert fingerprint(OLD) != fingerprint(NEW)
    assert len(fingerprint(OLD)) == 16


def test_a_key_that_comes_later_is_found(tmp_path: Path) -> None:
    """A router without the key looks again when something is put into the directory, and not before."""
    home = Home(root=tmp_path)
    home.write_key("one", OLD.hex())
    agreements = Agreements(home)
    documents = {"one": changing().to_json()}
    agreements.update(documents)
    assert "one" in agreements.table.unusable
    assert not agreements.may_be_better()
    home.write_key("one_2", NEW.hex())
    assert agreements.may_be_better()
    agreements.update(documents)
    assert agreements.table.unusable == {}
    assert not agreements.may_be_better()
