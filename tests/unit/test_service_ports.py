"""The ports of services, for health and metrics: on loopback unless told otherwise, for looking alone, and without a secret."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from hutong.home import Home
from hutong.runtime.health import Health, HealthServer
from hutong.runtime.settings import ServiceSettings
from tests.unit.test_docs_configuration import services

ROOT = Path(__file__).parents[2]
PAGES = ("/health/live", "/health/ready", "/metrics")


class Own(ServiceSettings):
    """A service of nothing."""

    service: ClassVar[str] = "ports"


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setenv("HUTONG_HOME", str(tmp_path))
    Home(root=tmp_path).write_secret("ports", "never-on-a-page")
    monkeypatch.setenv("HUTONG_KAFKA_PASSWORD", "never-on-a-page-either")
    server = HealthServer(Health(), Own(instance="a"))
    yield server.port
    server.close()


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path, body)
    answer = connection.getresponse()
    found = answer.status, answer.read(), answer.headers
    connection.close()
    return found


@pytest.mark.parametrize("own", services(), ids=lambda own: own.service)
def test_a_service_listens_on_loopback_unless_told_otherwise(own: type[ServiceSettings]) -> None:
    """Whoever opens a port to others says so: no service does it by itself."""
    assert own.model_fields["host"].default == "127.0.0.1"


def test_every_service_is_among_them() -> None:
    """The three services and the relay at least."""
    assert {own.service for own in services()} >= {"router", "coordinator", "monitor", "outbox"}


def test_the_port_is_not_open_to_other_machines(port: int) -> None:
    """Another address of this machine does not answer."""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=2).close()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "HUTONG"])
@pytest.mark.parametrize("path", PAGES)
def test_there_is_nothing_to_do_but_to_look(port: int, method: str, path: str) -> None:
    """Every other method is refused on every page, and the pages are as before."""
    status, _, _ = ask(port, method, path, b"{}" if method in ("POST", "PUT", "PATCH") else None)
    assert status in (405, 501)
    assert ask(port, "GET", path)[0] == 200


@pytest.mark.parametrize("path", ["/", "/health", "/metrics/", "/../../etc/passwd", "/health/live/../../secrets/ports"])
def test_there_is_nothing_else_to_look_at(port: int, path: str) -> None:
    """Three pages; no path leads to a file."""
    assert ask(port, "GET", path)[0] == 404


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_a_secret(port: int, path: str) -> None:
    """Neither a password of the home nor one of the environment; and no page may be kept by others."""
    status, body, headers = ask(port, "GET", path)
    assert status == 200
    assert b"never-on-a-page" not in body
    assert b"never-on-a-page" not in str(headers).encode()


def test_in_containers_prometheus_alone_reaches_the_ports() -> None:
    """In compose.yaml no service publishes a port and their network has no way out; on Kubernetes a policy names Prometheus."""
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert compose["networks"]["bus"]["internal"] is True
    for name, service in compose["services"].items():
        if name.split("-")[0] in {own.service for own in services()}:
            assert "ports" not in service
            assert service["networks"] == ["bus"]
    policies = yaml.safe_load_all((ROOT / "deploy/kubernetes/network.yaml").read_text())
    policy = next(one["spec"] for one in policies if one["metadata"]["name"] == "hutong-services")
    assert {"router", "coordinator", "monitor"} == set(policy["podSelector"]["matchExpressions"][0]["values"])
    [ingress] = policy["ingress"]
    [source] = ingress["from"]
    assert source == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
