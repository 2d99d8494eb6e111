"""``hutong down``: stop the embedded bus."""

from __future__ import annotations

import click

from hutong.cli._bars import ShownProgress
from hutong.cli._json import json_option, print_json
from hutong.embedded import down
from hutong.home import Home
from hutong.language import said
from hutong.runtime.addresses import forget_gone

__all__ = ["command"]


@click.command(short_help="Stop the bus; its data stay.")
@json_option
def command(as_json: bool) -> None:
    """Stop everything that `hutong up` (and the demo) started in HUTONG_HOME. Data stay; `hutong up` goes on with them."""
    home = Home.find()
    stopped = down(home, progress=ShownProgress())
    forget_gone(home)
    if as_json:
        print_json({"stopped": stopped})
    else:
        click.echo(said("stopped {names}", names=", ".join(stopped)) if stopped else said("nothing was running"))
