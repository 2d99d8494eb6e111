"""The command ``hutong``: one file per subcommand, loaded when it is asked for.

``hutong/cli/<name>.py`` exposes a click command called ``command``; a file whose name begins with an underscore is no
command. Exit codes are those of ``grep`` and ``diff``: 0 all is well, 1 looked and found something, 2 wrong use or failure.
Help and errors are put into the reader's language here, at the edge; neighbours: ``language`` has the sentences.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hutong.errors import ConfigurationError, HutongError
from hutong.language import chosen, said, translated

if TYPE_CHECKING:
    import click

__all__ = ["FAILED", "FINE", "FOUND", "main"]

Command = TypeVar("Command", bound="click.Command")

FINE, FOUND, FAILED = 0, 1, 2
_INTERRUPTED = 130  # 128 + SIGINT, as shells report it


def main() -> None:
    """Run the command line and exit."""
    try:
        import click
    except ImportError:
        sys.exit("hutong: the commands need more than the SDK: pip install 'hutong[cli]'")
    try:
        chosen()
    except ConfigurationError as error:
        sys.exit(_fail(str(error)))
    try:
        code = _group().main(standalone_mode=False, prog_name="hutong")  # what ``ctx.exit`` was given, else the command's None
        sys.exit(code if isinstance(code, int) else FINE)
    except HutongError as error:
        sys.exit(_fail(translated(str(error))))
    except click.ClickException as error:
        error.message = translated(error.message)
        error.show()
        sys.exit(FAILED)
    except (click.Abort, KeyboardInterrupt):
        print(f"hutong: {said('interrupted')}", file=sys.stderr)
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has had enough; without this, Python complains once more while it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FINE)
    except OSError as error:  # a file or directory that the command needs: what is wrong there is nobody's fault in here
        sys.exit(_fail(_refused(error)))


def _fail(problem: str) -> int:
    """Say what is wrong; a list of findings keeps its lines, so that each stands by itself."""
    print(f"hutong: {problem}", file=sys.stderr)
    return FAILED


def _refused(error: OSError) -> str:
    """What the system did not do, where, and what to do."""
    problem = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return said("the system refuses: {problem}; `hutong doctor` looks for the cause", problem=problem)
    file = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    if isinstance(error, PermissionError):
        return said("{file}: {problem}; run as the user whom it belongs to, or name another place", file=file, problem=problem)
    return said("{file}: {problem}; put that right or name another place, then run it again", file=file, problem=problem)


def _names() -> list[str]:
    files = Path(__file__).parent.glob("[!_]*.py")
    return sorted(file.stem.replace("_", "-") for file in files)


def _group() -> click.Group:
    import click
    from click.shell_completion import CompletionItem

    class Commands(click.Group):
        """Finds commands by file name, so that ``hutong --version`` does not load Java, Kafka and all."""

        def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
            return _names()

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
            if cmd_name not in _names():
                return None
            module = importlib.import_module(f"hutong.cli.{cmd_name.replace('-', '_')}")
            found: click.Command = module.command
            found.name = cmd_name
            return _localised(found)

        def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
            # By their names alone: with their help, a person who presses a key would wait until all of them are loaded.
            names = [CompletionItem(name) for name in _names() if name.startswith(incomplete)]
            return names or super().shell_complete(ctx, incomplete)

    group = Commands(
        help="The event layer between departments' systems.", context_settings={"help_option_names": ["-h", "--help"]}
    )
    return click.version_option(_version(), prog_name="hutong")(_localised(group))


def _localised(command: Command) -> Command:
    if chosen() == "en":
        return command
    from hutong.cli._help import localise

    return localise(command)


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("hutong")
    except metadata.PackageNotFoundError:
        return "(not installed)"
