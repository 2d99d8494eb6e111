"""The router's handler and table with a broker that is not there: what hostile records and broken declarations can do to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from hutong.errors import DeclarationError, EventTooLarge, NoSuchDestination, RegistryUnavailable
from hutong.home import Home
from hutong.kafka.chunk import PolledChunk
from hutong.kafka.control import ControlTopic
from hutong.kafka.schemas import WriterSchemas
from hutong.kafka.settings import Settings
from hutong.transcode.native.transcoder import extension
from services.router.account import Account
from services.router.handler import Router
from services.router.table import Agreements
from tests.unit.test_routing import CONTRACT, V1, grant, record

TOPIC = f"pub.{CONTRACT}"


class Message:
    """A record as the client hands it out."""

    def __init__(self, value: bytes | None, headers: Any = None, *, key: bytes = b"k1", topic: str = TOPIC) -> None:
        self._value, self._headers, self._key, self._topic = value, headers, key, topic
        self._appended_ms = int(datetime.now(UTC).timestamp() * 1000)

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 7

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> Any:
        if isinstance(self._headers, Exception):
            raise self._headers
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return 2, self._appended_ms

    def latency(self) -> float | None:
        return None

    def error(self) -> None:
        return None


class Registry:
    """Answers ids from a table; counts the questions."""

    def __init__(self, schemas: dict[int, Any]) -> None:
        self.schemas, self.asked = schemas, 0

    def by_id(self, schema_id: int) -> Any:
        self.asked += 1
        found = self.schemas.get(schema_id)
        if isinstance(found, Exception):
            raise found
        return found


def router(tmp_path: Path, *grants: Any, schemas: dict[int, Any] | None = None) -> tuple[Router, Agreements, Registry]:
    home = Home(root=tmp_path)
    for one in grants:
        home.ensure_key(one.agreement.id)
    agreements = Agreements(home)
    agreements.update({one.agreement.id: one.to_json() for one in grants})
    registry = Registry({7: V1.schema} if schemas is None else schemas)
    return Router(lambda: agreements.table, WriterSchemas(registry), Account(CollectorRegistry())), agreements, registry  # type: ignore[arg-type]


def good(**changes: Any) -> Message:
    inbound = record(**changes)
    return Message(inbound.value, list(inbound.headers), key=inbound.key or b"")


class Output:
    """An open transaction that keeps what it is given, as (topic, value, headers).

    ``fast`` lets the extension's lane put its deliveries in, as far as it was built.
    """

    def __init__(self, *, limit: int = 2_000_000, closed: str = "", fast: bool = False) -> None:
        self.made: list[tuple[str, Any, list[tuple[str, bytes]]]] = []
        self.limit, self.closed, self.is_fast = limit, closed, fast and not closed

    def produce(self, topic: str, key: Any, value: Any, headers: Any) -> None:
        if topic == self.closed:
            raise NoSuchDestination(topic)
        if len(value or b"") + sum(len(v) for _, v in headers) > self.limit:
            raise EventTooLarge(topic)
        self.made.append((topic, value, list(headers)))

    def run(
        self, lane: Any, chunk: Any, at: int, end: int, now_ms: int, delivered: Any, routed: Any, traced: Any = None
    ) -> tuple[int, str, Any]:
        assert extension is not None
        collected = extension.Collected(self.limit)
        stopped: tuple[int, str, Any] = lane.run(chunk.native, at, end, collected, now_ms, delivered, routed, traced)
        self.made += [(topic, value, headers) for topic, _, _, value, headers in collected.take()]
        return stopped


def chunk_of(messages: list[Message], *, fast: bool) -> PolledChunk:
    chunk = PolledChunk(messages)  # type: ignore[arg-type]
    if fast and extension is not None:
        chunk.native = extension.Batch(messages)
    return chunk


def handle(
    made: Router, *messages: Message, limit: int = 2_000_000, closed: str = "", lanes: Sequence[bool] = (False, True)
) -> list[tuple[str, Any, dict[str, bytes]]]:
    """All that is produced; the same with the lane as without."""
    outputs = []
    for fast in lanes:
        output = Output(limit=limit, closed=closed, fast=fast)
        made.begin()
        made.handle(chunk_of(list(messages), fast=fast), output)
        outputs.append(output.made)
    assert sorted(map(str, outputs[0])) == sorted(map(str, outputs[-1]))
    return [(topic, value, dict(headers)) for topic, value, headers in outputs[0]]


def test_headers_that_the_client_cannot_read_are_quarantined(tmp_path: Path) -> None:
    """A header name that is not UTF-8 makes the client raise SystemError; the record goes to quarantine and the line moves on."""
    made, _, _ = router(tmp_path, grant("all", [{"field": "id"}]))
    inbound = record()
    out = handle(made, Message(inbound.value, SystemError("bad")), good())
    assert [topic for topic, _, _ in out] == [f"quarantine.{CONTRACT}", "sub.r.all.all"]
    assert out[0][2]["hutong_reason"] == b"not_a_cloudevent"
    assert out[0][1] == inbound.value


def test_a_value_too_large_for_quarantine_leaves_its_fingerprint(tmp_path: Path) -> None:
    """What the brokers took compressed may be too large as it is; its place, size and hash are kept."""
    made, _, _ = router(tmp_path)
    out = handle(made, Message(b"\0" * 3_000_000, list(record().headers)))
    assert out[0][1] is None
    assert out[0][2]["hutong_left_out"].startswith(b"3000000 bytes, sha256 ")
    assert out[0][2]["hutong_source"] == f"{TOPIC}/0/7".encode()


def test_a_delivery_that_cannot_go_out_is_quarantined_for_its_agreement(tmp_path: Path) -> None:
    """Too large, or its topic is not there: the other agreements' deliveries go out."""
    made, _, _ = router(tmp_path, grant("all", [{"field": "id"}]), grant("other", [{"field": "region"}]))
    out = handle(made, good(), closed="sub.r.all.all")
    assert {topic for topic, _, _ in out} == {"sub.r.other.other", f"quarantine.{CONTRACT}"}
    quarantined = next(headers for topic, _, headers in out if topic.startswith("quarantine"))
    assert (quarantined["hutong_reason"], quarantined["hutong_agreement"]) == (b"no_destination", b"all")


@pytest.mark.parametrize(
    "schema",
    [
        {**V1.schema, "hutong": {"contract": CONTRACT, "version": "x", "key": ["id"]}},
        {**V1.schema, "hutong": {"contract": CONTRACT, "version": 1, "key": None}},
        {**V1.schema, "fields": [{"name": "id", "type": "string", "hutong": {"pattern": "("}}]},
        {**V1.schema, "fields": [{"name": "id", "type": "string", "hutong": {"nonsense": 1}}]},
        ["null"],
        "string",
        ValueError("no JSON"),
    ],
)
def test_any_schema_that_somebody_registers_is_survived(tmp_path: Path, schema: Any) -> None:
    """A schema that is no contract's is unknown; it does not end the router."""
    made, _, _ = router(tmp_path, schemas={7: schema})
    out = handle(made, good())
    assert out[0][2]["hutong_reason"] == b"unknown_schema"


def test_an_outage_of_the_registry_is_no_reason_for_quarantine(tmp_path: Path) -> None:
    """The batch must come again."""
    made, _, _ = router(tmp_path, schemas={7: RegistryUnavailable("away")})
    with pytest.raises(RegistryUnavailable):
        handle(made, good())


def test_a_deep_mesh_of_records_is_read_in_no_time() -> None:
    """Each record used twice by the one above: the names are few, the ways through them 2^40."""
    from hutong.contracts.avro import is_recursive, parse
    from hutong.contracts.shape import same_bytes

    schema: Any = {"type": "record", "name": "R0", "fields": [{"name": "x", "type": "int"}]}
    for level in range(1, 40):
        fields = [{"name": "a", "type": schema}, {"name": "b", "type": f"R{level - 1}"}]
        schema = {"type": "record", "name": f"R{level}", "fields": fields}
    parsed = parse(schema)
    assert not is_recursive(parsed)
    assert same_bytes(parsed, parsed.root, parsed, parsed.root)


def test_made_up_ids_spoil_nothing_and_cost_little(tmp_path: Path) -> None:
    """One topic's unknown ids are not unknown to another's events, and a batch asks for a bounded number."""
    made, _, registry = router(tmp_path, schemas={})
    flood = [Message(b"\0" + n.to_bytes(4, "big") + b"x", list(record().headers), topic="pub.a.flood") for n in range(500)]
    handle(made, *flood, lanes=[False])
    assert registry.asked <= 50
    registry.schemas[7] = V1.schema
    assert handle(made, good()) == []  # known at once: routed, and granted to nobody


def test_an_id_that_was_made_up_and_is_registered_later_is_known_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next version may get it: its events are routed within a second or two of that."""
    now = [100.0]
    monkeypatch.setattr("hutong.kafka.schemas.time", SimpleNamespace(monotonic=lambda: now[0]))
    made, _, registry = router(tmp_path, schemas={})
    assert handle(made, good())[0][2]["hutong_reason"] == b"unknown_schema"
    registry.schemas[7] = V1.schema
    now[0] += 1.5
    assert handle(made, good()) == []


def test_an_agreement_that_cannot_be_read_quarantines_its_events(tmp_path: Path) -> None:
    """A grant written by a newer version is not taken for "no agreement"."""
    one = grant("all", [{"field": "id"}])
    made, agreements, _ = router(tmp_path, one)
    newer = one.to_json().replace(b'"id":"all"', b'"id":"all","unheard_of":1')
    agreements.update({"all": newer})
    assert handle(made, good())[0][2]["hutong_reason"] == b"unusable_agreement"
    with pytest.raises(DeclarationError, match="is no grant"):
        agreements.update({"all": b"{}"})


def test_a_broken_key_file_stops_its_agreement_and_no_other(tmp_path: Path) -> None:
    """The other agreements stay in force, and revoking still works."""
    one, other = grant("all", [{"field": "id"}]), grant("other", [{"field": "region"}])
    made, agreements, _ = router(tmp_path, one, other)
    (tmp_path / "keys" / "all").write_text("no hex")
    agreements.update({"all": one.to_json(), "other": other.to_json()})
    assert {topic for topic, _, _ in handle(made, good())} == {f"quarantine.{CONTRACT}", "sub.r.other.other"}
    agreements.update({"all": one.to_json()})
    assert {topic for topic, _, _ in handle(made, good())} == {f"quarantine.{CONTRACT}"}


def test_a_key_file_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    """Files are read where they changed, and used with the next change of the agreements."""
    one = grant("all", [{"field": "id", "transform": "pseudonymise"}])
    made, agreements, _ = router(tmp_path, one)
    before = handle(made, good())
    (tmp_path / "keys" / "all").write_text("ab" * 32)
    agreements.update({"all": one.to_json()})
    assert handle(made, good())[0][1] != before[0][1]
    (tmp_path / "keys" / "all").unlink()
    agreements.update({"all": one.to_json()})
    assert handle(made, good())[0][2]["hutong_reason"] == b"unusable_agreement"


def test_thousands_of_grants_hold_one_copy_of_what_they_share(tmp_path: Path) -> None:
    """Each record of the control topic repeats the contract's schema and the code lists."""
    fields = [{"field": "code", "transform": "map", "code_list": "codes"}]
    _, agreements, _ = router(tmp_path, *(grant(f"a{n}", fields) for n in range(3)))
    grants = agreements.table.grants.values()
    assert len({id(one.reader_schema) for one in grants}) == 1
    assert len({id(one.code_lists["codes"]) for one in grants}) == 1
    agreements.update({"a0": grant("a0", fields, since=1).to_json()})
    assert agreements.table.grants["a0"].reader_schema is next(iter(grants)).reader_schema


def test_conditions_that_fail_concern_their_agreement_alone(tmp_path: Path) -> None:
    """A division by zero in one agreement's CEL leaves the others' deliveries alone."""
    bad = grant("bad", [{"field": "id"}], rows=({"cel": "1 / (size(code) - 1) > 0"},))
    made, _, _ = router(tmp_path, bad, grant("all", [{"field": "id"}]))
    out = handle(made, good())
    assert sorted(topic for topic, _, _ in out) == [f"quarantine.{CONTRACT}", "sub.r.all.all"]


def test_repeated_headers_do_not_slip_past_the_check(tmp_path: Path) -> None:
    """A forged source before the right one reaches nobody."""
    made, _, _ = router(tmp_path, grant("all", [{"field": "id"}]))
    inbound = record()
    forged = [("ce_source", b"urn:hutong:a.b"), ("ce_id", b"x" * 5000), *inbound.headers]
    output = Output()
    made.begin()
    made.handle(chunk_of([Message(inbound.value, forged)], fast=False), output)
    assert [value for name, value in output.made[0][2] if name in ("ce_source", "ce_id")] == [b"e1", b"urn:hutong:x.y"]


def test_a_control_topic_that_is_not_followed_stops_the_line() -> None:
    """A change that cannot be taken over makes the router wait: it must not deliver under agreements that may be revoked."""
    nowhere = Settings(bootstrap_servers="nowhere:1", registry_url="http://nowhere")
    topic = ControlTopic(nowhere, "ctl.agreements", lambda _: None)
    with pytest.raises(Exception, match="is not followed"):
        topic.check()
