"""The flows in force, as this coordinator sees them: from the control topic's records to compiled plans.

Neighbours: ``hutong.kafka.control`` calls ``update`` from its thread; intake and cases ask for ``plans`` with every batch.
"""

from __future__ import annotations

import logging

from hutong.errors import DeclarationError, HutongError
from hutong.flows.control import plans_of, since_of
from hutong.flows.intake import Intake
from hutong.flows.plan import FlowPlan
from hutong.home import Home

__all__ = ["Flows"]

_LOG = logging.getLogger("hutong")


class Flows:
    """The plans of all flows, replaced whole whenever the control topic changes.

    Args:
        home: where the secrets of case numbers lie.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._compiled: dict[str, tuple[bytes, FlowPlan]] = {}
        self._since: dict[str, int] = {}
        self.plans: dict[str, FlowPlan] = {}
        self.intake = Intake(())

    def update(self, documents: dict[str, bytes]) -> None:
        """Compile what changed and put it in place; a flow that cannot be compiled rests."""
        compiled: dict[str, tuple[bytes, FlowPlan]] = {}
        for name, document in documents.items():
            known = self._compiled.get(name)
            if known is not None and known[0] == document:
                compiled[name] = known
                continue
            try:
                compiled[name] = (document, self._compile(name, document))
            except HutongError as error:
                _LOG.error("a flow cannot be run", extra={"facts": {"flow": name, "error": str(error)}})
        self._compiled = compiled
        plans = {name: plan for name, (_, plan) in compiled.items()}
        self._since = {name: since_of(document) for name, (document, _) in compiled.items()}
        self.plans, self.intake = plans, Intake(plans.values())
        _LOG.info("flows in force", extra={"facts": {"flows": sorted(plans)}})

    def looks_at(self, flow: str, appended_ms: int) -> bool:
        """Whether a flow looks at an event that the brokers got at this moment; of no flow in particular: whether any does."""
        since = self._since.get(flow) if flow else min(self._since.values(), default=0)
        return since is not None and appended_ms >= since

    def wants_receivers(self, flow: str, spec: str) -> bool:
        """Whether an event of a flow asks who had got the event that it objects to."""
        plan = self.plans.get(flow)
        return plan is not None and spec.isdigit() and "receivers" in plan.events[int(spec)].spec.keep

    def _compile(self, name: str, document: bytes) -> FlowPlan:
        return plans_of({name: document}, self._secret)[name]  # one by one: one that does not compile must not stop the others

    def _secret(self, key: str) -> bytes:
        try:
            secret = bytes.fromhex(self._home.read_key(key) or "")
        except ValueError:
            secret = b""
        if not secret:
            raise DeclarationError(f"the key {key} is not here; run hutong apply, or copy it to this coordinator")
        return secret
