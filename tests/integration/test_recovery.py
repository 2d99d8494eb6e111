"""Quarantine, replay and explain on a bus of its own, with a router: each delivery once, whatever happens to a replay."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer

from hutong import Publisher, Subscription
from hutong.cli import _group
from hutong.contracts.framing import frame
from hutong.contracts.schema import EventSchema
from hutong.embedded import up
from hutong.event import Attributes, header, new_event_id
from hutong.home import Home
from hutong.kafka.admin import Admin
from hutong.kafka.compacted import read_all, write
from hutong.kafka.registry import Registry
from hutong.kafka.resources import NewTopic
from hutong.kafka.scan import Scan
from hutong.kafka.settings import Settings
from hutong.kafka.topics import AGREEMENTS_TOPIC, REPLAYS_TOPIC
from hutong.recovery.bus import Bus
from hutong.recovery.ledger import Ledger
from hutong.recovery.record import QuarantineRecord
from tests.behaviour.line import FI, MOVED, collect, move
from tests.conftest import temporary_home
from tests.declaring import Declarations
from tests.integration.routers import RouterProcess, await_true

PARKED = f"quarantine.{MOVED}"
BENEFITS, STATISTICS, PAIRS, NOWHERE = "moves-to-benefits", "moves-for-statistics", "pairs-to-tax", "moves-to-nowhere"
TOPICS = {
    BENEFITS: "sub.kela.population",
    STATISTICS: f"sub.stat.{STATISTICS}",
    PAIRS: f"sub.vero.{PAIRS}",
    NOWHERE: f"sub.stat.{NOWHERE}",
}
AGREEMENT = f"agreements/vero/{PAIRS}.yaml"
SECOND, ANY = "size(members[1].languages)", "size(members)"

pytestmark = [pytest.mark.timeout(240), pytest.mark.long]


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    with temporary_home() as home:
        up(home, attached=True)
        yield home


@pytest.fixture(scope="module")
def declared(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Declarations:
    """``fi``, applied, with an agreement that cannot take a household of one, and another that has ended."""
    found = Declarations(tmp_path_factory.mktemp("schemas"), FI)
    text = found.text("agreements/stat/moves-for-statistics.yaml")
    head = text.partition("rows:")[0].replace(STATISTICS, PAIRS).replace("recipient: stat", "recipient: vero")
    head = head.replace("version: 1\n", "").replace("from: 2024-06-01, until: 2031-12-31", "from: 2025-01-01")
    derived = f"  - {{transform: derive, as: number, cel: '{SECOND}', type: long}}\n"
    found.write(AGREEMENT, f"{head}fields:\n  - {{field: notice_number}}\n{derived}")
    ended = head.replace(PAIRS, "ended-to-tax").replace("from: 2025-01-01", "from: 2025-01-01, until: 2025-12-31")
    found.write("agreements/vero/ended-to-tax.yaml", f"{ended}fields:\n  - {{field: notice_number}}\n")
    command(home, "apply", "--schemas", str(found.directory))
    return found


@pytest.fixture(scope="module")
def router(home: Home, declared: Declarations) -> Iterator[RouterProcess]:
    process = RouterProcess(home, "a", "--transaction-seconds", "3").await_ready()
    yield process
    process.stop()


def settings(home: Home, principal: str = "operator") -> Settings:
    return Settings.resolve(principal, {"HUTONG_HOME": str(home.root)})


def publish(home: Home, *events: dict[str, Any]) -> list[str]:
    with Publisher("dvv", settings=settings(home, "dvv")) as publisher:
        return [publisher.publish(one, MOVED).event_id for one in events]


def raw(home: Home, key: bytes, value: bytes) -> str:
    """Write an event past the SDK; its id."""
    attributes = Attributes(id=new_event_id(), source="urn:hutong:dvv", type=MOVED, time=move(1)["received_at"])
    producer = Producer(settings(home, "dvv").client())
    producer.produce(f"pub.{MOVED}", value, key, headers=attributes.to_headers())  # type: ignore[arg-type]
    assert producer.flush(30) == 0
    return attributes.id


def under_a_wrong_key(home: Home) -> str:
    """Publish an event whose key is not its value's; its id."""
    found = Registry.of(settings(home)).latest(f"pub.{MOVED}-value")
    assert found is not None
    schema = EventSchema(found.schema)
    return raw(home, b"4", frame(found.id) + schema.encode(schema.check(move(3))))


def parked(home: Home) -> list[QuarantineRecord]:
    scan = Scan(settings(home))
    return [QuarantineRecord.read(one) for one in scan.records(scan.stretches([PARKED]))]


def reasons(home: Home, *ids: str) -> Counter[str]:
    return Counter(one.reason for one in parked(home) if one.event_id in ids)


def delivered(home: Home, agreement: str) -> Counter[str]:
    """Event id -> how often it lies on the agreement's topic."""
    scan = Scan(settings(home))
    records = scan.records(scan.stretches([TOPICS[agreement]]))
    name = agreement.encode()
    return Counter(
        (header(one.headers(), "ce_id") or b"").decode() for one in records if header(one.headers(), "ce_agreement") == name
    )


def ledger(home: Home) -> Ledger:
    return Ledger.read(read_all(settings(home), REPLAYS_TOPIC))


def replay(home: Home, *options: str, codes: tuple[int, ...] = (0,)) -> Any:
    return json.loads(command(home, "quarantine", "replay", "--yes", "--json", *options, codes=codes))


def awaited(holds: Callable[[], Any], what: str, seconds: float = 30.0) -> None:
    """Wait until something holds that a client of its own has to ask for: not as often as one can."""
    await_true(lambda: holds() or time.sleep(0.2), what, seconds)


def command(home: Home, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
    """Run a command in this process, which takes a second less; its output."""
    done = CliRunner().invoke(_group(), arguments, env={"HUTONG_HOME": str(home.root)})
    assert not done.exception or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code in codes, done.output
    return done.stdout


def start(home: Home, *arguments: str) -> subprocess.Popen[bytes]:
    """A command that goes on while the test does."""
    environment = {**os.environ, "HUTONG_HOME": str(home.root)}
    command = [sys.executable, "-m", "hutong", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def without_key(home: Home, agreement: str, then: Callable[[], Any]) -> Any:
    """Do something while the router does not have an agreement's key; it looks for keys when agreements change."""
    key = home.keys / agreement
    text = key.read_text()
    grants = read_all(settings(home), AGREEMENTS_TOPIC)

    def look_again() -> None:
        write(settings(home), AGREEMENTS_TOPIC, {"families-to-benefits": None})
        write(settings(home), AGREEMENTS_TOPIC, {"families-to-benefits": grants["families-to-benefits"]})

    key.unlink()
    try:
        look_again()
        return then()
    finally:
        key.write_text(text)
        key.chmod(0o600)
        look_again()


def test_what_was_put_right_goes_through_once(home: Home, declared: Declarations, router: RouterProcess) -> None:
    """A schema registered, an agreement mended, a topic made, a key brought back: mended, and nothing comes twice."""
    registry, operator = Registry.of(settings(home)), settings(home)
    (plain,) = publish(home, move(1))
    awaited(lambda: delivered(home, STATISTICS)[plain] == 1, "the router works")
    third = third_version(declared)
    # Its schema is not registered yet; it will have the next id, since the registry counts.
    here = registry.register("probe", {"type": "record", "name": "Probe", "fields": []})
    data = third.check(move(2))
    unknown = raw(home, third.key_of(data).encode(), frame(here + 1) + third.encode(data))
    wrong = under_a_wrong_key(home)
    grants = read_all(operator, AGREEMENTS_TOPIC)
    lost = grants[STATISTICS].replace(
        b'"id":"moves-for-statistics"', b'"id":"moves-to-nowhere"'
    )  # as if its topic had been deleted
    home.ensure_key(NOWHERE)
    write(operator, AGREEMENTS_TOPIC, {NOWHERE: lost})
    (nowhere,) = publish(home, move(5))
    awaited(lambda: reasons(home, nowhere)["no_destination"] == 1, "a delivery without a topic is quarantined", 60)
    (keyless,) = without_key(home, STATISTICS, lambda: _unusable(home))
    ids = (unknown, wrong, nowhere, keyless)
    awaited(lambda: sum(reasons(home, *ids).values()) >= len(ids), "all of it is in quarantine")
    counts = delivered(home, STATISTICS)
    assert counts[unknown] == counts[keyless] == 0

    assert registry.register(f"pub.{MOVED}-value", third.schema) == here + 1
    declared.edit(AGREEMENT, SECOND, ANY)
    command(home, "apply", "--schemas", str(declared.directory))
    Admin(operator).create_topics([NewTopic(name=TOPICS[NOWHERE], partitions=2, replication=1, config={})])
    dry = json.loads(command(home, "quarantine", "replay", "--dry-run", "--json", codes=(1,)))
    done = replay(home, "--why", "ticket 17", codes=(1,))
    assert (dry["counts"], dry["failed"]) == (done["counts"], done["failed"])
    assert done["failed"] == [{"contract": MOVED, "reason": "wrong_key", "count": 1}]
    again = replay(home, codes=(1,))["counts"]
    assert (again["delivered"], again["filtered"], again["failed_again"]) == (0, 0, 1)
    for agreement in (STATISTICS, PAIRS):
        counts = delivered(home, agreement)
        assert [counts[one] for one in (plain, unknown, nowhere, keyless, wrong)] == [1, 1, 1, 1, 0], agreement
    assert delivered(home, NOWHERE)[nowhere] == 1
    run = ledger(home).runs[done["replay"]]
    assert (run["why"], run["status"], run["counts"]["delivered"]) == ("ticket 17", "done", done["counts"]["delivered"])
    write(operator, AGREEMENTS_TOPIC, {NOWHERE: None})


def third_version(declared: Declarations) -> EventSchema:
    """Declare another version of the contract, with a field more."""
    folder = "contracts/dvv/person_moved"
    schema = json.loads(declared.text(f"{folder}/v2.avsc"))
    schema["fields"].append({"name": "note", "type": ["null", "string"], "default": None, "doc": "A note."})
    declared.write(f"{folder}/v3.avsc", json.dumps(schema))
    declared.edit(f"{folder}/contract.yaml", "version: 2.0.0", "version: 3.0.0")
    text = declared.text(f"{folder}/contract.yaml").rstrip()
    lines = ["- name: note", "  description: A note.", "  logicalType: string", '  physicalType: "null | string"']
    lines += ["  required: false", "  classification: internal"]
    declared.write(f"{folder}/contract.yaml", "\n".join([text, *(f"      {line}" for line in lines)]) + "\n")
    return declared.catalogue().contracts[MOVED].newest


def _unusable(home: Home) -> list[str]:
    """An event that is published while the router knows that it cannot apply the agreement."""
    found: list[str] = []

    def is_quarantined() -> bool:
        found[:] = publish(home, move(6))
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            if reasons(home, *found)["unusable_agreement"]:
                return True
            if delivered(home, STATISTICS)[found[0]]:  # the router has not seen it yet
                return False
        return False

    awaited(is_quarantined, "the router knows that the key is missing")
    return found


def test_replays_that_are_killed_or_fenced_deliver_once_together(
    home: Home, declared: Declarations, router: RouterProcess
) -> None:
    """One is killed in the middle (SIGKILL), the next one is fenced by a third: every delivery is there once."""
    declared.edit(AGREEMENT, ANY, SECOND)
    command(home, "apply", "--schemas", str(declared.directory))
    # The router takes up the agreement within a moment: what is published then cannot be delivered to the tax office.
    awaited(lambda: _fails(home), "the router has the agreement that fails")
    ids = publish(home, *(move(number) for number in range(100, 220)))
    awaited(lambda: reasons(home, *ids)["transform_failed"] == len(ids), "all are in quarantine")
    declared.edit(AGREEMENT, SECOND, ANY)
    command(home, "apply", "--schemas", str(declared.directory))

    def done() -> int:
        known = ledger(home).done
        return sum((PAIRS, one) in known for one in ids)

    again = ("quarantine", "replay", "--agreement", PAIRS, "--yes", "--json")
    killed = start(home, *again, "--rate", "10")
    awaited(lambda: done() > 0, "the first one has delivered something", 60)
    killed.kill()
    killed.communicate()
    before = done()
    assert before < len(ids)
    fenced = start(home, *again, "--rate", "5")
    awaited(lambda: done() > before, "the second one has delivered something", 60)
    last = replay(home, "--agreement", PAIRS)
    _, said = fenced.communicate(timeout=30)
    assert (fenced.returncode, b"taken over" in said) == (2, True), said
    assert 0 < last["counts"]["delivered"] < len(ids)
    counts = delivered(home, PAIRS)
    assert {one: counts[one] for one in ids} == dict.fromkeys(ids, 1)
    listed = json.loads(command(home, "quarantine", "list", "--agreement", PAIRS, "--json"))
    assert [(row["reason"], row["left"]) for row in listed["quarantine"]] == [("transform_failed", 0)]


def _fails(home: Home) -> bool:
    """Whether the router has the agreement that fails: what becomes of an event tells."""
    (probe,) = publish(home, move(99))
    fate: list[str] = []

    def is_routed() -> bool:
        fate[:] = [one.reason for one in parked(home) if one.event_id == probe and one.agreement in (None, PAIRS)]
        fate.extend(["delivered"] * delivered(home, PAIRS)[probe])
        return bool(fate)

    awaited(is_routed, "the probe is routed")
    assert fate in (["delivered"], ["transform_failed"])
    return fate == ["transform_failed"]


def test_a_period_comes_once_more_marked_and_in_order(home: Home, router: RouterProcess) -> None:
    """Killed in the middle and begun again it goes on; a Subscription that had all of it hands it out again, once."""
    with Subscription("kela", "population", settings=settings(home, "kela"), group="kela.period") as kela:
        since = time.time_ns() // 1_000_000
        ids = publish(home, *(move(300 + number % 5, municipality="049" if number % 3 else "837") for number in range(90)))
        granted = [one for number, one in enumerate(ids) if number % 3]
        first = collect(kela, len(granted))
        assert {one.attributes.replay for one in first} == {None}
        until = time.time_ns() // 1_000_000 + 1
        period = (BENEFITS, "--since", _iso(since), "--until", _iso(until))
        counted = json.loads(command(home, "replay", *period, "--dry-run", "--json"))
        assert (counted["published"], counted["delivered"], counted["filtered"]) == (90, 60, 30)
        killed = start(home, "replay", *period, "--yes", "--rate", "15", "--json")
        again = collect(kela, 5, 60)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        done = json.loads(command(home, "replay", *period, "--yes", "--json"))
        again += collect(kela, len(granted) - len(again))
        assert (done["published"], done["delivered"]) == (90, 60)
        assert kela.poll(0.5) is None
    assert {one.attributes.replay for one in again} == {done["replay"]}
    assert Counter(one.attributes.id for one in again) == Counter(granted)
    assert _by_key(again) == _by_key(first)
    assert [run["status"] for run in ledger(home).runs.values() if run["kind"] == "period"] == ["done"]


def _iso(moment_ms: int) -> str:
    seconds, milliseconds = divmod(moment_ms, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}Z"


def _by_key(events: list[Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in events:
        found.setdefault(one.key, []).append(one.attributes.id)
    return found


def test_a_record_is_shown_masked_and_looking_is_recorded(home: Home, router: RouterProcess) -> None:
    """With --reveal the values are there, and so is who looked; why it is there is told without them."""
    event_id = under_a_wrong_key(home)
    awaited(lambda: reasons(home, event_id)["wrong_key"] == 1, "it is in quarantine")
    record = next(one for one in parked(home) if one.event_id == event_id)
    masked = command(home, "quarantine", "show", str(record.source), "--json")
    assert "131052-308T" not in masked
    assert json.loads(masked)["records"][0]["value"]["members"][0]["hetu"] == "***"
    revealed = command(home, "quarantine", "show", event_id, "--reveal", "--as", "li", "--why", "ticket 18", "--json")
    assert json.loads(revealed)["records"][0]["value"]["members"][0]["hetu"] == "131052-308T"
    looked = [json.loads(value) for key, value in read_all(settings(home), REPLAYS_TOPIC).items() if key.startswith("access/")]
    assert {(one["who"], one["why"], one["place"]) for one in looked} == {("li", "ticket 18", str(record.place))}
    explained = json.loads(command(home, "quarantine", "explain", event_id, "--json", codes=(1,)))["records"][0]
    assert (explained["reason"], explained["settled"], explained["now"]) == ("wrong_key", False, {"failed_again": 1})


def test_the_bus_is_followed_while_it_is_looked_at(home: Home, declared: Declarations) -> None:
    """A revoked agreement is gone from the table, also in the middle of a replay."""
    with Bus(settings(home), home) as bus:
        assert PAIRS in bus.table.grants
        operator = settings(home)
        grant = read_all(operator, AGREEMENTS_TOPIC)[PAIRS]
        write(operator, AGREEMENTS_TOPIC, {PAIRS: None})
        awaited(lambda: PAIRS not in bus.table.grants, "the table follows")
        write(operator, AGREEMENTS_TOPIC, {PAIRS: grant})


def test_an_event_is_explained(home: Home, declared: Declarations, router: RouterProcess) -> None:
    """Delivered, filtered by a row, an agreement that has ended, in quarantine, pending; and nothing of its data is printed."""
    command(home, "apply", "--schemas", str(declared.directory))
    (event_id,) = publish(home, move(4711, municipality="837"))
    awaited(lambda: delivered(home, STATISTICS)[event_id] == 1, "it is delivered")
    told = command(home, "explain", event_id, "--json")
    found = json.loads(told)
    verdicts = {one["agreement"]: (one["verdict"], one["why"]) for one in found["agreements"]}
    assert verdicts[STATISTICS][0] == "delivered"
    assert verdicts[BENEFITS] == ("filtered", "rows[0]: municipality is none of 049, 091, 092")
    assert verdicts["ended-to-tax"][0] == "not_in_force"
    assert "131052-308T" not in told
    assert "Katu" not in told
    assert found["place"].startswith(f"pub.{MOVED}/")
    wrong = under_a_wrong_key(home)
    awaited(lambda: reasons(home, wrong)["wrong_key"] == 1, "it is in quarantine")
    found = json.loads(command(home, "explain", wrong, "--contract", MOVED, "--json", codes=(1,)))
    assert {one["verdict"] for one in found["agreements"]} == {"quarantined"}
    router.stop()
    (event_id,) = publish(home, move(4712))
    found = json.loads(command(home, "explain", event_id, "--json"))
    assert {one["verdict"] for one in found["agreements"]} == {"pending"}
