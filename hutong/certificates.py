"""The certificates of a bus with TLS: an authority of its own, one server certificate, one per principal where those are asked.

All of it lies in one directory (``HUTONG_HOME/tls``); private keys are files with mode 0600. Keys are of the curve P-256, the
authority lasts ten years, what it signs one year. Made again, with a new key: what is missing, ends within 30 days, names other
hosts, or was signed by another authority. Neighbours: ``hutong.embedded`` has
them before it starts anything, ``hutong apply`` gives new principals theirs.
"""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hutong.errors import ConfigurationError, HutongError
from hutong.home import Home, file_name, write_private

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.x509 import Certificate, ExtendedKeyUsage, Name, SubjectAlternativeName

__all__ = ["Authority", "Issued", "certify_principals", "ends"]

_AUTHORITY_DAYS = 3652
_DAYS = 365
_RENEW_DAYS = 30  # before its end: a bus that is started anew once a month never stands with an expired one
_SKEW = datetime.timedelta(minutes=5)  # a client's clock may be a little behind this one
_PUBLIC = 0o644


@dataclass(frozen=True, kw_only=True)
class Issued:
    """One certificate and its key, as files.

    Args:
        certificate: PEM: the certificate, then the authority's.
        key: PEM, PKCS #8, mode 0600.
        store: both in one file, mode 0600, which is what Kafka calls a PEM key store.
        ends: when it expires.
        is_new: whether this call made it.
    """

    certificate: Path
    key: Path
    store: Path
    ends: datetime.datetime
    is_new: bool


@dataclass(frozen=True, kw_only=True)
class Authority:
    """The authority that signs a bus's certificates.

    Args:
        directory: where its certificate (``ca.crt``) and key (``ca.key``) lie.
        now: the time, for tests; the clock's by default.
    """

    directory: Path
    now: datetime.datetime | None = None

    @property
    def certificate(self) -> Path:
        """What every client trusts."""
        return self.directory / "ca.crt"

    @property
    def key(self) -> Path:
        """Its private key."""
        return self.directory / "ca.key"

    def ensure(self) -> Path:
        """Make the authority where there is none; returns its certificate.

        Raises:
            HutongError: half of it is gone: a new one would be strange to every client that trusts the old one.
        """
        _library()
        there = [file.exists() for file in (self.certificate, self.key)]
        if all(there):
            return self.certificate
        if any(there):
            gone = self.key if there[0] else self.certificate
            raise HutongError(
                f"the authority's file {gone} is gone; put it back, or delete {self.directory} so that `hutong up` makes a new "
                "authority, which clients elsewhere must then be given"
            )
        self._make()
        return self.certificate

    def server(self, hosts: Sequence[str], *, directory: Path | None = None) -> Issued:
        """The certificate that servers show, for these hosts (names or addresses); servers show it to each other as well."""
        return self._issue(directory or self.directory, "server", hosts)

    def client(self, principal: str) -> Issued:
        """The certificate that a principal shows where the brokers ask for one."""
        return self._issue(self.directory / "clients", file_name(principal), [])

    def server_ends(self) -> datetime.datetime | None:
        """When the server certificate expires; None where there is none."""
        return ends(self.directory / "server.crt")

    def _time(self) -> datetime.datetime:
        return self.now or datetime.datetime.now(datetime.UTC)

    def _issue(self, directory: Path, name: str, hosts: Sequence[str]) -> Issued:
        """What is there and good, else a new one."""
        self.ensure()
        files = [directory / f"{name}.{ending}" for ending in ("crt", "key", "pem")]
        known = _read(files[0]) if all(file.exists() for file in files) else None
        good = known is not None and self._is_good(known, name, hosts)
        if known is None or not good:
            known = self._sign(files, name, hosts)
        certificate, key, store = files
        return Issued(certificate=certificate, key=key, store=store, ends=known.not_valid_after_utc, is_new=not good)

    def _is_good(self, known: Certificate, name: str, hosts: Sequence[str]) -> bool:
        from cryptography import x509
        from cryptography.exceptions import InvalidSignature

        if known.not_valid_after_utc - self._time() < datetime.timedelta(days=_RENEW_DAYS) or known.subject != _name(name):
            return False
        try:
            known.verify_directly_issued_by(_authority(self.certificate))
        except (InvalidSignature, ValueError):
            return False
        try:
            found = known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return not hosts
        return list(found) == list(_names(hosts)) if hosts else False

    def _make(self) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        key, name = ec.generate_private_key(ec.SECP256R1()), _name("authority")
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)  # it signs, and nothing more
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._time() - _SKEW)
            .not_valid_after(self._time() + datetime.timedelta(days=_AUTHORITY_DAYS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        write_private(self.key, _key_text(key))
        write_private(self.certificate, _text(certificate), mode=_PUBLIC)

    def _sign(self, files: Sequence[Path], name: str, hosts: Sequence[str]) -> Certificate:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        authority, key = _authority(self.certificate), ec.generate_private_key(ec.SECP256R1())
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)  # digital signature
        ends = min(self._time() + datetime.timedelta(days=_DAYS), authority.not_valid_after_utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(authority.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._time() - _SKEW)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(_purposes(server=bool(hosts)), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(_public(authority)), critical=False)
        )
        if hosts:
            builder = builder.add_extension(_names(hosts), critical=False)
        certificate = builder.sign(_private(self.key), hashes.SHA256())
        chain, secret = _text(certificate) + _text(authority), _key_text(key)
        write_private(files[1], secret)
        write_private(files[2], secret + chain)
        write_private(files[0], chain, mode=_PUBLIC)
        return certificate


def certify_principals(home: Home, principals: Iterable[str]) -> None:
    """Give principals the certificates that the embedded bus of this home asks of them; nothing to do where it asks for none."""
    address = home.address()
    if address is not None and address.mutual_tls:
        for principal in principals:
            Authority(directory=home.tls).client(principal)


def ends(file: Path) -> datetime.datetime | None:
    """When the certificate in a file expires; None where it holds none, or none is there."""
    certificate = _read(file)
    return certificate.not_valid_after_utc if certificate else None


def _library() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise ConfigurationError("a bus with TLS needs the package cryptography: pip install 'hutong[embedded]'") from None


def _name(name: str) -> Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    # X.509 allows a common name of 64 characters.
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Hutong")
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _names(hosts: Sequence[str]) -> SubjectAlternativeName:
    from cryptography import x509

    found: list[x509.GeneralName] = []
    for host in hosts:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            found.append(x509.DNSName(host))
    return x509.SubjectAlternativeName(found)


def _purposes(*, server: bool) -> ExtendedKeyUsage:
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    # A broker is the client of the next one.
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return x509.ExtendedKeyUsage(both if server else both[1:])


def _read(file: Path) -> Certificate | None:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return None


def _authority(file: Path) -> Certificate:
    certificate = _read(file)
    if certificate is None:
        raise HutongError(f"{file} holds no certificate; put the right file back")
    return certificate


def _public(certificate: Certificate) -> EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    key = certificate.public_key()
    assert isinstance(key, EllipticCurvePublicKey)  # noqa: S101 - our own authority's
    return key


def _private(file: Path) -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as exc:
        raise HutongError(f"{file} holds no private key that can be read; put the right file back") from exc
    if not isinstance(key, EllipticCurvePrivateKey):
        raise HutongError(f"{file} holds another kind of key than Hutong makes; put the right file back")
    return key


def _text(certificate: Certificate) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM).decode("ascii")


def _key_text(key: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")
