"""Quarantine in the terminal: counts, one record, what a replay did. No value of an event, unless it is asked for.

Neighbours: ``quarantine`` has the commands, ``hutong.recovery`` what they show.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hutong.agreements.cel import plain
from hutong.cli._case import MASK
from hutong.cli._text import padded, visible
from hutong.contracts.avro import field_paths
from hutong.contracts.framing import FRAME_BYTES
from hutong.contracts.schema import EventSchema
from hutong.event import CONTENT_TYPE, harmless_id, is_traceparent, source_of
from hutong.language import said, said_many, translated
from hutong.recovery.judge import Judgement, Outcome
from hutong.recovery.ledger import Ledger
from hutong.recovery.record import QuarantineRecord
from hutong.recovery.remedies import remedy_of
from hutong.recovery.survey import Survey
from hutong.recovery.verdict import when
from hutong.transcode.guard import compile_guard
from hutong.transcode.routing import Inbound

__all__ = ["Listed", "explained_json", "show_explained", "show_list", "show_record", "show_survey", "shown", "survey_json"]

_HEADER = re.compile(r"[A-Za-z_-]{1,64}")
"""A header's name as it may be shown: one of a foreign client may hold anything."""

_WORDS = {
    Outcome.DELIVERED: "delivered",
    Outcome.FILTERED: "filtered",
    Outcome.FAILED: "failed again",
    Outcome.DONE: "already done",
    Outcome.NOT_GRANTED: "not granted any more",
    Outcome.GIVEN_UP: "failed too often",
    Outcome.OF_A_FLOW: "for a flow alone",
}


class Listed:
    """Counts of quarantine, by contract and reason."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.all: Counter[tuple[str, str]] = Counter()
        self.left: Counter[tuple[str, str]] = Counter()
        self.newest: dict[tuple[str, str], int] = {}

    def add(self, record: QuarantineRecord) -> None:
        """Count a record in."""
        kind = (record.contract, record.reason)
        self.all[kind] += 1
        self.left[kind] += not self._ledger.is_settled(record)
        self.newest[kind] = max(record.quarantined_ms, self.newest.get(kind, 0))

    def rows(self) -> list[dict[str, Any]]:
        """One for each contract and reason."""
        return [
            {
                "contract": contract,
                "reason": reason,
                "records": count,
                "left": self.left[contract, reason],
                "newest_ms": self.newest[contract, reason],
                "way": remedy_of(reason).way,
            }
            for (contract, reason), count in sorted(self.all.items())
        ]


def show_list(console: Console, listed: Listed) -> None:
    """Print the counts."""
    heads = (said("contract"), said("reason"), said("records"), said("left"), said("newest"), said("what to do"))
    table = Table(*heads, box=None, pad_edge=False)
    ways = {"replay": said("mend, then replay"), "publish": said("publish anew"), "flow": said("see the flow")}
    for row in listed.rows():
        left = Text(str(row["left"]), style="red" if row["left"] else "green")
        table.add_row(row["contract"], row["reason"], str(row["records"]), left, when(row["newest_ms"]), ways[row["way"]])
    if listed.all:
        console.print(table)
    numbers = {"left": listed.left.total(), "all": listed.all.total()}
    click.echo(said("{left} of {all} records in quarantine are left to be dealt with", **numbers))


def shown(record: QuarantineRecord, event: Inbound | None, schema: EventSchema | None, *, reveal: bool) -> dict[str, Any]:
    """A record as ``show`` has it.

    Args:
        record: the record.
        event: the event, from its source if need be; None where it is gone.
        schema: its writer's schema, where it has one.
        reveal: whether values are shown.
    """
    key, headers = (event.key, event.headers) if event else (record.key, record.headers)
    return {
        **_facts(record),
        "key": _text(key) if reveal or key is None else MASK,
        "headers": [
            [
                name if reveal or _HEADER.fullmatch(name) else MASK,
                _text(value) if reveal or _is_harmless(record, name, value) else MASK,
            ]
            for name, value in headers
        ],
        "value": None if event is None else _value(event.value, schema, reveal=reveal),
    }


def _is_harmless(record: QuarantineRecord, name: str, value: bytes | None) -> bool:
    """Whether a header is what it should be, and so holds no data of the event; a wrong one may hold anything."""
    text = _text(value) or ""
    match name:
        case "ce_specversion":
            return text == "1.0"
        case "ce_id":
            return harmless_id(text) is not None
        case "ce_source":
            return text == source_of(record.contract.rpartition(".")[0])
        case "ce_type":
            return text == record.contract
        case "content-type":
            return text == CONTENT_TYPE
        case "traceparent":
            return is_traceparent(text)
        case _:
            return False


def _facts(record: QuarantineRecord) -> dict[str, Any]:
    return {
        "event": harmless_id(record.event_id),
        "contract": record.contract,
        "reason": record.reason,
        "problem": record.problem,
        "agreement": record.agreement,
        "source": str(record.source),
        "published_ms": record.appended_ms,
        "place": str(record.place),
        "quarantined_ms": record.quarantined_ms,
        "left_out": record.left_out,
    }


def _value(value: bytes | None, schema: EventSchema | None, *, reveal: bool) -> Any:
    if value is None:
        return None
    if schema is not None:
        try:
            compile_guard(schema.parsed)(value, FRAME_BYTES)  # a decoder trusts its input, and this is here for a reason
            data = plain(schema.decode(value[FRAME_BYTES:]))
            return _json(data) if reveal else _masked(data, frozenset(field["name"] for _, field in field_paths(schema.parsed)))
        except Exception:  # noqa: BLE001, S110 - it is in quarantine: whatever is wrong with it, its bytes are told of below
            pass
    found: dict[str, Any] = {"bytes": len(value)}  # a short value can be found out by its hash
    return {**found, "sha256": hashlib.sha256(value).hexdigest(), "hex": value[:256].hex()} if reveal else found


def _masked(value: Any, fields: frozenset[str]) -> Any:
    """The structure without the values; a map's keys are values too."""
    match value:
        case Mapping():
            names = (name if name in fields else f"key {at}" for at, name in enumerate(value, 1))
            return {name: _masked(item, fields) for name, item in zip(names, value.values(), strict=True)}
        case list():
            return [_masked(item, fields) for item in value]
        case None:
            return None
        case _:
            return MASK


def _json(value: Any) -> Any:
    match value:
        case Mapping():
            return {name: _json(item) for name, item in value.items()}
        case list():
            return [_json(item) for item in value]
        case bytes():
            return value.hex()
        case _:
            return value


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "backslashreplace")


def show_record(console: Console, document: Mapping[str, Any]) -> None:
    """Print what ``shown`` made."""
    for name, value in document.items():
        if name.endswith("_ms"):
            console.print(Text.assemble((f"{name.removesuffix('_ms'):<12}", "bold"), when(value)))
        elif name == "headers":
            for header, text in value:
                console.print(Text.assemble((f"{'header':<12}", "bold"), visible(f"{header}: {text}")))
        elif value is not None:
            console.print(Text.assemble((f"{name:<12}", "bold"), visible(str(value))))


def explained_json(record: QuarantineRecord, now: Judgement, ledger: Ledger) -> dict[str, Any]:
    """Why a record is in quarantine, what to do, and what a replay would do now."""
    remedy, tried = remedy_of(record.reason), ledger.attempts(record)
    return {
        **_facts(record),
        "meaning": remedy.meaning,
        "remedy": remedy.remedy,
        "way": remedy.way,
        "settled": ledger.is_settled(record),
        "failed_replays": tried.times,
        "now": {outcome.value: count for outcome, count in now.counts().items()},
        "deliveries": [one.agreement for one in now.deliveries],
        "failures": [{"agreement": one.agreement, "reason": one.reason, "problem": one.problem} for one in now.failed],
    }


def show_explained(console: Console, document: Mapping[str, Any]) -> None:
    """Print what ``explained_json`` made."""
    whom = document["agreement"] or said("the event as a whole")
    console.print(Text.assemble((document["source"], "bold"), f"  {document['contract']}, {whom}"))
    counts = ", ".join(f"{count} {said(_WORDS[Outcome(name)])}" for name, count in document["now"].items())
    lines = [
        (said("why"), f"{document['reason']}: {said(document['meaning'])}"),
        (said("problem"), translated(document["problem"])),
        (said("what to do"), said(document["remedy"])),
        (said("a replay now"), counts),
    ]
    if document["settled"]:
        lines.append((said("replayed"), said("nothing of it is left to do")))
    elif document["failed_replays"]:
        lines.append((said("replayed"), said_many(document["failed_replays"], "failed {number} time", "failed {number} times")))
    for name, words in lines:
        console.print(Text.assemble((padded(name, 14), "bold"), words))
    for one in document["deliveries"]:
        console.print(Text(f"{'':14}{said('would go to {agreement}', agreement=one)}", style="green"))
    for one in document["failures"]:
        who = f"{one['agreement']}: " if one["agreement"] else ""
        console.print(Text(f"{'':14}{who}{one['reason']}: {translated(one['problem'])}", style="red"))


def survey_json(found: Survey) -> dict[str, Any]:
    """What a replay did, or would do."""
    contracts = sorted({contract for contract, _ in found.counts})
    return {
        "records": found.records,
        "counts": {outcome.value: found.total(outcome) for outcome in Outcome},
        "contracts": {
            contract: {outcome.value: found.counts[contract, outcome] for outcome in Outcome} for contract in contracts
        },
        "failed": [
            {"contract": contract, "reason": reason, "count": count} for (contract, reason), count in sorted(found.failed.items())
        ],
    }


def show_survey(console: Console, found: Survey) -> None:
    """Print it: one row for each contract, one column for everything that happened."""
    used = [outcome for outcome in Outcome if found.total(outcome)]
    table = Table(said("contract"), *(said(_WORDS[outcome]) for outcome in used), box=None, pad_edge=False)
    for contract in sorted({contract for contract, _ in found.counts}):
        table.add_row(contract, *(str(found.counts[contract, outcome]) for outcome in used))
    if used:
        console.print(table)
    for (contract, reason), count in sorted(found.failed.items()):
        console.print(Text(f"{said('failed again')}: {contract}: {reason}: {count}", style="red"))
