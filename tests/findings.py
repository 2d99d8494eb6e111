"""What the doctor's checks say to some facts."""

from __future__ import annotations

from typing import Any

from hutong.doctor.finding import Group

__all__ = ["found"]


def found(group: Group[Any], facts: Any) -> list[tuple[str, str, str]]:
    """What all checks of a group say to some facts: check, severity, where. Every sentence can be filled in."""
    findings = [one for check in group.checks.values() for one in check(facts)]
    for one in findings:
        document = one.to_document()
        assert document["what"]
        assert document["remedy"]
        assert one.check in group.checks
    return [(one.check, one.severity, one.where) for one in findings]
