"""When time spans end: against a clock walked in quarters of an hour, on the real days of 2025 and 2026, where clocks change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hutong.flows.flow import Duration
from hutong.flows.worktime import Calendar, Moment, StateCouncil, WorkTime
from tests.examples import examples

SHANGHAI, HELSINKI = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Helsinki")
QUARTER_MS = 900_000
DAY = timedelta(days=1)


def ms(text: str, zone: ZoneInfo = SHANGHAI) -> int:
    """A moment as it stands in a test: wall time, or with Z."""
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000)


def wall(moment_ms: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(moment_ms / 1000, zone)


def after(start: str, zone: ZoneInfo = SHANGHAI, **duration: int) -> tuple[str, bool]:
    """The end as wall time, and whether days were assumed."""
    moment = WorkTime(zone, StateCouncil()).after(ms(start, zone), Duration(**duration))
    return wall(moment.ms, zone).strftime("%Y-%m-%d %H:%M"), moment.assumed


@dataclass(frozen=True)
class Eleven:
    """Weeks of eleven days, of which some are free; known up to a day."""

    free: frozenset[int]
    known_until: date
    asked: list[date] = field(default_factory=list, compare=False)

    def is_working_day(self, day: date) -> tuple[bool, bool]:
        self.asked.append(day)
        return day.toordinal() % 11 not in self.free, day <= self.known_until


def quarters(start_ms: int, zone: ZoneInfo) -> Iterator[tuple[int, datetime]]:
    for moment_ms in range(start_ms, start_ms + 400 * 96 * QUARTER_MS, QUARTER_MS):
        yield moment_ms, wall(moment_ms, zone)


def walked_days(start_ms: int, days: int, zone: ZoneInfo, calendar: Calendar) -> Moment:
    """Wait for midnight after midnight, and strike off each working day that is over."""
    today = first = wall(start_ms, zone).date()
    assumed = False
    for moment_ms, local in quarters(start_ms - start_ms % QUARTER_MS, zone):
        if local.date() == today:
            continue
        if today != first:
            working, known = calendar.is_working_day(today)
            days, assumed = days - working, assumed or not known
            if not days:
                return Moment(moment_ms, assumed)
        today = local.date()
    raise AssertionError("the walk is too short")


def walked_hours(start_ms: int, hours: int, work: WorkTime) -> Moment:
    """Look at the clock every quarter of an hour, and count those in which the office is open."""
    left, assumed = hours * 4, False
    for moment_ms, local in quarters(start_ms, work.zone):
        if not left:
            return Moment(moment_ms, assumed)
        if local.time() < work.ends:
            working, known = work.calendar.is_working_day(local.date())
            assumed = assumed or not known
            left -= working and local.time() >= work.begins
    raise AssertionError("the walk is too short")


CALENDARS = st.builds(
    Eleven, st.frozensets(st.integers(0, 10), max_size=8), st.dates(date(2026, 1, 1), date(2027, 3, 1))
) | st.builds(StateCouncil)
ZONES = st.sampled_from([SHANGHAI, HELSINKI])
STARTS = st.integers(ms("2025-01-01T00:00Z") // QUARTER_MS, ms("2027-03-01T00:00Z") // QUARTER_MS).map(lambda n: n * QUARTER_MS)
OFFICES = st.sampled_from([(time(9), time(17)), (time(8, 30), time(12)), (time(0), time(8)), (time(2), time(23, 45))])


@given(start=STARTS, odd=st.integers(0, QUARTER_MS - 1), days=st.integers(1, 15), zone=ZONES, calendar=CALENDARS)
@settings(max_examples=examples(100), deadline=None)
def test_working_days_are_those_of_a_walked_clock(start: int, odd: int, days: int, zone: ZoneInfo, calendar: Calendar) -> None:
    """Any start, number, zone and calendar: the midnight after the Nth working day, and whether all days were known."""
    start += odd
    assert WorkTime(zone, calendar).after(start, Duration(working_days=days)) == walked_days(start, days, zone, calendar)


@given(start=STARTS, hours=st.integers(1, 40), zone=ZONES, calendar=CALENDARS, office=OFFICES)
@settings(max_examples=examples(100), deadline=None)
def test_working_hours_are_those_of_a_walked_clock(
    start: int, hours: int, zone: ZoneInfo, calendar: Calendar, office: tuple[time, time]
) -> None:
    """Any start, number, zone, calendar and office, also one that is open at night while clocks change."""
    work = WorkTime(zone, calendar, *office)
    assert work.after(start, Duration(working_hours=hours)) == walked_hours(start, hours, work)


@pytest.mark.parametrize("start", ["2026-03-29T00:30", "2026-10-25T00:30", "2026-10-25T01:15Z"])
@pytest.mark.parametrize("hours", [1, 2, 3, 4, 5, 9, 20])
def test_an_office_that_is_open_while_clocks_change(start: str, hours: int) -> None:
    """The hour that is left out is not worked, the one that comes twice is worked twice."""
    work = WorkTime(HELSINKI, Eleven(frozenset(), date.max), time(0), time(8))
    assert work.after(ms(start, HELSINKI), Duration(working_hours=hours)) == walked_hours(ms(start, HELSINKI), hours, work)


CHANGES = [  # zone, a moment shortly before its clocks change, and what is odd about it
    ("Europe/Helsinki", "2026-03-29T00:00Z"),
    ("Europe/Helsinki", "2026-10-25T00:00Z"),
    ("America/St_Johns", "2010-11-07T02:00Z"),  # back over midnight, at one minute past
    ("Africa/Cairo", "2026-04-23T21:00Z"),  # forward at midnight: there is none
    ("Pacific/Apia", "2011-12-30T09:00Z"),  # a whole day is left out
    ("Asia/Shanghai", "1991-04-13T17:00Z"),
]


@pytest.mark.parametrize("unit", ["minutes", "hours", "days", "working_hours", "working_days"])
@pytest.mark.parametrize(("zone", "near"), CHANGES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_neither_a_later_start_nor_a_longer_span_ends_earlier(zone: str, near: str, unit: str, data: st.DataObject) -> None:
    """Two starts and two numbers in their order, before, in and after a change of clocks; no span ends before it begins."""
    work = WorkTime(ZoneInfo(zone), Eleven(frozenset({3}), date.max), time(0), time(8))
    minutes = st.integers(-100, 100) | st.integers(-2 * 1440, 2 * 1440)
    first, second = sorted(data.draw(minutes) * 60_000 + ms(near) for _ in range(2))
    few, many = sorted(data.draw(st.integers(1, 4)) for _ in range(2))
    ends = work.after(first, Duration(**{unit: few})).ms
    assert first < ends <= work.after(second, Duration(**{unit: few})).ms
    assert ends <= work.after(first, Duration(**{unit: many})).ms


FREE = [  # the State Council's notices for 2025 and 2026: first and last day off
    *[("2025-01-01", "2025-01-01"), ("2025-01-28", "2025-02-04"), ("2025-04-04", "2025-04-06"), ("2025-05-01", "2025-05-05")],
    *[("2025-05-31", "2025-06-02"), ("2025-10-01", "2025-10-08"), ("2026-01-01", "2026-01-03"), ("2026-02-15", "2026-02-23")],
    *[("2026-04-04", "2026-04-06"), ("2026-05-01", "2026-05-05"), ("2026-06-19", "2026-06-21"), ("2026-09-25", "2026-09-27")],
    ("2026-10-01", "2026-10-07"),
]
MADE_UP = (
    "2025-01-26 2025-02-08 2025-04-27 2025-09-28 2025-10-11 2026-01-04 2026-02-14 2026-02-28 2026-05-09 2026-09-20 2026-10-10"
)


def test_each_day_of_two_years_is_as_announced() -> None:
    """Holidays are free, weekends are free but for those that are worked to make up, and all of it is known."""
    for number in range(730):
        day = date(2025, 1, 1) + number * DAY
        free = any(first <= str(day) <= last for first, last in FREE)
        working = str(day) in MADE_UP.split() or (day.isoweekday() <= 5 and not free)
        assert StateCouncil().is_working_day(day) == (working, True), day


@pytest.mark.parametrize(
    ("day", "working", "known"),
    [
        ("2003-12-31", True, False),
        ("2004-01-01", False, True),
        ("2026-12-31", True, True),
        ("2027-01-01", True, False),  # New Year, but nothing says so yet
        ("2027-10-02", False, False),
    ],
)
def test_beyond_what_is_announced_weeks_are_assumed(day: str, working: bool, known: bool) -> None:
    """Where no notice is known, Monday to Friday are worked, and it is said that this is not known."""
    assert StateCouncil().is_working_day(date.fromisoformat(day)) == (working, known)


@pytest.mark.parametrize(
    ("start", "days", "ends", "assumed"),
    [
        ("2025-01-24T10:00", 1, "2025-01-27 00:00", False),  # a worked Sunday before the Spring Festival
        ("2025-01-24T10:00", 3, "2025-02-06 00:00", False),  # over the festival
        ("2025-09-27T10:00", 1, "2025-09-29 00:00", False),  # a worked Sunday before the National Day
        ("2025-09-27T10:00", 4, "2025-10-10 00:00", False),
        ("2025-09-27T10:00", 6, "2025-10-12 00:00", False),  # a worked Saturday after it
        ("2026-02-13T10:00", 2, "2026-02-25 00:00", False),
        ("2026-02-13T10:00", 6, "2026-03-01 00:00", False),
        ("2026-02-16T10:00", 1, "2026-02-25 00:00", False),  # begins in the festival
        ("2026-09-30T00:00", 3, "2026-10-11 00:00", False),
        ("2026-09-30T23:59:59.999", 3, "2026-10-11 00:00", False),
        ("2026-09-29T15:59:59.999Z", 1, "2026-10-01 00:00", False),  # the 29th in Shanghai
        ("2026-09-29T16:00Z", 1, "2026-10-09 00:00", False),  # the 30th
        ("2025-12-31T10:00", 1, "2026-01-05 00:00", False),  # a worked Sunday after New Year
        ("2026-12-30T10:00", 1, "2027-01-01 00:00", False),
        ("2026-12-31T10:00", 1, "2027-01-02 00:00", True),
        ("2027-02-05T10:00", 1, "2027-02-09 00:00", True),  # the Spring Festival of 2027, of which nothing is known
        ("2003-12-30T10:00", 2, "2004-01-03 00:00", True),
        ("2003-12-31T10:00", 1, "2004-01-03 00:00", False),  # the day of the start is not asked about
    ],
)
def test_working_days_on_real_days(start: str, days: int, ends: str, assumed: bool) -> None:
    """Days that a person has looked up in the notices."""
    assert after(start, working_days=days) == (ends, assumed)


@pytest.mark.parametrize(
    ("start", "hours", "ends", "assumed"),
    [
        ("2026-09-30T16:00", 1, "2026-09-30 17:00", False),  # not the next morning
        ("2026-09-30T16:00", 2, "2026-10-08 10:00", False),  # over the National Day
        ("2026-09-30T16:59", 1, "2026-10-08 09:59", False),
        ("2026-09-30T17:00", 1, "2026-10-08 10:00", False),
        ("2026-09-30T05:00", 8, "2026-09-30 17:00", False),
        ("2026-09-19T12:00", 1, "2026-09-20 10:00", False),  # a worked Sunday
        ("2026-02-16T12:00", 17, "2026-02-26 10:00", False),
        ("2026-12-31T16:00", 1, "2026-12-31 17:00", False),
        ("2026-12-31T16:00", 2, "2027-01-01 10:00", True),
        ("2003-12-31T16:30", 1, "2004-01-02 09:30", True),
        ("2003-12-31T17:00", 1, "2004-01-02 10:00", False),  # the office had closed, whatever day it was
    ],
)
def test_working_hours_on_real_days(start: str, hours: int, ends: str, assumed: bool) -> None:
    """Hours that a person has counted."""
    assert after(start, working_hours=hours) == (ends, assumed)


@pytest.mark.parametrize(
    ("start", "duration", "ends"),
    [
        ("2026-03-28T12:00", {"days": 1}, "2026-03-29T09:00Z"),  # 23 hours
        ("2026-10-24T12:00", {"days": 1}, "2026-10-25T10:00Z"),  # 25 hours
        ("2026-03-28T12:00", {"hours": 24}, "2026-03-29T10:00Z"),
        ("2026-03-28T12:00", {"minutes": 1440}, "2026-03-29T10:00Z"),
        ("2026-03-28T03:30", {"days": 1}, "2026-03-29T01:00Z"),  # 03:30 does not come: 04:00, when clocks have jumped over it
        ("2026-10-24T03:30", {"days": 1}, "2026-10-25T00:30Z"),  # 03:30 comes twice: the first
        ("2026-10-25T00:30Z", {"days": 1}, "2026-10-26T01:30Z"),
        ("2026-10-25T01:30Z", {"days": 1}, "2026-10-26T02:00Z"),  # the second 03:30: clocks had been at 04:00
        ("2026-03-27T12:00", {"working_days": 1}, "2026-03-30T21:00Z"),
        ("2026-10-23T12:00", {"working_days": 1}, "2026-10-26T22:00Z"),
    ],
)
def test_where_clocks_change(start: str, duration: dict[str, int], ends: str) -> None:
    """Days are those of the wall clock, hours and minutes those that pass."""
    assert WorkTime(HELSINKI, StateCouncil()).after(ms(start, HELSINKI), Duration(**duration)) == (ms(ends), False)


@pytest.mark.parametrize("start", ["2010-11-07T02:30:59Z", "2010-11-07T02:31Z", "2010-11-07T03:29Z", "2010-11-07T03:30Z"])
def test_a_day_that_has_begun_does_not_end_because_clocks_go_back(start: str) -> None:
    """In St. John's, the 7th began for a minute, then came the last hour of the 6th again, then the 7th: one day all along."""
    work = WorkTime(ZoneInfo("America/St_Johns"), Eleven(frozenset(), date.max))
    assert work.after(ms(start), Duration(working_days=1)).ms == ms("2010-11-09T03:30Z")


@given(start=st.integers(ms("1993-01-01T00:00Z"), ms("2400-01-01T00:00Z")), number=st.integers(1, 3_650))
@settings(deadline=None)
def test_elapsed_time_is_exact(start: int, number: int) -> None:
    """To the millisecond; Shanghai has not changed its clocks since 1991, so there a day is 24 hours."""
    work = WorkTime(SHANGHAI, StateCouncil())
    for unit, length in (("seconds", 1000), ("minutes", 60_000), ("hours", 3_600_000), ("days", 86_400_000)):
        assert work.after(start, Duration(**{unit: number})) == (start + number * length, False)


def test_cases_of_one_day_are_counted_once() -> None:
    """However many cases begin on a day, the calendar is asked about each day once."""
    for duration, days in ((Duration(working_days=20), 20), (Duration(working_hours=20), 3)):
        calendar = Eleven(frozenset({3, 4}), date.max)
        work = WorkTime(SHANGHAI, calendar)
        for minute in range(0, 1440, 7):
            work.after(ms("2026-05-04T00:00") + minute * 60_000, duration)
        assert len(calendar.asked) == len(set(calendar.asked)) >= days


@pytest.mark.parametrize(
    ("begins", "ends"),
    [(time(17), time(9)), (time(9), time(9)), (time(9, tzinfo=UTC), time(17)), (time(9), time(17, tzinfo=UTC))],
)
def test_an_office_that_cannot_be_is_refused(begins: time, ends: time) -> None:
    """Hours that never run, or that have a zone besides the bus's."""
    with pytest.raises(ValueError, match="end later on the same day" if begins.tzinfo is ends.tzinfo else "without one"):
        WorkTime(SHANGHAI, StateCouncil(), begins, ends)


@pytest.mark.parametrize("duration", [{"minutes": 3000}, {"hours": 50}, {"days": 2}, {"working_days": 3}, {"working_hours": 40}])
@pytest.mark.parametrize("start_ms", [ms("9999-12-30T00:00Z"), 10**30, -(10**30)])
def test_spans_outside_of_all_years_are_refused(start_ms: int, duration: dict[str, Any]) -> None:
    """An end that no date can say is an error that says so, not an overflow, and not an endless search."""
    with pytest.raises(ValueError, match="years 1 to 9999"):
        WorkTime(SHANGHAI, StateCouncil()).after(start_ms, Duration(**duration))


@pytest.mark.parametrize("unit", ["working_days", "working_hours"])
def test_a_calendar_without_working_days_is_an_error(unit: str) -> None:
    """The search ends with the years."""
    with pytest.raises(ValueError, match="years 1 to 9999"):
        WorkTime(SHANGHAI, Eleven(frozenset(range(11)), date.max)).after(ms("9980-01-01T00:00Z"), Duration(**{unit: 1}))
