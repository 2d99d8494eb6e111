"""All declarations of one bus, right and frozen.

Neighbours: ``load`` makes it from files; ``hutong plan`` and ``apply``, code generation and the in-memory bus work from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hutong.agreements.agreement import Agreement
from hutong.catalogue.document import Document
from hutong.contracts.codelists import CodeList
from hutong.contracts.contract import Contract
from hutong.contracts.departments import Department
from hutong.errors import DeclarationError
from hutong.flows.flow import Flow

__all__ = ["Catalogue", "Reading"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Declarations that are right; what was wrong is not in here.

    Attributes:
        timezone: IANA name of the zone in which validity days begin.
        departments: by code.
        contracts: by name.
        code_lists: by id.
        agreements: by id.
        flows: by id.
        sources: where each stood: ``("agreement", id)`` -> its document, and so for ``contract``, ``code_list`` and ``flow``;
            ``("department", "")`` -> the document of them all.
    """

    timezone: str
    departments: Mapping[str, Department]
    contracts: Mapping[str, Contract]
    code_lists: Mapping[str, CodeList]
    agreements: Mapping[str, Agreement]
    flows: Mapping[str, Flow] = field(default_factory=dict)
    sources: Mapping[tuple[str, str], Document]

    def agreements_on(self, contract: str) -> list[Agreement]:
        """The agreements on a contract, by id."""
        return [self.agreements[id_] for id_ in sorted(self.agreements) if self.agreements[id_].contract == contract]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What came of reading a directory.

    Attributes:
        catalogue: all that is right.
        errors: all that is wrong, in the order of file and line.
        warnings: what may stay as it is, in the same order.
    """

    catalogue: Catalogue
    errors: tuple[DeclarationError, ...]
    warnings: tuple[DeclarationError, ...]
