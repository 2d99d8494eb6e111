"""The dashboards: the files are what the code builds, and every panel says what it shows, of metrics that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.grafana.build import DASHBOARDS, FOLDER, text
from deploy.grafana.queries import BUDGET

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deploy" / "grafana"


def panels(name: str) -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARDS[name]["panels"] if panel["type"] != "row"]


def queries() -> Iterator[str]:
    for name in DASHBOARDS:
        yield from (target["expr"] for panel in panels(name) for target in panel["targets"])
        yield from (one["definition"] for one in DASHBOARDS[name]["templating"]["list"])


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_files_are_what_the_code_builds(name: str) -> None:
    """``python -m deploy.grafana.build`` was run after the last change."""
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == text(name)


def test_no_file_is_left_over() -> None:
    """Grafana reads every file of the folder."""
    assert {path.stem for path in FOLDER.iterdir()} == set(DASHBOARDS)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_says_what_it_shows(name: str) -> None:
    """Title, description and unit are there, titles are not repeated, and series over time have a legend."""
    titles = [(panel["type"], panel["title"]) for panel in panels(name)]
    assert len(set(titles)) == len(titles)
    for panel in panels(name):
        assert panel["title"], panel
        assert panel["description"].endswith("."), panel["title"]
        overrides = [one["properties"] for one in panel["fieldConfig"]["overrides"]]
        assert "unit" in panel["fieldConfig"]["defaults"] or any(one["id"] == "unit" for some in overrides for one in some)
        if panel["type"] in ("timeseries", "state-timeline"):
            assert all(target["legendFormat"] != "__auto" for target in panel["targets"]), panel["title"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_do_not_overlap(name: str) -> None:
    """Each cell of Grafana's grid belongs to one panel at most, and none lies outside its 24 columns."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARDS[name]["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


@pytest.mark.parametrize("name", DASHBOARDS)
def test_variables_are_declared_before_they_are_used(name: str) -> None:
    """A query names only Grafana's own variables and those of its dashboard."""
    declared = {"__rate_interval"}
    for one in DASHBOARDS[name]["templating"]["list"]:
        assert variables(one["definition"]) <= declared, one["name"]
        declared.add(one["name"])
    for panel in panels(name):
        for target in panel["targets"]:
            assert variables(target["expr"]) <= declared, panel["title"]


def variables(expr: str) -> set[str]:
    return set(re.findall(r"\$\{?(\w+)", expr))


def test_the_dashboards_read_the_provisioned_source() -> None:
    """The uid in the panels is the one that Grafana is told of, and the scrape interval the one of Prometheus."""
    [source] = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text(encoding="utf-8"))["datasources"]
    named = set(re.findall(r'"uid": "([^"]+)"', json.dumps([panels(name) for name in DASHBOARDS])))
    assert named == {source["uid"]}
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    assert source["jsonData"]["timeInterval"] == config["global"]["scrape_interval"]


def test_the_error_budget_is_that_of_the_alerts() -> None:
    """Dashboards and rules mean the same share of time."""
    rules = (ROOT / "deploy/prometheus/rules/freshness.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"\* (0\.\d+)", rules)) == {str(BUDGET)}


def test_every_metric_is_documented() -> None:
    """Queries of dashboards and alerts name only metrics that docs/metrics.md lists."""
    rules = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "deploy/prometheus/rules").glob("*.yml"))
    used = set(re.findall(r"\bhutong_[a-z_]+[a-z]", "\n".join(queries()) + rules))
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    told = set(re.findall(r"\bhutong_[a-z_]+[a-z]", page))
    unknown = {name for name in used if not {name, re.sub(r"_(total|bucket|sum|count|info)$", "", name)} & told}
    assert unknown == set()
