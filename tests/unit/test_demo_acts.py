"""Parts of the demo's acts that need no bus: registers rebuilt, holdings kept, cases passed on, garbage that is garbage."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

from demo.account import Held
from demo.act_one import compare
from demo.broken import broken_records
from demo.cases import read_cases, write_cases
from demo.clock import Clock, batches
from demo.holdings import Holdings, count_held, read_held
from demo.life import live
from demo.population import FIRST_DAY, populate
from demo.register import Revision, rebuild, rebuild_provinces
from demo.rights import canonical
from demo.sources import register_changes, register_events

ISSUES = [
    Revision(issue="2000-01", divisions={"140000": "Shanxi", "140100": "Taiyuan", "110000": "Beijing", "110101": "East"}),
    Revision(issue="2001-01", divisions={"140000": "Shanxi", "140100": "Taiyuan City", "110000": "Beijing", "110102": "West"}),
]


def deliveries(agreement: str, prefix: str = "", *, by_province: bool = False) -> list[Held]:
    found = []
    for n, change in enumerate(register_changes(ISSUES)):
        code = str(change["code"])
        if code.startswith(prefix):
            data = {"province": f"{code[:2]}0000", "name": change["name"], "previous_name": change["previous_name"]}
            text = canonical(data if by_province else change)
            found.append(Held(agreement=agreement, id=f"e{n}", key=code, data=text, delivered_ms=0, received_ms=0))
    return found


def test_changes_between_issues() -> None:
    """The second issue renames one division, creates one and withdraws one."""
    second = [change for change in register_changes(ISSUES) if change["revision"] == "2001-01"]
    assert [(change["code"], change["change"]) for change in second] == [
        ("110101", "WITHDRAWN"),
        ("110102", "CREATED"),
        ("140100", "RENAMED"),
    ]


def test_recipients_rebuild_the_last_issue() -> None:
    """Whole, one province, and by provinces: each equals the source."""
    held = [
        *deliveries("divisions-all"),
        *deliveries("divisions-province", "14"),
        *deliveries("divisions-generalised", by_province=True),
    ]
    assert [equal for _, equal in compare(ISSUES, held)] == [True, True, True]


def test_a_missing_delivery_is_noticed() -> None:
    """A register that lacks one change is not equal."""
    held = [*deliveries("divisions-all")[:-1], *deliveries("divisions-province", "14"), *deliveries("divisions-generalised")[:0]]
    assert [equal for _, equal in compare(ISSUES, held)] == [False, True, False]


def test_rebuilding_survives_withdrawals() -> None:
    """What was withdrawn is gone, by code and by province."""
    changes = list(register_changes(ISSUES))
    assert rebuild(changes) == ISSUES[-1].divisions
    provinces = [{**change, "province": f"{str(change['code'])[:2]}0000"} for change in changes]
    assert rebuild_provinces(provinces)["110000", "West"] == 1
    assert rebuild_provinces(provinces)["110000", "East"] == 0


def test_an_unpublished_change_has_an_id_of_its_own() -> None:
    """A change that is on no topic counts as committed all the same."""
    events = list(register_events(ISSUES, {("140000", "2000-01"): "e-1"}))
    assert [event.id for event in events if event.key == "140000"] == ["e-1"]
    assert sum(event.id.startswith("unpublished") for event in events) == len(events) - 1


def test_holdings_keep_everything_in_order(tmp_path: Path) -> None:
    """Repetitions too; and they can be counted while they grow."""
    path = tmp_path / "some" / "channel.sqlite"
    assert count_held(path) == 0
    with Holdings(path) as holdings:
        for n in (1, 2, 2):
            holdings.take("a", f"e{n}", "k", {"n": n}, 7)
        holdings.write()
        assert count_held(path) == 3
        holdings.take("a", "e3", "k", {"n": 3}, 8)
    held = list(read_held(path))
    assert [delivery.id for delivery in held] == ["e1", "e2", "e2", "e3"]
    assert json.loads(held[-1].data) == {"n": 3}
    assert held[-1].delivered_ms == 8


def test_cases_are_passed_on_whole(tmp_path: Path) -> None:
    """What an application reads is what was imagined."""
    history = list(live(populate(2, 300), 2, months=2))
    write_cases(tmp_path, "a.b", history)
    assert read_cases(tmp_path, "a.b") == history


def test_garbage_is_of_many_kinds() -> None:
    """Null keys and values, foreign sources, missing attributes, and values that are no Avro."""
    records = list(broken_records("a.b.c", b"\x00\x00\x00\x00\x01"))
    assert len(records) == 9
    assert any(key is None for key, _, _ in records)
    assert any(value is None for _, value, _ in records)
    assert any(not headers for _, _, headers in records)
    sources = Counter(dict(headers).get("ce_source") for _, _, headers in records)
    assert sources[b"urn:hutong:a.b"] == 7
    assert sources[b"urn:hutong:nobody.knows"] == 1


def test_cases_wait_for_their_day() -> None:
    """Those that have come are taken together, but not too many; the others when their day has come."""
    history = list(live(populate(2, 300), 2, months=2))
    begins = time.time() - 1
    clock = Clock.of(Clock(begins=begins, seconds=1.0, days=62).arguments())
    work = list(batches(history, clock, most=7))
    assert [case for batch in work for case in batch] == history
    assert max(map(len, work)) == 7
    slow = Clock(begins=time.time(), seconds=0.6, days=62)
    began = time.time()
    assert sum(map(len, batches(history, slow, most=7))) == len(history)
    assert time.time() - began >= 0.9 * 0.6 * ((history[-1].day - FIRST_DAY).days + 1) / 62
