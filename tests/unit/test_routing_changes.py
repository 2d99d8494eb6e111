"""One table of agreements after another: a change costs what it changes, and takes effect whole."""

from __future__ import annotations

from hutong.transcode.routing import RoutingTable
from tests.unit.test_routing import CONTRACT, DAY, V1, contract, grant, record, route


def test_a_new_table_takes_over_what_did_not_change() -> None:
    """Changing one contract's agreements leaves the compiled plans of the others alone; a removed agreement is gone at once."""
    one = grant("one", [{"field": "id"}])
    first = RoutingTable({"one": one}, {"one": b"s"})
    same = RoutingTable({"one": one}, {"one": b"s"}, before=first)
    assert same.route(record(), {7: V1}.get, DAY).deliveries == first.route(record(), {7: V1}.get, DAY).deliveries
    assert same._contracts[CONTRACT] is first._contracts[CONTRACT]
    assert RoutingTable({}, {}, before=first).route(record(), {7: V1}.get, DAY).deliveries == []


def test_a_changed_agreement_compiles_itself_alone() -> None:
    """Plans, parsed schemas and what transcoders made of them are taken over; the changed agreement and no other is new."""
    grants = {name: grant(name, [{"field": name}], rows=({"field": "region", "prefix": "14"},)) for name in ("id", "region")}
    first = RoutingTable(grants, dict.fromkeys(grants, b"s"))
    before = first.route(record(), {7: V1}.get, DAY)
    changed = grant("region", [{"field": "region"}, {"field": "code"}], rows=({"field": "code", "equals": "a"},))
    second = RoutingTable(grants | {"region": changed}, dict.fromkeys(grants, b"s"), before=first)
    old, new = (table._contracts[CONTRACT] for table in (first, second))
    assert new._compiled["id"] is old._compiled["id"]
    assert new._compiled["region"].plan is not old._compiled["region"].plan
    assert new._compiled["region"].reader is old._compiled["region"].reader
    assert new._transcoders, "the first event after a change would have to wait for all plans"
    after = second.route(record(), {7: V1}.get, DAY)
    assert [d for d in after.deliveries if d.agreement == "id"] == [d for d in before.deliveries if d.agreement == "id"]
    by_itself = route(record(), changed)
    assert [d.value for d in after.deliveries if d.agreement == "region"] == [d.value for d in by_itself.deliveries]
    assert first.route(record(), {7: V1}.get, DAY) == before, "the old table still serves until it is replaced"


def test_a_changed_key_compiles_its_agreement_anew() -> None:
    """A pseudonym key that was replaced is used from then on."""
    one = grant("one", [{"field": "id", "transform": "pseudonymise"}])
    first = RoutingTable({"one": one}, {"one": b"s" * 32})
    before = first.route(record(), {7: V1}.get, DAY).deliveries
    second = RoutingTable({"one": one}, {"one": b"t" * 32}, before=first)
    assert second.route(record(), {7: V1}.get, DAY).deliveries[0].value != before[0].value


def test_grants_that_disagree_on_a_version_are_told_apart() -> None:
    """One contract version has one schema: the second grant cannot be used, until the first has gone."""
    one = grant("one", [{"field": "id"}])
    other = grant("other", [{"field": "id"}], reader=contract(1, ({"name": "note", "type": "string", "default": "none"},)))
    keys = {"one": b"s", "other": b"s"}
    first = RoutingTable({"other": other}, keys)
    both = RoutingTable({"one": one, "other": other}, keys, before=first)
    assert list(both.unusable) == ["other"]
    assert RoutingTable({"other": other}, keys, before=both).unusable == {}
