"""docs/configuration.md tells every variable and flag that the code reads, and no other."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from pydantic import SecretStr

from connectors.sources.snapshot_files import _parser
from hutong.kafka.settings import _VARIABLES, Settings
from hutong.runtime.settings import ServiceSettings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
CODE = [path for room in ("hutong", "services", "connectors") for path in sorted((ROOT / room).rglob("*.py"))]


def services() -> list[type[ServiceSettings]]:
    """The settings of every service and connector, as their files define them."""
    for path in CODE:
        if path.parts[-2:] != ("runtime", "settings.py") and "(ServiceSettings)" in path.read_text(encoding="utf-8"):
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    ours = ("connectors.", "services.")
    found = [one for one in ServiceSettings.__subclasses__() if one.__module__.startswith(ours)]
    return sorted(found, key=lambda one: one.service)


def rows(own: type[ServiceSettings]) -> list[str]:
    """A service's table, from its settings."""
    found = []
    for name, field in own.model_fields.items():
        default = own.default_of(name)
        default = default if name == "instance" or not default else f"`{default}`"
        flag = "" if field.annotation is SecretStr else f"`{own.flag(name)}`"
        cells = (f"`{own.variable(name)}`", flag, default, field.description)
        found.append("|" + "".join(f" {cell} |" if cell else " |" for cell in cells))
    return found


def test_services_are_told_as_their_settings_are() -> None:
    """Every field's variable, flag, default and meaning."""
    missing = [row for own in services() for row in rows(own) if row not in PAGE.splitlines()]
    assert missing == []


def test_every_variable_is_told_and_no_other() -> None:
    """In both directions."""
    read = {name for path in CODE for name in re.findall(r"\"(HUTONG_[A-Z_]+[A-Z])\"", path.read_text(encoding="utf-8"))}
    read |= {own.variable(name) for own in services() for name in own.model_fields}
    lines = [line for line in PAGE.splitlines() if line.startswith("| `HUTONG_")]
    assert {line.split("`")[1] for line in lines} == read


def test_defaults_of_the_client_are_told() -> None:
    """Where a setting has a value by itself."""
    for name, variable in _VARIABLES.items():
        default = Settings.model_fields[name].default
        if isinstance(default, str | int | float):
            row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{variable}` "))
            assert f"`{default:g}`" in row if isinstance(default, float) else f"`{default}`" in row, row


def test_flags_of_the_snapshot_job_are_told() -> None:
    """All of them."""
    flags = {flag for action in _parser()._actions for flag in action.option_strings if flag.startswith("--")} - {"--help"}
    assert set(re.findall(r"^\| `(--[a-z-]+)` \|", PAGE, re.MULTILINE)) == flags


def test_the_readme_names_no_variable_that_is_not() -> None:
    """It has a few of them."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"HUTONG_[A-Z_]+[A-Z]", readme)) - set(re.findall(r"HUTONG_[A-Z_]+[A-Z]", PAGE)) <= {"HUTONG_KAFKA"}
