"""The control plane of a bus as one file, and back: all that ``hutong apply`` has made, with the ids of schemas, and its secrets.

Those are topics, users with their access rules and quotas, schemas, agreements, flows, passwords and pseudonym keys. Events and
cases are not in it: they are the cluster's data, and a mirrored cluster keeps them (docs/operations.md). A delivery that lies on
a topic names its schema by an id, so the ids are kept: readers go on where they were. Neighbours: ``observe`` and ``apply`` work
from declarations; this works from what is there.
"""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hutong.certificates import certify_principals
from hutong.control.desired import Layout
from hutong.control.observed import PREFIXES
from hutong.errors import ConfigurationError, HutongError
from hutong.home import Home
from hutong.kafka.admin import Admin
from hutong.kafka.compacted import Entries, read_all, write
from hutong.kafka.quotas import Quotas, read_quotas, write_quotas
from hutong.kafka.registry_admin import RegistryAdmin
from hutong.kafka.resources import Acl, NewTopic
from hutong.kafka.settings import Settings
from hutong.kafka.topics import AGREEMENTS_TOPIC, FLOWS_TOPIC

__all__ = ["Backup", "load", "restore", "save", "take"]

FORMAT = 1
_CONTENT, _SCHEMAS = "control.json", "schemas.zip"
_LARGEST = 512 * 1024 * 1024  # ten thousand agreements take 100 MB
_CONFIG = (
    *("cleanup.policy", "retention.ms", "max.message.bytes", "message.timestamp.type", "segment.ms", "segment.bytes"),
    *("min.compaction.lag.ms", "max.compaction.lag.ms", "min.cleanable.dirty.ratio", "delete.retention.ms"),
)
"""What ``hutong apply`` sets on topics, but what follows from the number of brokers."""

# Of the cluster itself: a new one has its own.
_CLUSTER = frozenset({"operator", "kafka-broker", "kafka-controller"})

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A control plane.

    Attributes:
        made_at: when, in seconds since 1970.
        topics: name -> partitions and configuration.
        passwords: of users, by principal.
        without_password: users whose password this home does not have; they need a new one after a restore.
        acls: access rules.
        quotas: of users; none in a file of an earlier version, and `hutong apply` sets them then.
        keys: pseudonym keys, by agreement or flow.
        records: control topic -> its entries.
        subjects: the registry's subjects -> the ids of their versions.
        schemas: the registry's archive.
    """

    made_at: int
    topics: Mapping[str, tuple[int, Mapping[str, str]]]
    passwords: Mapping[str, str]
    without_password: tuple[str, ...]
    acls: frozenset[Acl]
    quotas: Quotas
    keys: Mapping[str, str]
    records: Mapping[str, Entries]
    subjects: Mapping[str, list[int]]
    schemas: bytes


def take(settings: Settings, admin: Admin, registry: RegistryAdmin, home: Home) -> Backup:
    """Read everything; nothing is changed. Declarations may be applied meanwhile: then take another one.

    Raises:
        BusError: the cluster or the registry cannot be reached, or refuses.
        ConfigurationError: the registry keeps its schemas in a way of its own.
    """
    admin.brokers()
    topics = admin.topics(PREFIXES)
    acls = admin.acls() or frozenset()
    users = admin.users() - _CLUSTER
    passwords = {user: password for user in sorted(users) if (password := home.read_secret(user)) is not None}
    control = [topic for topic in (AGREEMENTS_TOPIC, FLOWS_TOPIC) if topic in topics]
    return Backup(
        made_at=int(time.time()),
        topics={
            name: (topic.partitions, {key: topic.config[key] for key in _CONFIG if key in topic.config})
            for name, topic in sorted(topics.items())
        },
        passwords=passwords,
        without_password=tuple(sorted(users - passwords.keys())),
        acls=acls,
        quotas=read_quotas(settings) or {},
        keys={file.name: home.read_key(file.name) or "" for file in sorted(home.keys.glob("[!.]*"))},
        records={topic: read_all(settings, topic) for topic in control},
        subjects=_subjects(registry),
        schemas=registry.export(),
    )


def save(backup: Backup, file: Path) -> None:
    """Write it, readable by this user alone.

    Raises:
        ConfigurationError: the file is there already, or cannot be written.
    """
    plain: dict[str, Any] = {
        "format": FORMAT,
        "made_at": backup.made_at,
        "topics": {name: {"partitions": partitions, "config": config} for name, (partitions, config) in backup.topics.items()},
        "passwords": dict(backup.passwords),
        "without_password": list(backup.without_password),
        "acls": [asdict(acl) for acl in sorted(backup.acls)],
        "quotas": {user: dict(quota) for user, quota in sorted(backup.quotas.items())},
        "keys": dict(backup.keys),
        "records": {
            topic: {key: base64.b64encode(value).decode("ascii") for key, value in sorted(entries.items())}
            for topic, entries in backup.records.items()
        },
        "subjects": dict(backup.subjects),
    }
    content = {_CONTENT: json.dumps(plain, ensure_ascii=False, indent=1).encode(), _SCHEMAS: backup.schemas}
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigurationError(f"{file} is there already; name another file") from None
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written ({error.strerror}); name another file") from error
    with os.fdopen(handle, "wb") as out, tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(data), 0o600, backup.made_at
            archive.addfile(entry, io.BytesIO(data))


def load(file: Path) -> Backup:
    """Read such a file.

    Raises:
        ConfigurationError: it is none, or of a later version of Hutong.
    """
    try:
        with tarfile.open(file) as archive:
            plain = json.loads(_member(archive, _CONTENT))
            schemas = _member(archive, _SCHEMAS)
        if plain["format"] != FORMAT:
            raise ConfigurationError(f"{file} has format {plain['format']}, and this Hutong knows {FORMAT}; use a newer one")
        return Backup(
            made_at=plain["made_at"],
            topics={name: (topic["partitions"], topic["config"]) for name, topic in plain["topics"].items()},
            passwords=plain["passwords"],
            without_password=tuple(plain["without_password"]),
            acls=frozenset(Acl(**acl) for acl in plain["acls"]),
            quotas=plain.get("quotas", {}),
            keys=plain["keys"],
            records={
                topic: {key: base64.b64decode(value) for key, value in entries.items()}
                for topic, entries in plain["records"].items()
            },
            subjects=plain["subjects"],
            schemas=schemas,
        )
    except (OSError, EOFError, tarfile.TarError, zlib.error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigurationError(f"{file} is no backup that can be read ({type(error).__name__}); name another file") from error


def restore(
    backup: Backup, settings: Settings, admin: Admin, registry: RegistryAdmin, home: Home, tell: Tell = lambda _: None
) -> None:
    """Make a new bus as the backup's was. Where it breaks off, run it again.

    Args:
        backup: what to restore.
        settings: of the operator of the new bus.
        admin: its administrator.
        registry: its registry.
        home: gets passwords and keys.
        tell: is told of each step.

    Raises:
        HutongError: the bus has agreements or schemas of its own: nothing was changed.
    """
    layout = Layout(brokers=admin.brokers())
    _check_empty(backup, settings, admin, registry)
    tell(f"making {len(backup.topics)} topics")
    safe = {"min.insync.replicas": str(layout.in_sync)}
    admin.create_topics(
        NewTopic(name=name, partitions=partitions, replication=layout.replication, config={**config, **safe})
        for name, (partitions, config) in backup.topics.items()
    )
    if not registry.subjects():
        tell(f"registering {len(backup.subjects)} subjects under their ids")
        registry.restore(backup.schemas)
    if _subjects(registry) != backup.subjects:
        raise HutongError(f"the schemas at {registry.url} did not come back under their ids; empty the registry, then try again")
    tell(f"making {len(backup.passwords)} principals")
    for name, password in backup.passwords.items():
        home.write_secret(name, password)
    admin.set_passwords(backup.passwords)
    certify_principals(home, backup.passwords)
    for name, key in backup.keys.items():
        home.write_key(name, key)
    tell(f"setting {len(backup.acls)} access rules")
    admin.create_acls(backup.acls)
    if backup.quotas:
        tell(f"setting the quotas of {len(backup.quotas)} users")
        write_quotas(settings, backup.quotas)
    for topic, entries in sorted(backup.records.items(), reverse=True):  # agreements last: with them the routers begin
        tell(f"writing {len(entries)} records to {topic}")
        write(settings, topic, entries)


def _check_empty(backup: Backup, settings: Settings, admin: Admin, registry: RegistryAdmin) -> None:
    there = admin.topics(PREFIXES)
    if AGREEMENTS_TOPIC in there and read_all(settings, AGREEMENTS_TOPIC):
        raise HutongError(
            f"the bus at {settings.bootstrap_servers} has agreements in force, and a backup is restored to a new bus; "
            "nothing was changed"
        )
    if (subjects := _subjects(registry)) and subjects != backup.subjects:
        raise HutongError(
            f"the registry at {registry.url} has other schemas, and a backup is restored to an empty one; nothing was changed"
        )


def _subjects(registry: RegistryAdmin) -> dict[str, list[int]]:
    return {
        subject: [registry.version(subject, number).id for number in registry.versions(subject)]
        for subject in registry.subjects()
    }


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    entry = archive.getmember(name)
    if not entry.isfile() or entry.size > _LARGEST:  # no link to a file of this machine, and nothing that would fill its memory
        raise ValueError(name)
    found = archive.extractfile(entry)
    assert found is not None  # noqa: S101 - of a file there is content
    return found.read()
