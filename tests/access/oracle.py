"""Who may do what, worked out from the files under a set of declarations, without any code of the product.

Neighbours: ``asking`` puts the same questions to a broker; ``tests/integration/test_access_matrix.py`` compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SERVICES = ("router", "coordinator", "monitor")
CONTROL = ("ctl.agreements", "ctl.replays", "ctl.flows", "ctl.cases.inbox", "ctl.cases.state")
TOPIC_OPERATIONS = frozenset({"READ", "WRITE", "CREATE", "DELETE", "ALTER", "DESCRIBE", "DESCRIBE_CONFIGS", "ALTER_CONFIGS"})
GROUP_OPERATIONS = frozenset({"READ", "DESCRIBE", "DELETE"})

NOTHING: frozenset[str] = frozenset()
_READ = frozenset({"READ", "DESCRIBE"})
_WRITE = frozenset({"WRITE", "DESCRIBE"})


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What the files say.

    Attributes:
        departments: their codes.
        publishers: contract -> department.
        recipients: topic of a channel -> department.
        taken: contracts whose events flows take, answers included.
        emitted: contracts whose events flows publish.
        tells_receivers: whether a flow wants to know who had got an event.
    """

    departments: frozenset[str]
    publishers: dict[str, str]
    recipients: dict[str, str]
    taken: frozenset[str]
    emitted: frozenset[str]
    tells_receivers: bool

    @classmethod
    def of(cls, schemas: Path) -> Declared:
        """Read a set of declarations."""
        agreements = [_yaml(file) for file in sorted(schemas.glob("agreements/*/*.yaml"))]
        flows = [_yaml(file) for file in sorted(schemas.glob("flows/*.yaml"))]
        events = [event for flow in flows for event in flow["events"]]
        answers = [answer for flow in flows for ask in flow["ask"] for answer in ask["answer"]]
        emitted = [flow[kind] for flow in flows for kind in ("question", "progress", "outcome") if kind in flow]
        return cls(
            departments=frozenset(one["code"] for one in _yaml(schemas / "departments.yaml")["departments"]),
            publishers={
                f"{file.parts[-3]}.{file.parts[-2]}": file.parts[-3] for file in schemas.glob("contracts/*/*/contract.yaml")
            },
            recipients={f"sub.{one['recipient']}.{one.get('channel', one['id'])}": one["recipient"] for one in agreements},
            taken=frozenset(one["contract"] for one in events + answers),
            emitted=frozenset(one["contract"] for one in emitted),
            tells_receivers=any("receivers" in event.get("keep", {}) for event in events),
        )

    @property
    def principals(self) -> list[str]:
        """Everybody who can log in and is no super user."""
        return [*sorted(self.departments), *SERVICES]

    @property
    def topics(self) -> set[str]:
        """Every topic that there should be, beside the brokers' own."""
        published = {f"{kind}.{contract}" for kind in ("pub", "quarantine") for contract in self.publishers}
        return published | self.recipients.keys() | set(CONTROL if self.taken else CONTROL[:2])

    def may(self, principal: str, topic: str) -> frozenset[str]:
        """The operations on a topic that a principal may do."""
        kind, _, name = topic.partition(".")
        if principal == "router":
            return _READ if kind == "pub" or topic == "ctl.agreements" else _WRITE if kind in ("sub", "quarantine") else NOTHING
        if principal == "monitor":
            return _READ if kind in ("pub", "sub", "quarantine") or topic in ("ctl.agreements", "ctl.replays") else NOTHING
        if principal == "coordinator":
            return self._coordinator(topic, kind, name)
        if kind == "pub" and self.publishers.get(name) == principal:
            return _WRITE
        return _READ if self.recipients.get(topic) == principal else NOTHING

    def _coordinator(self, topic: str, kind: str, name: str) -> frozenset[str]:
        if topic in ("ctl.cases.inbox", "ctl.cases.state"):
            return _READ | _WRITE
        reads = topic == "ctl.flows" or (kind == "pub" and (self.tells_receivers or name in self.taken))
        reads = reads or (topic == "ctl.agreements" and self.tells_receivers)
        writes = (kind == "pub" and name in self.emitted) or (kind == "quarantine" and name in self.taken)
        return (_READ if reads else NOTHING) | (_WRITE if writes else NOTHING)

    def owner(self, group: str) -> str | None:
        """The department whose group this is: the one whose code goes furthest into its name."""
        fitting = [code for code in self.departments if group.startswith(f"{code}.")]
        return max(fitting, key=len, default=None)

    def may_with_group(self, principal: str, group: str) -> frozenset[str]:
        """The operations on a consumer group that a principal may do."""
        look = frozenset({"DESCRIBE"})
        if principal == "monitor":
            return look if group.startswith("hutong.") or self.owner(group) else NOTHING
        own = {"router": ("hutong.router",), "coordinator": ("hutong.coordinator", "hutong.intake")}.get(principal)
        if own is None:
            return _READ if self.owner(group) == principal else NOTHING
        return _READ if group.startswith(own) else look if group == "hutong.none" else NOTHING

    @staticmethod
    def may_transact(principal: str, transactional_id: str) -> bool:
        """Whether a principal may write under a transactional id."""
        own = {"router": "hutong.router", "coordinator": "hutong.intake"}.get(principal)
        return own is not None and transactional_id.startswith(own)


def _yaml(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found
