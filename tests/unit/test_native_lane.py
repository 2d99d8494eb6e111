"""The lane over whole records, headers included: what it takes is what ``RoutingTable.route`` makes of them, in order.

What it leaves is always right, since Python then decides; so the tests also count that it does not leave what is plain.
"""

from __future__ import annotations

import re
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.agreements.plan import Plan
from hutong.contracts.framing import frame
from hutong.transcode import choice
from hutong.transcode.native.transcoder import NativeTranscoder, extension
from hutong.transcode.routing import Delivery, Inbound, RoutingTable
from tests.fuzz.agreements import CONTRACT, SECRET, event_schema, native, plan, versions

pytestmark = pytest.mark.skipif(extension is None, reason="the extension hutong_native is not built")

TOPIC, SOURCE, SCHEMA_ID, NOW = f"pub.{CONTRACT}", b"urn:hutong:t", 7, 20
EVENT = event_schema({"type": "record", "name": "t.R", "fields": [{"name": "v", "type": "string"}, {"name": "n", "type": "int"}]})
Headers = list[tuple[str, bytes | None]]


@pytest.fixture(autouse=True)
def _routing_is_pure_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "_wanted", False)


def planned(name: str, fields: list[dict[str, Any]], rows: list[dict[str, Any]], from_ms: int = 0) -> Plan:
    made = plan(name, EVENT, fields, rows, from_ms)
    assert made is not None
    return made


PLANS = [
    planned("all", [{"field": "k"}, {"field": "v"}], []),
    planned("masked", [{"field": "v", "transform": "mask", "keep_first": 1}], [{"field": "v", "prefix": "a"}]),
    planned("later", [{"field": "k"}], [], from_ms=5),
]
WITH_CEL = [*PLANS, planned("by-cel", [{"field": "k"}], [{"cel": "n > 0"}])]


def message(record: Inbound) -> SimpleNamespace:
    """A record as the Python client hands it over."""
    topic, key, value, headers, appended_ms = record
    timestamp = (2, appended_ms)
    return SimpleNamespace(
        topic=lambda: topic, key=lambda: key, value=lambda: value, headers=lambda: headers, timestamp=lambda: timestamp
    )


class Bench:
    """A lane, and the routing table of the same agreements."""

    def __init__(self, plans: list[Plan], limit: int | None = None) -> None:
        assert extension is not None
        self.table = RoutingTable({p.agreement: p.grant for p in plans}, {p.agreement: SECRET for p in plans})
        self.transcoder: NativeTranscoder = native(EVENT, versions(EVENT, plans))
        self.lane, self.sink = extension.Lane(), extension.Collected(limit)
        self.lane.add(TOPIC, SOURCE, CONTRACT.encode(), SCHEMA_ID, self.transcoder.native)
        self.delivered: dict[str, int] = {}
        self.routed: dict[str, int] = {}

    def run(self, records: list[Inbound], start: int = 0) -> tuple[int, str, Any]:
        assert extension is not None
        batch = extension.Batch([message(record) for record in records])
        at, why, more = self.lane.run(batch, start, len(records), self.sink, NOW, self.delivered, self.routed)
        return at, why, more

    def taken(self) -> list[tuple[Any, ...]]:
        return sorted((topic, agreement, key, value, headers) for topic, agreement, key, value, headers in self.sink.take())

    def expected(self, record: Inbound) -> tuple[list[tuple[Any, ...]], bool]:
        """The deliveries, and whether nothing of the event went to quarantine."""
        routed = self.table.route(record, lambda id_: EVENT if id_ == SCHEMA_ID else None, NOW)
        return as_taken(routed.deliveries), not routed.quarantined


def as_taken(deliveries: list[Delivery]) -> list[tuple[Any, ...]]:
    return sorted((topic, agreement, key, value, list(headers)) for topic, key, value, headers, agreement in deliveries)


def headers(**changed: bytes | None) -> Headers:
    usual: dict[str, bytes | None] = {
        "ce_specversion": b"1.0",
        "ce_id": b"1",
        "ce_source": SOURCE,
        "ce_type": CONTRACT.encode(),
        "ce_time": b"2026-11-03T09:30:00.123Z",
        "content-type": b"application/avro",
    }
    return list((usual | changed).items())


def record(number: int = 1, text: str = "abc", of: Headers | None = None, appended_ms: int = 10) -> Inbound:
    value = frame(SCHEMA_ID) + EVENT.encode({"k": str(number), "v": text, "n": number})
    return Inbound(TOPIC, str(number).encode(), value, headers() if of is None else of, appended_ms)  # type: ignore[arg-type]


def mostly(right: str, *others: str) -> st.SearchStrategy[str]:
    return st.sampled_from([*[right] * 6 * len(others), *others])


DAYS = ("02-29", "02-30", "04-30", "04-31", "12-31", "00-10", "13-01", "01-00", "1-1", "W05-1", "305")
FRACTIONS = ("", ".", *(f".{'123456789'[:n]}" for n in range(1, 10)), ",123", ".12a")
ZONES = ("z", "", "+08:00", "-00:00", "+23:59", "+24:00", "+08:60", "+0800", "+08", "+08:00:30", "+8:00", " +08:00", "−08:00")
TIMES = st.builds(
    "{}-{}{}{}:{}:{}{}{}".format,
    mostly("2024", "0000", "0001", "1900", "2000", "2023", "9999", "24", "+2024", "2O24", "٢٠٢٤"),
    mostly("11-03", *DAYS),
    mostly("T", "t", " ", ""),
    mostly("09", "00", "23", "24", "9", "-1"),
    mostly("30", "00", "59", "60"),
    mostly("00", "59", "60", "61"),
    mostly(".123", *FRACTIONS),
    mostly("Z", *ZONES),
).map(lambda text: text.encode())
USUAL_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3}|\.\d{6})?(Z|[+-]\d\d:[0-5]\d)")
ANY = st.sampled_from([b"", b"x", "文".encode(), b"\xff", b"a" * 1024, b"a" * 1025, b"\0"]) | st.binary(max_size=20)
NAMES = [
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "content-type",
    "traceparent",
    "tracestate",
    "ce_agreement",
    "ce_corrects",
]
EXTRA = st.tuples(st.sampled_from([*NAMES, "x", "y", "CE_ID", "文", "ce_subject"]), st.none() | ANY)


@st.composite
def header_lists(draw: st.DrawFn) -> Headers:
    """Headers in order, but for a change or two at most."""
    found = headers(ce_time=draw(TIMES))
    match draw(st.sampled_from(["keep", "keep", "extra", "extra", "drop", "change", "many", "large"])):
        case "extra":
            found += draw(st.lists(EXTRA, min_size=1, max_size=3))
        case "drop":
            found.pop(draw(st.integers(0, len(found) - 1)))
        case "change":
            at = draw(st.integers(0, len(found) - 1))
            found[at] = (found[at][0], draw(st.none() | ANY | st.sampled_from([b"1.0", SOURCE, b"urn:hutong:t.u", b"T.R"])))
        case "many":
            found += [(f"x{n}", b"") for n in range(draw(st.sampled_from([57, 58, 59])))]
        case "large":
            used = sum(len(value or b"") for _, value in found)
            found.append(("x", b"a" * (16_384 - used + draw(st.sampled_from([-1, 0, 1])))))
    return draw(st.permutations(found)) if draw(st.booleans()) else found


def is_usual(of: Headers) -> bool:
    """Whether nothing is asked of the lane that it may leave to Python."""
    time = dict(of).get("ce_time") or b""
    return len(dict(of)) == len(of) and None not in dict(of).values() and USUAL_TIME.fullmatch(time) is not None


def test_headers_are_taken_as_the_rules_say() -> None:
    """What the lane takes, the rules take too, with the same deliveries; and it takes what has the usual form."""
    bench = Bench(PLANS)
    seen: Counter[str] = Counter()

    @settings(max_examples=1500, deadline=None, database=None, derandomize=True)
    @given(header_lists(), st.sampled_from(["abc", "xyz"]), st.sampled_from([0, 5, 19, 20, 30]))
    def compare(of: Headers, text: str, appended_ms: int) -> None:
        one = record(1, text, of, appended_ms)
        expected, in_order = bench.expected(one)
        at, why, _ = bench.run([one])
        made = bench.taken()
        if why == "left":
            assert (at, made, in_order and is_usual(of)) == (0, [], False)
        else:
            assert (at, why, made, in_order) == (1, "end", expected, True)
        seen[f"{in_order}, {why}"] += 1

    compare()
    assert seen["True, end"] > 100
    assert seen["False, left"] > 100


@pytest.mark.parametrize(
    ("changed", "taken"),
    [
        (headers(), True),
        ([*headers(), ("traceparent", b"00-aa-bb-01"), ("tracestate", b"a=b"), ("ce_agreement", b"forged"), ("x", b"y")], True),
        ([*headers(), ("ce_corrects", b"an-id")], True),
        ([*headers(), ("ce_corrects", b"a" * 1025)], False),
        (headers(ce_time=b"2024-02-29T23:59:59+23:59"), True),
        (headers(ce_time=b"0001-01-01T00:00:00Z"), True),
        (headers(ce_time=b"9999-12-31T23:59:59.999999-23:59"), True),
        (headers(ce_time=b"2023-02-29T00:00:00Z"), False),
        (headers(ce_time=b"2000-02-29T00:00:00Z"), True),
        (headers(ce_time=b"1900-02-29T00:00:00Z"), False),
        (headers(ce_time=b"2024-01-01T24:00:00Z"), False),
        (headers(ce_time=b"2024-01-01T00:00:00"), False),
        (headers(ce_id=b""), False),
        (headers(ce_id=b"\xff"), False),
        (headers(ce_id=b"a" * 1024), True),
        (headers(ce_id=b"a" * 1025), False),
        (headers(ce_source=b"urn:hutong:u"), False),
        (headers(ce_specversion=b"1.1"), False),
        ([*headers(), ("ce_id", b"2")], False),
        ([*headers(), ("x", b"1"), ("x", b"2")], False),
        ([*headers(), *((f"x{n}", b"") for n in range(58))], True),
        ([*headers(), *((f"x{n}", b"") for n in range(59))], False),
        ([*headers(), *((f"x{n}", b"") for n in range(100_000))], False),
        ([*headers(), ("x", None)], False),
        (None, False),
        (tuple(headers()), False),
        ([*headers(), ["x", b""]], False),
    ],
)
def test_each_rule_of_headers(changed: Any, taken: bool) -> None:
    """Single headers at the edges: taken and equal, or left to Python; a hundred thousand of them cost no time."""
    bench = Bench(PLANS)
    one = record()._replace(headers=changed)
    _, why, _ = bench.run([one])
    assert (why == "end") == taken
    if taken:
        assert bench.taken() == bench.expected(one)[0]


def test_what_is_left_stops_the_run_where_it_is() -> None:
    """Events before it are done, it is untouched, and a run from the next on goes on in order."""
    wrong = [
        record(1)._replace(headers=[]),
        record(2)._replace(key=b"other"),
        record(3)._replace(value=None),
        record(4)._replace(value=record(4).value[:-1]),  # type: ignore[index]
        record(5)._replace(value=frame(8) + record(5).value[5:]),  # type: ignore[index]
        record(6)._replace(topic="pub.other"),
        record(7)._replace(key=None),
        record(8)._replace(key=b""),
        record(9)._replace(value=b""),
    ]
    right = [record(100 + n) for n in range(len(wrong) + 1)]
    mixed = [right[0]]
    for bad, good in zip(wrong, right[1:], strict=True):
        mixed += [bad, good]
    bench = Bench(PLANS)
    at, stops = 0, []
    while True:
        at, why, more = bench.run(mixed, at)
        if why == "end":
            break
        assert (why, more) == ("left", None)
        stops.append(at)
        at += 1
    assert at == len(mixed)
    assert stops == list(range(1, len(mixed), 2))
    in_order = [key for _, agreement, key, *_ in bench.sink.take() if agreement == "all"]
    assert in_order == [one.key for one in right]
    assert bench.routed == {TOPIC: len(right)}
    assert bench.delivered == {"all": len(right), "masked": len(right), "later": len(right)}


def test_a_run_has_an_end() -> None:
    """It does the events that it is asked for, and no others."""
    assert extension is not None
    bench = Bench(PLANS)
    records = [record(n) for n in range(5)]
    batch = extension.Batch([message(one) for one in records])
    assert bench.lane.run(batch, 1, 3, bench.sink, NOW, bench.delivered, bench.routed) == (3, "end", None)
    assert {key for _, agreement, key, *_ in bench.sink.take() if agreement == "all"} == {b"1", b"2"}
    assert len(batch) == 5
    assert batch.oldest_ms() == 10


def test_agreements_in_cel_are_left_to_python() -> None:
    """The event's other deliveries are made, and the run stops there for the rest."""
    bench = Bench(WITH_CEL)
    assert [one.agreement for one in bench.transcoder.plans] == ["all", "masked", "later"]
    assert bench.run([record(1), record(2)]) == (0, "rest", None)
    expected = [one for one in bench.expected(record(1))[0] if one[1] != "by-cel"]
    assert bench.taken() == expected
    assert bench.run([record(1), record(2)], 1) == (1, "rest", None)


def test_what_is_too_large_is_told() -> None:
    """Only the deliveries that the sink does not take are told, with their sizes; the event's others are made and counted."""
    bench = Bench(PLANS, limit=12)
    long = record(1, "a" * 20)
    expected = bench.expected(long)[0]
    at, why, refused = bench.run([record(0), long, record(2)])
    assert (at, why) == (1, "too_large")
    sizes = {agreement: len(value) for _, agreement, _, value, _ in expected}
    assert dict(refused) == {name: size for name, size in sizes.items() if size > 12}
    assert dict(refused).keys() == {"all", "masked"}
    assert [one for one in bench.taken() if one[2] == b"1" and one[1] == "later"] == [
        one for one in expected if one[1] == "later"
    ]
    assert bench.delivered == {"all": 1, "masked": 1, "later": 2}
    assert bench.run([record(0), long, record(2)], at + 1)[:2] == (3, "end")
