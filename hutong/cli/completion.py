"""``hutong completion``: what a shell needs to complete commands, options and the names of the declarations.

Neighbours: ``_complete`` has the names; click has the shells' scripts.
"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["command"]

VARIABLE = "_HUTONG_COMPLETE"
"""With it in the environment, ``hutong`` answers the shell instead of running; click makes the name out of the program's."""


@click.command(short_help="Print what a shell needs to complete commands and names.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script with which a shell completes commands, options, contracts, agreements, departments and flows.

    bash: `source <(hutong completion bash)`, zsh: `source <(hutong completion zsh)` behind compinit, fish: `hutong completion
    fish | source`; in the shell's start file it holds for good.
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"the installed version of click knows no {shell}")
    click.echo(found(ctx.find_root().command, {}, "hutong", VARIABLE).source())
