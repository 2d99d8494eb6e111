"""The snapshot source: differences, restarts at every point, and exports that are cut off."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from connectors.sources._snapshot_state import State, read_state, write_state
from connectors.sources.snapshot import Change, Counts, Snapshot, SnapshotSource, csv_rows, event_id
from connectors.sources.snapshot_files import main
from hutong.errors import ConfigurationError, ContractViolation, DeliveryFailed, SnapshotRefused
from hutong.runtime import logs
from hutong.testing import Bus
from tests.samples import contract_root, generated

CONTRACT = "kin.registry.place_changed"
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": "PlaceChanged",
    "namespace": "kin.registry",
    "hutong": {"contract": CONTRACT, "version": 1, "key": ["code"]},
    "fields": [
        {"name": "code", "type": "string"},
        {"name": "name", "type": ["null", "string"], "hutong": {"maxLength": 10}},
        {"name": "change", "type": {"type": "enum", "name": "Kind", "symbols": ["created", "changed", "withdrawn"]}},
    ],
}
Model = generated(contract_root(SCHEMA)).PlaceChanged
Table = dict[str, str]


def to_event(change: Change) -> dict[str, Any]:
    return {"code": change.key, "name": change.row["name"] if change.row else None, "change": change.kind}


def snapshot(name: str, table: Table) -> Snapshot:
    return Snapshot(id=name, rows=({"code": code, "name": text} for code, text in table.items()))


def source(bus: Bus, tmp_path: Path, **options: Any) -> SnapshotSource:
    given = {"contract": CONTRACT, "key": ["code"], "event": to_event, "state": tmp_path / "state.json"} | options
    return SnapshotSource(bus.publisher("kin.registry"), **given)


@pytest.fixture
def bus() -> Bus:
    return Bus(models=[Model])


def rebuilt(bus: Bus) -> Table:
    """What a recipient holds that applies every event once, in order per key."""
    table: Table = {}
    seen = set()
    for attributes, data in bus.published(CONTRACT):
        if attributes.id in seen:
            continue
        seen.add(attributes.id)
        if data["change"] == "withdrawn":
            del table[data["code"]]
        else:
            table[data["code"]] = data["name"]
    return table


def counts(found: Counts) -> tuple[int, int, int]:
    return found.created, found.changed, found.withdrawn


def test_differences_become_events(bus: Bus, tmp_path: Path) -> None:
    """Created, changed, withdrawn; unchanged rows are silent; a snapshot is taken once."""
    places = source(bus, tmp_path, max_withdrawn=0.5)
    assert counts(places.take(snapshot("1", {"a": "A", "b": "B", "c": "C"}))) == (3, 0, 0)
    assert counts(places.take(snapshot("2", {"a": "A", "b": "BB", "d": "D"}))) == (1, 1, 1)
    assert places.take(snapshot("2", {"z": "Z"})).published == 0
    assert [(data["code"], data["change"]) for _, data in bus.published(CONTRACT) if data["code"] == "b"] == [
        ("b", "created"),
        ("b", "changed"),
    ]
    assert rebuilt(bus) == {"a": "A", "b": "BB", "d": "D"}


def test_a_restart_goes_on_where_it_was(bus: Bus, tmp_path: Path) -> None:
    """A new process with the same file takes the same series again and sends nothing twice."""
    series = [{"a": "A"}, {"a": "A", "b": "B"}, {"a": "AA", "b": "B"}]
    for _ in range(2):
        for number, table in enumerate(series):
            source(bus, tmp_path).take(snapshot(str(number), table))
    assert len(bus.published(CONTRACT)) == 3


def test_a_crash_before_the_state_is_written_sends_the_same_ids(bus: Bus, tmp_path: Path) -> None:
    """Repetitions can be told by their ids."""
    places = source(bus, tmp_path)

    def crash(timeout: float = 0) -> None:
        raise DeliveryFailed("crash")

    places._publisher.flush = crash  # type: ignore[method-assign]
    with pytest.raises(DeliveryFailed):
        places.take(snapshot("1", {"a": "A", "b": "B"}))
    source(bus, tmp_path).take(snapshot("1", {"a": "A", "b": "B"}))
    ids = [attributes.id for attributes, _ in bus.published(CONTRACT)]
    assert (len(ids), len(set(ids))) == (4, 2)
    change = Change(kind="created", key="a", row={"code": "a", "name": "A"}, before=None, snapshot="1")
    assert event_id(CONTRACT, change) in ids


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.dictionaries(st.sampled_from("abcdef"), st.sampled_from("xyz"), min_size=1), max_size=6),
    st.sets(st.integers(0, 5)),
)
def test_any_series_with_crashes_ends_in_the_last_snapshot(
    tmp_path_factory: pytest.TempPathFactory, series: list[Table], crashes: set[int]
) -> None:
    """Whatever the tables and wherever it crashes, a recipient that drops repeated ids holds the last one."""
    bus, folder = Bus(models=[Model]), tmp_path_factory.mktemp("s")
    for number, table in enumerate(series):
        if number in crashes:
            broken = source(bus, folder, max_withdrawn=1.0)
            broken._publisher.flush = lambda timeout=0: (_ for _ in ()).throw(DeliveryFailed("crash"))  # type: ignore[method-assign,misc]
            with pytest.raises(DeliveryFailed):
                broken.take(snapshot(str(number), table))
        source(bus, folder, max_withdrawn=1.0).take(snapshot(str(number), table))
    assert rebuilt(bus) == (series[-1] if series else {})


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no rows"),
        ([{"code": "a", "name": "A"}], "withdraws 3 of 4 rows"),
        ([{"code": code} for code in "abcd"], "lacks the columns name"),
        ([{"code": "a", "name": "A"}, {"code": "a", "name": "B"}], "row 2 has the key of an earlier row"),
        ([{"name": "A"}], "row 1 has no value in the key code"),
        ([{"code": "", "name": "A"}], "row 1 has no value in the key code"),
    ],
)
def test_a_snapshot_that_looks_broken_is_refused_whole(bus: Bus, tmp_path: Path, rows: list[dict[str, str]], words: str) -> None:
    """Nothing is published, and the next good snapshot is taken as if it had not been."""
    places = source(bus, tmp_path)
    full = {code: code for code in "abcd"}
    places.take(snapshot("1", full))
    with pytest.raises(SnapshotRefused, match=words):
        places.take(Snapshot(id="2", rows=rows))
    assert len(bus.published(CONTRACT)) == 4
    assert places.take(snapshot("3", full)).published == 0


def test_a_large_withdrawal_that_is_right_can_be_taken(bus: Bus, tmp_path: Path) -> None:
    """Only when it is said explicitly."""
    places = source(bus, tmp_path)
    places.take(snapshot("1", {code: code for code in "abcd"}))
    assert places.take(snapshot("2", {"a": "a"}), trusted=True).withdrawn == 3


def test_a_row_that_breaks_the_contract_stops_or_is_left_out_until_it_is_right(bus: Bus, tmp_path: Path) -> None:
    """Left out: counted, and tried again with the next snapshot."""
    with pytest.raises(ContractViolation):
        source(bus, tmp_path).take(snapshot("1", {"a": "much too long a name"}))
    places = source(bus, tmp_path, skip_broken=True)
    found = places.take(snapshot("1", {"a": "much too long a name", "b": "B"}))
    assert (found.created, found.broken, found.keys_of_broken) == (1, 1, ["a"])
    assert counts(places.take(snapshot("2", {"a": "short", "b": "B"}))) == (1, 0, 0)


def test_a_change_of_no_interest_is_left_out(bus: Bus, tmp_path: Path) -> None:
    """The mapping says None."""
    assert source(bus, tmp_path, event=lambda change: None).take(snapshot("1", {"a": "A"})).left_out == 1


def test_csv_files_are_read_and_cut_off_ones_refused(tmp_path: Path) -> None:
    """A file that ends in the middle of a line, or of a quoted field, is no snapshot."""
    path = tmp_path / "t.csv"
    path.write_text('code,name\r\n1,"A, B"\r\n2,C\r\n', encoding="utf-8-sig")
    assert list(csv_rows(path)) == [{"code": "1", "name": "A, B"}, {"code": "2", "name": "C"}]
    for text, words in (("code,name\n1,A\n2", "line 3: 1 fields instead of 2"), ('code,name\n1,"A', "broken or cut off")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(SnapshotRefused, match=words):
            list(csv_rows(path))
    path.write_bytes("code,name\n1,北京\n".encode("gb18030"))
    with pytest.raises(SnapshotRefused, match="encoding"):
        list(csv_rows(path))
    assert list(csv_rows(path, encoding="gb18030")) == [{"code": "1", "name": "北京"}]


def test_the_state_keeps_values_of_every_kind(tmp_path: Path) -> None:
    """Dates, decimals and the like come back as they were; another file is not taken for a state."""
    row = {
        "d": date(2026, 1, 2),
        "t": datetime(2026, 1, 2, 3, tzinfo=UTC),
        "m": Decimal("1.50"),
        "u": UUID(int=5),
        "b": b"\0x",
        "n": None,
        "i": 7,
        "f": 1.5,
    }
    path = tmp_path / "state.json"
    assert read_state(path) == State()
    write_state(path, State(taken=["1"], columns=list(row), rows={"k": row}))
    assert read_state(path).rows == {"k": row}
    assert path.stat().st_mode & 0o777 == 0o600
    for text in ("{", "[]", '{"format": 99}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError):
            read_state(path)
    with pytest.raises(ConfigurationError, match="complex"):
        write_state(path, State(rows={"k": {"x": 1j}}))


def test_the_command_takes_files_in_order(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A nightly job: files already taken are left out; a refused one ends with one line and exit code 1."""
    monkeypatch.setattr(logs, "configure", lambda service: None)
    arguments = ["--department", "kin.registry", "--contract", CONTRACT, "--key", "code", "--state", str(tmp_path / "s.json")]
    arguments += ["--event", f"{__name__}:to_event"]
    before = REGISTRY.get_sample_value("hutong_snapshot_changes_total", {"contract": CONTRACT, "outcome": "changed"}) or 0
    refused = REGISTRY.get_sample_value("hutong_snapshot_refused_total", {"contract": CONTRACT}) or 0
    for name, text in (("2026-01", "code,name\na,A\nb,B\n"), ("2026-02", "code,name\na,AA\nb,B\n"), ("2026-03", "code,name\nz,")):
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    with bus:
        main([*arguments, str(tmp_path / "2026-01.csv")])
        main([*arguments, str(tmp_path / "2026-01.csv"), str(tmp_path / "2026-02.csv")])
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "--metrics-file", str(tmp_path / "s.prom"), str(tmp_path / "2026-03.csv")])
        with pytest.raises(SystemExit):
            main([*arguments[:-1], "nowhere:nothing", str(tmp_path / "2026-01.csv")])
    assert ended.value.code == 1
    told = capsys.readouterr()
    assert "2026-02.csv: created=0 changed=1 withdrawn=0" in told.out
    assert "withdraws 2 of 2 rows" in told.err
    assert "there is no such function" in told.err
    assert rebuilt(bus) == {"a": "AA", "b": "B"}
    left = (tmp_path / "s.prom").read_text(encoding="utf-8").splitlines()
    assert f'hutong_snapshot_changes_total{{contract="{CONTRACT}",outcome="changed"}} {before + 1:.1f}' in left
    assert f'hutong_snapshot_refused_total{{contract="{CONTRACT}"}} {refused + 1:.1f}' in left
    assert all(line.split()[-2 if line[0] != "#" else 2].startswith("hutong_") for line in left)
