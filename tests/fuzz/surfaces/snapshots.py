"""The snapshot source: exports that are cut off, spoilt or no text, and a state file that is not as it was written."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connectors.sources._snapshot_state import State, read_state, text_of, write_state
from connectors.sources.snapshot import csv_rows
from hutong.errors import ConfigurationError, SnapshotRefused
from tests.fuzz.attack import Found, Surface
from tests.fuzz.hostile import spoilt, spoilt_bytes

__all__ = ["SURFACES"]

_CSV = ['code,name\r\n110105,Chaoyang\r\n110106,"Feng""tai"\r\n', "a;b\n1;2\n", '\ufeffcode,name\n1,"two\nlines"\n', "a\n" * 50]
_ENCODINGS = ["utf-8-sig", "utf-8-sig", "gb18030", "utf-16", "latin-1", "no-such-encoding"]


class _Exports:
    def __init__(self, directory: Path) -> None:
        self._file = directory / "export.csv"

    def draw(self, rng: random.Random) -> tuple[bytes, str, str]:
        content = rng.choice(_CSV).encode()
        choice = rng.random()
        if choice < 0.7:
            content = spoilt_bytes(content, rng)
        elif choice < 0.8:
            content = rng.choice(
                (b"", b'"', b'a,b\n"' + b"x" * 200_000, b"a," * 50_000 + b"\n", b"\n" * 20_000, rng.randbytes(500))
            )
        return content, rng.choice(_ENCODINGS), rng.choice((",", ";", "\t", "|"))

    def strike(self, value: tuple[bytes, str, str]) -> str:
        content, encoding, delimiter = value
        self._file.write_bytes(content)
        try:
            rows = list(csv_rows(self._file, encoding=encoding, delimiter=delimiter))
        except SnapshotRefused as error:
            if "export.csv" not in str(error) or len(str(error)) > 1_000:
                raise Found("refused without the file, or with too many words") from None
            return "refused"
        if any(len(row) != len(rows[0]) for row in rows):
            raise Found("rows of different lengths")
        return "read"


class _States:
    def __init__(self, directory: Path) -> None:
        self._file = directory / "state.json"
        write_state(self._file, State(taken=["a", "b"], columns=["code", "on"], rows={"1": {"code": "1", "on": None}}))
        self._whole = json.loads(self._file.read_bytes())

    def draw(self, rng: random.Random) -> bytes:
        document = {
            **self._whole,
            "rows": {"1": {"code": {rng.choice(("$date", "$decimal", "$uuid", "$bytes", "$x")): "2026-01-01"}}},
        }
        made = text_of(document).encode()
        if rng.random() < 0.5:
            made = json.dumps(spoilt(document, rng), default=str).encode("utf-8", "surrogatepass")
        return spoilt_bytes(made, rng) if rng.random() < 0.4 else made

    def strike(self, value: bytes) -> str:
        self._file.write_bytes(value)
        try:
            state = read_state(self._file)
        except ConfigurationError as error:
            return "refused" if "state" in str(error) else "?"
        if not all(isinstance(row, dict) for row in state.rows.values()):
            raise Found("a row that is none")
        return "read"


@contextmanager
def _exports(seed: int, directory: Path) -> Iterator[_Exports]:
    yield _Exports(directory)


@contextmanager
def _states(seed: int, directory: Path) -> Iterator[_States]:
    yield _States(directory)


SURFACES = [
    Surface(name="snapshot: CSV", says="exports that are no tables", share=4_000, open=_exports),
    Surface(name="snapshot: state", says="state files that are not as they were written", share=1_000, open=_states),
]
