"""Whom does an event concern? Held to what the router really does with it, for random schemas, agreements and events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.agreements.agreement import Pseudonymise
from hutong.agreements.grant import Grant
from hutong.agreements.plan import Plan
from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.event import Attributes
from hutong.kafka.schemas import WriterSchemas
from hutong.lag.concern import Concern, of_deliveries
from hutong.memory import MemoryRecord
from hutong.transcode.routing import Inbound, RoutingTable
from tests.examples import examples
from tests.fuzz.agreements import SECRET, cases
from tests.unit.test_routing import CONTRACT, DAY, V1, V2, grant, record

ID = 7


class Schemas:
    """A registry of the schemas that a test names."""

    def __init__(self, **_: Any) -> None:
        self.by: dict[int, EventSchema] = {}

    def by_id(self, schema_id: int) -> Any:
        return self.by[schema_id].schema if schema_id in self.by else None


def concern(schemas: dict[int, EventSchema], *grants: Grant) -> Concern:
    registry: Any = Schemas()
    registry.by = schemas
    made = Concern(WriterSchemas(registry))
    made.update({one.agreement.id: one.to_json() for one in grants})
    return made


def told(of: Concern, inbound: Inbound) -> set[str]:
    message = MemoryRecord(inbound.topic, (0, 0), inbound.key, inbound.value, inbound.headers, inbound.appended_ms)
    (found,) = of.of_events(of.known, [message])
    assert len(found) == len(set(found))
    return set(found)


def routed(inbound: Inbound, schemas: dict[int, EventSchema], *grants: Grant) -> set[str]:
    """The oracle: the agreements that the router makes a delivery or a quarantine record for."""
    table = RoutingTable({one.agreement.id: one for one in grants}, {one.agreement.id: SECRET for one in grants})
    outcome = table.route(inbound, schemas.get, DAY)
    return {one.agreement for one in outcome.deliveries} | {one.agreement for one in outcome.quarantined if one.agreement}


@settings(max_examples=examples(200), deadline=None)
@given(cases(), st.data())
def test_it_is_what_the_router_delivers_or_quarantines(
    case: tuple[EventSchema, list[Plan], dict[str, Any]], data: st.DataObject
) -> None:
    """For every agreement, valid or mutated events: owed if and only if the router makes something of it."""
    event, plans, values = case
    body = bytearray(event.encode(values))
    if data.draw(st.booleans()):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    source = f"urn:hutong:{event.department}"
    headers = Attributes(id="e", source=source, type=event.contract, time=datetime(2026, 1, 1, tzinfo=UTC)).to_headers()
    inbound = Inbound(event.topic, values["k"].encode(), frame(ID) + bytes(body), headers, DAY)
    grants = [one.grant for one in plans]
    assert told(concern({ID: event}, *grants), inbound) == routed(inbound, {ID: event}, *grants)


SCHEMAS = {7: V1, 8: V2}


def test_rows_validity_and_versions_decide_as_ever() -> None:
    """Conditions, an agreement that has ended, one that has not begun, and an event in an older version."""
    grants = [
        grant("all", [{"field": "code"}]),
        grant("shanxi", [{"field": "code"}], rows=({"field": "region", "prefix": "14"}, {"cel": "code == 'a'"})),
        grant("other", [{"field": "code"}], rows=({"field": "region", "prefix": "15"},)),
        grant("ended", [{"field": "code"}], until=DAY),
        grant("later", [{"field": "code"}], since=DAY + 1),
        grant("newer", [{"field": "id"}, {"field": "note"}], reader=V2),
    ]
    assert told(concern(SCHEMAS, *grants), record()) == {"all", "shanxi", "newer"} == routed(record(), SCHEMAS, *grants)


def test_a_transform_that_fails_is_owed_all_the_same() -> None:
    """The router owes the agreement a quarantine record; until then the event waits for it."""
    mapping = grant("mapping", [{"field": "code", "transform": "map", "code_list": "codes"}])
    assert told(concern(SCHEMAS, mapping), record({"code": "zz"})) == {"mapping"}


def test_no_pseudonym_key_is_needed_and_no_field_but_the_key_is_looked_at() -> None:
    """A monitor has no keys; its agreements grant the key field alone."""
    secret = grant("secret", [{"field": "id", "transform": "pseudonymise"}, {"field": "region"}])
    made = concern(SCHEMAS, secret)
    assert told(made, record()) == {"secret"}
    (bare,) = made.known.table.grants.values()
    assert [one.field for one in bare.agreement.fields if not isinstance(one, Pseudonymise)] == ["id"]  # type: ignore[union-attr]
    assert made.known.grants["secret"] == secret


def test_what_is_no_event_concerns_nobody() -> None:
    """It goes to quarantine as a whole."""
    made = concern(SCHEMAS, grant("all", [{"field": "code"}]))
    assert told(made, record()._replace(value=frame(99) + b"x")) == set()
    assert told(made, record()._replace(headers=[])) == set()
    assert told(made, record()._replace(value=None)) == set()


def test_an_agreement_that_cannot_be_read_waits_for_every_event_of_its_contract() -> None:
    """The router quarantines them all for it; so they wait for it."""
    made = concern(SCHEMAS, grant("all", [{"field": "code"}]))
    document = b'{"agreement": {"id": "odd", "contract": "%s"}}' % CONTRACT.encode()
    made.update({"all": grant("all", [{"field": "code"}]).to_json(), "odd": document})
    assert told(made, record()) == {"all", "odd"}
    assert made.known.contracts == {"all": CONTRACT, "odd": CONTRACT}
    assert list(made.known.grants) == ["all"]


def test_a_change_of_agreements_is_seen_per_contract() -> None:
    """Whatever comes, goes or changes of a contract's agreements gives it another version; an unchanged set keeps it."""
    one, two = grant("one", [{"field": "code"}]), grant("two", [{"field": "code"}])
    made = concern(SCHEMAS, one)
    first = made.known.versions[CONTRACT]
    made.update({"one": one.to_json()})
    assert made.known.versions[CONTRACT] == first
    seen = [first]
    for grants in ([one, two], [two], [grant("two", [{"field": "code"}], rows=({"field": "region", "equals": "9"},))], []):
        made.update({each.agreement.id: each.to_json() for each in grants})
        seen.append(made.known.versions[CONTRACT])
    assert seen == sorted(set(seen))


def test_a_delivery_says_itself_whose_it_is() -> None:
    """By its header; one without is nobody's."""
    whole = [MemoryRecord("sub.r.c", (0, n), b"k", b"v", h, 1) for n, h in enumerate(([("ce_agreement", b"a")], [], None))]
    assert of_deliveries(whole) == [["a"], [], []]
