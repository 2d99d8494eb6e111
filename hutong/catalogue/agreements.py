"""Reads ``agreements/<recipient>/<id>.yaml`` and checks each against the contract that it grants.

Neighbours: ``load`` calls this; the rules are pure and live in ``hutong.agreements``.
"""

from __future__ import annotations

from pathlib import Path

from hutong.agreements.agreement import Agreement
from hutong.catalogue import files
from hutong.catalogue.collected import Collected
from hutong.catalogue.document import Document
from hutong.contracts.finding import Finding
from hutong.errors import DeclarationError

__all__ = ["read_agreements"]


def read_agreements(directory: Path, collected: Collected) -> dict[str, tuple[Agreement, Document]]:
    """Every agreement whose file is right in itself, by id."""
    found: dict[str, tuple[Agreement, Document]] = {}
    for recipient in files.folders(directory / "agreements"):
        for name in files.names(directory / "agreements" / recipient):
            file = f"agreements/{recipient}/{name}"
            if name.endswith((".yml", ".json")):
                collected.error(DeclarationError("an agreement's file ends with .yaml; rename it", file=file))
            elif name.endswith(".yaml"):
                with collected.step():
                    _read(files.read(directory, file), recipient, name.removesuffix(".yaml"), found, collected)
    for name in files.names(directory / "agreements"):
        if name.endswith((".yaml", ".yml")):
            hint = "an agreement stands in the folder of its recipient: agreements/<recipient>/<id>.yaml"
            collected.error(DeclarationError(hint, file=f"agreements/{name}"))
    return found


def _read(
    document: Document, recipient: str, stem: str, found: dict[str, tuple[Agreement, Document]], collected: Collected
) -> None:
    agreement = collected.model(Agreement, document)
    if agreement is None:
        return
    findings = []
    if agreement.id != stem:
        problem = f"the id is {agreement.id!r}, but the file is called {stem!r}; use one name"
        findings.append(Finding(problem=problem, place=("id",)))
    if agreement.recipient != recipient:
        problem = f"the recipient is {agreement.recipient!r}, but the folder is {recipient!r}; use one name"
        findings.append(Finding(problem=problem, place=("recipient",)))
    if agreement.id in found:
        problem = f"the id is also used in {found[agreement.id][1].file}; ids are unique over all agreements"
        findings.append(Finding(problem=problem, place=("id",)))
    if not collected.findings(findings, document):
        found[agreement.id] = (agreement, document)
