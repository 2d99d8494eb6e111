"""Where a bus keeps its things on this machine: the paths under ``HUTONG_HOME``, its secrets and its address.

The SDK reads it to find the embedded bus, `hutong.embedded` and the commands write it. Standard library only.
Secrets and keys are files with mode 0600 in directories with mode 0700; they are never in ``bus.json``.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hutong.errors import ConfigurationError

__all__ = ["BusAddress", "Home"]

DEFAULT_HOME = ".hutong"


@dataclass(frozen=True, kw_only=True)
class BusAddress:
    """Where clients reach a bus, and how.

    Args:
        bootstrap_servers: ``host:port`` of the brokers, comma-separated.
        registry_url: base URL of the registry's Confluent API.
        security_protocol: as Kafka clients name it.
        mutual_tls: whether clients must show a certificate too.
    """

    bootstrap_servers: str
    registry_url: str
    security_protocol: str = "SASL_PLAINTEXT"
    mutual_tls: bool = False


@dataclass(frozen=True, kw_only=True)
class Home:
    """The directory that holds one embedded bus.

    Args:
        root: the directory; it need not exist yet.
    """

    root: Path

    @classmethod
    def find(cls, environ: Mapping[str, str] | None = None) -> Home:
        """The home that ``HUTONG_HOME`` names, else ``.hutong`` under the working directory.

        Args:
            environ: the environment to look into; by default the process's own.
        """
        named = (os.environ if environ is None else environ).get("HUTONG_HOME") or DEFAULT_HOME
        return cls(root=Path(named).expanduser().absolute())

    @property
    def run(self) -> Path:
        """Addresses, process records and the lock."""
        return self.root / "run"

    @property
    def secrets(self) -> Path:
        """One file per principal, its password."""
        return self.root / "secrets"

    @property
    def keys(self) -> Path:
        """One file per pseudonym key: an agreement's first one has its id, the next ``<id>_2``."""
        return self.root / "keys"

    @property
    def tls(self) -> Path:
        """Certificates and their keys, where the bus has TLS; ``ca.crt`` is what its clients trust."""
        return self.root / "tls"

    @property
    def jars(self) -> Path:
        """What was downloaded; `hutong reset` keeps it."""
        return self.root / "jars"

    @property
    def kafka(self) -> Path:
        """Configuration and data of the brokers."""
        return self.root / "kafka"

    @property
    def registry(self) -> Path:
        """Data of the schema registry."""
        return self.root / "registry"

    @property
    def postgres(self) -> Path:
        """Data of the embedded PostgreSQL servers."""
        return self.root / "postgres"

    @property
    def log(self) -> Path:
        """Logs of all the processes."""
        return self.root / "log"

    @property
    def bus_file(self) -> Path:
        """The embedded bus's address and ports."""
        return self.run / "bus.json"

    def address(self) -> BusAddress | None:
        """Where the embedded bus of this home is (or was last) reached; None before its first start."""
        facts = self.read_bus()
        if facts is None:
            return None
        try:
            return BusAddress(
                bootstrap_servers=facts["bootstrap_servers"],
                registry_url=facts["registry_url"],
                security_protocol=facts.get("security_protocol", "SASL_PLAINTEXT"),
                mutual_tls=facts.get("mutual_tls", False),
            )
        except KeyError as exc:
            raise ConfigurationError(f"{self.bus_file} lacks {exc}; write it anew with `hutong up`") from None

    def read_bus(self) -> dict[str, Any] | None:
        """All that ``bus.json`` says, or None when there is no such file."""
        try:
            facts = json.loads(self.bus_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as exc:
            raise ConfigurationError(
                f"cannot read {self.bus_file} ({type(exc).__name__}); remove it and run `hutong up`"
            ) from exc
        if not isinstance(facts, dict):
            raise ConfigurationError(f"{self.bus_file} is not a JSON object; remove it and run `hutong up`")
        return facts

    def write_bus(self, facts: Mapping[str, Any]) -> None:
        """Replace ``bus.json`` in one step: a reader sees the old one or the new one, never half of it."""
        write_private(self.bus_file, json.dumps(facts, indent=2, sort_keys=True) + "\n", mode=0o644)

    def read_secret(self, principal: str) -> str | None:
        """The principal's password, or None when this home has none for it."""
        return read_private(self.secrets / file_name(principal))

    def write_secret(self, principal: str, password: str) -> None:
        """Keep the principal's password, readable by the owner of the home alone."""
        write_private(self.secrets / file_name(principal), password + "\n")

    def ensure_secret(self, principal: str) -> str:
        """The principal's password; a new random one (256 bits) is made and kept when there is none."""
        known = self.read_secret(principal)
        if known is None:
            known = secrets.token_urlsafe(32)
            self.write_secret(principal, known)
        return known

    def stage_secret(self, principal: str) -> str:
        """The password that the principal is about to get, kept beside the present one; the same again until it is settled."""
        known = self.staged_secret(principal)
        if known is None:
            known = secrets.token_urlsafe(32)
            write_private(staged(self.secrets / file_name(principal)), known + "\n")
        return known

    def staged_secret(self, principal: str) -> str | None:
        """The password that the principal is about to get, and may have got already; None where nothing is under way."""
        return read_private(staged(self.secrets / file_name(principal)))

    @contextmanager
    def secrets_alone(self) -> Iterator[None]:
        """Nobody else is in the middle of changing a password of this home; waits for whoever is."""
        handle = os.open(self.secrets, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def settle_secret(self, principal: str) -> None:
        """The brokers have taken the password that was staged: it takes the place of the present one, in one step."""
        file = self.secrets / file_name(principal)
        staged(file).replace(file)
        _sync(self.secrets)

    def read_key(self, name: str) -> str | None:
        """A pseudonym key (64 hexadecimal characters) by its name, the agreement's id; None when there is none."""
        return read_private(self.keys / file_name(name))

    def write_key(self, name: str, key: str) -> None:
        """Keep a pseudonym key, readable by the owner of the home alone."""
        write_private(self.keys / file_name(name), key + "\n")

    def ensure_key(self, name: str) -> str:
        """A pseudonym key; a new random one is made and kept when there is none."""
        known = self.read_key(name)
        if known is None:
            known = secrets.token_hex(32)
            self.write_key(name, known)
        return known

    def forget_key(self, name: str) -> None:
        """Delete a pseudonym key; nothing to do where there is none."""
        (self.keys / file_name(name)).unlink(missing_ok=True)


def file_name(name: str) -> str:
    """The name itself, when it can be a file's name and nothing else (no path, nothing hidden)."""
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise ConfigurationError(f"{name!r} cannot name a principal or an agreement")
    return name


def staged(file: Path) -> Path:
    """Where the password lies that is about to take the place of the one in this file."""
    return file.with_name(f".next-{file.name}")


def read_private(path: Path) -> str | None:
    """The file's text without its line end; None when it does not exist."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\n")
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise ConfigurationError(f"cannot read {path}: {exc.strerror}; run as the user who started the bus") from exc
    except UnicodeDecodeError:
        raise ConfigurationError(f"cannot read {path}: it is no text in UTF-8; put the file back that was there") from None


def write_private(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write the file in one step (temporary file, then rename), never readable by others in between."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700 if mode == 0o600 else 0o755)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())  # what others were told of must be there after a loss of power too
        Path(temporary).replace(path)
        _sync(path.parent)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
