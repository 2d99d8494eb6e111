"""Replays against a writer that fails: whatever is aborted, unknown or fenced, each delivery is made once and is written down."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

import hutong.recovery.lot as lots
from hutong.errors import ConfigurationError, Fenced, HutongError
from hutong.event import REPLAY_HEADER, header
from hutong.kafka.topics import REPLAYS_TOPIC
from hutong.recovery.judge import Outcome
from hutong.recovery.ledger import Author
from hutong.recovery.period import Period, PeriodCounts, before, count_period, most_events, replay_period
from hutong.recovery.quarantine import replay_quarantine
from hutong.recovery.selection import Selection
from hutong.recovery.survey import Survey, survey
from tests.recovering import PUB, MemoryBus, delivered, event, park
from tests.unit.test_routing import DAY, grant

ALL = grant("all", [{"field": "id"}])
SHANXI = grant("shanxi", [{"field": "id"}], rows=({"field": "region", "prefix": "14"},))
MAPPING = grant("mapping", [{"field": "code", "transform": "map", "code_list": "codes"}])
EVERYTHING = Selection()
LI = Author(who="li", why="ticket 17")
GROUP = "hutong.router"

fates = some.lists(some.sampled_from(["ok", "ok", "aborted", "unknown"]), max_size=12)


@pytest.fixture(autouse=True)
def _small_lots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lots, "_MOST", 3)
    monkeypatch.setattr(lots, "_MOST_READ", 5)


def replays(bus: MemoryBus, fates: list[str], **options: Any) -> Survey:
    """Replay again and again until one comes to its end, as an operator does."""
    left = list(fates)
    bus.fate = lambda: left.pop(0) if left else "ok"
    while True:
        try:
            return replay_quarantine(bus, EVERYTHING, LI, **options)[1]
        except HutongError:
            continue


@settings(max_examples=30, deadline=None)
@given(
    fates=fates,
    parts=some.lists(some.tuples(some.sampled_from(["whole", "all", "shanxi", "mapping"]), some.integers(0, 5)), max_size=12),
    bad=some.sets(some.integers(0, 5)),
    had=some.sets(some.tuples(some.sampled_from(["all", "shanxi"]), some.integers(0, 5))),
)
def test_each_delivery_is_made_once(
    tmp_path_factory: pytest.TempPathFactory,
    fates: list[str],
    parts: list[tuple[str, int]],
    bad: set[int],
    had: set[tuple[str, int]],
) -> None:
    """Of records for one agreement and for all, the same event several times over, some that were delivered otherwise before."""
    bus = MemoryBus(tmp_path_factory.mktemp("home"), ALL, SHANXI, MAPPING)
    events = [
        event(number, {"region": "14" if number % 2 else "15", "code": "zz" if number in bad else "a"}) for number in range(6)
    ]
    ids = [(header(one.headers, "ce_id") or b"").decode() for one in events]
    for agreement, number in had:
        topic = bus.table.grants[agreement].agreement.topic
        bus.log.append(topic, b"k", b"", [("ce_id", ids[number].encode()), ("ce_agreement", agreement.encode())])
    for part, number in parts:
        park(bus, events[number], "internal_error" if part == "whole" else "transform_failed", None if part == "whole" else part)
    replays(bus, fates)
    asked = {(name, n) for part, n in parts for name in (("all", "shanxi", "mapping") if part == "whole" else (part,))}
    granted = {
        (name, n) for name, n in asked if name == "all" or (name == "shanxi" and n % 2) or (name == "mapping" and n not in bad)
    }
    for name in ("all", "shanxi", "mapping"):
        wanted = {ids[n] for who, n in granted | had if who == name}
        assert Counter(delivered(bus, name)) == Counter(wanted)
    again = replays(bus, [])
    assert again.total(Outcome.DELIVERED) == 0
    ledger = bus.ledger()
    assert {(name, ids.index(one)) for name, one in ledger.done} == granted - had


@settings(max_examples=25, deadline=None)
@given(
    fates=fates,
    numbers=some.lists(some.integers(0, 3), min_size=1, max_size=25),
    regions=some.sets(some.integers(0, 24)),
)
def test_a_period_is_delivered_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, fates: list[str], numbers: list[int], regions: set[int]
) -> None:
    """Under one id, whatever happens to its lots; what was delivered before is delivered again."""
    bus = MemoryBus(tmp_path_factory.mktemp("home"), SHANXI)
    wanted: dict[str, list[str]] = {}
    for at, number in enumerate(numbers):
        one = event(at, {"region": "14" if at in regions else "15"}, key=f"k{number}")
        bus.log.append(PUB, one.key, one.value, list(one.headers))
        if at in regions:
            wanted.setdefault(f"k{number}", []).append((header(one.headers, "ce_id") or b"").decode())
    period, left = Period(agreement="shanxi", since_ms=DAY, until_ms=3 * DAY), list(fates)
    assert count_period(bus, period, GROUP).delivered == sum(map(len, wanted.values()))
    bus.fate = lambda: left.pop(0) if left else "ok"
    ids: set[str] = set()
    while not (known := before(bus.ledger(), period, until_now=False)) or not known[1]:
        ids |= {known[0]} if known else set()
        with suppress(HutongError):
            replay_period(bus, period, LI, group=GROUP, resume=known and known[0])
    replay = known[0]
    assert ids <= {replay}
    found: dict[str, list[str]] = {}
    for one in bus.log.records(SHANXI.agreement.topic):
        found.setdefault((one.key() or b"").decode(), []).append((header(one.headers(), "ce_id") or b"").decode())
        assert header(one.headers(), REPLAY_HEADER) == replay.encode()
    assert found == wanted
    counts = PeriodCounts.read(bus.ledger().runs[replay]["counts"])
    assert (counts.published, counts.delivered) == (len(numbers), sum(map(len, wanted.values())))


def test_the_later_of_two_replays_fences_the_earlier_one(tmp_path: Path) -> None:
    """Together they deliver everything once."""
    bus = MemoryBus(tmp_path, ALL)
    for number in range(9):
        park(bus, event(number), "transform_failed", "all")
    count = 0

    def fate() -> str:
        nonlocal count
        count += 1
        if count == 2:  # the first one is at its second lot: another operator begins, and comes to the end
            replay_quarantine(bus, EVERYTHING, Author(who="wang"))
        return "ok"

    bus.fate = fate
    with pytest.raises(Fenced):
        replay_quarantine(bus, EVERYTHING, LI)
    assert Counter(delivered(bus, "all")).most_common(1)[0][1] == 1
    assert len(delivered(bus, "all")) == 9
    assert {run["who"] for run in bus.ledger().runs.values()} == {"li", "wang"}


def test_who_and_why_and_what_came_of_it_is_recorded(tmp_path: Path) -> None:
    """One record for each replay; nothing of any event's data."""
    bus = MemoryBus(tmp_path, ALL, MAPPING)
    park(bus, event(1, {"code": "zz"}, key="SECRET"), "internal_error")
    park(bus, event(2, key="SECRET"), "wrong_type")
    replay, _ = replay_quarantine(bus, Selection(reasons=frozenset({"internal_error"})), LI)
    run = bus.ledger().runs[replay]
    assert (run["who"], run["why"], run["kind"], run["status"]) == ("li", "ticket 17", "quarantine", "done")
    assert (run["selection"], run["counts"]) == ({"reasons": ["internal_error"]}, {"delivered": 1, "failed_again": 1})
    assert "SECRET" not in str([(one.key(), one.value()) for one in bus.log.records(REPLAYS_TOPIC)])
    (made,) = bus.log.records(ALL.agreement.topic)
    names = [name for name, _ in made.headers()]
    assert names[-2:] == ["hutong_replay", "hutong_replayed_at"]
    assert header(made.headers(), "hutong_replay") == replay.encode()


def test_a_survey_does_nothing_and_says_what_a_replay_does(tmp_path: Path) -> None:
    """The dry run's counts are the replay's."""
    bus = MemoryBus(tmp_path, ALL, SHANXI, MAPPING)
    for number in range(8):
        one = event(number, {"region": str(13 + number % 3), "code": "zz" if number % 2 else "a"})
        park(bus, one, "unknown_schema" if number < 5 else "unknown_case")
    park(bus, event(0), "unknown_schema")  # published twice under one id
    before = survey(bus, EVERYTHING, bus.ledger())
    assert not bus.log.records(REPLAYS_TOPIC)
    after = replays(bus, [])
    assert (before.counts, before.failed, before.records) == (after.counts, after.failed, after.records)
    assert after.total(Outcome.OF_A_FLOW) == 3
    assert after.total(Outcome.DONE) >= 1


def test_a_schema_that_was_registered_since_lets_events_through(tmp_path: Path) -> None:
    """The reason has gone, the bytes are the same."""
    bus = MemoryBus(tmp_path, ALL)
    schema = bus.registry.schemas.pop(7)
    park(bus, event(1), "unknown_schema")
    assert replays(bus, []).failed == {("x.y.thing_changed", "unknown_schema"): 1}
    bus.registry.schemas[7] = schema
    bus.forget_schemas()
    assert replays(bus, []).total(Outcome.DELIVERED) == 1
    assert replays(bus, []).total(Outcome.DONE) == 1


def test_a_revoked_agreement_stops_a_period(tmp_path: Path) -> None:
    """In the middle of it: what was delivered stands, nothing more is."""
    bus = MemoryBus(tmp_path, ALL)
    for number in range(12):
        one = event(number, key="k")
        bus.log.append(PUB, one.key, one.value, list(one.headers))
    topic, count = ALL.agreement.topic, 0

    def fate() -> str:
        nonlocal count
        count += 1
        if count == 3:
            bus.grant(SHANXI)
        return "ok"

    bus.fate = fate
    with pytest.raises(ConfigurationError, match="no agreement all"):
        replay_period(bus, Period(agreement="all", since_ms=0, until_ms=3 * DAY), LI, group=GROUP)
    assert len(bus.log.records(topic)) == 6  # the lot that was being written when it was revoked, and the one before


def test_a_period_that_did_not_end_is_gone_on_with_or_given_up(tmp_path: Path) -> None:
    """The same command goes on with it, also where it ends "now"; another one has to say what is meant; done is done."""
    bus = MemoryBus(tmp_path, ALL)
    for number in range(7):
        one = event(number, key="k")
        bus.log.append(PUB, one.key, one.value, list(one.headers))
    period = Period(agreement="all", since_ms=0, until_ms=3 * DAY)
    later, other = (Period(agreement="all", since_ms=since, until_ms=4 * DAY) for since in (0, 1))

    def interrupted() -> str:
        fates = ["ok", "ok", "aborted"]
        bus.fate = lambda: fates.pop(0) if fates else "ok"
        with pytest.raises(HutongError):
            replay_period(bus, period, LI, group=GROUP)
        return max(bus.ledger().runs)

    first = interrupted()
    assert len(delivered(bus, "all")) == 3
    assert before(bus.ledger(), period, until_now=False) == before(bus.ledger(), later, until_now=True) == (first, False)
    for what, until_now in ((later, False), (other, True)):
        with pytest.raises(ConfigurationError, match=f"--resume {first} goes on"):
            before(bus.ledger(), what, until_now=until_now)
    assert replay_period(bus, later, LI, group=GROUP, resume=first) == (first, PeriodCounts(published=7, delivered=7))
    assert len(delivered(bus, "all")) == 7
    assert before(bus.ledger(), period, until_now=False) == (first, True)
    assert before(bus.ledger(), later, until_now=True) is None
    second = interrupted()
    third, counts = replay_period(bus, period, LI, group=GROUP)
    assert (len({first, second, third}), counts.delivered, len(delivered(bus, "all"))) == (3, 7, 7 + 3 + 7)
    assert [bus.ledger().runs[one]["status"] for one in (first, second, third)] == ["done", "given_up", "done"]
    for resume, words in ((second, "given up"), (third, "came to its end"), ("period-0", "no replay of all")):
        with pytest.raises(ConfigurationError, match=words):
            replay_period(bus, period, LI, group=GROUP, resume=resume)


def test_what_the_router_has_not_reached_is_left_to_it(tmp_path: Path) -> None:
    """It will deliver it: a replay must not do so too."""
    bus = MemoryBus(tmp_path, ALL)
    for number in range(7):
        one = event(number, key="k")
        place = bus.log.append(PUB, one.key, one.value, list(one.headers))
    bus.scan.committed = lambda _, places: {one: 4 if one[1] == place.partition() else -1 for one in places}  # type: ignore[method-assign]
    _, counts = replay_period(bus, Period(agreement="all", since_ms=0, until_ms=3 * DAY), LI, group=GROUP)
    assert (counts.published, counts.delivered, counts.left) == (4, 4, 3)


def test_a_period_counts_what_the_agreement_cannot_take(tmp_path: Path) -> None:
    """It goes on, nothing goes into quarantine, and the count says it."""
    bus = MemoryBus(tmp_path, MAPPING)
    for number, code in enumerate(["a", "zz", "a"]):
        one = event(number, {"code": code})
        bus.log.append(PUB, one.key, one.value, list(one.headers))
    period = Period(agreement="mapping", since_ms=0, until_ms=3 * DAY)
    assert most_events(bus, period, GROUP) == 3
    _, counts = replay_period(bus, period, LI, group=GROUP)
    assert (counts.delivered, counts.failed) == (2, {"transform_failed": 1})
    assert bus.log.records(f"quarantine.{PUB[4:]}") == []
    assert json.loads(json.dumps(counts.to_json())) == counts.to_json()


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"until": DAY}, "not in force today"), ({"since": 2**62}, "not in force today"), (None, "no agreement")],
)
def test_an_agreement_that_does_not_hold_today_delivers_no_period(tmp_path: Path, changes: Any, words: str) -> None:
    """It is said before anything is written."""
    bus = MemoryBus(tmp_path, *(() if changes is None else (grant("all", [{"field": "id"}], **changes),)))
    with pytest.raises(ConfigurationError, match=words):
        replay_period(bus, Period(agreement="all", since_ms=0, until_ms=3 * DAY), LI, group=GROUP)
    assert bus.epoch == 0
