"""The register of divisions, and what its revisions come to as events."""

from __future__ import annotations

from demo.register import Revision, expected, revisions


def test_revisions_come_to_the_known_figures() -> None:
    """82 issues; 11,910 changes after the first issue; 3,219 divisions at the end."""
    issues = list(revisions())
    assert (len(issues), issues[0].issue, issues[-1].issue) == (82, "1980-12", "2019-04")
    count = expected(issues)
    assert (count.created, count.withdrawn, count.renamed) == (5847, 5734, 329)
    assert count.created + count.withdrawn + count.renamed == 11_910
    assert (count.first, count.divisions) == (3106, 3219)
    assert count.events == 15_016


def test_expected_counts_small_revisions() -> None:
    """One created, one withdrawn, one renamed."""
    issues = [
        Revision(issue="2000-01", divisions={"110000": "A", "120000": "B"}),
        Revision(issue="2001-01", divisions={"110000": "A2", "130000": "C"}),
    ]
    count = expected(issues)
    assert (count.first, count.created, count.withdrawn, count.renamed, count.divisions) == (2, 1, 1, 1, 2)
