"""The agreements in force, as one process sees them: from the control topic's records to a compiled table.

Neighbours: ``hutong.kafka.control`` calls ``update`` from its thread; the router asks for ``table`` with every event, the
coordinator where it has to know who had got one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from hutong.agreements.grant import Grant, contract_in
from hutong.errors import HutongError
from hutong.home import Home
from hutong.transcode.routing import RoutingTable

__all__ = ["Agreements"]

_LOG = logging.getLogger("hutong")


_Written = tuple[int, int, int]
"""What a file's status changes with its content: inode, size and time of the last change."""


class Agreements:
    """The table of agreements, replaced whole whenever the control topic changes.

    Args:
        home: where the pseudonym keys lie.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._documents: dict[str, bytes] = {}
        self._grants: dict[str, Grant] = {}
        self._pool = _Pool()
        self._keys: dict[str, tuple[_Written, bytes | None]] = {}
        self._listed: _Written | None = None
        self.table = RoutingTable({}, {})

    def update(self, documents: dict[str, bytes]) -> None:
        """Compile what changed and put the new table in place."""
        grants: dict[str, Grant] = {}
        unreadable: dict[str, tuple[str, HutongError]] = {}
        for name, document in documents.items():
            if self._documents.get(name) == document and name in self._grants:
                grants[name] = self._grants[name]
                continue
            try:
                grants[name] = self._pool.shared(Grant.from_json(document))
            except HutongError as error:
                unreadable[name] = (contract_in(document), error)
        self._listed = _status(self._home.keys)
        written = _written(self._home.keys)
        names = [key.name for grant in grants.values() for key, _ in grant.key_periods]
        self._keys = {name: self._key(name, written[name]) for name in names if name in written}
        secrets = {name: key for name, (_, key) in self._keys.items() if key is not None}
        self.table = RoutingTable(grants, secrets, unreadable=unreadable, before=self.table)
        self._documents, self._grants = documents, grants
        self._pool = _Pool(grants.values())
        for name, problem in self.table.unusable.items():
            _LOG.error("an agreement cannot be applied", extra={"facts": {"agreement": name, "error": str(problem)}})
        _LOG.info("agreements in force", extra={"facts": {"agreements": len(grants)}})

    def may_be_better(self) -> bool:
        """Whether an agreement cannot be applied and keys have come since that was found: then ``update`` is worth a try."""
        return bool(self.table.unusable) and _status(self._home.keys) != self._listed

    def _key(self, name: str, written: _Written) -> tuple[_Written, bytes | None]:
        """The pseudonym key, read again where its file has changed; without a readable one its events go to quarantine."""
        known = self._keys.get(name)
        if known is not None and known[0] == written:
            return known
        try:
            text = self._home.read_key(name)
            return written, None if text is None else bytes.fromhex(text)
        except (HutongError, ValueError):
            return written, None


def _status(path: Path) -> _Written | None:
    """Of a directory it changes with every file that is put there under its name."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _written(directory: Path) -> dict[str, _Written]:
    """When each file of a directory was written; one listing, since thousands of files are looked at with every change."""
    found: dict[str, _Written] = {}
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # a key that is being written has a temporary name for a moment
                status = entry.stat()
                found[entry.name] = (status.st_ino, status.st_size, status.st_mtime_ns)
    return found


class _Pool:
    """What grants have in common: each of thousands brings the same schemas and fields along, and one of each is kept."""

    def __init__(self, grants: Iterable[Grant] = ()) -> None:
        self._parts: dict[str, list[Any]] = {}
        self._declared: dict[str, Any] = {}  # by its words: to Python 1, 1.0 and true are equal, to an agreement they are not
        seen: set[int] = set()
        for grant in grants:
            for name, part in (("", grant.reader_schema), *grant.code_lists.items()):
                if id(part) not in seen:
                    seen.add(id(part))
                    self._parts.setdefault(name, []).append(part)
            for declared in (grant.agreement.fields, grant.agreement.rows):
                if id(declared) not in seen:
                    seen.add(id(declared))
                    self._declared[repr(declared)] = declared

    def shared(self, grant: Grant) -> Grant:
        """The grant with the copies that are here already."""
        lists = {name: self._one(name, entries) for name, entries in grant.code_lists.items()}
        fields, rows = (self._declared.setdefault(repr(one), one) for one in (grant.agreement.fields, grant.agreement.rows))
        agreement = grant.agreement.model_copy(update={"fields": fields, "rows": rows})
        reader = self._one("", grant.reader_schema)
        return grant.model_copy(update={"agreement": agreement, "reader_schema": reader, "code_lists": lists})

    def _one(self, name: str, part: Any) -> Any:
        known = self._parts.setdefault(name, [])
        for one in known:
            if one == part:
                return one
        known.append(part)
        return part
