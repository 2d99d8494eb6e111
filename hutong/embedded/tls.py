"""TLS over the life of an embedded bus: certificates before a start, and what becomes of a bus whose certificate has ended.

Neighbours: ``certificates`` makes them, ``bus`` calls this.
"""

from __future__ import annotations

import socket
import ssl
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
_HANDSHAKE_SECONDS = 2.0  # on loopback it takes milliseconds
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def certify(home: Home, state: State, progress: Progress) -> None:
    """Have the certificates that a start needs: new ones where there are none, or where they end soon.

    On a running bus it is harmless: what runs keeps the one that it has read, and clients take both.
    """
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

    They read it when they start, and no client takes it any more: there is nothing to interrupt. Each is asked what it shows,
    since the file may have been made anew after it was started.

    Args:
        home: where the bus lives.
        state: its layout.
        names: of its parts.
        progress: told what happens.

    Returns:
        Names of what was stopped.
    """
    running = {process.name: process for process in processes(home.run) if process.name in names}
    if not (state.has_tls and running):
        return frozenset()
    ends, now = Authority(directory=home.tls).server_ends(), datetime.now(UTC)
    if ends is None or ends <= now:
        how = f"ended on {ends:%Y-%m-%d}" if ends else "is gone"
        progress.say(f"the server certificate {how}; starting the bus anew with another")
        stop(running.values(), patience=_STOP_SECONDS)
        return frozenset(running)
    shown = {name: _shown(home, port) for name, port in _ports(state).items() if name in running}
    ended = sorted(name for name, end in shown.items() if end is not None and end <= now)
    for name in ended:
        progress.say(f"{name} shows a certificate that has ended; starting it anew with another")
    first = min([ends, *(end for end in shown.values() if end is not None and end > now)])
    if first - now < _SOON:
        progress.say(f"the server certificate ends on {first:%Y-%m-%d}; `hutong down` and `hutong up` make a new one")
    stop([running[name] for name in ended], patience=_STOP_SECONDS)
    return frozenset(ended)


def _ports(state: State) -> dict[str, int]:
    return {"registry": state.registry_port} | {node.name: node.port for node in state.nodes}


def _shown(home: Home, port: int) -> datetime | None:
    """When the certificate ends that is shown there; None where nobody answers, or says what cannot be read."""
    try:
        context = ssl.create_default_context(cafile=home.tls / "ca.crt")
        with (
            socket.create_connection((ports.LOOPBACK, port), timeout=_HANDSHAKE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=ports.LOOPBACK) as connection,
        ):
            end = (connection.getpeercert() or {}).get("notAfter")
    except ssl.SSLCertVerificationError as error:
        return _LONG_AGO if error.verify_code == _EXPIRED else None  # the day itself is not told then
    except OSError:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(end), UTC) if isinstance(end, str) else None
