"""Which agreements does a record concern? The router's own routing, over agreements without their fields.

An event concerns an agreement that the router owes something for it: a delivery, or, where the agreement's plan cannot take it,
a quarantine record. An event that goes to quarantine as a whole concerns nobody: whom it was for cannot be known.
Neighbours: ``hutong.kafka.control`` (or one reading of ``ctl.agreements``) brings the documents; ``look`` asks record by record.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hutong.agreements.bare import bare
from hutong.agreements.grant import Grant, contract_in
from hutong.contracts.framing import FRAME_BYTES
from hutong.contracts.schema import EventSchema
from hutong.errors import HutongError
from hutong.event import header
from hutong.kafka.schemas import WriterSchemas
from hutong.transcode.routing import Inbound, RoutingTable
from hutong.transport import Record

__all__ = ["Concern", "Known", "of_deliveries"]

_LOG = logging.getLogger("hutong")

_NO_SECRET = bytes(32)
"""Nothing of a bare agreement is pseudonymised; a plan only insists on having a key."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """All agreements, as of one change of the control topic.

    Attributes:
        grants: agreement id -> the grant, as it is.
        contracts: agreement id -> its contract, also of a grant that cannot be read.
        table: the routing table of the bare grants.
        versions: contract -> a number that changes with any of its agreements: whom its events concern has to be asked anew.
    """

    grants: Mapping[str, Grant] = field(default_factory=dict)
    contracts: Mapping[str, str] = field(default_factory=dict)
    table: RoutingTable = field(default_factory=lambda: RoutingTable({}, {}))
    versions: Mapping[str, int] = field(default_factory=dict)

    def by_contract(self) -> dict[str, list[str]]:
        """The agreements on each contract."""
        found: dict[str, list[str]] = {}
        for name, contract in self.contracts.items():
            found.setdefault(contract, []).append(name)
        return found


class Concern:
    """Keeps what is known of agreements, and answers for records.

    Args:
        schemas: the writers' schemas.

    Attributes:
        known: replaced whole whenever the control topic changes.
    """

    def __init__(self, schemas: WriterSchemas) -> None:
        self._schemas = schemas
        self._documents: dict[str, bytes] = {}
        self._bare: dict[str, Grant] = {}
        self._readers: dict[str, list[EventSchema]] = {}
        self.known = Known()

    def update(self, documents: dict[str, bytes]) -> None:
        """Take over the control topic's records."""
        self._readers = {}  # of versions that nobody grants any more nothing is kept
        grants: dict[str, Grant] = {}
        reduced: dict[str, Grant] = {}
        unreadable: dict[str, tuple[str, HutongError]] = {}
        for name, document in documents.items():
            same = self._documents.get(name) == document and name in self._bare
            try:
                grants[name] = self.known.grants[name] if same else Grant.from_json(document)
                reduced[name] = self._bare[name] if same else bare(grants[name], self._reader(grants[name]))
            except HutongError as error:
                grants.pop(name, None)
                unreadable[name] = (contract_in(document), error)
                _LOG.warning("an agreement cannot be read", extra={"facts": {"agreement": name, "error": str(error)}})
        contracts = {name: grant.agreement.contract for name, grant in grants.items()}
        contracts |= {name: contract for name, (contract, _) in unreadable.items()}
        changed = {
            *(contracts[name] for name in contracts if documents[name] != self._documents.get(name)),
            *(contract for name, contract in self.known.contracts.items() if contracts.get(name) != contract),
        }
        versions = {name: self.known.versions.get(name, 0) + (name in changed) for name in {*self.known.versions, *changed}}
        secrets = dict.fromkeys(reduced, _NO_SECRET)
        table = RoutingTable(reduced, secrets, unreadable=unreadable, before=self.known.table)
        self.known = Known(grants=grants, contracts=contracts, table=table, versions=versions)
        self._documents, self._bare = documents, reduced

    def of_events(self, known: Known, records: Sequence[Record]) -> list[list[str]]:
        """For each published record, the agreements that it concerns.

        Raises:
            RegistryUnavailable: a schema cannot be looked up now; nothing can be said.
        """
        now_ms = time.time_ns() // 1_000_000
        frames = ((str(one.topic()), value[:FRAME_BYTES]) for one in records if (value := one.value()) is not None)
        self._schemas.fetch((frame for frame in frames if len(frame[1]) == FRAME_BYTES), Counter())
        found: list[list[str]] = []
        for record in records:
            try:
                routed = known.table.route(_inbound(record), self._schemas.get, now_ms)
            except Exception:  # noqa: BLE001 - as the router: an event that nothing foresaw goes to quarantine as a whole
                found.append([])
                continue
            owed = [one.agreement for one in routed.deliveries]
            found.append(owed + [one.agreement for one in routed.quarantined if one.agreement])
        return found

    def _reader(self, grant: Grant) -> EventSchema:
        """The granted version; agreements of one version share it."""
        readers = self._readers.setdefault(grant.agreement.contract, [])
        for reader in readers:
            if reader.schema == grant.reader_schema:
                return reader
        readers.append(EventSchema(grant.reader_schema))
        return readers[-1]


def of_deliveries(records: Sequence[Record]) -> list[list[str]]:
    """For each delivery, its agreement."""
    found = []
    for record in records:
        name = header(_headers(record), "ce_agreement")
        found.append([name.decode("utf-8", "replace")] if name else [])
    return found


def _headers(record: Record) -> list[tuple[str, bytes]]:
    try:
        return record.headers() or []
    except Exception:  # noqa: BLE001 - the client raises SystemError where a header's name is not UTF-8
        return []  # which is no CloudEvent


def _inbound(record: Record) -> Inbound:
    return Inbound(
        topic=str(record.topic()),
        key=record.key(),
        value=record.value(),
        headers=_headers(record),
        appended_ms=record.timestamp()[1],
    )
