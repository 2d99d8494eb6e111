"""The difference between what is declared and what stands on the bus. Pure: two values in, one out.

What was taken out of the declarations is only removed on request (``prune``): until then a typing error in a file's name cannot
cost anybody their events. Neighbours: ``desired``, ``observed``, ``effects``; ``access`` compares users and rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hutong.agreements.grant import Grant
from hutong.contracts.avro import Schema, parse
from hutong.contracts.contract import Contract
from hutong.contracts.rules import ATTRIBUTE
from hutong.contracts.shape import fingerprint
from hutong.control.access import access_changes, access_notes
from hutong.control.changes import Change, Difference, Effect, Refusal
from hutong.control.desired import Desired, Subject, WantedGrant
from hutong.control.effects import contract_fields, effect
from hutong.control.flows import flow_changes, flow_key_changes
from hutong.control.keys import granted, key_changes, key_notes
from hutong.control.observed import Observed, SubjectState
from hutong.control.quotas import quota_changes, quota_notes
from hutong.control.words import counted
from hutong.errors import DeclarationError

__all__ = ["difference", "missing_schemas"]


def difference(wanted: Desired, found: Observed) -> Difference:
    """What must change on the bus so that it is as declared."""
    old = _old_grants(found)
    agreements = list(_agreement_changes(wanted, found, old))
    effects = {change.name: change.effects[0] for change in agreements if change.effects}
    changes = [
        *_topic_changes(wanted, found),
        *_schema_changes(wanted, found, effects),
        *access_changes(wanted, found),
        *quota_changes(wanted, found),
        *key_changes(wanted, found),
        *flow_key_changes(wanted, found),
        *agreements,
        *flow_changes(wanted, found),
    ]
    return Difference(
        changes=tuple(changes),
        refusals=tuple(_refusals(wanted, found)),
        notes=(*access_notes(found), *quota_notes(found), *key_notes(wanted, found)),
    )


def _old_grants(found: Observed) -> dict[str, Grant]:
    grants = {}
    for id_, document in found.grants.items():
        try:
            grants[id_] = Grant.from_json(document)
        except DeclarationError:
            continue  # written by another version of Hutong; it is written anew
    return grants


def _topic_changes(wanted: Desired, found: Observed) -> Iterator[Change]:
    owners = _owners(wanted)
    for name, topic in wanted.topics.items():
        contract, agreement = owners.get(name, (None, None))
        if name not in found.topics:
            size = f"{counted(topic.partitions, 'partition')}, {counted(topic.replication, 'copy', 'copies')}"
            text = size + _kept(topic.config.get("retention.ms"))
            yield Change(step="topic", action="create", name=name, text=text, contract=contract, agreement=agreement)
            continue
        config = found.topics[name].config
        differing = {key: value for key, value in topic.config.items() if config.get(key) != value}
        if differing:
            text = ", ".join(f"{key} {config.get(key, 'unset')} -> {value}" for key, value in differing.items())
            yield Change(step="topic", action="change", name=name, text=text, contract=contract, agreement=agreement)
    for name in sorted(found.topics.keys() - wanted.topics.keys()):
        text = "with all events on it"
        yield Change(step="topic", action="remove", name=name, text=text, contract=owners.get(name, (None, None))[0], prune=True)


def _kept(retention: str | None) -> str:
    return f", kept for {int(retention) / 86_400_000:g} days" if retention else ""


def _owners(wanted: Desired) -> dict[str, tuple[str | None, str | None]]:
    owners: dict[str, tuple[str | None, str | None]] = {}
    for name, contract in wanted.contracts.items():
        owners[contract.topic] = owners[f"quarantine.{name}"] = (name, None)
    for id_, grant in wanted.grants.items():
        owners.setdefault(grant.agreement.topic, (grant.agreement.contract, id_))
    return owners


def missing_schemas(subject: Subject, state: SubjectState | None) -> list[dict[str, Any]]:
    """The schemas to register, oldest first.

    A contract's older version whose description alone has changed is registered again only before a newer one: the newest
    version must stay the subject's latest.
    """
    if state is None:
        return list(subject.schemas)
    missing = [schema for schema, id_ in zip(subject.schemas, state.ids, strict=True) if id_ is None]
    return missing if state.ids[-1] is None else []


def _schema_changes(wanted: Desired, found: Observed, effects: dict[str, Effect]) -> Iterator[Change]:
    for subject in wanted.subjects.values():
        if subject.contract is not None:
            yield from _contract_schema_changes(wanted.contracts[subject.contract], subject, found, wanted, effects)
    for id_, grant in wanted.grants.items():
        if id_ not in found.delivery_ids:
            contract = grant.agreement.contract
            text = f"delivery schema of {id_}"
            yield Change(step="schema", action="create", name=grant.subject, text=text, contract=contract, agreement=id_)


def _contract_schema_changes(
    contract: Contract, subject: Subject, found: Observed, wanted: Desired, effects: dict[str, Effect]
) -> Iterator[Change]:
    state = found.subjects.get(subject.name)
    missing = missing_schemas(subject, state)
    if missing:
        newest = state.versions[-1].schema if state else None
        numbers = ", ".join(f"v{schema[ATTRIBUTE]['version']}" for schema in missing)
        reached = (grant for grant in wanted.grants.values() if grant.agreement.contract == contract.name)
        yield Change(
            step="schema",
            action="change" if state else "create",
            name=subject.name,
            text=numbers + "".join(_head_differences(newest, contract.newest.schema)),
            contract=contract.name,
            fields=contract_fields(newest, contract.newest.schema) if state else (),
            effects=tuple(_touched(grant, effects) for grant in reached) if state else (),
        )
    if state is None or state.level != subject.level:
        text = f"compatibility {state.level if state and state.level else 'unset'} -> {subject.level}"
        if state is not None:
            yield Change(step="schema", action="change", name=subject.name, text=text, contract=contract.name)


def _head_differences(old: Schema | None, new: Schema) -> Iterator[str]:
    for name in ("sharing", "key"):
        was, now = (old or new).get(ATTRIBUTE, {}).get(name), new[ATTRIBUTE][name]
        if was != now:
            yield f"; {name} {_plain(was)} -> {_plain(now)}"


def _plain(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _touched(grant: WantedGrant, effects: dict[str, Effect]) -> Effect:
    known = effects.get(grant.agreement.id)
    return known or Effect(recipient=grant.agreement.recipient, agreement=grant.agreement.id)


def _refusals(wanted: Desired, found: Observed) -> Iterator[Refusal]:
    """Versions whose published shape was edited: events written with it are on the topic, and models built from it in use."""
    for subject in wanted.subjects.values():
        state = found.subjects.get(subject.name) if subject.contract else None
        published = {}
        for version in state.versions if state else ():
            number = (version.schema.get(ATTRIBUTE) or {}).get("version")
            published[number] = fingerprint(parse(version.schema))
        for schema in subject.schemas:
            number = schema[ATTRIBUTE]["version"]
            if number in published and published[number] != fingerprint(parse(schema)):
                text = f"v{number}.avsc is published with other fields or types; undo the change there and make it a new version"
                yield Refusal(contract=str(subject.contract), text=text)
        for number in sorted(n for n in published if isinstance(n, int) and n > len(subject.schemas)):
            text = f"v{number} is published and v{number}.avsc is gone; restore it, since events written with it are on the topic"
            yield Refusal(contract=str(subject.contract), text=text)


def _same(there: bytes | None, wanted: bytes) -> bool:
    """Whether two grants say the same. The order of keys says nothing, and fastavro's differs from process to process."""
    if there is None or there == wanted:
        return there is not None
    try:
        return bool(json.loads(there) == json.loads(wanted))
    except ValueError:
        return False


def _agreement_changes(wanted: Desired, found: Observed, old: dict[str, Grant]) -> Iterator[Change]:
    for id_, grant in wanted.grants.items():
        schema_id = found.delivery_ids.get(id_)
        there = found.grants.get(id_)
        if schema_id is not None and _same(there, granted(grant, schema_id, there).to_json()):
            continue
        known = id_ in found.grants
        text = f"{grant.agreement.contract} v{grant.reader_schema[ATTRIBUTE]['version']} to {grant.agreement.recipient}"
        yield Change(
            step="agreement",
            action="change" if known else "create",
            name=id_,
            text=text + f" on {grant.agreement.topic}",
            contract=grant.agreement.contract,
            agreement=id_,
            effects=(effect(old.get(id_), grant),),
        )
    for id_ in sorted(found.grants.keys() - wanted.grants.keys()):
        gone = old.get(id_)
        yield Change(
            step="agreement",
            action="remove",
            name=id_,
            text=f"{gone.agreement.recipient} gets no more of {gone.agreement.contract}" if gone else "unreadable",
            contract=gone.agreement.contract if gone else None,
            agreement=id_,
            effects=(effect(gone, None),) if gone else (),
            prune=True,
        )
