"""TLS around the bus without a bus: how clients learn of it, what the layout remembers, what brokers and registry are told."""

from __future__ import annotations

import dataclasses
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from hutong.certificates import Authority, Issued, ends
from hutong.embedded import broker, bus, kafka, registry
from hutong.embedded.process import processes, start
from hutong.embedded.progress import Progress
from hutong.embedded.state import State, Wish, load, save, settle
from hutong.embedded.tls import certify, stop_expired
from hutong.errors import BrokerUnavailable, ConfigurationError, RegistryUnavailable
from hutong.home import Home
from hutong.kafka.errors import refuses, tells, translate
from hutong.kafka.registry import Registry
from hutong.kafka.settings import Settings

HOSTS = ["127.0.0.1", "localhost"]
NOBODY: frozenset[str] = frozenset()


class Told(Progress):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        """Remember a line."""
        self.lines.append(text)


def laid_out(home: Home, security: str) -> State:
    state = settle(None, Wish(security=security), NOBODY)  # type: ignore[arg-type]
    save(home, state)
    return state


def resolved(home: Home, principal: str, **variables: str) -> Settings:
    home.ensure_secret(principal)
    return Settings.resolve(principal, {"HUTONG_HOME": str(home.root), **variables})


def test_clients_of_a_home_with_tls_need_no_setting(tmp_path: Path) -> None:
    """Protocol, authority and the registry's address come from the home; every kind of client is configured from them."""
    home = Home(root=tmp_path)
    state = laid_out(home, "tls")
    certify(home, state, Progress())
    settings = resolved(home, "dvv")
    assert settings.client()["security.protocol"] == "SASL_SSL"
    assert settings.client()["ssl.ca.location"] == str(home.tls / "ca.crt")
    assert "ssl.certificate.location" not in settings.client()
    assert settings.registry_url.startswith("https://127.0.0.1:")
    assert settings.registry_ca_location == str(home.tls / "ca.crt")
    context = settings.tls()
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


def test_clients_of_a_home_with_mutual_tls_show_their_own_certificate(tmp_path: Path) -> None:
    """Each principal finds its own; one that has none is told so before anything is tried."""
    home = Home(root=tmp_path)
    state = laid_out(home, "mutual")
    home.ensure_secret("dvv")
    certify(home, state, Progress())
    settings = resolved(home, "dvv")
    assert settings.client()["ssl.certificate.location"] == str(home.tls / "clients/dvv.crt")
    assert settings.client()["ssl.key.location"] == str(home.tls / "clients/dvv.key")
    assert settings.tls() is not None
    with pytest.raises(ConfigurationError, match=r"clients/kela\.crt cannot be read"):
        resolved(home, "kela").client()


def test_a_home_without_tls_is_as_before(tmp_path: Path) -> None:
    """No file of a certificate is named, no context is made, and a home from before TLS was known is read as it was."""
    home = Home(root=tmp_path)
    laid_out(home, "plain")
    settings = resolved(home, "dvv")
    assert settings.client()["security.protocol"] == "SASL_PLAINTEXT"
    assert settings.tls() is None
    assert not [name for name in settings.client() if name.startswith("ssl.")]
    facts = home.read_bus() or {}
    home.write_bus({name: value for name, value in facts.items() if name not in ("security_protocol", "mutual_tls")})
    before = load(home)
    assert before is not None
    assert before.security == "plain"


def test_variables_name_the_files_of_a_bus_elsewhere(tmp_path: Path) -> None:
    """Authority, certificate and key are each a variable; one that is not there is named, and so is one that holds none."""
    authority = Authority(directory=tmp_path)
    client = authority.client("dvv")
    variables = {
        "HUTONG_HOME": str(tmp_path / "home"),
        "HUTONG_KAFKA_BOOTSTRAP_SERVERS": "k:1",
        "HUTONG_KAFKA_SECURITY_PROTOCOL": "SSL",
        "HUTONG_KAFKA_SSL_CA_LOCATION": str(authority.certificate),
        "HUTONG_KAFKA_SSL_CERTIFICATE_LOCATION": str(client.certificate),
        "HUTONG_KAFKA_SSL_KEY_LOCATION": str(client.key),
        "HUTONG_REGISTRY_URL": "https://r",
        "HUTONG_REGISTRY_SSL_CA_LOCATION": str(tmp_path / "gone.crt"),
    }
    settings = Settings.resolve("dvv", variables)
    assert settings.client()["ssl.key.location"] == str(client.key)
    assert settings.tls() is not None
    with pytest.raises(ConfigurationError, match=r"gone\.crt cannot be read"):
        Registry.of(settings)
    empty = tmp_path / "empty.crt"
    empty.write_text("")
    with pytest.raises(ConfigurationError, match=r"empty\.crt holds no certificate"):
        settings.model_copy(update={"ssl_ca_location": str(empty)}).tls()


def test_security_is_fixed_by_the_first_start(tmp_path: Path) -> None:
    """A wish for another one is refused with what there is; no wish leaves it; it is kept over a restart."""
    for security in ("plain", "tls", "mutual"):
        home = Home(root=tmp_path / security)
        state = laid_out(home, security)
        assert load(home) == state
        assert settle(state, Wish(), NOBODY) == state
        for other in {"plain", "tls", "mutual"} - {security}:
            with pytest.raises(ConfigurationError, match=r"holds a bus with.*TLS, not with.*hutong reset"):
                settle(state, Wish(security=other), NOBODY)  # type: ignore[arg-type]


@pytest.mark.parametrize(("security", "asked"), [("tls", "none"), ("mutual", "required")])
def test_brokers_with_tls_speak_nothing_else(tmp_path: Path, security: str, asked: str) -> None:
    """Every listener has TLS, with the files of the home; a client's certificate is asked for where that was wished."""
    home = Home(root=tmp_path)
    state = laid_out(home, security)
    settings = dict(line.split("=", 1) for line in kafka.configure(home, state, state.nodes[0]).read_text().splitlines())
    assert settings["listener.security.protocol.map"] == "CLIENTS:SASL_SSL,CONTROLLERS:SASL_SSL"
    assert settings["ssl.keystore.location"] == str(home.tls / "server.pem")
    assert settings["ssl.truststore.location"] == str(home.tls / "ca.crt")
    assert settings["listener.name.clients.ssl.client.auth"] == settings["listener.name.controllers.ssl.client.auth"] == asked
    assert "PLAINTEXT" not in "".join(settings.values())


def test_the_registry_with_tls_opens_no_other_port(tmp_path: Path) -> None:
    """Its plain port is off."""
    home = Home(root=tmp_path)
    told = registry.environment(home, laid_out(home, "tls"))
    assert told["QUARKUS_HTTP_INSECURE_REQUESTS"] == "disabled"
    assert "QUARKUS_HTTP_PORT" not in told
    assert "QUARKUS_HTTP_SSL_PORT" not in registry.environment(home, laid_out(Home(root=tmp_path / "b"), "plain"))


@contextmanager
def https(issued: Issued) -> Iterator[str]:
    """A registry with one subject, over TLS."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'["pub.x-value"]')

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign, assignment]  # refused handshakes are the test
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_registry_is_believed_with_its_authority_alone(tmp_path: Path) -> None:
    """With the right file it answers; with another authority's, or none, the message names the variable to set."""
    authority, other = Authority(directory=tmp_path / "a"), Authority(directory=tmp_path / "b")
    with https(authority.server(HOSTS)) as url:
        assert Registry(url, authority=str(authority.certificate)).subjects() == ["pub.x-value"]
        for wrong in (str(other.ensure()), None):
            with pytest.raises(ConfigurationError, match=r"not trusted.*HUTONG_REGISTRY_SSL_CA_LOCATION"):
                Registry(url, authority=wrong).subjects()
        with pytest.raises(RegistryUnavailable):
            Registry(url.replace("https", "http")).subjects()


def test_a_certificate_that_is_not_taken_is_told_from_a_broker_that_goes() -> None:
    """The first will not mend itself and names the setting; a handshake that broke off is tried again."""
    lasting = KafkaError(
        KafkaError._SSL,
        "ssl://b:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: verify that "
        "ssl.ca.location is correctly configured (after 5ms in state SSL_HANDSHAKE)",
    )
    passing = KafkaError(KafkaError._SSL, "ssl://b:1/1: SSL handshake failed: Disconnected (after 5ms in state SSL_HANDSHAKE)")
    assert (refuses(lasting), refuses(passing), tells(lasting), tells(passing)) == (True, False, True, False)
    said = translate(lasting, "publish", principal="dvv", servers="b:1")
    assert isinstance(said, ConfigurationError)
    assert "HUTONG_KAFKA_SSL_CA_LOCATION" in str(said)
    assert "state SSL_HANDSHAKE" not in str(said)
    assert isinstance(translate(passing, "publish", principal="dvv", servers="b:1"), BrokerUnavailable)


def _part(home: Home, name: str) -> None:
    home.log.mkdir(parents=True, exist_ok=True)
    home.run.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    start(name, command, run=home.run, output=home.log / name, environment={}, attached=True)


def test_parts_with_an_expired_certificate_are_stopped_and_no_others(tmp_path: Path) -> None:
    """A certificate that is good, or ends soon, interrupts nothing; one that has ended or is gone means a new start."""
    home, told = Home(root=tmp_path), Told()
    state = laid_out(home, "tls")
    names = frozenset(["kafka-1", "registry"])
    certify(home, state, told)
    _part(home, "kafka-1")
    _part(home, "somebody-else")
    try:
        assert stop_expired(home, state, names, told) == frozenset()
        for days, stopped in ((-355, False), (-366, True)):
            (home.tls / "server.crt").unlink()
            Authority(directory=home.tls, now=datetime.now(UTC) + timedelta(days=days)).server(HOSTS)
            assert stop_expired(home, state, names, told) == (frozenset(["kafka-1"]) if stopped else frozenset())
        assert [process.name for process in processes(home.run)] == ["somebody-else"]
        assert ["ends on" in told.lines[-2], "ended on" in told.lines[-1]] == [True, True]
        certify(home, state, told)
        assert "a new server certificate" in told.lines[-1]
    finally:
        for process in processes(home.run):
            process.signal(9)


def test_parts_that_still_show_an_ended_certificate_are_stopped_though_the_file_is_new(tmp_path: Path) -> None:
    """A part that was started anew had it renewed; those that ran on hold the old one in memory until they are asked."""
    home, told = Home(root=tmp_path), Told()
    state = laid_out(home, "tls")
    old = {days: Authority(directory=home.tls, now=datetime.now(UTC) - timedelta(days=days)) for days in (355, 366)}
    ended = old[366].server(HOSTS)
    _part(home, "kafka-1")
    _part(home, "registry")
    names = frozenset(["kafka-1", "registry"])
    try:
        with https(ended) as first:
            (home.tls / "server.crt").unlink()
            with https(old[355].server(HOSTS)) as second:
                (home.tls / "server.crt").unlink()
                certify(home, state, told)
                node = dataclasses.replace(state.nodes[0], port=int(first.rpartition(":")[2]))
                state = dataclasses.replace(state, nodes=(node,), registry_port=int(second.rpartition(":")[2]))
                assert stop_expired(home, state, names, told) == frozenset(["kafka-1"])
        assert [process.name for process in processes(home.run)] == ["registry"]
        assert told.lines[-2] == "kafka-1 shows a certificate that has ended; starting it anew with another"
        assert "the server certificate ends on" in told.lines[-1]  # what the registry shows, not what the file holds
    finally:
        for process in processes(home.run):
            process.signal(9)


def test_a_bus_that_runs_gets_its_certificates_anew_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their last month, the server's and its clients'; nothing of it is stopped."""
    home = Home(root=tmp_path)
    laid_out(home, "mutual")
    before = Authority(directory=home.tls, now=datetime.now(UTC) - timedelta(days=345))
    before.server(HOSTS)
    client = before.client("operator")
    for name in ("kafka-1", "registry"):
        _part(home, name)
    running = {process.pid for process in processes(home.run)}
    monkeypatch.setattr(bus, "_is_ready", lambda *_: True)
    try:
        bus.up(home)
        assert {process.pid for process in processes(home.run)} == running
        for file in (home.tls / "server.crt", client.certificate):
            end = ends(file)
            assert end is not None
            assert end > datetime.now(UTC) + timedelta(days=300)
    finally:
        for process in processes(home.run):
            process.signal(9)


def test_passwords_of_brokers_are_in_no_setting_but_their_own() -> None:
    """The settings name two principals' passwords and no other's."""
    node = broker.Place(id=1, host="k", port=1, controller_port=2)
    passwords = {broker.BROKER: "one-of-these", broker.CONTROLLER: "another", "operator": "never"}
    text = broker.properties(broker.settings([node], node, listen="127.0.0.1", data="/d", passwords=passwords, tls=None))
    assert text.count("one-of-these") == 1
    assert text.count("another") == 2
    assert "never" not in text
