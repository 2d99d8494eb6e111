"""Who sends what to whom, as a picture: departments that publish, their contracts, and the departments that hold agreements.

This file says what is drawn, and draws it as a Mermaid flowchart or lists it for programs. Neighbours: ``layout`` finds a place
for everything, ``svg`` draws it there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hutong.agreements.agreement import Agreement, Copy
from hutong.contracts.contract import Contract
from hutong.contracts.departments import Department
from hutong.control.rows import row_text
from hutong.export.bus import Bus, words

__all__ = ["Scene", "graph", "mermaid", "scene"]

Json = dict[str, Any]

_LABELS = {
    "Contracts": "数据契约",
    "Dotted: shared unconditionally": "虚线：无条件共享",
    "Publishers": "提供部门",
    "Recipients and their agreements": "接收部门及其协议",
    "Who sends what to whom": "谁向谁提供什么",
    "fields": "字段",
    "legal basis": "法律依据",
    "of them changed on the way": "其中经转换",
    "purpose": "用途",
    "retention": "保存期",
    "days": "天",
    "rows": "条件",
    "sharing": "共享类型",
    "unconditional": "无条件共享",
    "conditional": "有条件共享",
    "not_shared": "不予共享",
    "valid": "有效期",
}
"""What the picture says itself, in Chinese."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is drawn.

    Attributes:
        bus: what is meant.
        language: ``en`` or ``zh``; names are in it where they have it.
        publishers: each with its contracts.
        recipients: each with its agreements.
    """

    bus: Bus
    language: str
    publishers: tuple[tuple[Department, tuple[Contract, ...]], ...]
    recipients: tuple[tuple[Department, tuple[Agreement, ...]], ...]

    def label(self, text: str) -> str:
        """A word of the picture's own, in its language."""
        return _LABELS.get(text, text) if self.language == "zh" else text

    def party(self, department: Department) -> str:
        """A department's name."""
        return words(department.name, self.language)

    def contract(self, contract: Contract) -> str:
        """A contract's name; in Chinese its business name, where it has one."""
        business = (contract.document.event.model_extra or {}).get("businessName")
        return str(business) if business and self.language == "zh" else contract.title

    def agreement(self, agreement: Agreement) -> str:
        """An agreement's title."""
        return words(agreement.title, self.language) or agreement.id

    def about_contract(self, contract: Contract) -> str:
        """What there is to know of a contract, line by line."""
        lines = [contract.name, contract.title, f"{self.label('purpose')}: {contract.document.description.purpose.strip()}"]
        lines.append(f"{self.label('sharing')}: {self.label(contract.sharing)}")
        if contract.retention_ms:
            lines.append(f"{self.label('retention')}: {contract.retention_ms / 86_400_000:g} {self.label('days')}")
        return "\n".join(lines)

    def about_agreement(self, agreement: Agreement) -> str:
        """What there is to know of an agreement, line by line."""
        contract = self.bus.catalogue.contracts[agreement.contract]
        publisher, recipient = self.bus.department(contract.department), self.bus.department(agreement.recipient)
        until = agreement.valid.until or "…"
        changed = sum(not isinstance(one, Copy) for one in agreement.fields)
        fields = f"{len(agreement.fields)}, {self.label('of them changed on the way')} {changed}"
        lines = [
            f"{agreement.id}: {self.agreement(agreement)}",
            f"{self.party(publisher)} → {self.party(recipient)}, {agreement.topic}",
            f"{self.label('legal basis')}: {agreement.legal_basis}",
            f"{self.label('purpose')}: {agreement.purpose.strip()}",
            f"{self.label('valid')}: {agreement.valid.from_} – {until}",
            f"{self.label('fields')}: {fields}",
        ]
        if agreement.rows:
            lines.append(f"{self.label('rows')}: {'; '.join(row_text(row) for row in agreement.rows)}")
        return "\n".join(lines)


def scene(bus: Bus, language: str = "en") -> Scene:
    """What is drawn of a bus: departments in the order of ``departments.yaml``, the rest by name."""
    sent: dict[str, list[Contract]] = {}
    for contract in bus.contracts:
        sent.setdefault(contract.department, []).append(contract)
    held: dict[str, list[Agreement]] = {}
    for agreement in bus.agreements:
        held.setdefault(agreement.recipient, []).append(agreement)
    parties = bus.catalogue.departments.items()
    return Scene(
        bus=bus,
        language=language,
        publishers=tuple((party, tuple(sent[code])) for code, party in parties if code in sent),
        recipients=tuple((party, tuple(held[code])) for code, party in parties if code in held),
    )


def mermaid(drawn: Scene) -> str:
    """A Mermaid flowchart, as documents and code forges show it; an unconditional contract's agreements are dotted."""
    lines = ["flowchart LR"]
    nodes: dict[str, str] = {}
    for number, (publisher, contracts) in enumerate(drawn.publishers):
        lines.append(f"  subgraph p{number}[{_quoted(f'{drawn.party(publisher)}<br/>{publisher.code}')}]")
        for contract in contracts:
            nodes[contract.name] = f"c{len(nodes)}"
            lines.append(f"    {nodes[contract.name]}[{_quoted(drawn.contract(contract))}]")
        lines.append("  end")
    for number, (recipient, _) in enumerate(drawn.recipients):
        lines.append(f"  r{number}([{_quoted(f'{drawn.party(recipient)}<br/>{recipient.code}')}])")
    for number, (_, agreements) in enumerate(drawn.recipients):
        for agreement in agreements:
            contract = drawn.bus.catalogue.contracts[agreement.contract]
            arrow = "-.->" if contract.sharing == "unconditional" else "-->"
            lines.append(f"  {nodes[contract.name]} {arrow}|{_quoted(drawn.agreement(agreement))}| r{number}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A text as Mermaid takes it, whatever is in it; ``<br/>`` alone stays markup."""
    entities = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;"}
    parts = ["".join(entities.get(character, character) for character in part) for part in text.split("<br/>")]
    return f'"{"<br/>".join(parts)}"'


def graph(bus: Bus) -> Json:
    """The same for programs, with all names in all languages."""
    drawn = scene(bus)
    parties = {one.code: one for one, _ in (*drawn.publishers, *drawn.recipients)}
    return {
        "departments": [{"code": code, "name": party.name, "contact": party.contact} for code, party in parties.items()],
        "contracts": [
            {"name": one.name, "title": one.title, "publisher": one.department, "sharing": one.sharing, "topic": one.topic}
            for one in bus.contracts
        ],
        "agreements": [
            {
                "id": one.id,
                "title": one.title,
                "contract": one.contract,
                "recipient": one.recipient,
                "topic": one.topic,
                "legal_basis": one.legal_basis,
                "purpose": one.purpose,
                "valid_from": one.valid.from_.isoformat(),
                "valid_until": one.valid.until.isoformat() if one.valid.until else None,
            }
            for one in bus.agreements
        ],
    }
