"""The declaration files of a directory: found, bounded, decoded.

Neighbours: ``load`` walks the directory with this; ``yaml`` and ``json`` take the text.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hutong.catalogue.document import MAX_BYTES, Document
from hutong.catalogue.json import read_json
from hutong.catalogue.yaml import read_yaml
from hutong.errors import ConfigurationError, DeclarationError

__all__ = ["folders", "names", "opened", "read"]


def opened(directory: Path) -> Path:
    """The directory itself, made sure of.

    Raises:
        ConfigurationError: it is not there, or is no directory.
    """
    if not directory.is_dir():
        raise ConfigurationError(f"there is no directory {directory}; name the right one with --schemas or HUTONG_SCHEMAS")
    return directory


def folders(directory: Path) -> list[str]:
    """Names of the folders in a directory, sorted; none where it is not there."""
    return sorted(entry.name for entry in _entries(directory) if entry.is_dir())


def names(directory: Path) -> list[str]:
    """Names of the files in a directory, sorted; none where it is not there. Hidden ones are an editor's or git's, not ours."""
    return sorted(entry.name for entry in _entries(directory) if not entry.is_dir())


def _entries(directory: Path) -> list[Path]:
    return [entry for entry in directory.iterdir() if not entry.name.startswith(".")] if directory.is_dir() else []


def read(directory: Path, file: str, *, inside: bool = True) -> Document:
    """Read a file as YAML, or as JSON where its name ends with ``.avsc``.

    Args:
        directory: of the declarations.
        file: its path from there.
        inside: whether links must not lead out of the directory.

    Raises:
        DeclarationError: it cannot be read, is too large, no UTF-8, or not of its format.
    """
    content = _content(directory, file, inside=inside)
    if len(content) > MAX_BYTES:
        raise DeclarationError(f"the file is over {MAX_BYTES:,} bytes; no declaration needs that", file=file)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DeclarationError("the file is not UTF-8; save it so", file=file, line=line) from None
    return read_json(text, file) if file.endswith(".avsc") else read_yaml(text, file)


def _content(directory: Path, file: str, *, inside: bool) -> bytes:
    """What is in a file, as far as a declaration may be long."""
    try:
        path = (directory / file).resolve(strict=True)
        if inside and not path.is_relative_to(directory.resolve()):
            problem = "this is a link to a file outside of the declarations' directory; put the file itself here"
            raise DeclarationError(problem, file=file)
        # Without O_NONBLOCK, opening a pipe would wait until somebody writes into it.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise DeclarationError("this is no file with text, but a pipe, a device or a folder", file=file)
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise DeclarationError(f"the file cannot be read: {error.strerror or 'its links lead nowhere'}", file=file) from None
    except RuntimeError:  # how pathlib says that links lead in a circle
        raise DeclarationError("the file cannot be read: its links lead in a circle", file=file) from None
