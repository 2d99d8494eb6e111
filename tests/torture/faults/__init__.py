"""Every fault, by name, in the order in which the run goes through them."""

from __future__ import annotations

from tests.torture.fault import Fault
from tests.torture.faults import agreements, brokers, machine, network, outbox, publications, routers, subscribers

__all__ = ["FAULTS"]

_MODULES = (routers, agreements, publications, outbox, subscribers, network, machine, brokers)
"""Each has its faults in ``FAULTS``; a new module adds its name here."""

FAULTS: dict[str, Fault] = {fault.name: fault for module in _MODULES for fault in module.FAULTS}
