"""``hutong keys``: the agreements' pseudonym keys and the principals' passwords, seen and changed while everything runs.

No key and no password is ever printed. Neighbours: ``control.keys`` and ``control.passwords`` do it; docs/keys.md says what each
change means for those who receive.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import click

from hutong.agreements.grant import Grant
from hutong.cli import FINE, FOUND, _complete
from hutong.cli._json import json_option, print_json
from hutong.cli._moment import MOMENT
from hutong.cli._text import columns
from hutong.control.keys import KeyState, forgotten, rotated, states
from hutong.control.passwords import administrator, change
from hutong.errors import ConfigurationError
from hutong.home import Home
from hutong.kafka.clock import broker_clock
from hutong.kafka.compacted import read_all, write
from hutong.kafka.settings import Settings
from hutong.kafka.topics import AGREEMENTS_TOPIC
from hutong.language import said, said_many
from hutong.principals import OPERATOR

__all__ = ["command"]

_AHEAD_MS = 10_000  # every router that follows the agreements knows of a change long before


@click.group(short_help="Show and change pseudonym keys and passwords, without a restart.")
def command() -> None:
    """Show and change the agreements' pseudonym keys and the principals' passwords, without a restart."""


@command.command("list")
@json_option
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """Show which pseudonym key each agreement uses for which events, and whether this home has it.

    Exit code 0: this home has them all; 1: it lacks one, or has another; 2: wrong use, or no bus.
    """
    found = list(states(_grants(Settings.resolve(OPERATOR)), Home.find()))
    if as_json:
        print_json({"keys": [_entry(one) for one in found]})
    else:
        click.echo("\n".join(columns([_row(one) for one in found])) or said("there is no agreement"))
    ctx.exit(FINE if all(one.here == "yes" for one in found) else FOUND)


@command.command(short_help="Give agreements a new pseudonym key.")
@click.argument("agreements", nargs=-1, shell_complete=_complete.agreements)
@click.option("--recipient", help="All agreements of this department.", shell_complete=_complete.departments)
@click.option(
    "--from", "from_ms", type=MOMENT, help="For what is published from this moment on; by default ten seconds from now."
)
@click.option("--forget", is_flag=True, help="Forget earlier keys: all that is delivered from now on comes under the new one.")
@json_option
def rotate(agreements: tuple[str, ...], recipient: str | None, from_ms: int | None, forget: bool, as_json: bool) -> None:
    """Give agreements a new pseudonym key, for what is published from a moment on.

    What was published before keeps its pseudonyms, also where it is delivered later or again. Routers change over by themselves,
    each at the same event; to those on other machines copy the new key before the moment.
    With --forget the key changes at once, for backlog and replays too: for a key that somebody else may know.
    """
    if forget and from_ms is not None:
        raise click.UsageError(said("--forget is for everything from now on: leave --from out"))
    settings, home = Settings.resolve(OPERATOR), Home.find()
    chosen = _chosen(_grants(settings), agreements, recipient)
    now_ms = time.time_ns() // 1_000_000
    moment = None if forget else _moment(settings, now_ms, from_ms)
    new = {id_: rotated(grant, home, from_ms=moment, now_ms=now_ms) for id_, grant in chosen.items()}
    _send(settings, new)
    for id_, grant in chosen.items() if forget else ():
        _delete(home, [key.name for key, _ in grant.key_periods], new[id_])
    names = [one.pseudonym_keys[-1].name for one in new.values() if one.pseudonym_keys]
    if as_json:
        print_json({"keys": names, "from": None if moment is None else _time(moment)})
        return
    for name in names:
        click.echo(
            said("{key} is used for everything from now on", key=name)
            if moment is None
            else said("{key} is used for what is published from {moment} on", key=name, moment=_time(moment))
        )


@command.command()
@click.argument("agreements", nargs=-1, shell_complete=_complete.agreements)
@click.option("--recipient", help="All agreements of this department.", shell_complete=_complete.departments)
@json_option
def forget(agreements: tuple[str, ...], recipient: str | None, as_json: bool) -> None:
    """Delete the keys that agreements had before the present one.

    What was published under them and is delivered later, or again, comes under the present key.
    """
    settings, home = Settings.resolve(OPERATOR), Home.find()
    chosen = _chosen(_grants(settings), agreements, recipient)
    now_ms = time.time_ns() // 1_000_000
    new = {id_: forgotten(grant, now_ms) for id_, grant in chosen.items()}
    _send(settings, {id_: grant for id_, (grant, names) in new.items() if names})
    gone = [name for _, names in new.values() for name in names]
    for grant, names in new.values():
        _delete(home, names, grant)
    if as_json:
        print_json({"forgotten": gone})
    else:
        click.echo(said_many(len(gone), "{number} key is forgotten", "{number} keys are forgotten"))


@command.command()
@click.argument("principals", nargs=-1, required=True, shell_complete=_complete.departments)
@json_option
def password(principals: tuple[str, ...], as_json: bool) -> None:
    """Give principals another password: departments, services, or the operator.

    It is kept in this home's secrets. Services and programs that read it there go on without a restart, with the connections that
    they have, and log in with the new one when they connect again. Where this was broken off, do it again.
    """
    home = Home.find()
    admin, settings = administrator(Settings.resolve(OPERATOR), home)
    for principal in principals:
        change(principal, settings, admin, home)
        if not as_json:
            click.echo(said("{principal} has another password", principal=principal))
    if as_json:
        print_json({"principals": list(principals)})


def _grants(settings: Settings) -> dict[str, Grant]:
    return {id_: Grant.from_json(document) for id_, document in sorted(read_all(settings, AGREEMENTS_TOPIC).items())}


def _chosen(grants: dict[str, Grant], agreements: Sequence[str], recipient: str | None) -> dict[str, Grant]:
    for id_ in agreements:
        if id_ not in grants:
            raise ConfigurationError(f"the bus has no agreement {id_}; see them with 'hutong keys list'")
    of = {id_: grant for id_, grant in grants.items() if id_ in agreements or grant.agreement.recipient == recipient}
    if not of:
        raise click.UsageError(said("name agreements, or a --recipient that has some"))
    return of


def _moment(settings: Settings, now_ms: int, asked_ms: int | None) -> int:
    """From when on, by the brokers' clock, which stamps what is published."""
    earliest = now_ms + int(broker_clock(settings).ahead_seconds * 1000) + _AHEAD_MS
    if asked_ms is not None and asked_ms < earliest:
        raise ConfigurationError(
            "the routers must know of a new key before it is used: name a moment ten seconds from now, or later"
        )
    return earliest if asked_ms is None else asked_ms


def _send(settings: Settings, grants: dict[str, Grant]) -> None:
    write(settings, AGREEMENTS_TOPIC, {id_: grant.to_json() for id_, grant in grants.items()})


def _delete(home: Home, names: Iterable[str], grant: Grant) -> None:
    """Delete keys that a grant does not use any more, once it is on its way to the routers."""
    used = {key.name for key, _ in grant.key_periods}
    for name in names:
        if name not in used:
            home.forget_key(name)


def _row(one: KeyState) -> tuple[str, ...]:
    here = {"yes": said("here"), "no": said("not in this home"), "other": said("this home has another")}[one.here]
    return one.agreement, one.recipient, one.name, one.fingerprint or "-", _period(one), here


def _period(one: KeyState) -> str:
    if one.from_ms is None:
        return said("always") if one.until_ms is None else said("until {moment}", moment=_time(one.until_ms))
    if one.until_ms is None:
        return said("from {moment} on", moment=_time(one.from_ms))
    return said("from {first} until {end}", first=_time(one.from_ms), end=_time(one.until_ms))


def _entry(one: KeyState) -> dict[str, str | None]:
    return {
        "agreement": one.agreement,
        "recipient": one.recipient,
        "key": one.name,
        "fingerprint": one.fingerprint,
        "from": None if one.from_ms is None else _time(one.from_ms),
        "until": None if one.until_ms is None else _time(one.until_ms),
        "here": one.here,
    }


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
