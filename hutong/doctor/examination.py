"""All groups of checks, in the order in which they are looked at: what the later ones need comes first.

Neighbours: ``finding.examine`` runs them; ``docs/terminal.md`` lists them.
"""

from __future__ import annotations

from typing import Any

from hutong.doctor import certificates, cluster, declared, installation, machine, registry, services
from hutong.doctor.finding import Group

__all__ = ["GROUPS"]

GROUPS: tuple[Group[Any], ...] = (
    installation.GROUP,
    machine.GROUP,
    certificates.GROUP,
    services.GROUP,
    declared.FILES,
    cluster.GROUP,
    registry.GROUP,
    declared.BUS,
)
