"""``hutong down``: stop the embedded bus."""

from __future__ import annotations

import click

from hutong.cli._bars import ShownProgress
from hutong.embedded import down
from hutong.home import Home

__all__ = ["command"]


@click.command(short_help="Stop the bus; its data stay.")
def command() -> None:
    """Stop everything that `hutong up` (and the demo) started in HUTONG_HOME. Data stay; `hutong up` goes on with them."""
    stopped = down(Home.find(), progress=ShownProgress())
    click.echo(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")
