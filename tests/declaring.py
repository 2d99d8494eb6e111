"""Declarations for tests: a copy of a set in a temporary directory, edited by text, and what is then wrong with it."""

from __future__ import annotations

import shutil
from pathlib import Path

from hutong.catalogue.catalogue import Catalogue, Reading
from hutong.catalogue.load import read
from hutong.errors import DeclarationError

FI = Path(__file__).parent / "declarations" / "fi"


class Declarations:
    """A copy of a set of declarations that may be spoilt."""

    def __init__(self, directory: Path, source: Path = FI) -> None:
        self.directory = directory
        shutil.copytree(source, directory, dirs_exist_ok=True)

    def text(self, file: str) -> str:
        """A file's text."""
        return (self.directory / file).read_text(encoding="utf-8")

    def write(self, file: str, text: str) -> None:
        """Write a file anew."""
        path = self.directory / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def edit(self, file: str, old: str, new: str) -> int:
        """Replace the one place where a text stands; its line."""
        text = self.text(file)
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        self.write(file, text.replace(old, new))
        return text[: text.index(old)].count("\n") + 1

    def remove(self, file: str) -> None:
        """Delete a file or a folder."""
        path = self.directory / file
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def reading(self) -> Reading:
        """Read them."""
        return read(self.directory)

    def catalogue(self) -> Catalogue:
        """Read them; nothing may be wrong."""
        reading = self.reading()
        assert not reading.errors, [str(error) for error in reading.errors]
        return reading.catalogue

    def only_error(self) -> DeclarationError:
        """Read them; exactly one thing must be wrong."""
        errors = self.reading().errors
        assert len(errors) == 1, [str(error) for error in errors]
        return errors[0]
