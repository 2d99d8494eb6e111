"""The oracle of the benchmark: right because the router, which shares no code with it, makes the same bytes."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import bench
from bench.bus import Declared, contract_of
from bench.cases import CASES, STEADY, Case
from bench.workload import Delivered, Workload
from hutong.agreements.delivery import delivery_schema
from hutong.agreements.grant import Grant
from hutong.contracts.framing import frame
from hutong.event import Attributes
from hutong.transcode.routing import Inbound, RoutingTable

EVENT_SCHEMA_ID = 7
SIZES = {"small": range(150, 260), "medium": range(900, 1200), "large": range(9_000, 11_000)}


def declared_of(case: Case) -> Declared:
    """The case as if it stood on a bus."""
    workload = Workload(case)
    parties = tuple(
        workload.party(number, agreement, 100 + number, bytes([number % 256]) * 32)
        for number, agreement in enumerate(workload.agreements())
    )
    return Declared(workload=workload, topic=f"pub.{case.contract}", frame=frame(EVENT_SCHEMA_ID), parties=parties)


def routed(declared: Declared, numbers: range) -> Iterator[Delivered]:
    """What Hutong's own routing makes of events."""
    contract = contract_of(declared.workload)
    grants = {}
    for agreement, party in zip(declared.workload.agreements(), declared.parties, strict=True):
        grants[agreement.id] = Grant(
            agreement=agreement,
            reader_schema=contract.newest.schema,
            delivery_schema=delivery_schema(agreement, contract.newest, {}),
            delivery_schema_id=party.schema_id,
            subject="any",
            valid_from_ms=0,
        )
    table = RoutingTable(grants, {party.id: party.secret for party in declared.parties})
    workload = declared.workload
    for number in numbers:
        value = declared.frame + workload.value(number)
        record = Inbound(declared.topic, workload.key(number), value, workload.headers(number), 1_793_000_000_000)
        result = table.route(record, lambda _: contract.newest, 1_793_000_000_000)
        assert result.quarantined == []
        for topic, key, body, headers, _ in result.deliveries:
            yield Delivered(topic, key, body, tuple(headers))


@pytest.mark.parametrize("name", ["fan-out-10-small", "fan-out-3-medium", "fan-out-3-large", "agreements-100", "pass-all"])
def test_the_router_makes_what_the_oracle_expects(name: str) -> None:
    """Topic, key, value and headers of every delivery, in all three shapes."""
    declared = declared_of(CASES[name])
    numbers = range(0, 300, 7)
    expected = [one for number in numbers for one in declared.workload.expected(number, declared.by_region)]
    assert len(expected) == len(numbers) * declared.workload.case.fan_out
    assert sorted(routed(declared, numbers)) == sorted(expected)


def test_nothing_is_expected_where_every_agreement_filters() -> None:
    """The case in which no event passes, for the oracle and the router."""
    declared = declared_of(CASES["filter-all"])
    assert list(declared.workload.expected(0, declared.by_region)) == []
    assert list(routed(declared, range(20))) == []


def test_the_frameworks_own_work_is_the_same() -> None:
    """What Quix and Faust run gives what the oracle expects, too."""
    declared = declared_of(CASES["agreements-100"])
    workload = declared.workload
    plan = [
        {
            "id": party.id,
            "topic": party.topic,
            "schema_id": party.schema_id,
            "region": party.region,
            "shape": party.shape,
            "secret": party.secret.hex(),
        }
        for party in declared.parties
    ]
    route = _work().Route(plan)
    for number in range(0, 120, 7):
        made = set(route(declared.frame + workload.value(number)))
        expected = {
            (one.topic, one.value, dict(one.headers)["ce_agreement"]) for one in workload.expected(number, declared.by_region)
        }
        assert made == expected


def _work() -> ModuleType:
    """The frameworks' module, as they load it: by its file."""
    file = Path(bench.__file__).parent / "contenders" / "apps" / "work.py"
    spec = importlib.util.spec_from_file_location("work", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("size", SIZES)
def test_events_have_the_size_that_the_case_says(size: str) -> None:
    """About 200 bytes, 1 KB and 10 KB, with the frame."""
    workload = Workload(CASES[f"fan-out-3-{size}"])
    assert len(workload.value(12_345)) + 5 in SIZES[size]


def test_headers_are_those_of_a_cloud_event() -> None:
    """Seven headers, exactly as Hutong's own publisher writes them, different for each event."""
    workload = Workload(STEADY)
    headers = workload.headers(70_001)
    assert Attributes.from_headers(headers).to_headers() == list(headers)
    assert len({workload.headers(number)[1] for number in range(0, 200_000, 1_000)}) == 200


def test_the_raw_copy_must_keep_every_byte() -> None:
    """At the same places as the router's deliveries, with the event's own bytes."""
    declared = declared_of(CASES["agreements-100"])
    copied = list(declared.workload.copied(35, declared.frame, declared.by_region))
    made = list(declared.workload.expected(35, declared.by_region))
    assert [(one.topic, one.key, one.headers) for one in copied] == [(one.topic, one.key, one.headers) for one in made]
    assert {one.value for one in copied} == {declared.frame + declared.workload.value(35)}
