"""Flows on their way to the coordinator: each as one record on ``ctl.flows`` with all that is needed to run it. Pure.

``hutong apply`` writes the records (key: the flow's id), every coordinator reads them. They hold no secret: the key that hides
the numbers of a flow's cases stays in a file. Neighbours: the control plane makes them, ``services/coordinator`` runs them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, PlainSerializer, ValidationError

from hutong.contracts.avro import Schema
from hutong.errors import DeclarationError
from hutong.flows.flow import Flow
from hutong.flows.plan import FlowPlan, contracts_of
from hutong.flows.worktime import StateCouncil, WorkTime

__all__ = ["FlowRecord", "key_name", "plans_of", "since_of"]


def key_name(flow: str) -> str:
    """The name of the key that hides the numbers of a flow's cases; no agreement has a dot in its id."""
    return f"flow.{flow}"


def _declared(flow: Flow) -> dict[str, Any]:
    return flow.model_dump(mode="json", by_alias=True, exclude_unset=True)


class FlowRecord(BaseModel):
    """A flow, self-contained.

    Attributes:
        format: the record's version; it changes when an older one cannot be read any more.
        flow: the declaration.
        schemas: the newest annotated schema of every contract that it takes or emits.
        timezone: in which its days begin and end.
        since: from when on events open cases and happen to them, in milliseconds since the epoch: the moment of its first
            application, so that a new flow does not go through all that was ever published.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[1] = 1
    flow: Annotated[Flow, PlainSerializer(_declared)]
    schemas: dict[str, dict[str, Any]]
    timezone: str
    since: int = 0

    @classmethod
    def of(cls, flow: Flow, schemas: Mapping[str, Schema], timezone: str) -> FlowRecord:
        """The record of a flow; of ``schemas`` those that it names."""
        return cls(flow=flow, schemas={name: schemas[name] for name in contracts_of(flow)}, timezone=timezone)

    def to_json(self) -> bytes:
        """As it goes onto the topic."""
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, separators=(",", ":")).encode()

    def after(self, there: bytes | None, now_ms: int) -> FlowRecord:
        """The record as it takes the place of what stands on the topic: looking at events since the same moment.

        Args:
            there: what stands there; None where the flow is new, or new again.
            now_ms: from when on a new one looks at events.
        """
        return self.model_copy(update={"since": now_ms if there is None else since_of(there)})

    @classmethod
    def from_json(cls, document: bytes) -> FlowRecord:
        """Read it back.

        Raises:
            DeclarationError: it is no flow that this version understands.
        """
        try:
            return cls.model_validate_json(document)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise DeclarationError(f"a flow on ctl.flows cannot be read: {first['msg']}; apply again", field=where) from None


def plans_of(entries: Mapping[str, bytes], secret_of: Callable[[str], bytes]) -> dict[str, FlowPlan]:
    """The flows of ``ctl.flows``, ready to run, by id.

    Args:
        entries: flow id -> record.
        secret_of: a key by its name (see ``key_name``); only called for flows whose cases' keys are personal.

    Raises:
        DeclarationError: a record cannot be read, or its flow does not compile.
    """
    worktimes: dict[str, WorkTime] = {}
    plans: dict[str, FlowPlan] = {}
    for id_, document in sorted(entries.items()):
        record = FlowRecord.from_json(document)
        if record.timezone not in worktimes:
            worktimes[record.timezone] = _worktime(record.timezone, id_)
        secret = secret_of(key_name(id_)) if record.flow.personal_key else None
        plans[id_] = FlowPlan(record.flow, record.schemas, worktimes[record.timezone], secret)
    return plans


def since_of(document: bytes) -> int:
    """From when on a flow of ``ctl.flows`` looks at events; 0 where its record does not say, or cannot be read."""
    try:
        since = json.loads(document).get("since", 0)
    except (ValueError, AttributeError):
        return 0
    return since if isinstance(since, int) else 0


def _worktime(timezone: str, flow: str) -> WorkTime:
    try:
        return WorkTime(ZoneInfo(timezone), StateCouncil())
    except (ZoneInfoNotFoundError, ValueError):
        text = f"the flow {flow} is in the time zone {timezone}, which this machine does not know; install tzdata"
        raise DeclarationError(text, field="timezone") from None
