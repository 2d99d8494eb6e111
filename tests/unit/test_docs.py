"""The documents are true: links lead somewhere, and commands and reasons are all told (settings and metrics: ``test_docs_*``)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hutong.cli.run import runnable

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CODE = [path for room in ("hutong", "services", "connectors") for path in sorted((ROOT / room).rglob("*.py"))]


def text(*names: str) -> str:
    return "\n".join((ROOT / name).read_text(encoding="utf-8") for name in names)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of this repository."""
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_command_is_in_the_readme() -> None:
    """The table of commands has each of them, and no other."""
    commands = {path.stem.replace("_", "-") for path in (ROOT / "hutong/cli").glob("[!_]*.py")}
    rows = [line for line in text("README.md").splitlines() if line.startswith("| `hutong ")]
    told = {name for row in rows for name in re.findall(r"`(?:hutong )?([a-z-]+)(?: [A-Z]+)?`", row.split("|")[1])}
    assert told == commands


def test_every_reason_for_quarantine_is_told() -> None:
    """The page lists the codes that the code uses."""
    code = text("hutong/transcode/routing.py", "hutong/transcode/reference.py", "hutong/transcode/guard.py", "hutong/event.py")
    code += text("hutong/contracts/framing.py", "hutong/flows/step.py", "hutong/flows/intake.py")
    code += text(*(str(path.relative_to(ROOT)) for path in sorted((ROOT / "services").rglob("*.py"))))
    used = set(re.findall(r"(?:MalformedEvent|Quarantined|Refused|reason=)\(?\s*\"(\w+)\"", code)) | {"null_key", "null_value"}
    used |= set(re.findall(r"\(\"(\w+)\", (?:failure|str)", text("hutong/transcode/cap.py")))
    rows = text("docs/quarantine.md").partition("| reason |")[2]
    told = {name for row in rows.splitlines() if row.startswith("| `") for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert told == used


def test_the_tour_names_files_that_exist_in_the_order_of_an_event() -> None:
    """The stops are the straight line's, from declare to receive."""
    stops = [row.split("|")[1].strip() for row in text("docs/tour.md").splitlines() if row.startswith("| ")]
    assert [stop for stop in stops if stop and stop not in ("stop", "---")] == [
        "declare",
        "publish",
        "contract",
        "topic",
        "route",
        "transform",
        "fan-out",
        "receive",
    ]


@pytest.mark.parametrize("name", re.findall(r"hutong run ([a-z][a-z-]*)", text("README.md", "docs/publishing.md")))
def test_services_that_are_named_can_be_run(name: str) -> None:
    """``hutong run`` finds what the documents tell to run."""
    assert any(known.endswith(f".{name.replace('-', '_')}") for known in runnable())
