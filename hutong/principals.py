"""Who logs in to the bus beside the departments: the operator, each of the services, and the servers themselves. Constants alone.

Each service is a principal of its own, so that each has the rights that it needs and no others'. Neighbours: ``control.rights``
says what they may, ``embedded.broker`` lets them log in from the start, and departments cannot have their names.
"""

from __future__ import annotations

__all__ = [
    "COORDINATOR",
    "FORMER",
    "MONITOR",
    "OPERATOR",
    "REGISTRY",
    "REGISTRY_WRITER",
    "RESERVED",
    "ROUTER",
    "SERVICES",
]

OPERATOR = "operator"
"""May everything; commands and people use it, no service does."""

ROUTER = "router"
COORDINATOR = "coordinator"
MONITOR = "monitor"
SERVICES = frozenset({ROUTER, COORDINATOR, MONITOR})

FORMER = "services"
"""What routers and coordinators together were up to version 0.1: ``hutong apply --prune`` takes it off an older bus."""

REGISTRY = "registry"
"""The schema registry, where it keeps its schemas in Kafka."""

# With a hyphen, which no department's code has.
REGISTRY_WRITER = "registry-writer"
"""Who may change schemas in the registry; it is no principal of Kafka."""

RESERVED = frozenset({OPERATOR, *SERVICES, FORMER, REGISTRY, "grafana", "ANONYMOUS"})
"""Names that no department can have: of principals, and of other passwords that lie beside theirs."""
