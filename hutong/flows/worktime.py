"""From a time span to the moment at which it ends: elapsed time, working days and working hours, in the bus's time zone.

A period counted in days does not count the day on which it begins (Civil Code of the PRC, 民法典, article 201). Its last day ends
at 24:00, and a last day that is a holiday moves on to the next working day (article 203). The same article ends the last day with
business hours, where there are any; a bus takes answers at night too, so here days end at 24:00, and only working hours know of
an office.

Where clocks are put forward over a wall time, that moment is taken for it; of a wall time that comes twice, the first. While
clocks that were put back repeat an hour, the day does not go on. So neither a later start nor a longer span ends earlier.

Neighbours: ``flow`` declares the spans; ``asking`` and ``step`` ask when they end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

import chinese_calendar  # type: ignore[import-untyped]  # it is tables of dates; its import takes 4 ms

from hutong.flows.flow import Duration

__all__ = ["Calendar", "Moment", "StateCouncil", "WorkTime"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_DAY = timedelta(days=1)
_MINUTE_MS = 60_000
_HOUR_MS = 60 * _MINUTE_MS
_SATURDAY = 5
_WALLS = 1_000
_YEARS = frozenset(day.year for day in chinese_calendar.holidays)


class Moment(NamedTuple):
    """When a span ends.

    Attributes:
        ms: milliseconds since 1970 (UTC).
        assumed: whether a day was needed for it of which the calendar does not know.
    """

    ms: int
    assumed: bool


class Calendar(Protocol):
    """Which days are worked on."""

    def is_working_day(self, day: date) -> tuple[bool, bool]:
        """Whether it is a working day, and whether that is known; always the same of one day."""
        ...


class StateCouncil:
    """The working days of mainland China, with the weekends that are worked to make up for a holiday.

    The State Council announces them in autumn for the next year. In a year that ``chinesecalendar`` does not have, Monday to
    Friday are taken for working days, and are not known to be.
    """

    def is_working_day(self, day: date) -> tuple[bool, bool]:
        """Whether it is a working day, and whether that is known."""
        if day.year in _YEARS:
            return _announced(day), True
        return day.weekday() < _SATURDAY, False


@cache  # as many days as those years have; the package takes 30 µs for one
def _announced(day: date) -> bool:
    return bool(chinese_calendar.is_workday(day))


@dataclass(frozen=True)
class WorkTime:
    """Counts time spans.

    Attributes:
        zone: where days begin and end, and whose wall time the office keeps.
        calendar: which days are working days.
        begins: when the office opens on a working day.
        ends: when it closes.

    Raises:
        ValueError: the office does not open before it closes, or its hours have a zone of their own.
    """

    zone: ZoneInfo
    calendar: Calendar
    begins: time = time(9)
    ends: time = time(17)
    # Both grow by a few entries for each day that cases begin on: the moments that are asked of come from the brokers' clocks.
    _last_days: dict[tuple[date, int], Moment] = field(default_factory=dict, init=False, repr=False, compare=False)
    _offices: dict[date, tuple[int, int, bool]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _walls: dict[int, datetime] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.begins.tzinfo or self.ends.tzinfo:
            raise ValueError("working hours are in the bus's time zone; give them without one")
        if self.begins >= self.ends:
            raise ValueError(f"working hours begin at {self.begins} and end at {self.ends}: they must end later on the same day")

    def after(self, start_ms: int, duration: Duration) -> Moment:
        """When a span that begins at ``start_ms`` ends.

        Seconds, minutes and hours are elapsed time, days end at the same wall time. The Nth working day after the day of the
        start ends at 24:00. Working hours run only while the office is open.

        Raises:
            ValueError: the start or the end is not within the years 1 to 9999.
        """
        try:
            return self._after(start_ms, duration)
        except OverflowError:
            raise ValueError("a time span begins or ends outside of the years 1 to 9999; declare a shorter one") from None

    def _after(self, start_ms: int, duration: Duration) -> Moment:
        if (days := duration.working_days) is not None:
            return self._last_day(self._wall(start_ms).date(), days)
        if (hours := duration.working_hours) is not None:
            return self._office_hours(start_ms, hours)
        if (days := duration.days) is not None:
            return Moment(self._moment(self._wall(start_ms) + days * _DAY), False)
        elapsed_ms = (duration.seconds or 0) * 1000 + (duration.minutes or 0) * _MINUTE_MS + (duration.hours or 0) * _HOUR_MS
        return Moment(_ms(_utc(start_ms + elapsed_ms)), False)

    def _last_day(self, start: date, days: int) -> Moment:
        """The end of the Nth working day after ``start``; hardly more than one look-up for all cases that begin on one day."""
        if (found := self._last_days.get((start, days))) is not None:
            return found
        day, left, assumed = start, days, False
        while left:
            day += _DAY
            working, known = self.calendar.is_working_day(day)
            left -= working
            assumed = assumed or not known
        moment = Moment(self._moment(datetime.combine(day + _DAY, time())), assumed)
        self._last_days[start, days] = moment
        return moment

    def _office_hours(self, start_ms: int, hours: int) -> Moment:
        day, left, assumed = self._wall(start_ms).date(), hours * _HOUR_MS, False
        while True:
            opens, closes, known = self._office(day)
            if closes > start_ms:  # after that, it does not matter what the day of the start was
                assumed = assumed or not known
                opens = max(opens, start_ms)
                if closes - opens >= left:
                    return Moment(opens + left, assumed)
                left -= closes - opens
            day += _DAY

    def _office(self, day: date) -> tuple[int, int, bool]:
        """When the office opens and closes on a day (at once, if it is no working day), and whether that is known."""
        if (found := self._offices.get(day)) is None:
            working, known = self.calendar.is_working_day(day)
            closes = self._moment(datetime.combine(day, self.ends))
            opens = self._moment(datetime.combine(day, self.begins)) if working else closes
            found = self._offices[day] = opens, closes, known
        return found

    def _wall(self, ms: int) -> datetime:
        """The latest wall time that clocks have shown up to a moment; all spans of a case's questions begin at the same."""
        if (found := self._walls.get(ms)) is None:
            if len(self._walls) >= _WALLS:
                self._walls.clear()
            found = self._walls[ms] = self._worked_out_wall(ms)
        return found

    def _worked_out_wall(self, ms: int) -> datetime:
        local = _utc(ms).astimezone(self.zone)
        if not local.fold:
            return local.replace(tzinfo=None)
        repeated = ms - _ms(local.replace(fold=0))
        put_back = _first(ms - repeated, ms, lambda at: _utc(at).astimezone(self.zone).fold == 1)
        return self._shown(put_back) + repeated * _MILLISECOND

    def _moment(self, wall: datetime) -> int:
        """The first moment at which clocks show a wall time, or a later one."""
        ms = _ms(wall.replace(tzinfo=self.zone))
        jumped = (self._shown(ms) - wall) // _MILLISECOND
        return _first(ms - jumped, ms, lambda at: self._shown(at) >= wall) if jumped else ms

    def _shown(self, ms: int) -> datetime:
        return _utc(ms).astimezone(self.zone).replace(tzinfo=None)


def _utc(ms: int) -> datetime:
    return _EPOCH + ms * _MILLISECOND


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND


def _first(low: int, high: int, reached: Callable[[int], bool]) -> int:
    """The first of ``low`` to ``high`` for which it is so; it is of ``high``, and of all after the first."""
    return low + bisect_left(range(low, high), True, key=reached)
