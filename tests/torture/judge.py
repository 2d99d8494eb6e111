"""Holds what recipients can read to the book of what was published and to what the agreements grant. Pure.

Every count of a verdict's ``faults`` must be 0. Neighbours: ``evidence`` is what there is to see, ``ledger`` is the book, and
``granted`` says what is due; the unit tests plant an offence of each kind.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tests.torture.evidence import Evidence, Found, Verdict
from tests.torture.granted import AGREEMENTS, DECLARED, Agreement, Delivered, Fails
from tests.torture.ledger import Entry, Terms

__all__ = ["judge"]

_HEADERS = frozenset(
    {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type", "ce_agreement", "traceparent", "tracestate"}
)
"""All that may stand on a delivery."""


def judge(evidence: Evidence) -> Verdict:
    """Judge."""
    verdict = Verdict()
    entries = evidence.account.entries
    sources: dict[str, list[Found]] = defaultdict(list)
    results: dict[str, list[Found]] = defaultdict(list)
    for record in evidence.records:
        entry = entries.get(record.id)
        if entry is None:
            verdict.offence("over_granted", f"{_at(record)}: an event that nobody published")
        elif entry.state == "aborted":
            verdict.offence("aborted_read", f"{record.id} at {_at(record)}")
        elif record.topic.startswith("pub."):
            sources[record.id].append(record)
        else:
            results[record.id].append(record)
    verdict.acknowledged = sum(entry.state == "acknowledged" for entry in entries.values())
    _compare_readings(evidence, verdict)
    _order(evidence.records, entries, verdict)
    for event_id, entry in entries.items():
        if entry.state != "aborted":
            _Event(entry, sources[event_id], results[event_id], evidence).judge(verdict)
    return verdict


def _compare_readings(evidence: Evidence, verdict: Verdict) -> None:
    """Whoever read along has seen what is there now, at the same places, and nothing of what was aborted."""
    now = {record.place: record for record in evidence.records}
    for place, (event_id, fingerprint) in evidence.glimpsed.items():
        entry, record = evidence.account.entries.get(event_id), now.get(place)
        if entry is not None and entry.state == "aborted" and record is None:
            verdict.offence("aborted_read", f"{event_id} was to be read at {'/'.join(map(str, place))}")
        elif record is None or record.fingerprint != fingerprint:
            verdict.offence("conflicting", f"{'/'.join(map(str, place))}: {'another value' if record else 'nothing'} now")


def _order(records: Iterable[Found], entries: Mapping[str, Entry], verdict: Verdict) -> None:
    """Of one key the sequences rise, on one partition, for each agreement by itself."""
    last: dict[tuple[str, str, str], tuple[int, int]] = {}
    repeated: set[tuple[str, str, str]] = set()
    for record in sorted(records, key=lambda one: one.place):
        entry = entries.get(record.id)
        if entry is None or record.reason:
            continue
        stream = (record.topic, record.agreement, entry.key)
        if entry.repeats:  # the order is that in which events came first
            one = (record.topic, record.agreement, entry.id)
            if one in repeated:
                continue
            repeated.add(one)
        before = last.get(stream)
        if before is not None and (before[0] != record.partition or before[1] > entry.sequence):
            verdict.offence("misordered", f"{record.id} at {_at(record)}")
        last[stream] = (record.partition, entry.sequence)


class _Event:
    """One event and all that became of it."""

    def __init__(self, entry: Entry, sources: Sequence[Found], results: Sequence[Found], evidence: Evidence) -> None:
        self._entry, self._sources = entry, sources
        self._copies = len(sources) if entry.repeats else 1
        self._deliveries = [one for one in results if not one.reason]
        self._quarantine = [one for one in results if one.reason]
        self._evidence = evidence

    def judge(self, verdict: Verdict) -> None:
        """Add what there is to say of it."""
        entry = self._entry
        if not self._sources:
            if entry.state == "acknowledged":
                verdict.offence("lost", f"{entry.id}: acknowledged, and not on its topic")
            for record in (*self._deliveries, *self._quarantine):
                verdict.offence("over_granted", f"{_at(record)}: of an event that is not on its topic")
            return
        verdict.events += 1
        for again in self._sources[self._copies :]:
            verdict.offence("duplicated", f"{entry.id} at {_at(again)}")
        self._repeated(verdict)
        for record in self._deliveries:
            self._delivery(record, verdict)
        if entry.broken:
            self._broken(verdict)
        else:
            self._fates(verdict)

    def _repeated(self, verdict: Verdict) -> None:
        seen: Counter[tuple[str, bool]] = Counter()
        for record in (*self._deliveries, *self._quarantine):
            one = (record.agreement, bool(record.reason))
            seen[one] += 1
            if seen[one] > self._copies:
                verdict.offence("duplicated", f"{record.id} at {_at(record)} for {record.agreement or 'nobody'}")
        for (agreement, _), count in seen.items():
            if count < self._copies:
                verdict.offence("lost", f"{self._entry.id} for {agreement}: published {self._copies} times, there {count} times")

    def _delivery(self, record: Found, verdict: Verdict) -> None:
        """A delivery is what its agreement grants, at its moment, on its topic, under its key, and nothing beside."""
        agreement = AGREEMENTS.get(record.agreement)
        what = f"{record.id} at {_at(record)} for {record.agreement}"
        if (
            agreement is None
            or agreement.topic != record.topic
            or agreement.contract != self._entry.contract
            or self._entry.broken
        ):
            verdict.offence("over_granted", what)
            return
        if not self._is_granted(agreement, record):
            verdict.offence("over_granted", what)
        elif not record.headers <= _HEADERS:
            verdict.offence("over_granted", f"{what}: with headers that are not its own")
        elif self._evidence.account.terms and not self._is_granted(agreement, record, grace=False):
            changes = self._evidence.account.terms
            last = max(one.acknowledged_ms for one in changes if one.acknowledged_ms <= record.at_ms)
            verdict.late_ms = max(verdict.late_ms, record.at_ms - last)

    def _is_granted(self, agreement: Agreement, record: Found, *, grace: bool = True) -> bool:
        due = self._granted(agreement, record.at_ms, grace=grace)
        return any(isinstance(one, Delivered) and (one.key, one.data) == (record.key, record.data) for one in due)

    def _broken(self, verdict: Verdict) -> None:
        """It is in quarantine, whole, for its reason."""
        agreements = [one for one in AGREEMENTS.values() if one.contract == self._entry.contract]
        verdict.asked += len(agreements)
        if [(one.agreement, one.reason) for one in self._quarantine[:1]] != [("", self._entry.broken)]:
            verdict.offence("unaccounted", f"{self._entry.id}: broken, and not in quarantine as {self._entry.broken}")
            return
        verdict.quarantined += len(agreements)

    def _fates(self, verdict: Verdict) -> None:
        """To each agreement on its contract: delivered, filtered or in quarantine, one of the three."""
        delivered = {one.agreement for one in self._deliveries}
        failed = {one.agreement for one in self._quarantine}
        moment = max((one.at_ms for one in (*self._deliveries, *self._quarantine)), default=None)
        missing: list[str] = []
        for agreement in AGREEMENTS.values():
            if agreement.contract != self._entry.contract:
                continue
            verdict.asked += 1
            due = self._granted(agreement, moment)
            has = (agreement.id in delivered) + (agreement.id in failed)
            if has > 1 or (agreement.id in failed and not any(isinstance(one, Fails) for one in due)):
                verdict.offence("unaccounted", f"{self._entry.id} for {agreement.id}: in quarantine, and should not be")
            elif has:
                verdict.delivered += agreement.id in delivered
                verdict.quarantined += agreement.id in failed
            elif None in due:
                verdict.filtered += 1
            else:
                missing.append(agreement.id)
        for name in missing:
            verdict.offence("lost", f"{self._entry.id} for {name}")
            verdict.offence("unaccounted", f"{self._entry.id} for {name}: neither delivered nor filtered nor in quarantine")
        if missing and (delivered or failed):
            verdict.offence("torn", f"{self._entry.id}: there for {', '.join(sorted(delivered | failed))}, not for {missing[0]}")
        if "" in failed:
            verdict.offence("unaccounted", f"{self._entry.id}: in quarantine, and is not broken")

    def _granted(self, agreement: Agreement, moment: int | None, *, grace: bool = True) -> list[Delivered | Fails | None]:
        """What may be granted at a moment; several things while the agreement's terms are being changed."""
        data, secret = self._entry.data, self._evidence.secrets.get(agreement.id, "")
        names = _terms(agreement.id, self._evidence.account.terms, moment, self._sources[0].at_ms, grace=grace)
        return [agreement.terms[name](data, secret) for name in names]


def _terms(agreement: str, changes: Sequence[Terms], moment: int | None, since: int, *, grace: bool) -> set[str]:
    """The names of the terms that may hold at a moment; without one, at any since the event was published."""
    names = {DECLARED}
    for change in changes:
        if change.agreement != agreement:
            continue
        if change.acknowledged_ms + grace * change.grace_ms <= (since if moment is None else moment):
            names = {change.terms}
        elif moment is None or change.began_ms <= moment:
            names.add(change.terms)
    return names


def _at(record: Found) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"
