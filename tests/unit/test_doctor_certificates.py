"""The doctor's look at certificates, with a real server and files that end when the test wants it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hutong.certificates import Authority
from hutong.doctor import certificates
from hutong.doctor.certificates import Certificate, Certificates
from hutong.doctor.finding import Context
from hutong.home import Home
from hutong.language import said
from tests.findings import found
from tests.unit.test_tls import HOSTS, https

NOW = datetime.now(UTC)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("HUTONG_HOME", str(tmp_path))
    home = Home(root=tmp_path)
    home.write_secret("operator", "secret")
    return home


def made(home: Home, days_ago: float) -> Authority:
    """The authority of the home, as it was some days ago."""
    return Authority(directory=home.tls, now=NOW - timedelta(days=days_ago))


def served(home: Home, url: str) -> str:
    """Say that the bus is where this server is, which stands for a broker and the registry; its address."""
    address = url.removeprefix("https://")
    home.write_bus({"bootstrap_servers": address, "registry_url": url, "security_protocol": "SASL_SSL"})
    return address


def seen(home: Home) -> list[tuple[str, str, str]]:
    return found(certificates.GROUP, certificates.look(Context(home=home, schemas=Path("schemas"))))


def test_certificates_of_this_year_are_no_finding(home: Home) -> None:
    """Nor is a home without any, nor a bus that does not answer."""
    assert seen(home) == []
    server = made(home, 300).server(HOSTS)
    made(home, 300).client("dvv")
    with https(server) as url:
        served(home, url)
        assert seen(home) == []
        shown = certificates.look(Context(home=home, schemas=Path("schemas"))).found
        assert [one.ends for one in shown if one.kind == "shown"] == [server.ends, server.ends]
    assert seen(home) == []


def test_what_ends_soon_is_told_with_the_days_that_are_left(home: Home) -> None:
    """The file, and the broker and the registry that show it; a client's that was made later is none of it."""
    server = made(home, 345).server(HOSTS)
    made(home, 10).client("dvv")
    with https(server) as url:
        address = served(home, url)
        assert seen(home) == [
            ("certificates", "warning", str(server.certificate)),
            ("certificates", "warning", f"{address}, {address}"),
        ]
        facts = certificates.look(Context(home=home, schemas=Path("schemas")))
    documents = [one.to_document() for one in certificates.check_certificates(facts)]
    assert {one["facts"]["days"] for one in documents} <= {19, 20}
    assert all("`hutong down`" in one["remedy"] for one in documents)


def test_a_server_that_was_not_started_anew_still_shows_the_old_one(home: Home) -> None:
    """What lies in the home is good; what clients get is not."""
    with https(made(home, 345).server(HOSTS)) as url:
        address = served(home, url)
        made(home, 0).server(HOSTS)
        assert seen(home) == [("certificates", "warning", f"{address}, {address}")]


def test_what_has_ended_is_an_error(home: Home) -> None:
    """The handshake fails for that reason, and that is what is said."""
    server, client = made(home, 400).server(HOSTS), made(home, 400).client("dvv")
    with https(server) as url:
        address = served(home, url)
        assert seen(home) == [
            ("certificates", "error", f"{client.certificate}, {server.certificate}"),
            ("certificates", "error", f"{address}, {address}"),
        ]


@pytest.mark.parametrize(
    ("kind", "words"), [("authority", "ca.crt"), ("ours", "hutong up"), ("shown", "hutong up"), ("given", "HUTONG_KAFKA_SSL")]
)
def test_each_kind_has_its_remedy(monkeypatch: pytest.MonkeyPatch, kind: certificates.Kind, words: str) -> None:
    """In both languages."""
    one = Certificate(name="x.crt", kind=kind, ends=NOW + timedelta(days=3, hours=1))
    ((finding,),) = [list(certificates.check_certificates(Certificates(home=Path("/h"), now=NOW, found=[one])))]
    document = finding.to_document()
    assert (document["what"], words in document["remedy"]) == (f"the certificate ends in 3 days ({one.ends:%Y-%m-%d})", True)
    monkeypatch.setenv("HUTONG_LANG", "zh")
    assert said(finding.remedy, **finding.facts) != document["remedy"]
