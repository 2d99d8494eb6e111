"""One record in, all that becomes of it out: deliveries, or quarantine with the reason. A pure function over a table of grants.

``RoutingTable`` is immutable: a changed agreement makes a new table that shares what did not change. The service swaps tables
between batches. Neighbours: ``services/router`` and ``hutong.testing`` feed this; ``reference`` does the bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from hutong.agreements.grant import Grant
from hutong.agreements.keys import ALWAYS, KeyPeriod, Published, fingerprint
from hutong.agreements.plan import Plan
from hutong.contracts.framing import unframe
from hutong.contracts.schema import EventSchema
from hutong.errors import DeclarationError, HutongError, MalformedEvent
from hutong.event import Headers, check_attributes, source_of
from hutong.transcode.cap import told
from hutong.transcode.choice import Transcoder, new_lane, transcoder
from hutong.transcode.native.transcoder import NativeTranscoder
from hutong.transcode.reference import Transcoded, VersionPlans

__all__ = ["Delivery", "Inbound", "Quarantined", "Routed", "RoutingTable", "SchemaOf"]

SchemaOf = Callable[[int], EventSchema | None]
"""Schema id -> the contract version written with it; None where the registry knows no such contract schema."""

_PASSED_ON = frozenset(
    {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type", "ce_corrects", "traceparent", "tracestate"}
)  # a header is outside every agreement: only those that hold no data of the event reach a recipient
_MAX_HEADERS = 64
_MAX_HEADER_BYTES = 16_384


class Inbound(NamedTuple):
    """A record of a ``pub.*`` topic. ``appended_ms`` is the broker's append time, ms since the epoch."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    appended_ms: int


class Delivery(NamedTuple):
    """A record for a recipient's topic."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    agreement: str


class Quarantined(NamedTuple):
    """Why an event (or one agreement's delivery of it) goes to quarantine. ``agreement`` None means the whole event."""

    reason: str
    problem: str
    agreement: str | None


class Routed(NamedTuple):
    """All that becomes of one record.

    Attributes:
        deliveries: in force and granted.
        quarantined: at most one for the whole event, or one per agreement that failed.
        asked: how many agreements there are on the contract: those delivered, those quarantined; all others filtered it.
    """

    deliveries: list[Delivery]
    quarantined: list[Quarantined]
    asked: int


class RoutingTable:
    """Every agreement, compiled, at one moment.

    Args:
        grants: agreement id -> grant.
        secrets: name of a pseudonym key (an agreement's first one has its id) -> the key.
        unreadable: agreement id -> (contract, why), for agreements that are there and cannot be read.
        before: the table that this one follows; what it compiled of unchanged agreements is taken from it, so that a change
            costs what it changes.
    """

    def __init__(
        self,
        grants: Mapping[str, Grant],
        secrets: Mapping[str, bytes],
        *,
        unreadable: Mapping[str, tuple[str, HutongError]] | None = None,
        before: RoutingTable | None = None,
    ) -> None:
        self.grants = dict(grants)
        self.lane = new_lane()
        self._laned: set[tuple[str, int]] = set()
        self.unusable: dict[str, HutongError] = {}
        by_contract: dict[str, dict[str, Grant]] = {}
        for name, grant in grants.items():
            by_contract.setdefault(grant.agreement.contract, {})[name] = grant
        self._contracts: dict[str, _ContractTable] = {}
        lost: dict[str, dict[str, HutongError]] = {}
        for name, (contract, error) in (unreadable or {}).items():
            lost.setdefault(contract, {})[name] = error
        for contract in by_contract.keys() | lost.keys():
            own = by_contract.get(contract, {})
            keys = {key.name: secrets.get(key.name) for grant in own.values() for key, _ in grant.key_periods}
            known = before._contracts.get(contract) if before else None
            if known is None or known.grants != own or known.secrets != keys or known.lost != lost.get(contract, {}):
                known = _ContractTable(contract, own, keys, lost.get(contract, {}), known)
            self._contracts[contract] = known
            self.unusable |= known.unusable

    def contracts(self) -> dict[str, str]:
        """The contract of every agreement, in force or not, readable or not."""
        return {name: contract for contract, table in self._contracts.items() for name in (*table.grants, *table.lost)}

    def route(self, record: Inbound, schema_of: SchemaOf, now_ms: int) -> Routed:
        """What becomes of a record.

        Args:
            record: as read from its topic.
            schema_of: finds the writer's schema.
            now_ms: the router's clock: an agreement that has ended delivers nothing more, also of older events.
        """
        contract = record.topic.removeprefix("pub.")
        table = self._contracts.get(contract)
        if table is None:
            table = self._contracts[contract] = _ContractTable(contract, {}, {}, {}, None)
        try:
            headers = _checked_headers(record.headers, table.source, table.type)
            key = _present(record.key, "key")
            value = _present(record.value, "value")
            writer = _writer(value, contract, schema_of)
            routed = table.route(key, value, headers, writer, record.appended_ms, now_ms)
        except MalformedEvent as error:
            return Routed([], [Quarantined(error.reason, error.problem, None)], 0)
        self._open_lane(record.topic, unframe(value), table, writer)
        return routed

    def route_rest(self, record: Inbound, schema_of: SchemaOf, now_ms: int) -> Routed:
        """The same for an event that the lane has routed, as far as it left agreements to Python."""
        contract = record.topic.removeprefix("pub.")
        table, value = self._contracts[contract], _present(record.value, "value")
        headers = _checked_headers(record.headers, table.source, table.type)
        writer = _writer(value, contract, schema_of)
        return table.route_rest(_present(record.key, "key"), value, headers, writer, record.appended_ms, now_ms)

    def _open_lane(self, topic: str, schema_id: int, table: _ContractTable, writer: EventSchema) -> None:
        """From the second event of a topic and schema on, the lane takes them; the first one has compiled all that it needs."""
        if self.lane is None or table.unusable or (topic, schema_id) in self._laned:
            return
        self._laned.add((topic, schema_id))
        known = table.transcoder(writer)
        if isinstance(known, NativeTranscoder):
            self.lane.add(topic, table.source, table.type, schema_id, known.native)


class _Compiled(NamedTuple):
    """An agreement's plan, and all that it was made from."""

    grant: Grant
    secret: bytes | None
    reader: EventSchema
    plan: Plan


class _ContractTable:
    """The agreements of one contract, and a transcoder per writer schema that came along.

    It is made beside the running table and takes over what that one compiled, transcoders included: the first event after a
    change must not wait for thousands of plans.
    """

    def __init__(
        self,
        contract: str,
        grants: dict[str, Grant],
        secrets: dict[str, bytes | None],
        lost: dict[str, HutongError],
        before: _ContractTable | None,
    ) -> None:
        self.contract, self.grants, self.secrets, self.lost = contract, grants, secrets, lost
        self.source, self.type = source_of(contract.rpartition(".")[0]).encode(), contract.encode()
        self.unusable: dict[str, HutongError] = dict(lost)
        self._failed: list[tuple[str, Published]] = [(name, ALWAYS) for name in lost]
        self._compiled: dict[str, _Compiled] = {}
        self._headers: dict[str, tuple[str, bytes]] = {}
        versions: dict[int, VersionPlans] = {}
        for name, grant in grants.items():
            self._headers[name] = ("ce_agreement", name.encode())
            for key, published in grant.key_periods:
                try:
                    made = self._compile(versions, grant, key, published, before)
                except Exception as error:  # noqa: BLE001 - one agreement that cannot be compiled must not stop the others
                    self.unusable[name] = error if isinstance(error, HutongError) else DeclarationError(type(error).__name__)
                    self._failed.append((name, published))
                    continue
                versions[made.reader.version].add(made.plan)
                self._compiled[key.name] = made
        self._versions = list(versions.values())
        self._transcoders: dict[int, tuple[EventSchema, Transcoder]] = {}
        for writer, known in list(before._transcoders.values()) if before else ():
            self._transcoders[id(writer)] = (writer, transcoder(writer, self._versions, known))

    def _compile(
        self,
        versions: dict[int, VersionPlans],
        grant: Grant,
        key: KeyPeriod,
        published: Published,
        before: _ContractTable | None,
    ) -> _Compiled:
        secret = self.secrets[key.name]
        known = before._compiled.get(key.name) if before else None
        if known is not None and known.secret == secret and (known.grant is grant or known.grant == grant):
            version = versions.setdefault(known.reader.version, VersionPlans(reader=known.reader))
            if version.reader is known.reader:
                return known
        version = self._version(versions, grant, before)
        plan = Plan(grant, version.reader, _secret(grant.agreement.id, key, secret), published)
        return _Compiled(grant, secret, version.reader, plan)

    def _version(self, versions: dict[int, VersionPlans], grant: Grant, before: _ContractTable | None) -> VersionPlans:
        """The granted version; grants of the same version share one parsed schema, with the table before too."""
        known = (*versions.values(), *(before._versions if before else ()))
        same = (version.reader for version in known if version.reader.schema == grant.reader_schema)
        reader = next(same, None) or EventSchema(grant.reader_schema)
        version = versions.setdefault(reader.version, VersionPlans(reader=reader))
        if version.reader.schema != reader.schema:
            raise DeclarationError(f"the grants of {self.contract} disagree on version {reader.version}; apply again")
        return version

    def route(self, key: bytes, value: bytes, headers: Headers, writer: EventSchema, appended_ms: int, now_ms: int) -> Routed:
        moments = (appended_ms, now_ms)
        return self._routed(self.transcoder(writer).transcode(key, value, moments), headers, moments)

    def route_rest(
        self, key: bytes, value: bytes, headers: Headers, writer: EventSchema, appended_ms: int, now_ms: int
    ) -> Routed:
        moments = (appended_ms, now_ms)
        known = self.transcoder(writer)
        rest = known.rest if isinstance(known, NativeTranscoder) else None
        made = Transcoded([], []) if rest is None else rest.transcode_guarded(key, value, moments)
        return self._routed(made, headers, moments)

    def _routed(self, transcoded: Transcoded, headers: Headers, moments: tuple[int, int]) -> Routed:
        outputs, failures = transcoded
        agreement_headers = self._headers
        deliveries = [
            Delivery(plan.topic, out_key, out_value, [*headers, agreement_headers[plan.agreement]], plan.agreement)
            for plan, out_key, out_value in outputs
        ]
        quarantined = [Quarantined(*told(failure), failure.agreement) for failure in failures]
        quarantined += [
            Quarantined("unusable_agreement", str(self.unusable[name]), name)
            for name, (first, end) in self._failed
            if first <= moments[0] < end and (name not in self.grants or self.grants[name].in_force(moments))
        ]
        return Routed(deliveries, quarantined, len(self.grants) + len(self.lost))

    def transcoder(self, writer: EventSchema) -> Transcoder:
        known = self._transcoders.get(id(writer))
        if known is None or known[0] is not writer:
            known = self._transcoders[id(writer)] = (writer, transcoder(writer, self._versions))
        return known[1]


def _secret(agreement: str, key: KeyPeriod, secret: bytes | None) -> bytes:
    if secret is None:
        raise DeclarationError(
            f"the pseudonym key of agreement {agreement} is not here; run hutong apply, or copy it to this router: {key.name}"
        )
    if key.fingerprint not in (None, fingerprint(secret)):
        raise DeclarationError(
            f"the pseudonym key of agreement {agreement} here is another one than its own; copy the right one: {key.name}"
        )
    return secret


def _present(part: bytes | None, what: str) -> bytes:
    if not part:
        raise MalformedEvent(f"null_{what}", f"the record has no {what}")
    return part


def _writer(value: bytes, contract: str, schema_of: SchemaOf) -> EventSchema:
    schema_id = unframe(value)
    writer = schema_of(schema_id)
    if writer is None:
        raise MalformedEvent("unknown_schema", f"the registry has no contract schema with id {schema_id}")
    if writer.contract != contract:
        raise MalformedEvent("foreign_schema", f"schema {schema_id} belongs to the contract {writer.contract}")
    return writer


def _checked_headers(headers: Headers, source: bytes, contract: bytes) -> Headers:
    """The headers that go on to recipients.

    Raises:
        MalformedEvent: they are no CloudEvents attributes, or tell of another source than the topic's department.
    """
    fields, _ = check_attributes(headers)
    if len(headers) > _MAX_HEADERS or sum(map(len, fields.values())) > _MAX_HEADER_BYTES:
        raise MalformedEvent("too_many_headers", f"more than {_MAX_HEADERS} headers or {_MAX_HEADER_BYTES} bytes of them")
    if fields["ce_source"] != source:
        raise MalformedEvent("forged_source", "ce_source is not the department that this topic belongs to")
    if fields["ce_type"] != contract:
        raise MalformedEvent("wrong_type", "ce_type is not the contract that this topic belongs to")
    if len(fields) == len(headers) and fields.keys() <= _PASSED_ON:
        return headers
    return [pair for pair in headers if pair[0] in _PASSED_ON and pair[1] == fields[pair[0]]]
