"""Thousands of agreements: what they have in common is held once, and what nobody asks for is not made."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from hutong.agreements.grant import Grant
from hutong.agreements.plan import Plan
from hutong.home import Home
from hutong.transcode.native.transcoder import NativeTranscoder, extension, writer_of
from hutong.transcode.reference import VersionPlans
from services.router.table import Agreements
from tests.unit.test_routing import DAY, V1, contract, grant, record, route


def test_a_grant_is_read_back_as_it_was_written() -> None:
    """The delivery schema is an object to the outside, nulls in it included."""
    one = grant("a", [{"field": "id"}])
    with_null = {
        **one.delivery_schema,
        "fields": [*one.delivery_schema["fields"], {"name": "n", "type": "null", "default": None}],
    }
    for schema in (one.delivery_schema, with_null):
        document = Grant(**{**dict(one), "delivery_schema": schema}).to_json()
        again = Grant.from_json(document)
        assert (again.delivery_schema, again.to_json()) == (schema, document)


def test_a_delivery_schema_is_an_object() -> None:
    """Neither text nor nothing stands for one."""
    with pytest.raises(ValidationError, match="not an object"):
        Grant(**{**dict(grant("a", [{"field": "id"}])), "delivery_schema": "string"})


def agreements(folder: Path, *grants: Grant) -> Agreements:
    made = Agreements(Home(root=folder))
    for one in grants:
        made.update({other.agreement.id: other.to_json() for other in grants if other.agreement.id <= one.agreement.id})
    return made


def test_equal_fields_and_rows_are_held_once(tmp_path: Path) -> None:
    """Also those of agreements that come later."""
    rows = ({"field": "region", "equals": "14"},)
    made = agreements(tmp_path, *(grant(name, [{"field": "id"}, {"field": "code"}], rows=rows) for name in "abc"))
    found = [one.agreement for one in made.table.grants.values()]
    assert len(found) == 3
    assert len({id(one.fields) for one in found}) == len({id(one.rows) for one in found}) == 1


def test_what_only_python_takes_for_equal_is_held_apart(tmp_path: Path) -> None:
    """1, 1.0 and true are three constants of three types."""
    values = (1, 1.0, True)
    made = agreements(
        tmp_path, *(grant(f"c{at}", [{"transform": "constant", "as": "c", "value": one}]) for at, one in enumerate(values))
    )
    held = [vars(one.agreement.fields[0])["value"] for one in made.table.grants.values()]
    assert [(type(one), one) for one in held] == [(type(one), one) for one in values]


@pytest.mark.skipif(extension is None, reason="the extension hutong_native is not built")
def test_where_the_extension_routes_python_makes_nothing() -> None:
    """Neither index nor projection, until an event comes that the extension hands back."""
    plan = Plan(grant("a", [{"field": "id"}]), V1, b"s" * 32)
    version = VersionPlans(reader=V1)
    version.add(plan)
    writer = writer_of(V1)
    assert writer is not None
    made = NativeTranscoder(V1, writer, [version])
    event = record()
    assert event.key is not None
    assert event.value is not None
    assert len(made.transcode(event.key, event.value, (DAY, DAY)).outputs) == 1
    lazy = {"delivery", "project", "tests", "key"}
    assert not lazy & vars(plan).keys()
    assert len(made.explain(event.key, event.value, (DAY, DAY)).outputs) == 1
    assert lazy <= vars(plan).keys()


def test_a_delivery_larger_than_the_brokers_take_is_quarantined_for_its_agreement() -> None:
    """With the reason that the router gives where the brokers themselves refuse one; the others' deliveries are made."""
    reader = contract(extra=({"name": "texts", "type": {"type": "array", "items": "string"}},))
    hidden = grant("hidden", [{"field": "texts", "transform": "pseudonymise"}], reader=reader)
    plain = grant("plain", [{"field": "texts"}], reader=reader)
    event = record({"texts": [""] * 40_000}, writer=reader)
    routed = route(event, hidden, plain, schemas={7: reader})
    assert [one.agreement for one in routed.deliveries] == ["plain"]
    assert [(one.reason, one.agreement) for one in routed.quarantined] == [("delivery_too_large", "hidden")]
