"""The schema registry of the embedded bus: Apicurio, which speaks the Confluent API under ``/apis/ccompat/v7``.

It keeps its schemas in an H2 database file under ``HUTONG_HOME/registry``: they survive a restart, and a kill. Everybody who
reaches it may read; who changes something logs in. Its settings are environment variables, but for that login, which lies in a
private file. Neighbours: ``bus`` starts and watches it; ``containers`` has the same login.
"""

from __future__ import annotations

import hashlib
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from hutong.embedded import broker, java
from hutong.embedded.ports import LOOPBACK
from hutong.embedded.state import State
from hutong.home import Home, write_private
from hutong.principals import REGISTRY_WRITER

__all__ = ["access", "command", "configure", "environment", "is_ready"]

_REALM = "Quarkus"  # what the digest of a password is made with, beside name and password; the registry's own word


def access(password: str) -> Mapping[str, str]:
    """The registry's settings that say who may do what: reading is for all, writing for one.

    Args:
        password: of ``registry-writer``; only its digest is in the settings.
    """
    digest = hashlib.sha256(f"{REGISTRY_WRITER}:{_REALM}:{password}".encode()).hexdigest()
    users = "quarkus.security.users.embedded."
    return {
        "quarkus.http.auth.basic": "true",
        users + "plain-text": "false",
        users + "algorithm": "digest-sha-256",  # the password is 256 random bits: no slower digest makes it safer
        f'{users}users."{REGISTRY_WRITER}"': digest,
        f'{users}roles."{REGISTRY_WRITER}"': "sr-admin",
        "apicurio.auth.role-based-authorization": "true",
        "apicurio.auth.anonymous-read-access.enabled": "true",
    }


def configure(home: Home) -> None:
    """Write down who may change schemas; before a start."""
    write_private(_access_file(home), broker.properties(access(home.ensure_secret(REGISTRY_WRITER))))


def command(home: Home, registry: Path) -> list[str]:
    """The registry's command line."""
    flags = java.server_flags(heap_mb=384, temporary=home.run / "tmp")
    # It answers a handful of requests; the second compiler would take a core during the start and gain nothing.
    return [java.java(), *flags, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", str(registry / "quarkus-run.jar")]


def environment(home: Home, state: State) -> dict[str, str]:
    """Its settings: where it listens, where it stores, how little it logs."""
    return (
        java.environment()
        | (_tls(home, state) if state.has_tls else {"QUARKUS_HTTP_PORT": str(state.registry_port)})
        | {
            "QUARKUS_CONFIG_LOCATIONS": str(_access_file(home)),
            "QUARKUS_HTTP_HOST": LOOPBACK,
            # It opens a second port for health and metrics, by default on every interface.
            "QUARKUS_MANAGEMENT_HOST": LOOPBACK,
            "QUARKUS_MANAGEMENT_PORT": str(state.management_port),
            "QUARKUS_HTTP_ACCESS_LOG_ENABLED": "false",
            "APICURIO_STORAGE_KIND": "sql",
            "APICURIO_STORAGE_SQL_KIND": "h2",
            # WRITE_DELAY=0: a schema that was answered for is on the disk, also if the process is killed in the next moment.
            "APICURIO_DATASOURCE_URL": f"jdbc:h2:file:{home.registry / 'registry'};WRITE_DELAY=0",
            "QUARKUS_LOG_FILE_ENABLED": "true",
            "QUARKUS_LOG_FILE_JSON_ENABLED": "false",
            "QUARKUS_LOG_FILE_PATH": str(home.log / "registry.log"),
            "QUARKUS_LOG_FILE_ROTATION_MAX_FILE_SIZE": "10M",
            "QUARKUS_LOG_FILE_ROTATION_MAX_BACKUP_INDEX": "3",
            "QUARKUS_LOG_CONSOLE_ENABLED": "false",
        }
    )


def _access_file(home: Home) -> Path:
    return home.registry / "access.properties"


def _tls(home: Home, state: State) -> dict[str, str]:
    return {
        "QUARKUS_HTTP_INSECURE_REQUESTS": "disabled",
        "QUARKUS_HTTP_SSL_PORT": str(state.registry_port),
        "QUARKUS_HTTP_SSL_CERTIFICATE_FILES": str(home.tls / "server.crt"),
        "QUARKUS_HTTP_SSL_CERTIFICATE_KEY_FILES": str(home.tls / "server.key"),
    }


def is_ready(home: Home, state: State, *, seconds: float = 2.0) -> bool:
    """Whether the registry answers a question that needs its database."""
    # The registry is on this machine: a proxy that the environment names must not see the request.
    handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
    try:
        if state.has_tls:
            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=home.tls / "ca.crt")))
        opener = urllib.request.build_opener(*handlers)
        with opener.open(f"{state.address.registry_url}/subjects", timeout=seconds) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False
