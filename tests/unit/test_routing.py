"""One record in, all that becomes of it out: matching, validity, keys, headers, and every reason for quarantine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hutong.agreements.agreement import Agreement
from hutong.agreements.delivery import delivery_schema
from hutong.agreements.grant import Grant
from hutong.contracts.framing import FRAME_BYTES, frame, unframe
from hutong.contracts.schema import EventSchema
from hutong.event import Attributes, header
from hutong.transcode.routing import Inbound, Routed, RoutingTable

CONTRACT = "x.y.thing_changed"
DAY = 86_400_000
FIELDS = [
    {"name": "id", "type": "string"},
    {"name": "region", "type": "string"},
    {"name": "code", "type": "string"},
]


def contract(
    version: int = 1, extra: tuple[dict[str, Any], ...] = (), key: tuple[str, ...] = ("id",), name: str = CONTRACT
) -> EventSchema:
    facts = {"contract": name, "version": version, "key": list(key)}
    return EventSchema(
        {"type": "record", "name": "ThingChanged", "namespace": "x.y", "hutong": facts, "fields": [*FIELDS, *extra]}
    )


V1 = contract()
V2 = contract(2, ({"name": "note", "type": "string", "default": "none"},))
LISTS = {"codes": [{"symbol": "a", "code": "1"}]}


def grant(
    name: str,
    fields: list[dict[str, Any]],
    *,
    rows: tuple[Any, ...] = (),
    reader: EventSchema = V1,
    since: int = 0,
    until: int | None = None,
) -> Grant:
    agreement = Agreement.model_validate(
        {
            "id": name,
            "recipient": f"r.{name}",
            "contract": CONTRACT,
            "legal_basis": "l",
            "purpose": "p",
            "valid": {"from": "2025-01-01"},
            "rows": rows,
            "fields": fields,
        }
    )
    schema = delivery_schema(agreement, reader, LISTS)
    return Grant(
        agreement=agreement,
        reader_schema=reader.schema,
        delivery_schema=schema,
        delivery_schema_id=100,
        subject="s",
        code_lists=LISTS,
        valid_from_ms=since,
        valid_until_ms=until,
    )


def record(
    data: dict[str, Any] | None = None, *, writer: EventSchema = V1, schema_id: int = 7, at: int = DAY, **changes: Any
) -> Inbound:
    data = writer.check({"id": "k1", "region": "14", "code": "a"} | (data or {}))
    headers = Attributes(id="e1", source="urn:hutong:x.y", type=CONTRACT, time=datetime(2026, 1, 1, tzinfo=UTC)).to_headers()
    fields: dict[str, Any] = {
        "topic": f"pub.{CONTRACT}",
        "key": writer.key_of(data).encode(),
        "value": frame(schema_id) + writer.encode(data),
        "headers": headers,
        "appended_ms": at,
    }
    return Inbound(**(fields | changes))


def route(
    inbound: Inbound, *grants: Grant, now: int = DAY, schemas: dict[int, EventSchema] | None = None, secrets: bool = True
) -> Routed:
    keys = {g.agreement.id: b"s" * 32 for g in grants} if secrets else {}
    table = RoutingTable({g.agreement.id: g for g in grants}, keys)
    return table.route(inbound, (schemas or {7: V1, 8: V2, 9: contract(name="x.y.other")}).get, now)


def read(routed: Routed, grants: Grant) -> list[dict[str, Any]]:
    reader = EventSchema({**grants.delivery_schema, "hutong": {"contract": "d", "version": 1, "key": []}})
    return [reader.decode(delivery.value[FRAME_BYTES:]) for delivery in routed.deliveries]


def test_each_matching_agreement_gets_its_own_delivery() -> None:
    """Topic, framing, content and the agreement's name; the rest of the agreements filtered it."""
    all_rows = grant("all", [{"field": "id"}, {"field": "region", "as": "area"}])
    shanxi = grant("shanxi", [{"field": "code"}], rows=({"field": "region", "prefix": "14"},))
    other = grant("other", [{"field": "code"}], rows=({"field": "region", "prefix": "15"},))
    routed = route(record(), all_rows, shanxi, other)
    assert {d.agreement: d.topic for d in routed.deliveries} == {"all": "sub.r.all.all", "shanxi": "sub.r.shanxi.shanxi"}
    assert (routed.asked, routed.quarantined) == (3, [])
    assert unframe(routed.deliveries[0].value) == 100
    assert read(route(record(), all_rows), all_rows) == [{"id": "k1", "area": "14"}]


def test_headers_that_could_hold_data_stay_behind() -> None:
    """Only the event's envelope reaches a recipient, with the agreement's name."""
    inbound = record()
    routed = route(
        inbound._replace(headers=[*inbound.headers, ("name", b"Li"), ("ce_subject", b"Li"), ("traceparent", b"t")]),
        grant("all", [{"field": "id"}]),
    )
    names = [name for name, _ in routed.deliveries[0].headers]
    assert names == ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type", "traceparent", "ce_agreement"]
    assert header(routed.deliveries[0].headers, "ce_agreement") == b"all"


def test_the_key_gives_away_no_more_than_the_fields() -> None:
    """A key that is granted stays; any other becomes a pseudonym: equal keys stay together, each agreement for itself."""
    plain, hidden, masked = (
        grant("plain", [{"field": "id"}]),
        grant("hidden", [{"field": "region"}]),
        grant("masked", [{"field": "id", "transform": "mask"}]),
    )
    keys = {d.agreement: d.key for d in route(record(), plain, hidden, masked).deliveries}
    assert keys["plain"] == b"k1"
    assert len(keys["hidden"]) == len(keys["masked"]) == 64
    again = {d.agreement: d.key for d in route(record({"region": "15"}), plain, hidden, masked).deliveries}
    assert again == keys


def test_a_pseudonymised_key_field_equals_its_key() -> None:
    """A recipient finds the delivery's key in its field."""
    pseudonymous = grant("p", [{"field": "id", "transform": "pseudonymise"}])
    routed = route(record(), pseudonymous)
    assert read(routed, pseudonymous)[0]["id"].encode() == routed.deliveries[0].key


def test_a_composite_key_hides_only_its_hidden_part() -> None:
    """Each part of a key is treated as its own field is."""
    writer = contract(key=("id", "region"))
    routed = route(record(writer=writer), grant("half", [{"field": "id"}], reader=writer), schemas={7: writer})
    first, second = routed.deliveries[0].key.split(b"|")
    assert (first, len(second)) == (b"k1", 64)


def test_an_older_event_comes_in_the_granted_shape() -> None:
    """Avro resolution fills what the older version lacks, and the agreement's own version decides."""
    newer = grant("newer", [{"field": "id"}, {"field": "note"}], reader=V2)
    older = grant("older", [{"field": "id"}])
    assert read(route(record(), newer), newer) == [{"id": "k1", "note": "none"}]
    routed = route(record({"note": "n"}, writer=V2, schema_id=8), newer, older)
    assert sorted(d.agreement for d in routed.deliveries) == ["newer", "older"]


@pytest.mark.parametrize(
    ("since", "until", "at", "now", "granted"),
    [
        (0, None, DAY, DAY, True),
        (DAY, None, DAY, DAY, True),
        (DAY + 1, None, DAY, 2 * DAY, False),  # published before it began, routed after
        (0, DAY, DAY - 1, DAY - 1, True),
        (0, DAY, DAY - 1, DAY, False),  # published while it was in force, routed after its end
        (0, DAY, DAY, DAY, False),
    ],
)
def test_no_moment_that_is_not_granted(since: int, until: int | None, at: int, now: int, granted: bool) -> None:
    """An agreement must be in force when the event was published and when it is routed."""
    routed = route(record(at=at), grant("g", [{"field": "id"}], since=since, until=until), now=now)
    assert (len(routed.deliveries), routed.asked) == (int(granted), 1)


def broken(**changes: Any) -> Inbound:
    return record(**changes)


GOOD = record()
HEADERS = dict(GOOD.headers)


def with_headers(**changes: bytes | None) -> Inbound:
    return GOOD._replace(headers=[(n, v) for n, v in (HEADERS | changes).items() if v is not None])


QUARANTINE = {
    "null value": (GOOD._replace(value=None), "null_value"),
    "empty value": (GOOD._replace(value=b""), "null_value"),
    "null key": (GOOD._replace(key=None), "null_key"),
    "wrong magic byte": (GOOD._replace(value=b"\x01" + (GOOD.value or b"")[1:]), "not_framed"),
    "too short": (GOOD._replace(value=b"\0\0"), "not_framed"),
    "unknown schema id": (GOOD._replace(value=frame(99) + b"x"), "unknown_schema"),
    "schema of another contract": (GOOD._replace(value=frame(9) + (GOOD.value or b"")[5:]), "foreign_schema"),
    "truncated": (GOOD._replace(value=(GOOD.value or b"")[:-1]), "undecodable"),
    "bytes after the value": (GOOD._replace(value=(GOOD.value or b"") + b"\0"), "undecodable"),
    "no UTF-8": (GOOD._replace(value=frame(7) + b"\x02\xff\x0414\x02a"), "undecodable"),
    "a string of 2^62 bytes": (GOOD._replace(value=frame(7) + b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), "undecodable"),
    "key of another event": (GOOD._replace(key=b"k2"), "wrong_key"),
    "no headers": (GOOD._replace(headers=[]), "not_a_cloudevent"),
    "no id": (with_headers(ce_id=None), "not_a_cloudevent"),
    "an id that is no text": (with_headers(ce_id=b"\xff"), "not_a_cloudevent"),
    "an id of 2 KB": (with_headers(ce_id=b"x" * 2000), "not_a_cloudevent"),
    "no time": (with_headers(ce_time=b"yesterday"), "not_a_cloudevent"),
    "a time without zone": (with_headers(ce_time=b"2026-01-01T00:00:00"), "not_a_cloudevent"),
    "a forged source": (with_headers(ce_source=b"urn:hutong:a.b"), "forged_source"),
    "another type": (with_headers(ce_type=b"x.y.other"), "wrong_type"),
    "a flood of headers": (GOOD._replace(headers=[*GOOD.headers, *[("h", b"v")] * 100]), "too_many_headers"),
    "a header of 1 MB": (GOOD._replace(headers=[*GOOD.headers, ("h", b"v" * 1_000_000)]), "too_many_headers"),
}


@pytest.mark.parametrize(("inbound", "reason"), QUARANTINE.values(), ids=QUARANTINE.keys())
def test_what_is_no_event_is_quarantined_whole(inbound: Inbound, reason: str) -> None:
    """Bad input has one reason each, no delivery, and words without values."""
    routed = route(inbound, grant("all", [{"field": "id"}]))
    assert routed.deliveries == []
    assert [(q.reason, q.agreement) for q in routed.quarantined] == [(reason, None)]
    assert "k1" not in routed.quarantined[0].problem


def test_one_agreement_that_cannot_take_an_event_does_not_stop_the_others() -> None:
    """A failing transform quarantines the event for its agreement; the other deliveries go out."""
    mapping = grant("mapping", [{"field": "code", "transform": "map", "code_list": "codes"}])
    routed = route(record({"code": "zz"}), mapping, grant("all", [{"field": "id"}]))
    assert [d.agreement for d in routed.deliveries] == ["all"]
    assert [(q.reason, q.agreement) for q in routed.quarantined] == [("transform_failed", "mapping")]
    assert "zz" not in routed.quarantined[0].problem


def test_a_failing_transform_outside_the_validity_is_no_failure() -> None:
    """What would not have been delivered is not quarantined either."""
    ended = grant("ended", [{"field": "code", "transform": "map", "code_list": "codes"}], until=DAY)
    assert route(record({"code": "zz"}), ended).quarantined == []


def test_an_agreement_without_its_key_quarantines_instead_of_leaking() -> None:
    """A router that lacks a pseudonym key does not make deliveries with another."""
    routed = route(record(), grant("p", [{"field": "id", "transform": "pseudonymise"}]), secrets=False)
    assert (routed.deliveries, routed.quarantined[0].reason) == ([], "unusable_agreement")


def test_a_grant_survives_its_journey() -> None:
    """What the control topic carries is what was granted, byte for byte the same each time."""
    one = grant("one", [{"field": "id"}], rows=({"field": "region", "in": ["14", "15"]}, {"cel": "code != ''"}))
    assert Grant.from_json(one.to_json()) == one
    assert Grant.from_json(one.to_json()).to_json() == one.to_json()
