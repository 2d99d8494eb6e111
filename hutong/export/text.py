"""Exported documents as text: JSON, JSON lines and YAML that readers of YAML 1.1 and of 1.2 take for the same. Pure.

Neighbours: ``hutong export`` prints or writes what comes of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

import yaml

__all__ = ["json_lines", "json_text", "yaml_text"]

_NUMBER = re.compile(r"[-+.]?[0-9]")
"""How a plain scalar begins that some version of YAML takes for a number or a date; quotes keep it a text."""


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # libyaml's where the wheel has it: ten times faster
    """Writes no anchors, which many readers refuse."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the library's signature
        return True


def _text(dumper: Any, text: str) -> Any:
    style = '"' if _NUMBER.match(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def yaml_text(documents: Iterable[Any]) -> str:
    """YAML documents, one after the other."""
    several = list(documents)
    text: str = yaml.dump_all(
        several, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=120, explicit_start=len(several) > 1
    )
    return text


def json_text(document: Any) -> str:
    """One JSON document."""
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def json_lines(documents: Iterable[Any]) -> str:
    """JSON documents, a line each."""
    return "".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) + "\n" for one in documents)
