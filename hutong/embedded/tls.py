"""TLS over the life of an embedded bus: certificates before a start, and what becomes of a bus whose certificate has ended.

Neighbours: ``certificates`` makes them, ``bus`` calls this.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from hutong.certificates import Authority
from hutong.embedded import broker, ports
from hutong.embedded.process import processes, stop
from hutong.embedded.progress import Progress
from hutong.embedded.state import State
from hutong.home import Home
from hutong.principals import OPERATOR, REGISTRY_WRITER, SERVICES

__all__ = ["certify", "stop_expired"]

_SOON = timedelta(days=14)
_STOP_SECONDS = 15.0


def certify(home: Home, state: State, progress: Progress) -> None:
    """Have the certificates that a start needs: new ones where there are none, or where they end soon."""
    if not state.has_tls:
        return
    authority = Authority(directory=home.tls)
    server = authority.server([ports.LOOPBACK, "localhost"])
    if server.is_new:
        progress.say(f"a new server certificate, until {server.ends:%Y-%m-%d}")
    if state.security == "mutual":
        known = {file.name for file in home.secrets.glob("[!.]*")} - {broker.BROKER, broker.CONTROLLER, REGISTRY_WRITER}
        for principal in sorted(known | {OPERATOR, *SERVICES}):
            authority.client(principal)


def stop_expired(home: Home, state: State, names: Collection[str], progress: Progress) -> frozenset[str]:
    """Stop the parts that show a certificate that has ended, so that they are started with a new one.

    They read it when they start, and no client takes it any more: there is nothing to interrupt.

    Args:
        home: where the bus lives.
        state: its layout.
        names: of its parts.
        progress: told what happens.

    Returns:
        Names of what was stopped.
    """
    running = [process for process in processes(home.run) if process.name in names]
    if not (state.has_tls and running):
        return frozenset()
    ends, now = Authority(directory=home.tls).server_ends(), datetime.now(UTC)
    if ends is not None and ends > now:
        if ends - now < _SOON:
            progress.say(f"the server certificate ends on {ends:%Y-%m-%d}; `hutong down` and `hutong up` make a new one")
        return frozenset()
    how = f"ended on {ends:%Y-%m-%d}" if ends else "is gone"
    progress.say(f"the server certificate {how}; starting the bus anew with another")
    stop(running, patience=_STOP_SECONDS)
    return frozenset(process.name for process in running)
