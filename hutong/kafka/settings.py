"""Where the bus is and who we are: the SDK's settings, all read here, once.

The environment wins (``HUTONG_KAFKA_*``, ``HUTONG_REGISTRY_*``); else the embedded bus under ``HUTONG_HOME`` answers. Neighbours:
``home`` knows that folder, ``clients`` and ``registry`` are built from these values.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from hutong.errors import ConfigurationError
from hutong.home import Home, file_name, read_private
from hutong.principals import OPERATOR, REGISTRY_WRITER
from hutong.transport import Limits

__all__ = ["Settings", "trust"]

_VARIABLES = {
    "bootstrap_servers": "HUTONG_KAFKA_BOOTSTRAP_SERVERS",
    "security_protocol": "HUTONG_KAFKA_SECURITY_PROTOCOL",
    "sasl_mechanism": "HUTONG_KAFKA_SASL_MECHANISM",
    "username": "HUTONG_KAFKA_USERNAME",
    "password": "HUTONG_KAFKA_PASSWORD",
    "password_file": "HUTONG_KAFKA_PASSWORD_FILE",
    "ssl_ca_location": "HUTONG_KAFKA_SSL_CA_LOCATION",
    "ssl_certificate_location": "HUTONG_KAFKA_SSL_CERTIFICATE_LOCATION",
    "ssl_key_location": "HUTONG_KAFKA_SSL_KEY_LOCATION",
    "registry_url": "HUTONG_REGISTRY_URL",
    "registry_username": "HUTONG_REGISTRY_USERNAME",
    "registry_password": "HUTONG_REGISTRY_PASSWORD",
    "registry_ca_location": "HUTONG_REGISTRY_SSL_CA_LOCATION",
    "max_event_bytes": "HUTONG_MAX_EVENT_BYTES",
    "block_seconds": "HUTONG_BLOCK_SECONDS",
    "delivery_seconds": "HUTONG_DELIVERY_SECONDS",
}


class Settings(BaseModel):
    """Connection of one principal to one bus.

    Attributes:
        bootstrap_servers: ``host:port`` of the brokers, comma-separated.
        registry_url: base URL of a registry that speaks the Confluent API.
        security_protocol: as Kafka clients name it.
        sasl_mechanism: as Kafka clients name it; only used with SASL.
        username: the Kafka principal, a department's code.
        password: its password, as it was when these settings were made.
        password_file: the file that it was read from, and is read from again when it changes; None where it was given as such.
        ssl_ca_location: file of the brokers' certificate authority; the system's authorities by default.
        ssl_certificate_location: file of the certificate that we show, where the brokers ask for one.
        ssl_key_location: file of its private key.
        registry_username: for a registry that asks who one is (HTTP basic authentication).
        registry_password: its password; by default the one in the home that has this name.
        registry_ca_location: file of the registry's certificate authority; the system's authorities by default.
        max_event_bytes: largest encoded event; stay below the brokers' ``message.max.bytes``.
        block_seconds: how long ``publish`` waits for room in the queue before it raises ``QueueFull``.
        delivery_seconds: after this long without a confirmation an event counts as failed.
        registry_seconds: time-out of one request to the registry.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    bootstrap_servers: str = Field(min_length=1)
    registry_url: str = Field(pattern=r"^https?://")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str | None = None
    password: SecretStr | None = None
    password_file: str | None = None
    ssl_ca_location: str | None = None
    ssl_certificate_location: str | None = None
    ssl_key_location: str | None = None
    registry_username: str | None = None
    registry_password: SecretStr | None = None
    registry_ca_location: str | None = None
    max_event_bytes: int = Field(default=900_000, gt=0)
    block_seconds: float = Field(default=10.0, ge=0)
    delivery_seconds: float = Field(default=120.0, gt=0)
    registry_seconds: float = Field(default=10.0, gt=0)

    @classmethod
    def resolve(cls, principal: str, environment: Mapping[str, str] | None = None) -> Self:
        """The settings of a principal, from the environment or from the embedded bus.

        Args:
            principal: a department's code, ``operator``, or a service's own.
            environment: variables to read; the process's by default.

        Raises:
            ConfigurationError: nothing says where the bus is, or a value makes no sense.
        """
        variables = os.environ if environment is None else environment
        found: dict[str, Any] = {field: variables[name] for field, name in _VARIABLES.items() if variables.get(name)}
        place = Home.find(variables)
        if "bootstrap_servers" not in found:
            here = _embedded(place, found.get("username", principal), missing="HUTONG_KAFKA_BOOTSTRAP_SERVERS")
            if "registry_url" in found:
                here.pop("registry_username", None)  # that password is for the registry beside the bus, and for no other
            found = here | found
        if "registry_url" not in found:
            raise ConfigurationError("HUTONG_KAFKA_BOOTSTRAP_SERVERS is set and HUTONG_REGISTRY_URL is not: set it too")
        if str(found.get("security_protocol", "")).startswith("SASL"):
            found.setdefault("username", principal)
            if "password" not in found:
                found.setdefault("password_file", str(place.secrets / file_name(found["username"])))
                found["password"] = _password(Path(found["password_file"]), found["username"])
            else:
                found.pop("password_file", None)
        if "registry_username" in found and "registry_password" not in found:
            found["registry_password"] = place.read_secret(found["registry_username"])
        try:
            return cls(**found)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = str(first["loc"][0])
            raise ConfigurationError(f"{_VARIABLES.get(name, name)}: {first['msg']}") from None

    @property
    def limits(self) -> Limits:
        """The bounds that the publisher keeps itself."""
        return Limits(max_event_bytes=self.max_event_bytes, block_seconds=self.block_seconds)

    def current_password(self) -> str:
        """The principal's password as it is now: it may have been changed since these settings were made."""
        there = read_private(Path(self.password_file)) if self.password_file else None
        return there or (self.password.get_secret_value() if self.password else "")

    def client(self) -> dict[str, Any]:
        """What every Kafka client is configured with."""
        config: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            "socket.keepalive.enable": True,
            # One thread logs through `logging`; librdkafka's own lines to stderr would bypass the application's logging.
            "log_level": 4,
        }
        if self.security_protocol.startswith("SASL"):
            config["sasl.mechanism"] = self.sasl_mechanism
            config["sasl.username"] = self.username or ""
            config["sasl.password"] = self.current_password()
        if self.security_protocol.endswith("SSL"):
            files = {"ca": self.ssl_ca_location, "certificate": self.ssl_certificate_location, "key": self.ssl_key_location}
            config |= {f"ssl.{what}.location": _there(file) for what, file in files.items() if file}
        return config

    def tls(self) -> ssl.SSLContext | None:
        """For clients of the brokers that are not librdkafka; None where the brokers do not speak TLS."""
        if not self.security_protocol.endswith("SSL"):
            return None
        context = trust(self.ssl_ca_location)
        if self.ssl_certificate_location:
            context.load_cert_chain(_there(self.ssl_certificate_location), self.ssl_key_location)
        return context


def trust(authority: str | None) -> ssl.SSLContext:
    """A client's side of TLS that trusts this authority's file, or the system's authorities.

    Raises:
        ConfigurationError: the file is not there, or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=_there(authority) if authority else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(f"{authority} holds no certificate; name the certificate authority's file (PEM)") from error


def _there(file: str) -> str:
    """The file, looked for now: a client would only say that its configuration is wrong."""
    if not os.access(file, os.R_OK):
        raise ConfigurationError(f"{file} cannot be read; name a file that this user may read (PEM)")
    return file


def _embedded(place: Home, principal: str, *, missing: str) -> dict[str, Any]:
    address = place.address()
    if address is None:
        raise ConfigurationError(f"nothing says where the bus is: set {missing} and HUTONG_REGISTRY_URL, or run 'hutong up' here")
    found = {
        "bootstrap_servers": address.bootstrap_servers,
        "registry_url": address.registry_url,
        "security_protocol": address.security_protocol,
        "sasl_mechanism": "SCRAM-SHA-512",
    }
    if address.security_protocol == "SASL_SSL":
        found["ssl_ca_location"] = found["registry_ca_location"] = str(place.tls / "ca.crt")
    if principal == OPERATOR and place.read_secret(REGISTRY_WRITER) is not None:
        found["registry_username"] = REGISTRY_WRITER
    if address.mutual_tls:
        ours = place.tls / "clients" / file_name(principal)
        found |= {"ssl_certificate_location": f"{ours}.crt", "ssl_key_location": f"{ours}.key"}
    return found


def _password(file: Path, principal: str) -> str:
    password = read_private(file)
    if password is None:
        raise ConfigurationError(
            f"there is no password for {principal}: set HUTONG_KAFKA_PASSWORD, or run 'hutong apply' so that {principal} gets one"
        )
    return password
