"""The judge of the torture run: a bus without a fault is clean, and an offence of each kind, planted, is found."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from demo.population import populate
from hutong.contracts.schema import EventSchema
from hutong.testing import Bus
from tests.torture.evidence import FAULTS, Evidence, Found, Verdict
from tests.torture.granted import AGREEMENTS, DECLARATIONS, DECLARED, NARROW
from tests.torture.judge import judge
from tests.torture.ledger import Account, Entry, Terms
from tests.torture.load import PERSONS, data_of, record_of
from tests.torture.reading import DELIVERIES, Decoder, found_in
from tests.torture.story import DEPARTMENT, PAYMENT, PERSON, Story

_EVENTS = 1_500
_STATISTICS, _TAX, _WELFARE = "people-for-statistics", "people-to-tax", "people-to-welfare"

Change = Callable[[list[Found], dict[str, Entry]], None]


@pytest.fixture(scope="module")
def honest() -> Evidence:
    """What the bus in memory makes of the story of one writer; it has no quarantine topic, so those records are made here."""
    bus = Bus(DECLARATIONS)
    story = Story(populate(1, PERSONS), range(80), "writer", Random(1))
    entries = [replace(story.next(), state="acknowledged") for _ in range(_EVENTS)]
    schemas = bus.transport(DEPARTMENT).schemas()
    registered = schemas.latest(f"pub.{PERSON}-value")
    assert registered is not None
    schema = EventSchema(registered.schema)
    with bus.publisher(DEPARTMENT) as publisher:
        for entry in entries:
            if story.is_plain(entry):
                key, value, headers = record_of(entry, schema, registered.id)
                bus.append(f"pub.{PERSON}", key, value, headers)
            else:
                publisher.publish(data_of(entry), entry.contract, id=entry.id)
    decode = Decoder(schemas)
    records = [found_in(one, decode) for topic in (f"pub.{PERSON}", f"pub.{PAYMENT}", *DELIVERIES) for one in bus.records(topic)]
    for offset, one in enumerate(bus.quarantined()):
        parked = found_in(one.record, decode)
        parked = replace(parked, topic=f"quarantine.{PERSON}", partition=0, offset=offset)
        records.append(replace(parked, agreement=one.agreement or "", reason=one.reason))
    glimpsed = {one.place: (one.id, one.fingerprint) for one in records}
    secrets = {name: hashlib.sha256(name.encode()).hexdigest() for name in AGREEMENTS}
    return Evidence(
        account=Account(entries={one.id: one for one in entries}), records=records, glimpsed=glimpsed, secrets=secrets
    )


def changed(honest: Evidence, change: Change) -> Evidence:
    """The same with a change; who read along has seen just this."""
    records, entries = list(honest.records), dict(honest.account.entries)
    change(records, entries)
    glimpsed = {one.place: (one.id, one.fingerprint) for one in records}
    return replace(honest, records=records, glimpsed=glimpsed, account=replace(honest.account, entries=entries))


def of(records: list[Found], agreement: str) -> int:
    """The place in the list of some delivery of an agreement."""
    return next(at for at, one in enumerate(records) if one.agreement == agreement and not one.reason)


def source_of(records: list[Found], event_id: str) -> int:
    """The place in the list of an event on its own topic."""
    return next(at for at, one in enumerate(records) if one.id == event_id and one.topic.startswith("pub."))


def test_a_bus_without_a_fault_is_clean(honest: Evidence) -> None:
    """Every event of the story, the broken ones too, by the product's own rules: what is granted by hand is what they grant."""
    verdict = judge(honest)
    assert verdict.is_clean, dict(verdict.shown)
    assert verdict.events == verdict.acknowledged == _EVENTS
    assert verdict.asked == verdict.delivered + verdict.filtered + verdict.quarantined
    assert min(verdict.delivered, verdict.filtered, verdict.quarantined) > 50
    reasons = {one.reason for one in honest.records if one.reason}
    assert reasons == {"undecodable", "forged_source", "wrong_type", "wrong_key", "null_value", "transform_failed"}


def lost_delivery(records: list[Found], entries: dict[str, Entry]) -> None:
    del records[of(records, _STATISTICS)]


def lost_event(records: list[Found], entries: dict[str, Entry]) -> None:
    gone = records[of(records, _STATISTICS)].id
    records[:] = [one for one in records if one.id != gone]


def lost_quarantine(records: list[Found], entries: dict[str, Entry]) -> None:
    del records[next(at for at, one in enumerate(records) if one.reason == "undecodable")]


def twice_delivered(records: list[Found], entries: dict[str, Entry]) -> None:
    records.append(replace(records[of(records, _TAX)], offset=10_000))


def twice_published(records: list[Found], entries: dict[str, Entry]) -> None:
    records.append(replace(records[0], offset=10_000))


def later_before_earlier(records: list[Found], entries: dict[str, Entry]) -> None:
    """Two deliveries of one key change their places."""
    first = records[of(records, _TAX)]
    again = next(one for one in records if one.topic == first.topic and one.key == first.key and one.offset > first.offset)
    records.remove(first)
    records.remove(again)
    records += [replace(first, offset=again.offset), replace(again, offset=first.offset)]


def of_one_key_on_two_partitions(records: list[Found], entries: dict[str, Entry]) -> None:
    at = of(records, _TAX)
    records[at] = replace(records[at], partition=records[at].partition + 1, offset=10_000)


def a_row_too_many(records: list[Found], entries: dict[str, Entry]) -> None:
    """An event of another province is delivered to welfare."""
    at = of(records, _WELFARE)
    entry = entries[records[at].id]
    entries[entry.id] = replace(entry, data={**entry.data, "region": "110105"})


def a_field_too_many(records: list[Found], entries: dict[str, Entry]) -> None:
    at = of(records, _TAX)
    records[at] = replace(records[at], data={**(records[at].data or {}), "phone": "1"})


def a_value_unmasked(records: list[Found], entries: dict[str, Entry]) -> None:
    at = of(records, _TAX)
    record = records[at]
    records[at] = replace(record, data={**(record.data or {}), "name": entries[record.id].data["name"]})


def a_key_that_tells(records: list[Found], entries: dict[str, Entry]) -> None:
    at = of(records, _STATISTICS)
    records[at] = replace(records[at], key=entries[records[at].id].key)


def a_header_too_many(records: list[Found], entries: dict[str, Entry]) -> None:
    at = of(records, _TAX)
    records[at] = replace(records[at], headers=records[at].headers | {"note"})


def a_moment_too_early(records: list[Found], entries: dict[str, Entry]) -> None:
    """An agreement that is not in force yet delivers."""
    record = records[of(records, _TAX)]
    topic = AGREEMENTS["people-to-health"].topic
    records.append(replace(record, topic=topic, agreement="people-to-health", offset=10_000))


def on_a_neighbours_topic(records: list[Found], entries: dict[str, Entry]) -> None:
    at = of(records, _TAX)
    records[at] = replace(records[at], topic=AGREEMENTS[_WELFARE].topic, offset=10_000)


def a_broken_one_delivered(records: list[Found], entries: dict[str, Entry]) -> None:
    broken = next(one for one in records if one.reason == "forged_source")
    records.append(replace(records[of(records, _TAX)], id=broken.id, offset=10_000))


def from_nowhere(records: list[Found], entries: dict[str, Entry]) -> None:
    records.append(replace(records[of(records, _TAX)], id="nobody's", offset=10_000))


def of_an_aborted_publication(records: list[Found], entries: dict[str, Entry]) -> None:
    """A delivery is there whose event was aborted."""
    one = records[of(records, _TAX)].id
    entries[one] = replace(entries[one], state="aborted")
    del records[source_of(records, one)]


def for_one_and_not_for_the_other(records: list[Found], entries: dict[str, Entry]) -> None:
    """Also of an event that nobody was told to be there."""
    one = records[of(records, _WELFARE)].id
    entries[one] = replace(entries[one], state="attempted")
    records[:] = [record for record in records if (record.id, record.agreement) != (one, _WELFARE)]


def quarantined_and_delivered(records: list[Found], entries: dict[str, Entry]) -> None:
    record = records[of(records, _STATISTICS)]
    records.append(replace(record, topic=f"quarantine.{PERSON}", reason="transform_failed", offset=10_000))


def quarantined_for_another_reason(records: list[Found], entries: dict[str, Entry]) -> None:
    at = next(at for at, one in enumerate(records) if one.reason == "undecodable")
    records[at] = replace(records[at], reason="internal_error")


def nothing_but_quarantined(records: list[Found], entries: dict[str, Entry]) -> None:
    """A good event that somebody put aside, whole."""
    gone = records[of(records, _TAX)].id
    source = records[source_of(records, gone)]
    records[:] = [one for one in records if one.id != gone or one is source]
    records.append(replace(source, topic=f"quarantine.{PERSON}", reason="internal_error", offset=10_000))


PLANTED: dict[Change, set[str]] = {
    lost_delivery: {"lost", "unaccounted", "torn"},
    lost_event: {"lost"},
    lost_quarantine: {"unaccounted"},
    twice_delivered: {"duplicated", "misordered"},
    twice_published: {"duplicated", "misordered"},
    later_before_earlier: {"misordered"},
    of_one_key_on_two_partitions: {"misordered"},
    a_row_too_many: {"over_granted"},
    a_field_too_many: {"over_granted"},
    a_value_unmasked: {"over_granted"},
    a_key_that_tells: {"over_granted"},
    a_header_too_many: {"over_granted"},
    a_moment_too_early: {"over_granted"},
    on_a_neighbours_topic: {"over_granted"},
    a_broken_one_delivered: {"over_granted"},
    from_nowhere: {"over_granted"},
    of_an_aborted_publication: {"aborted_read"},
    for_one_and_not_for_the_other: {"lost", "unaccounted", "torn"},
    quarantined_and_delivered: {"unaccounted"},
    quarantined_for_another_reason: {"unaccounted"},
    nothing_but_quarantined: {"lost", "unaccounted", "torn"},
}
"""An offence -> the counts that it may raise; the first of them it must."""


@pytest.mark.parametrize("change", PLANTED, ids=lambda change: change.__name__)
def test_a_planted_offence_is_found(honest: Evidence, change: Change) -> None:
    """Each raises the count that is meant for it, and none that has nothing to do with it."""
    verdict = judge(changed(honest, change))
    raised = {name for name, count in verdict.faults.items() if count}
    meant = PLANTED[change]
    assert raised & meant == raised, dict(verdict.shown)
    assert raised, "not found"
    assert set(verdict.shown) == raised


def test_every_count_has_an_offence_that_raises_it(honest: Evidence) -> None:
    """A count that nothing can raise would always be 0."""
    raised = set()
    for change in PLANTED:
        raised |= {name for name, count in judge(changed(honest, change)).faults.items() if count}
    assert raised | {"conflicting"} == set(FAULTS)  # that one has its own test


def test_another_value_at_the_same_place_is_found(honest: Evidence) -> None:
    """Who read along had another value there, or one where there is none now; or one of an aborted publication."""
    place, (event_id, fingerprint) = next(iter(honest.glimpsed.items()))
    other = judge(replace(honest, glimpsed={place: (event_id, fingerprint + 1)}))
    gone = judge(replace(honest, glimpsed={(place[0], place[1], 10_000): (event_id, fingerprint)}))
    assert other.faults["conflicting"] == gone.faults["conflicting"] == 1
    entries = {**honest.account.entries, event_id: replace(honest.account.entries[event_id], state="aborted")}
    records = [one for one in honest.records if one.id != event_id]
    verdict = judge(replace(honest, records=records, account=replace(honest.account, entries=entries)))
    assert verdict.faults["aborted_read"] > 0
    assert verdict.faults["conflicting"] == 0


def test_what_was_not_acknowledged_may_be_missing_and_is_nobodys_loss(honest: Evidence) -> None:
    """Nothing of an attempt is no fault."""

    def attempted(records: list[Found], entries: dict[str, Entry]) -> None:
        lost_event(records, entries)
        missing = entries.keys() - {one.id for one in records}
        entries.update({one: replace(entries[one], state="attempted") for one in missing})

    assert judge(changed(honest, attempted)).is_clean


def test_each_copy_of_an_event_that_may_repeat_is_due_to_everybody(honest: Evidence) -> None:
    """An outbox's relay may publish an event again: whole once more is right, for one recipient only is not, nor is thrice."""

    def again(*agreements: str, times: int = 1) -> Verdict:
        def change(records: list[Found], entries: dict[str, Entry]) -> None:
            one = records[of(records, _WELFARE)].id
            entries[one] = replace(entries[one], repeats=True)
            copies = [two for two in records if two.id == one and two.agreement in ("", *agreements)]
            records += [replace(copy, offset=10_000 + n) for copy in copies for n in range(times if copy.agreement else 1)]

        return judge(changed(honest, change))

    assert again(_WELFARE, _STATISTICS, _TAX).is_clean
    assert again(_WELFARE, _STATISTICS).faults["lost"] == 1
    assert again(_WELFARE, _STATISTICS, _TAX, times=2).faults["duplicated"] == 3


def under(honest: Evidence, *changes: Terms) -> Verdict:
    """Judge as if tax's agreement had been changed."""
    return judge(replace(honest, account=replace(honest.account, terms=changes)))


def test_what_comes_after_a_revocation_is_found(honest: Evidence) -> None:
    """With its grace; while the change is on its way either is right."""
    moments = [one.at_ms for one in honest.records if one.agreement == _TAX]
    first, last = min(moments), max(moments)

    def revoked(began: int, acknowledged: int, terms: str = "", grace: int = 0) -> Terms:
        return Terms(agreement=_TAX, terms=terms, began_ms=began, acknowledged_ms=acknowledged, grace_ms=grace)

    long_ago = first - 1
    assert under(honest, revoked(long_ago, long_ago)).faults["over_granted"] == len(moments)
    assert under(honest, revoked(long_ago, long_ago, NARROW)).faults["over_granted"] == len(moments)
    assert under(honest, revoked(long_ago, last + 1)).is_clean
    granted_again = revoked(long_ago, long_ago, DECLARED)
    assert under(honest, revoked(long_ago - 1, long_ago - 1), granted_again).is_clean
    half = (last - first) // 2
    late = under(honest, revoked(long_ago, long_ago, grace=half))
    assert late.faults["over_granted"] == sum(moment >= long_ago + half for moment in moments)
    assert 0 < late.late_ms < half


def test_what_a_new_grant_owes_is_missed(honest: Evidence) -> None:
    """An agreement that is in force again must deliver."""
    first = min(one.at_ms for one in honest.records)
    kept = [one for one in honest.records if one.agreement != _TAX]
    glimpsed = {one.place: (one.id, one.fingerprint) for one in kept}
    changes = tuple(
        Terms(agreement=_TAX, terms=terms, began_ms=at, acknowledged_ms=at)
        for terms, at in (("", first - 2), (DECLARED, first - 1))
    )
    stopped = replace(honest, records=kept, glimpsed=glimpsed)
    assert under(stopped, changes[0]).is_clean
    assert under(stopped, *changes).faults["lost"] > 0
