"""Reads ``flows/<id>.yaml`` and checks each against the contracts and agreements that it lives by.

Neighbours: ``load`` calls this; the rules are pure and live in ``hutong.flows.check``.
"""

from __future__ import annotations

from pathlib import Path

from hutong.catalogue import files
from hutong.catalogue.collected import Collected
from hutong.catalogue.document import Document
from hutong.contracts.finding import Finding
from hutong.errors import DeclarationError
from hutong.flows.check import Surroundings, flow_findings
from hutong.flows.flow import Flow
from hutong.flows.plan import contracts_of

__all__ = ["read_flows"]


def read_flows(directory: Path, around: Surroundings, collected: Collected) -> dict[str, tuple[Flow, Document]]:
    """Every flow that is right, by id."""
    found: dict[str, tuple[Flow, Document]] = {}
    prefixes: dict[str, str] = {}
    for name in files.names(directory / "flows"):
        file = f"flows/{name}"
        if name.endswith((".yml", ".json")):
            collected.error(DeclarationError("a flow's file ends with .yaml; rename it", file=file))
        elif name.endswith(".yaml"):
            with collected.step():
                document = files.read(directory, file)
                flow = collected.model(Flow, document)
                if flow is None:
                    continue
                findings = _name_findings(flow, name.removesuffix(".yaml"), prefixes)
                if not collected.findings([*findings, *flow_findings(flow, around)], document) and _whole(flow, around):
                    found[flow.id] = (flow, document)
    return found


def _name_findings(flow: Flow, stem: str, prefixes: dict[str, str]) -> list[Finding]:
    found = []
    if flow.id != stem:
        problem = f"the id is {flow.id!r}, but the file is called {stem!r}; use one name"
        found.append(Finding(problem=problem, place=("id",)))
    first = prefixes.setdefault(flow.prefix, stem)
    if first != stem:
        problem = f"flows/{first}.yaml has this prefix too; answers are told apart by it, so each flow has its own"
        found.append(Finding(problem=problem, place=("prefix",)))
    return found


def _whole(flow: Flow, around: Surroundings) -> bool:
    """Whether every contract of it is right; what is wrong with one is told at the contract."""
    return all(name in around.contracts for name in contracts_of(flow))
