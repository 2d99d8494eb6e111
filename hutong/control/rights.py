"""What each principal may do on the brokers: every access rule, and no other, from the declarations alone. Pure.

A department writes its own topics and reads its own channels; each of the operator's services has what its work needs and nothing
of the others'. Neighbours: ``desired`` has these among all that should stand on the bus, ``access`` compares them with the
cluster's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from hutong.catalogue.catalogue import Catalogue
from hutong.flows.flow import Flow
from hutong.kafka.resources import Acl, Pattern, Resource
from hutong.kafka.topics import AGREEMENTS_TOPIC, CASES_INBOX, CASES_STATE, FLOWS_TOPIC, NO_GROUP, REPLAYS_TOPIC
from hutong.principals import COORDINATOR, MONITOR, ROUTER

__all__ = ["rights"]

_READ = ("READ", "DESCRIBE")
_WRITE = ("WRITE", "DESCRIBE")


def rights(catalogue: Catalogue) -> Iterator[Acl]:
    """Every rule that the declarations need."""
    yield from _departments(catalogue)
    yield from _router()
    if catalogue.flows:
        yield from _coordinator(catalogue.flows.values())
    yield from _monitor(catalogue.departments)


def _may(
    principal: str, operations: Collection[str], resource: Resource, name: str, pattern: Pattern = "literal"
) -> Iterator[Acl]:
    for operation in operations:
        yield Acl(principal=principal, resource=resource, name=name, pattern=pattern, operation=operation)


def _departments(catalogue: Catalogue) -> Iterator[Acl]:
    for contract in catalogue.contracts.values():
        yield from _may(contract.department, _WRITE, "topic", contract.topic)
    for agreement in catalogue.agreements.values():
        yield from _may(agreement.recipient, _READ, "topic", agreement.topic)
    for code in catalogue.departments:
        yield from _may(code, ("READ",), "group", f"{code}.", "prefixed")
        # What a.b may begin its groups with, a.b.c's groups begin with too: those are not a.b's.
        for inner in catalogue.departments:
            if inner.startswith(f"{code}."):
                rule = {"principal": code, "resource": "group", "name": f"{inner}.", "pattern": "prefixed", "operation": "ALL"}
                yield Acl(**rule, permission="deny")  # type: ignore[arg-type]


def _router() -> Iterator[Acl]:
    """Reads all that is published, and writes all channels and quarantines, in one transaction."""
    yield from _may(ROUTER, _READ, "topic", "pub.", "prefixed")
    for prefix in ("sub.", "quarantine."):
        yield from _may(ROUTER, _WRITE, "topic", prefix, "prefixed")
    yield from _may(ROUTER, _READ, "topic", AGREEMENTS_TOPIC)
    yield from _may(ROUTER, _READ, "group", "hutong.router", "prefixed")
    yield from _may(ROUTER, ("DESCRIBE",), "group", NO_GROUP)
    yield from _may(ROUTER, _WRITE, "transactional_id", "hutong.router", "prefixed")


def _coordinator(flows: Collection[Flow]) -> Iterator[Acl]:
    """Follows the flows, brings the events that they take to cases, keeps those, and publishes what flows emit."""
    yield from _may(COORDINATOR, _READ, "topic", FLOWS_TOPIC)
    for topic in (CASES_INBOX, CASES_STATE):
        yield from _may(COORDINATOR, ("READ", *_WRITE), "topic", topic)
    taken = {event.contract for flow in flows for event in flow.events}
    taken |= {answer.contract for flow in flows for ask in flow.ask for answer in ask.answer}
    for contract in sorted(taken):
        yield from _may(COORDINATOR, _READ, "topic", f"pub.{contract}")
        yield from _may(COORDINATOR, _WRITE, "topic", f"quarantine.{contract}")
    emitted = {one.contract for flow in flows for one in (flow.question, flow.progress, flow.outcome) if one is not None}
    for contract in sorted(emitted):
        yield from _may(COORDINATOR, _WRITE, "topic", f"pub.{contract}")
    if any("receivers" in event.keep for flow in flows for event in flow.events):
        # Whoever objects names an event of any contract, and the case keeps who had got it: see coordinator/receivers.py.
        yield from _may(COORDINATOR, _READ, "topic", "pub.", "prefixed")
        yield from _may(COORDINATOR, _READ, "topic", AGREEMENTS_TOPIC)
    for prefix in ("hutong.coordinator", "hutong.intake"):
        yield from _may(COORDINATOR, _READ, "group", prefix, "prefixed")
    yield from _may(COORDINATOR, ("DESCRIBE",), "group", NO_GROUP)
    yield from _may(COORDINATOR, _WRITE, "transactional_id", "hutong.intake", "prefixed")


def _monitor(departments: Collection[str]) -> Iterator[Acl]:
    """Looks at everything that waits, and at who reads how far; it writes nothing and joins no group."""
    for prefix in ("pub.", "sub.", "quarantine."):
        yield from _may(MONITOR, _READ, "topic", prefix, "prefixed")
    for name in (AGREEMENTS_TOPIC, REPLAYS_TOPIC):
        yield from _may(MONITOR, _READ, "topic", name)
    for prefix in ("hutong.", *(f"{code}." for code in departments)):
        yield from _may(MONITOR, ("DESCRIBE",), "group", prefix, "prefixed")
