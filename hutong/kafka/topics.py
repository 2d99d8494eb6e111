"""The names of the bus's own control topics, in one place, and that of the group that nobody joins.

Neighbours: ``control.desired`` lays them out; the router follows the first, ``services/coordinator`` those of flows and
cases, ``hutong.recovery`` keeps its record on the last.
"""

from __future__ import annotations

__all__ = ["AGREEMENTS_TOPIC", "CASES_INBOX", "CASES_STATE", "FLOWS_TOPIC", "NO_GROUP", "REPLAYS_TOPIC"]

AGREEMENTS_TOPIC = "ctl.agreements"
FLOWS_TOPIC = "ctl.flows"
CASES_INBOX = "ctl.cases.inbox"
CASES_STATE = "ctl.cases.state"
REPLAYS_TOPIC = "ctl.replays"

NO_GROUP = "hutong.none"
"""For consumers that take their partitions by hand and store nothing: the client insists on a group, and looks it up."""
