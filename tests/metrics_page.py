"""What the metrics page of every service must be: strict OpenMetrics, names and labels from fixed lists, no value of any field.

``all_families`` finds every metric that the code has, for the page of documentation that is held to it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import connectors
import hutong
import services
from hutong.lag.snapshot import Snapshot
from hutong.runtime.health import Health, ProcessCollector
from services.monitor.metrics import Page
from services.router.account import Account
from services.router.metrics import TransactionCollector
from services.router.settings import RouterSettings

__all__ = ["ACCEPT", "LABELS", "all_families", "check_page"]

ACCEPT = "application/openmetrics-text; version=1.0.0"

LABELS = frozenset(
    {
        *("agreement", "contract", "recipient", "publisher", "department", "topic", "group", "channel"),  # declared
        *("flow", "agency"),  # declared
        *("outcome", "reason", "rule", "kind", "result", "kept", "does", "error", "state"),  # codes of the code's own
        *("service", "instance", "version", "broker"),  # of the installation
        *("le", "quantile"),  # Prometheus's own
        *("generation", "implementation", "major", "minor", "patchlevel"),  # of Python
    }
)
"""Every name that a label may have; each takes values of which there is a bounded number, and no person."""

_FOREIGN = ("process_", "python_")  # prometheus-client's own


def check_page(page: str) -> dict[str, Any]:
    """Hold an OpenMetrics page to the rules; its families by name."""
    found = {family.name: family for family in text_string_to_metric_families(page)}
    for name, family in found.items():
        assert name.startswith(("hutong_", *_FOREIGN)), name
        assert family.documentation, f"{name} has no help"
        for sample in family.samples:
            assert set(sample.labels) <= LABELS, f"{sample.name}: {set(sample.labels) - LABELS}"
    return found


def all_families() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Every metric of the code, as Prometheus names it: its type and its labels."""
    for room in (hutong, services, connectors):
        for module in _modules(room.__path__, f"{room.__name__}."):
            importlib.import_module(module)
    known = [one for one in list(REGISTRY._collector_to_names) if isinstance(one, MetricWrapperBase)]
    families = [(one._name, one._type, tuple(one._labelnames)) for one in known]
    families += [(one.name, one.type, tuple(getattr(one, "_labelnames", ()))) for one in _collected()]
    return {_named(name, kind): (kind, labels) for name, kind, labels in families if name.startswith("hutong_")}


def _modules(paths: Iterable[str], prefix: str) -> Iterator[str]:
    """Where metrics are defined: by their name, since importing all would start nothing but load much."""
    for module in pkgutil.walk_packages(paths, prefix):
        if module.name.rpartition(".")[2].strip("_").endswith("metrics"):
            yield module.name


def _collected() -> Iterator[Any]:
    """The families of collectors that are no metric objects; each tells all of them, also while there is nothing to tell."""
    step = SimpleNamespace(outcomes={"committed": 0}, rebalances={"lost": 0}, queued=lambda: 0)
    yield from Account(CollectorRegistry()).collect()
    yield from TransactionCollector(step).collect()
    looked = Page(CollectorRegistry(), stale_seconds=60)
    looked.registry_answers(True)
    looked.show(Snapshot(at_ms=0))
    yield from looked.collect()
    info, *others = ProcessCollector(Health(), RouterSettings(instance="a")).collect()
    info._labelnames = ("service", "instance", "version")  # type: ignore[attr-defined]
    yield from (info, *others)


def _named(name: str, kind: str) -> str:
    return {"counter": f"{name}_total", "info": f"{name}_info"}.get(kind, name)
