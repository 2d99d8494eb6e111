"""``hutong check``: spoilt files by themselves, and in a whole directory. Each fault is a finding with file and line."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from hutong.catalogue.document import Document
from hutong.catalogue.json import read_json
from hutong.catalogue.load import read
from hutong.catalogue.yaml import read_yaml
from hutong.errors import DeclarationError
from tests.declaring import FI
from tests.fuzz.attack import Found, Surface
from tests.fuzz.hostile import spoilt, spoilt_bytes, spoilt_text

__all__ = ["KEPT", "SURFACES", "small_tree"]

KEPT = (
    *(
        "departments.yaml",
        "contracts/dvv/person_moved/contract.yaml",
        "contracts/dvv/person_moved/v1.avsc",
        "contracts/dvv/person_moved/v2.avsc",
    ),
    *("codelists/household-role.yaml", "codelists/iso-3166-nordic.yaml", "agreements/kela/moves-to-benefits.yaml"),
    "agreements/stat/moves-for-statistics.yaml",
)
"""The files of a tree that is right and small: two agreements on one contract."""


def small_tree(directory: Path) -> Path:
    """Such a tree."""
    for file in KEPT:
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FI / file, directory / file)
    return directory


def checked(error: DeclarationError) -> None:
    """What every finding must be, for whoever reads it on a terminal.

    Raises:
        Found: it is not.
    """
    if not error.problem or not error.file:
        raise Found(f"a finding without a file or without a reason: {error}")
    if not str(error).isprintable() or len(str(error)) > 4_000:
        raise Found("a finding that no terminal should show")


class _Files:
    """One kind of file, by itself."""

    def __init__(self, suffix: str, reader: Callable[[str, str], Document], plain: Callable[[str], Any]) -> None:
        self._texts = [path.read_text(encoding="utf-8") for path in sorted(FI.rglob(f"*{suffix}"))]
        self._read, self._plain, self._file = reader, plain, f"f{suffix}"

    def draw(self, rng: random.Random) -> str:
        text = rng.choice(self._texts)
        if rng.random() < 0.3:
            return json.dumps(spoilt(self._plain(text), rng), default=str)
        return spoilt_text(text, rng).encode("utf-8", "replace").decode()  # what cannot be in a file is not asked for

    def strike(self, value: str) -> str:
        try:
            self._read(value, self._file)
        except DeclarationError as error:
            checked(error)
            if error.line is None and "not valid YAML" not in error.problem:
                raise Found(f"a finding without a line: {error}") from None
            return "refused"
        return "read"


class _Tree:
    """A directory in which one file is spoilt."""

    def __init__(self, directory: Path) -> None:
        self._root = small_tree(directory / "tree")
        self._whole = {file: (self._root / file).read_bytes() for file in KEPT}
        if errors := read(self._root).errors:
            raise Found(f"the tree is not right: {errors[0]}")

    def draw(self, rng: random.Random) -> tuple[str, bytes]:
        file = rng.choice(KEPT)
        content = self._whole[file]
        choice = rng.random()
        if choice < 0.15:
            return file, spoilt_bytes(content, rng)
        if choice < 0.4:
            return file, spoilt_text(content.decode(), rng).encode("utf-8", "surrogatepass")
        document = json.loads(content) if file.endswith(".avsc") else yaml.load(content, Loader=yaml.BaseLoader)  # noqa: S506
        if not file.endswith(".avsc"):
            document = _typed(document)
        made = json.dumps(spoilt(document, rng), default=str, ensure_ascii=rng.random() < 0.9)
        return file, made.encode("utf-8", "surrogatepass")

    def strike(self, value: tuple[str, bytes]) -> str:
        file, content = value
        (self._root / file).write_bytes(content)
        try:
            reading = read(self._root)
        finally:
            (self._root / file).write_bytes(self._whole[file])
        for error in (*reading.errors, *reading.warnings):
            checked(error)
        return "refused" if reading.errors else "right"


def _typed(document: Any) -> Any:
    """What quotes would have kept text, as numbers and words again: JSON is YAML, and says which is which."""
    if isinstance(document, dict):
        return {key: _typed(value) for key, value in document.items()}
    if isinstance(document, list):
        return [_typed(value) for value in document]
    return {"true": True, "false": False, "1": 1}.get(document, document)


@contextmanager
def _yaml(seed: int, directory: Path) -> Iterator[_Files]:
    yield _Files(".yaml", read_yaml, yaml.safe_load)


@contextmanager
def _json(seed: int, directory: Path) -> Iterator[_Files]:
    yield _Files(".avsc", read_json, json.loads)


@contextmanager
def _tree(seed: int, directory: Path) -> Iterator[_Tree]:
    yield _Tree(directory)


SURFACES = [
    Surface(name="check: YAML", says="spoilt YAML through the reader of hutong check", share=10_000, open=_yaml),
    Surface(name="check: Avro", says="spoilt Avro schemas through the reader of hutong check", share=10_000, open=_json),
    Surface(name="check: all", says="a directory with one spoilt file through all of hutong check", share=3_000, open=_tree),
]
