"""The help of commands in another language than English: click's own words, ours, and lines broken where Chinese may be broken.

Neighbours: ``cli/__init__`` calls ``localise`` on each command that it loads; ``language`` has the sentences.
"""

from __future__ import annotations

import inspect
import re
import unicodedata
from collections.abc import Iterator, Sequence
from copy import copy
from typing import TypeVar

import click
from click import core, decorators, exceptions, formatting, parser, shell_completion, termui, types

from hutong.language import chosen, gettext, ngettext, said

__all__ = ["cells", "localise", "paragraphs", "wrapped"]

Command = TypeVar("Command", bound=click.Command)

_CLICK = (core, decorators, exceptions, formatting, parser, shell_completion, termui, types)
_NEVER_FIRST = "，。；：、！？）》」』”’%,.;:!?)]"
"""A line does not begin with these."""


def localise(command: Command) -> Command:
    """A command whose help, and that of its subcommands, is in the language of the person; the given one stays as it is."""
    if chosen() == "en":
        return command
    for module in _CLICK:  # click looks its words up under this name, in catalogues that only its own installation could hold
        module.__dict__["_"] = gettext
        if "ngettext" in module.__dict__:
            module.__dict__["ngettext"] = ngettext
    return _translated(command)


def paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a help text, each as one sentence of the catalogue."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        yield " ".join(paragraph.split())


def _translated(command: Command) -> Command:
    command = copy(command)
    command.params = [copy(parameter) for parameter in command.params]
    command.context_class = _WideContext
    if not command.short_help and command.help:
        command.short_help = next(paragraphs(command.help))
    if command.help:
        command.help = "\n\n".join(said(one) for one in paragraphs(command.help))
    if command.short_help:
        command.short_help = said(command.short_help)
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.help:
            parameter.help = said(parameter.help)
    if isinstance(command, click.Group):
        command.commands = {name: _translated(one) for name, one in command.commands.items()}
    return command


class _WideFormatter(click.HelpFormatter):
    """Counts a Chinese character as the two columns that it takes, and breaks between any two of them."""

    def write_text(self, text: str) -> None:
        room = max(self.width - self.current_indent, 11)
        lines = [line for paragraph in text.split("\n\n") for line in (*wrapped(paragraph, room), "")]
        for line in lines[:-1]:
            self.write(f"{' ' * self.current_indent}{line}".rstrip() + "\n")

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        pairs = list(rows)
        left = min(max((cells(first) for first, _ in pairs), default=0), col_max) + col_spacing
        room = max(self.width - left - 2 - self.current_indent, 10)
        for first, second in pairs:
            lines = wrapped(second, room)
            gap = left - cells(first)
            line = " " * self.current_indent + first
            if lines and gap >= col_spacing:
                line += " " * gap + lines.pop(0)
            rest = [" " * (left + self.current_indent) + one for one in lines]
            self.write("".join(f"{one}\n" for one in [line, *rest]))


class _WideContext(click.Context):
    formatter_class = _WideFormatter


def cells(text: str) -> int:
    """Columns that a text takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def wrapped(text: str, width: int) -> list[str]:
    """The lines of a text: words stay whole, Chinese may be broken anywhere but before a closing mark."""
    lines: list[str] = []
    line = ""
    for piece in _pieces(" ".join(text.split())):
        if line and cells(line) + cells(piece.rstrip()) > width:
            lines.append(line.rstrip())
            line = ""
        line += piece if line else piece.lstrip()
    return [*lines, line.rstrip()] if line.strip() else lines


_PIECE = re.compile(
    rf"(?:[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]|[^\s\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]+)[{re.escape(_NEVER_FIRST)}]*\s*"
)


def _pieces(text: str) -> list[str]:
    """What stays together: a word, or one Chinese character, with the closing marks and the blank behind it."""
    return _PIECE.findall(text)
