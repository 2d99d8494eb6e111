"""Certificates: the right names, purposes and times, private keys private, renewed in time, taken by their own clients alone."""

from __future__ import annotations

import datetime
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from hutong.certificates import Authority, Issued, certify_principals
from hutong.errors import ConfigurationError, HutongError
from hutong.home import Home

HOSTS = ["127.0.0.1", "localhost"]
NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def at(directory: Path, days: float) -> Authority:
    return Authority(directory=directory, now=NOW + datetime.timedelta(days=days))


def certificate(issued: Issued) -> x509.Certificate:
    return x509.load_pem_x509_certificate(issued.certificate.read_bytes())


def shake_hands(server: Issued, trusted: Path, host: str, *, client: Issued | None = None, asked: bool = False) -> str:
    """What a TLS client of the standard library says of a server with this certificate: "" where it is content."""
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(server.certificate, server.key)
    if asked:
        theirs.verify_mode = ssl.CERT_REQUIRED
        theirs.load_verify_locations(trusted)
    ours = ssl.create_default_context(cafile=trusted)
    if client:
        ours.load_cert_chain(client.certificate, client.key)
    here, there = socket.socketpair()

    def serve() -> None:
        try:
            with theirs.wrap_socket(there, server_side=True) as connection:
                connection.send(b"!")
        except OSError:
            there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ours.wrap_socket(here, server_hostname=host) as connection:
            return "" if connection.recv(1) == b"!" else "closed"
    except OSError as error:
        here.close()
        return str(error)
    finally:
        thread.join(10)


def test_a_client_trusts_the_server_of_its_own_authority_alone(tmp_path: Path) -> None:
    """OpenSSL takes it for the names it was made for, and not for another name, nor when another authority is trusted."""
    authority, other = Authority(directory=tmp_path / "a"), Authority(directory=tmp_path / "b")
    server = authority.server(HOSTS)
    assert shake_hands(server, authority.certificate, "127.0.0.1") == ""
    assert shake_hands(server, authority.certificate, "localhost") == ""
    assert "not valid for" in shake_hands(server, authority.certificate, "elsewhere")
    assert "certificate verify failed" in shake_hands(server, other.ensure(), "127.0.0.1")


def test_a_server_that_asks_takes_a_client_with_a_certificate_alone(tmp_path: Path) -> None:
    """Mutual TLS: who shows a certificate of the authority comes in, who shows none or another's does not."""
    authority, other = Authority(directory=tmp_path / "a"), Authority(directory=tmp_path / "b")
    server, client, stranger = authority.server(HOSTS), authority.client("mca.divisions"), other.client("mca.divisions")
    assert shake_hands(server, authority.certificate, "localhost", client=client, asked=True) == ""
    assert shake_hands(server, authority.certificate, "localhost", asked=True) != ""
    assert shake_hands(server, authority.certificate, "localhost", client=stranger, asked=True) != ""


def test_certificates_are_for_what_they_are_for(tmp_path: Path) -> None:
    """Curve P-256, ten years for the authority and one for the rest, an authority that may sign and nothing more."""
    authority = at(tmp_path, 0)
    server, client = certificate(authority.server(HOSTS)), certificate(authority.client("dvv"))
    root = x509.load_pem_x509_certificate(authority.certificate.read_bytes())
    lasts = {one.subject.rfc4514_string(): (one.not_valid_after_utc - NOW).days for one in (root, server, client)}
    assert lasts == {"CN=authority,O=Hutong": 3652, "CN=server,O=Hutong": 365, "CN=dvv,O=Hutong": 365}
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(ca=True, path_length=0)
    assert not server.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    purposes = [set(one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) for one in (server, client)]
    assert purposes == [
        {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH},
        {ExtendedKeyUsageOID.CLIENT_AUTH},
    ]
    assert root.public_key().curve.name == server.public_key().curve.name == "secp256r1"  # type: ignore[union-attr]


def test_private_keys_are_private(tmp_path: Path) -> None:
    """Whatever holds a private key has mode 0600; what holds none may be read by all."""
    authority = Authority(directory=tmp_path / "tls")
    authority.server(HOSTS)
    authority.client("dvv")
    for file in (file for file in authority.directory.rglob("*") if file.is_file()):
        mode = stat.S_IMODE(file.stat().st_mode)
        assert mode == (0o600 if b"PRIVATE KEY" in file.read_bytes() else 0o644), file


def test_a_certificate_is_made_again_when_it_must_be_and_only_then(tmp_path: Path) -> None:
    """Kept while it is good; renewed, with a new key, in its last month, after it, for other hosts, for another authority."""
    first = at(tmp_path, 0).server(HOSTS)
    assert first.is_new
    serial, key = certificate(first).serial_number, first.key.read_bytes()
    assert not at(tmp_path, 300).server(HOSTS).is_new
    assert certificate(first).serial_number == serial
    soon = at(tmp_path, 340).server(HOSTS)
    assert soon.is_new
    assert soon.key.read_bytes() != key
    assert at(tmp_path, 2000).server(HOSTS).is_new
    assert at(tmp_path, 2000).server([*HOSTS, "kafka-1"]).is_new
    assert not at(tmp_path, 2000).server([*HOSTS, "kafka-1"]).is_new
    for name in ("ca.crt", "ca.key"):
        (tmp_path / name).unlink()
    assert at(tmp_path, 2000).server([*HOSTS, "kafka-1"]).is_new
    assert at(tmp_path, 2000).server_ends() == at(tmp_path, 2000).server([*HOSTS, "kafka-1"]).ends


@pytest.mark.parametrize("damaged", ["server.crt", "server.key", "server.pem"])
def test_a_lost_or_damaged_file_is_made_again(tmp_path: Path, damaged: str) -> None:
    """The server's own files are nobody's memory: what is gone or no certificate comes back."""
    authority = Authority(directory=tmp_path)
    authority.server(HOSTS)
    (tmp_path / damaged).unlink()
    assert authority.server(HOSTS).is_new
    (tmp_path / "server.crt").write_text("no certificate")
    assert authority.server(HOSTS).is_new
    assert shake_hands(authority.server(HOSTS), authority.certificate, "localhost") == ""


@pytest.mark.parametrize("gone", ["ca.crt", "ca.key"])
def test_half_an_authority_is_not_replaced_behind_anybodys_back(tmp_path: Path, gone: str) -> None:
    """Clients elsewhere trust the old one: the message names the file that is gone and what to do."""
    authority = Authority(directory=tmp_path)
    authority.ensure()
    (tmp_path / gone).unlink()
    with pytest.raises(HutongError, match=rf"{gone} is gone; put it back"):
        authority.server(HOSTS)


def test_principals_get_certificates_where_the_bus_asks_for_them(tmp_path: Path) -> None:
    """Only a bus with mutual TLS asks; a name that would leave the directory is refused."""
    home = Home(root=tmp_path)
    certify_principals(home, ["dvv"])
    facts = {"bootstrap_servers": "127.0.0.1:1", "registry_url": "https://127.0.0.1:2", "security_protocol": "SASL_SSL"}
    home.write_bus(facts)
    certify_principals(home, ["dvv"])
    assert not home.tls.exists()
    home.write_bus({**facts, "mutual_tls": True})
    certify_principals(home, ["dvv", "kela"])
    assert {file.name for file in (home.tls / "clients").glob("*.crt")} == {"dvv.crt", "kela.crt"}
    with pytest.raises(ConfigurationError, match="cannot name"):
        certify_principals(home, ["../dvv"])
