"""Agreements' pseudonym keys: made with the agreement, changed from a moment on, forgotten. The keys are in the home alone.

Which key is for which events stands in the agreement's grant, so routers change over without a restart, each at the same event
(``hutong.agreements.keys``). A grant that is written anew keeps it. Neighbours: ``diff`` and ``apply`` make an agreement's first
key, ``hutong keys`` the later ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from hutong.agreements.grant import Grant
from hutong.agreements.keys import ALWAYS, KeyPeriod, fingerprint, newest_name, next_name, windows
from hutong.control.changes import Change
from hutong.control.desired import Desired, WantedGrant
from hutong.control.observed import Observed
from hutong.errors import ConfigurationError
from hutong.home import Home

__all__ = ["KeyState", "first_key", "forgotten", "granted", "kept", "key_changes", "key_notes", "rotated", "states"]

_PERIODS: TypeAdapter[tuple[KeyPeriod, ...] | None] = TypeAdapter(tuple[KeyPeriod, ...] | None)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyState:
    """One key of one agreement.

    Attributes:
        agreement: its id.
        recipient: who gets the pseudonyms.
        name: the key's name.
        fingerprint: what it is known by; None where nobody has written that down.
        from_ms: for what is published from then on; None: from the first event on.
        until_ms: for what is published before then; None: to the last.
        here: whether the home has it, has another one of this name, or none.
    """

    agreement: str
    recipient: str
    name: str
    fingerprint: str | None
    from_ms: int | None
    until_ms: int | None
    here: Literal["yes", "other", "no"]


def kept(there: bytes | None) -> tuple[KeyPeriod, ...] | None:
    """The keys of the grant that stands on the bus; None where it names none, or cannot be read."""
    try:
        return None if there is None else _PERIODS.validate_python(json.loads(there).get("pseudonym_keys"))
    except (ValueError, AttributeError, ValidationError):
        return None


def granted(grant: WantedGrant, schema_id: int, there: bytes | None) -> Grant:
    """The grant as it goes to the routers, in place of what stands there: with the same keys."""
    made = grant.grant(schema_id)
    keys = kept(there)
    return made if keys is None else made.model_copy(update={"pseudonym_keys": keys})


def first_key(agreement: str, home: Home) -> tuple[KeyPeriod, ...]:
    """The key of an agreement that is granted, or granted again: the newest that this home has of it."""
    name = _newest(agreement, home)
    return (KeyPeriod(name=name, fingerprint=fingerprint(_key(home, name))),)


def key_changes(wanted: Desired, found: Observed) -> Iterator[Change]:
    """Keys to make: of agreements that have none. Where routers use one that this home lacks, it is not replaced."""
    for id_, grant in wanted.grants.items():
        if kept(found.grants.get(id_)) is None and newest_name(id_, found.keys) is None:
            contract = grant.agreement.contract
            yield Change(step="key", action="create", name=id_, text="32 random bytes", contract=contract, agreement=id_)


def key_notes(wanted: Desired, found: Observed) -> Iterator[str]:
    """Keys that routers use and this home lacks."""
    for id_ in wanted.grants:
        for key in kept(found.grants.get(id_)) or ():
            if key.name not in found.keys:
                yield f"this home lacks the pseudonym key {key.name}; copy it from the home that made it"


def rotated(grant: Grant, home: Home, *, from_ms: int | None, now_ms: int) -> Grant:
    """The grant with a new key, which is made and kept in the home first.

    A key that an interrupted rotation has made, and no grant names, is the new one.

    Args:
        grant: as it stands on the bus.
        home: where its keys are.
        from_ms: for what is published from then on; None: for everything that is delivered from now on, and earlier keys are
            forgotten.
        now_ms: the clock.

    Raises:
        ConfigurationError: this home is not where the agreement's keys are, or a rotation is under way.
    """
    id_ = grant.agreement.id
    before = grant.pseudonym_keys or (KeyPeriod(name=id_, fingerprint=fingerprint(_key(home, id_))),)
    if (newest := before[-1]).fingerprint not in (None, fingerprint(_key(home, newest.name))):
        raise ConfigurationError(f"the key {newest.name} in this home is another than the routers use; rotate where it was made")
    if newest.from_ms is not None and newest.from_ms > now_ms:
        raise ConfigurationError(f"{id_} is about to change to its key {newest.name}; rotate again after that")
    name = next_name(id_, [one.name for one in before])
    key = fingerprint(bytes.fromhex(home.ensure_key(name)))
    new = KeyPeriod(name=name, fingerprint=key, from_ms=from_ms)
    return grant.model_copy(update={"pseudonym_keys": (new,) if from_ms is None else (*before, new)})


def forgotten(grant: Grant, now_ms: int) -> tuple[Grant, list[str]]:
    """The grant with the key that is in use now, and that alone, and the names of the others.

    Raises:
        ConfigurationError: a rotation is under way.
    """
    keys = grant.pseudonym_keys or ()
    if len(keys) < 2:
        return grant, []
    if (keys[-1].from_ms or 0) > now_ms:
        raise ConfigurationError(f"{grant.agreement.id} is about to change to its key {keys[-1].name}; forget after that")
    last = keys[-1].model_copy(update={"from_ms": None})
    return grant.model_copy(update={"pseudonym_keys": (last,)}), [one.name for one in keys[:-1]]


def states(grants: Mapping[str, Grant], home: Home) -> Iterator[KeyState]:
    """Every key that agreements on the bus use."""
    for id_, grant in sorted(grants.items()):
        for key, (first, end) in windows(grant.pseudonym_keys or (KeyPeriod(name=id_),)):
            text = home.read_key(key.name)
            known = None if text is None else _fingerprint(text)
            yield KeyState(
                agreement=id_,
                recipient=grant.agreement.recipient,
                name=key.name,
                fingerprint=key.fingerprint or known,
                from_ms=None if first == ALWAYS[0] else first,
                until_ms=None if end == ALWAYS[1] else end,
                here="no" if text is None else "yes" if key.fingerprint in (None, known) else "other",
            )


def _newest(agreement: str, home: Home) -> str:
    names: Sequence[str] = [path.name for path in home.keys.iterdir()] if home.keys.is_dir() else []
    return newest_name(agreement, names) or agreement


def _fingerprint(text: str) -> str | None:
    try:
        return fingerprint(bytes.fromhex(text))
    except ValueError:
        return None


def _key(home: Home, name: str) -> bytes:
    text: Any = home.read_key(name)
    if text is None:
        raise ConfigurationError(f"this home lacks the pseudonym key {name}; copy it from the home that made it")
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ConfigurationError(f"the file of the pseudonym key {name} holds no key; put the right one back") from None
