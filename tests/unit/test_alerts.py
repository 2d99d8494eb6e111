"""The alert rules, by Prometheus's own tool: they are valid, each is shown to fire and to fall silent, each has its runbook."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from deploy.prometheus.operator import document
from hutong.cli import _group
from hutong.cli.run import runnable
from tests.prometheus import ROOT, program

PROMETHEUS = ROOT / "deploy" / "prometheus"
RUNBOOKS = ROOT / "docs" / "runbooks"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
TESTS = sorted((PROMETHEUS / "tests").glob("*.yml"))
COMMANDS = re.compile(r"`hutong ([a-z][^`]*)`")
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for path in RULES
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


def promtool(*arguments: str) -> None:
    done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_is_valid() -> None:
    """Prometheus takes it, with the rules that it names."""
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


def test_the_operators_rules_are_the_same(tmp_path: Path) -> None:
    """The ``PrometheusRule`` holds every alert, and Prometheus takes its groups."""
    spec = yaml.safe_load(yaml.safe_dump(document()))["spec"]
    assert {rule["alert"]: rule for group in spec["groups"] for rule in group["rules"] if "alert" in rule} == ALERTS
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(spec))
    promtool("check", "rules", str(tmp_path / "rules.yml"))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_and_fall_silent(path: Path) -> None:
    """Each rule file's cases hold, slow windows at their true length."""
    promtool("test", "rules", str(path))


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    """No rule is left without a test."""
    fires: dict[bool, set[str]] = {True: set(), False: set()}
    for path in TESTS:
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            for one in case["alert_rule_test"]:
                fires[bool(one["exp_alerts"])].add(one["alertname"])
    assert fires == {True: set(ALERTS), False: set(ALERTS)}


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_it_should(name: str) -> None:
    """How bad it is, what has happened, and where it says what to do; the runbook names the alert."""
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    notes = rule["annotations"]
    assert set(notes) == {"summary", "description", "runbook_url"}
    assert notes["description"].endswith(".")
    told = re.search(r"^Alerts: (.*)$", (ROOT / notes["runbook_url"]).read_text(encoding="utf-8"), re.MULTILINE)
    assert told is not None
    assert f"`{name}`" in told.group(1)


def test_the_index_is_the_alerts() -> None:
    """The table of runbooks has each alert with its severity and page, and no other."""
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| .* \| \[(\S+)\]", (RUNBOOKS / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    wanted = [(name, rule["labels"]["severity"], Path(rule["annotations"]["runbook_url"]).name) for name, rule in ALERTS.items()]
    assert sorted(rows) == sorted(wanted)


def test_every_runbook_belongs_to_an_alert() -> None:
    """None is left over; each has the same five parts."""
    pages = {path for path in RUNBOOKS.glob("*.md") if path.name != "README.md"}
    assert {f"docs/runbooks/{path.name}" for path in pages} == {rule["annotations"]["runbook_url"] for rule in ALERTS.values()}
    for path in pages:
        page = path.read_text(encoding="utf-8")
        parts = re.findall(r"^## (.*)$", page, re.MULTILINE)
        assert parts == ["What it means", "What the ministries notice", "How to see", "What to do", "How to know that it is over"]
        named = re.search(r"^Alerts: (.*)$", page, re.MULTILINE)
        assert named is not None
        assert set(re.findall(r"`(\w+)`", named.group(1))) <= set(ALERTS)


@pytest.mark.parametrize("line", sorted({line for path in RUNBOOKS.glob("*.md") for line in COMMANDS.findall(path.read_text())}))
def test_commands_that_runbooks_name_can_be_given(line: str) -> None:
    """Each has its command, its subcommand and its options; services that it starts can be run."""
    command: click.Command = _group()
    with click.Context(command) as ctx:
        words = line.split()
        while isinstance(command, click.Group):
            found = command.get_command(ctx, word := words.pop(0))
            assert found is not None, f"{line}: no {word}"
            command = found
        options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options
    if command.name == "run":
        assert f"services.{words[0]}" in runnable()
