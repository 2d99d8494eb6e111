"""Attributes of events: their form, their way through headers, and what is refused."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hutong.errors import MalformedEvent
from hutong.event import (
    Attributes,
    Headers,
    _check_each,
    check_attributes,
    header,
    is_traceparent,
    new_event_id,
    rfc3339,
    source_of,
)
from hutong.stamps import stamp

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
TIMES = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)


def attributes(**changes: object) -> Attributes:
    values: dict[str, object] = {"id": "1", "source": source_of("a.b"), "type": "a.b.c", "time": datetime(2026, 1, 2, tzinfo=UTC)}
    return Attributes(**(values | changes))  # type: ignore[arg-type]


@given(NAMES, NAMES, NAMES, TIMES, st.none() | NAMES)
def test_attributes_survive_the_way_through_headers(
    id_: str, source: str, type_: str, time: datetime, agreement: str | None
) -> None:
    """What is written is read back, milliseconds included."""
    before = Attributes(id=id_, source=source, type=type_, time=time, agreement=agreement)
    assert Attributes.from_headers(before.to_headers()) == before


def test_times_are_written_in_utc() -> None:
    """A time of any zone is the same instant with a Z."""
    moment = datetime(2026, 1, 2, 8, tzinfo=timezone(timedelta(hours=8)))
    assert header(attributes(time=moment).to_headers(), "ce_time") == b"2026-01-02T00:00:00.000Z"


def test_trace_context_is_passed_on_and_absent_when_there_is_none() -> None:
    """traceparent and tracestate are plain headers, without a prefix."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    traced = attributes(traceparent=trace, tracestate="a=b").to_headers()
    assert header(traced, "traceparent") == trace.encode()
    assert header(attributes().to_headers(), "traceparent") is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_specversion", b"0.3"),
        ("ce_id", b""),
        ("ce_id", b"\xff"),
        ("ce_id", b"x" * 2000),
        ("ce_source", None),
        ("ce_time", b"yesterday"),
        ("ce_time", b"2026-01-01T00:00:00"),
    ],
)
def test_headers_that_are_no_cloudevent_are_malformed(name: str, value: bytes | None) -> None:
    """Each required attribute is looked at; the reason is one stable code."""
    headers = [(key, value if key == name else old) for key, old in attributes().to_headers() if key != name or value is not None]
    with pytest.raises(MalformedEvent) as caught:
        Attributes.from_headers(headers)  # type: ignore[arg-type]
    assert caught.value.reason == "not_a_cloudevent"


def test_event_ids_are_uuids_of_version_7_that_sort_by_time() -> None:
    """Ids sort by their millisecond and are all different."""
    ids = [new_event_id() for _ in range(2000)]
    assert {uuid.UUID(one).version for one in ids} == {7}
    assert len(set(ids)) == 2000
    assert [one[:13] for one in ids] == sorted(one[:13] for one in ids)


def test_a_forked_process_gives_ids_of_its_own() -> None:
    """Random bytes are taken many at a time; what was taken before a fork is not used on both sides."""
    new_event_id()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, "".join(new_event_id() for _ in range(600)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(read, 60_000).decode()
    ours = [new_event_id() for _ in range(600)]
    os.close(read)
    os.close(write)
    assert len(theirs) == 600 * 36
    assert not {one[14:] for one in ours} & {theirs[n : n + 36][14:] for n in range(0, len(theirs), 36)}


def test_a_stamp_is_the_present_millisecond() -> None:
    """Its header is the time that its ids begin with."""
    before = time.time_ns() // 1_000_000
    found = stamp()
    assert before <= found.millisecond <= time.time_ns() // 1_000_000
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=found.millisecond)
    assert found.header == ("ce_time", rfc3339(moment).encode())
    assert int(found.prefix.replace("-", ""), 16) == found.millisecond


HEADERS = st.lists(
    st.tuples(
        st.sampled_from([*(name for name, _ in attributes(agreement="a-b").to_headers()), "traceparent", "tracestate", "other"]),
        st.sampled_from(
            [
                b"",
                None,
                b"1.0",
                b"x",
                b"x" * 1025,
                b"\xff",
                "\u4e2d".encode(),
                b"2026-01-01T00:00:00Z",
                b"2026-01-01T00:00:00",
                b"urn:hutong:a.b",
            ]
        ),
    ),
    max_size=3,
)


@given(HEADERS)
def test_the_quick_check_of_headers_says_what_the_thorough_one_says(changes: list[tuple[str, bytes]]) -> None:
    """Headers like many before them are only looked at where they differ: same fields, or the same error."""
    good = attributes(agreement="a-b").to_headers()
    check_attributes(good)
    headers = good + changes
    assert outcome(check_attributes, headers) == outcome(_check_each, headers)


def outcome(check: Callable[[Headers], Any], headers: Headers) -> Any:
    try:
        return check(headers)
    except MalformedEvent as problem:
        return str(problem)


def test_quickly_made_attributes_are_like_others() -> None:
    """Equal, frozen, and complete."""
    made = Attributes.from_headers(attributes(traceparent="t", tracestate="s").to_headers())
    assert made == attributes(traceparent="t", tracestate="s")
    assert hash(made) == hash(attributes(traceparent="t", tracestate="s"))
    with pytest.raises(FrozenInstanceError):
        made.id = "2"  # type: ignore[misc]


def test_traceparent_form() -> None:
    """Only the W3C form passes."""
    assert is_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert not is_traceparent("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert not is_traceparent("")
