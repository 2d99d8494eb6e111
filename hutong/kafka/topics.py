"""The names of the bus's own control topics, in one place.

Neighbours: ``control.desired`` lays them out; the router follows the first, ``services/coordinator`` those of flows and
cases, ``hutong.recovery`` keeps its record on the last.
"""

from __future__ import annotations

__all__ = ["AGREEMENTS_TOPIC", "CASES_INBOX", "CASES_PREFIX", "CASES_STATE", "FLOWS_TOPIC", "REPLAYS_TOPIC"]

AGREEMENTS_TOPIC = "ctl.agreements"
FLOWS_TOPIC = "ctl.flows"
CASES_PREFIX = "ctl.cases."
CASES_INBOX = f"{CASES_PREFIX}inbox"
CASES_STATE = f"{CASES_PREFIX}state"
REPLAYS_TOPIC = "ctl.replays"
