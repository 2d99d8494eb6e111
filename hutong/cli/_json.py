"""``--json``: what a command has found, as one JSON object for programs, with the version of its form at the top.

Names, keys and words in it are English whatever ``HUTONG_LANG`` says. Neighbours: every command that prints results.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

__all__ = ["FORMAT", "json_option", "print_json", "print_json_line"]

FORMAT = 1
"""Version of the JSON that ``--json`` prints; it changes when a key goes away or changes its meaning."""

json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


def print_json(document: Mapping[str, Any]) -> None:
    """Print a document for programs."""
    click.echo(json.dumps({"format": FORMAT, **document}, ensure_ascii=False, indent=2))


def print_json_line(document: Mapping[str, Any]) -> None:
    """Print one document of many, a line each, at once."""
    click.echo(json.dumps({"format": FORMAT, **document}, ensure_ascii=False))
