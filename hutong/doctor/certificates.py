"""Certificates that have ended, or will soon: those in the home, those that servers show, and the one that we show.

A server reads its certificate when it starts, so what it shows may be older than what lies in the home. Neighbour:
``hutong.certificates`` makes those of the embedded bus, and says when they end.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from hutong.certificates import ends
from hutong.doctor.finding import Context, Finding, Group, some
from hutong.errors import HutongError
from hutong.home import Home
from hutong.kafka.settings import Settings, trust

__all__ = ["GROUP", "Certificate", "Certificates"]

_SOON_DAYS = 30
"""A start of the embedded bus makes those anew that have less."""
_SECONDS = 5.0
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL
_HTTPS_PORT, _KAFKA_PORT = 443, 9092

Kind = Literal["authority", "ours", "shown", "given"]
"""``ours``: a server's or client's of the home; ``shown``: what a server shows; ``given``: the one that a variable names."""

_REMEDIES: dict[Kind, str] = {
    "authority": "delete {home}/tls, then `hutong down` and `hutong up` make all anew; clients elsewhere need the new ca.crt",
    "ours": "`hutong down`, then `hutong up` makes a new one; clients go on with the authority that they have",
    "shown": "give that server a new one and start it anew; of the embedded bus: `hutong down`, then `hutong up`",
    "given": "ask who runs the bus for a new one; HUTONG_KAFKA_SSL_CERTIFICATE_LOCATION names it",
}


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """One of them.

    Attributes:
        name: its file, or the address of the server that shows it.
        kind: whose it is, which decides what to do.
        ends: when it expires; None where the server says no more than that it has.
    """

    name: str
    kind: Kind
    ends: datetime | None


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """The facts.

    Attributes:
        home: the home.
        now: this machine's clock.
        found: all that there are; none where nothing speaks TLS.
    """

    home: Path
    now: datetime
    found: Sequence[Certificate] = ()


def look(context: Context) -> Certificates:
    """Look at the files, and shake hands with the servers."""
    return Certificates(home=context.home.root, now=datetime.now(UTC), found=[*_files(context.home), *_of_bus(context.home)])


def _files(home: Home) -> Iterator[Certificate]:
    for file in sorted(home.tls.rglob("*.crt")) if home.tls.is_dir() else ():
        kind: Kind = "authority" if file.name == "ca.crt" else "ours"
        if (end := ends(file)) is not None:
            yield Certificate(name=str(file), kind=kind, ends=end)


def _of_bus(home: Home) -> Iterator[Certificate]:
    try:
        settings = Settings.resolve("operator")
        context = settings.tls()
    except HutongError:
        return  # it is told with what keeps every other client from the bus
    if context is not None:
        for address in settings.bootstrap_servers.split(","):
            broker = urlsplit(f"//{address.strip()}")
            yield from _shown(context, broker.hostname or "", broker.port or _KAFKA_PORT)
    ours = settings.ssl_certificate_location
    if ours and home.tls not in Path(ours).parents:
        with suppress(ImportError):  # without the package that reads it
            if (end := ends(Path(ours))) is not None:
                yield Certificate(name=ours, kind="given", ends=end)
    registry = urlsplit(settings.registry_url)
    if registry.scheme == "https" and registry.hostname:
        with suppress(HutongError):
            yield from _shown(trust(settings.registry_ca_location), registry.hostname, registry.port or _HTTPS_PORT)


def _shown(context: ssl.SSLContext, host: str, port: int) -> Iterator[Certificate]:
    """What a server shows; nothing where it does not answer, or is not trusted for another reason than its certificate's age."""
    name = f"{host}:{port}"
    try:
        with (
            socket.create_connection((host, port), timeout=_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            said = (connection.getpeercert() or {}).get("notAfter")
        if isinstance(said, str):
            yield Certificate(name=name, kind="shown", ends=datetime.fromtimestamp(ssl.cert_time_to_seconds(said), UTC))
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED:
            yield Certificate(name=name, kind="shown", ends=None)
    except OSError:
        return


def check_certificates(facts: Certificates) -> Iterator[Finding]:
    """None has ended, or will within a month."""
    ending = [one for one in facts.found if one.ends is None or (one.ends - facts.now).days < _SOON_DAYS]
    for (kind, day), group in groupby(sorted(ending, key=_alike), _alike):
        alike = list(group)
        where, end = some([one.name for one in alike]), alike[0].ends
        if end is None or end <= facts.now:
            yield Finding(
                check="certificates",
                severity="error",
                where=where,
                what="the certificate has ended ({day}): clients do not connect" if day else "the certificate has ended",
                remedy=_REMEDIES[kind],
                facts={"day": day, "home": facts.home},
            )
        else:
            yield Finding(
                check="certificates",
                severity="warning",
                where=where,
                what="the certificate ends in {days} days ({day})",
                remedy=_REMEDIES[kind],
                facts={"days": (end - facts.now).days, "day": day, "home": facts.home},
            )


def _alike(one: Certificate) -> tuple[Kind, str]:
    """What is told in one finding: certificates of one kind that end on one day."""
    return one.kind, "" if one.ends is None else one.ends.date().isoformat()


GROUP = Group(name="certificates", look=look, checks={"certificates": check_certificates})
