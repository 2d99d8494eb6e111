"""What the dashboards are made of: panels as Grafana's JSON, placed one after another. Neighbours: a file per dashboard.

Every panel has a title, a description, a unit and a legend. Colours mean the same everywhere: green is as agreed, red is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Column", "Steps", "dashboard", "matrix", "query", "row", "series", "stat", "table", "timeline", "variable"]

Json = dict[str, Any]
Steps = Sequence[tuple[float, str]]
"""From which value on which colour; the first is the colour of all below."""

SOURCE = {"type": "prometheus", "uid": "hutong-prometheus"}  # as in provisioning/datasources
WIDTH = 24
_PLAIN: Steps = [(0, "blue")]
_CELL = {"type": "color-background", "mode": "basic"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table: a label of the first column's query, or the value of a query of its own.

    Args:
        title: what stands above it.
        expr: the query; None where it is a label.
        label: the label; None where it is a value.
        unit: of the value.
        steps: colours of the value.
    """

    title: str
    expr: str | None = None
    label: str | None = None
    unit: str = "short"
    steps: Steps | None = None


def query(expr: str, legend: str = "", *, instant: bool = False, form: str = "time_series") -> Json:
    """A query; ``legend`` names its series by their labels, as ``{{agreement}}``."""
    asked: Json = {"datasource": SOURCE, "editorMode": "code", "expr": expr, "format": form, "legendFormat": legend or "__auto"}
    return asked | {"instant": instant, "range": not instant}


def stat(title: str, text: str, expr: str, *, unit: str = "short", steps: Steps = _PLAIN, w: int = 4) -> Json:
    """One number now, with its colour."""
    options = {
        "colorMode": "background_solid" if len(steps) > 1 else "value",
        "graphMode": "none",
        "justifyMode": "center",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value",
    }
    defaults = {"unit": unit, "color": {"mode": "thresholds"}, "thresholds": _thresholds(steps), "noValue": "–"}
    return _panel("stat", title, text, [query(expr, instant=True)], w, 4, defaults, options)


def series(
    title: str, text: str, *queries: Json, unit: str, w: int = 12, steps: Steps | None = None, stack: bool = False
) -> Json:
    """Lines over time; ``steps`` draws lines where colours change."""
    custom: Json = {"drawStyle": "line", "fillOpacity": 25 if stack else 8, "lineWidth": 1, "showPoints": "never"}
    custom["stacking"] = {"mode": "normal" if stack else "none", "group": "A"}
    custom["thresholdsStyle"] = {"mode": "dashed" if steps else "off"}
    defaults: Json = {"unit": unit, "min": 0, "color": {"mode": "palette-classic"}, "custom": custom}
    defaults["thresholds"] = _thresholds(steps or [(0, "green")])
    options = {
        "legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"], "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return _panel("timeseries", title, text, queries, w, 8, defaults, options)


def timeline(title: str, text: str, asked: Json, *, unit: str, steps: Steps, w: int = 24) -> Json:
    """A line of colours over time for each series."""
    options = {
        "alignValue": "center",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "mergeValues": True,
        "rowHeight": 0.85,
        "showValue": "never",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    defaults = {"unit": unit, "color": {"mode": "thresholds"}, "thresholds": _thresholds(steps), "custom": {"fillOpacity": 85}}
    return _panel("state-timeline", title, text, [asked], w, 10, defaults, options)


def matrix(title: str, text: str, expr: str, *, rows: str, columns: str, unit: str, steps: Steps, w: int = 12) -> Json:
    """A table of one label by another, each cell with its colour."""
    turn = {
        "id": "groupingToMatrix",
        "options": {"columnField": columns, "rowField": rows, "valueField": "Value", "emptyValue": "null"},
    }
    defaults = {name: value for name, value in _coloured(unit, steps).items() if "." not in name}
    defaults |= {"noValue": "·", "custom": {"cellOptions": _CELL}}
    made = _panel("table", title, text, [query(expr, instant=True, form="table")], w, 10, defaults, {"cellHeight": "sm"})
    corner = rf"{rows}\{columns}"  # the name that the transformation gives to the column of the row labels
    plain = {
        "matcher": {"id": "byName", "options": corner},
        "properties": [{"id": "custom.cellOptions", "value": {"type": "auto"}}],
    }
    made["fieldConfig"]["overrides"] = [plain]
    return made | {"transformations": [turn]}


def table(title: str, text: str, columns: Sequence[Column], *, by: str, w: int = 24, h: int = 10) -> Json:
    """One line for each value of the label ``by``; the first column's query has the other labels."""
    asked = [(column, chr(65 + at)) for at, column in enumerate(one for one in columns if one.expr)]
    field = {column.title: f"Value #{letter}" for column, letter in asked}
    field |= {column.title: column.label for column in columns if column.label}
    queries = [query(str(column.expr), instant=True, form="table") for column, _ in asked]
    defaults: Json = {"custom": {"align": "auto", "filterable": True}, "thresholds": _thresholds(_PLAIN)}
    made = _panel("table", title, text, queries, w, h, defaults, {"cellHeight": "sm", "showHeader": True})
    order = [field[column.title] for column in columns if column.title]
    made["transformations"] = [
        {"id": "joinByField", "options": {"byField": by, "mode": "outer"}},
        {"id": "filterFieldsByName", "options": {"include": {"names": order}}},
        {
            "id": "organize",
            "options": {
                "indexByName": {name: at for at, name in enumerate(order)},
                "renameByName": {field[column.title]: column.title for column in columns if column.title},
                "excludeByName": {},
            },
        },
    ]
    made["fieldConfig"]["overrides"] = [
        {
            "matcher": {"id": "byName", "options": column.title},
            "properties": [{"id": name, "value": value} for name, value in _coloured(column.unit, column.steps).items()],
        }
        for column, _ in asked
        if column.title
    ]
    return made


def row(title: str) -> Json:
    """A heading across the page."""
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": WIDTH, "h": 1}}


def variable(name: str, label: str, asked: str, *, several: bool = False) -> Json:
    """A choice at the top of the page, from the values of a label."""
    made: Json = {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "definition": asked,
        "sort": 1,
        "refresh": 2,
    }
    made["query"] = {"qryType": 1, "query": asked, "refId": f"variable-{name}"}
    return made | {"includeAll": several, "multi": several, "hide": 0, "regex": "", "options": [], "skipUrlSync": False}


def dashboard(uid: str, title: str, text: str, variables: Sequence[Json], panels: Sequence[Json]) -> Json:
    """A whole dashboard; panels are placed from left to right, then below."""
    return {
        **{"uid": f"hutong-{uid}", "title": title, "description": text, "tags": ["hutong"], "schemaVersion": 41, "version": 1},
        **{"editable": False, "graphTooltip": 1, "refresh": "30s", "timezone": "browser", "fiscalYearStartMonth": 0},
        "time": {"from": "now-6h", "to": "now"},
        "timepicker": {},
        "annotations": {"list": []},
        "links": [
            {
                **{"type": "dashboards", "title": "Hutong", "tags": ["hutong"], "asDropdown": False, "icon": "external link"},
                **{"includeVars": True, "keepTime": True, "targetBlank": False, "tooltip": "", "url": ""},
            }
        ],
        "templating": {"list": list(variables)},
        "panels": _placed(panels),
    }


def _panel(kind: str, title: str, text: str, queries: Sequence[Json], w: int, h: int, defaults: Json, options: Json) -> Json:
    targets = [asked | {"refId": chr(65 + at)} for at, asked in enumerate(queries)]
    made: Json = {"type": kind, "title": title, "description": text, "datasource": SOURCE, "targets": targets, "options": options}
    return made | {"fieldConfig": {"defaults": defaults, "overrides": []}, "gridPos": {"w": w, "h": h}}


def _placed(panels: Sequence[Json]) -> list[Json]:
    x = y = tallest = 0
    placed = []
    for number, panel in enumerate(panels, 1):
        w, h = panel["gridPos"]["w"], panel["gridPos"]["h"]
        if x + w > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        placed.append(panel | {"id": number, "gridPos": {"x": x, "y": y, "w": w, "h": h}})
        x, tallest = x + w, max(tallest, h)
    return placed


def _thresholds(steps: Steps) -> Json:
    """Grafana's first step has no lower bound."""
    return {
        "mode": "absolute",
        "steps": [{"color": color, "value": at if number else None} for number, (at, color) in enumerate(steps)],
    }


def _coloured(unit: str, steps: Steps | None) -> dict[str, Any]:
    if steps is None:
        return {"unit": unit}
    return {"unit": unit, "color": {"mode": "thresholds"}, "thresholds": _thresholds(steps), "custom.cellOptions": _CELL}
