"""``Publisher.publish`` and the models with data full of traps: sent, or ``ContractViolation`` with a place."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from hutong.contracts.schema import EventSchema
from hutong.errors import ContractViolation, EventTooLarge, UnknownContract
from hutong.testing import Bus
from tests.fuzz.attack import Found, Surface
from tests.fuzz.hostile import NUMBERS, TEXTS, anything, spoilt
from tests.samples import CONTRACT, PERSON_REGISTERED, contract_root, generated, person

__all__ = ["SURFACE", "Evil", "traps"]

_DEPARTMENT = CONTRACT.rpartition(".")[0]
_LINKED = "t.linked"
_TREE: dict[str, Any] = {
    "type": "record",
    "name": "Linked",
    "namespace": "t",
    "hutong": {"contract": _LINKED, "version": 1, "key": ["k"]},
    "fields": [
        {"name": "k", "type": "string"},
        {"name": "next", "type": ["null", "Linked"], "default": None},
        {"name": "all", "type": {"type": "array", "items": "Linked"}, "default": []},
        {"name": "by", "type": {"type": "map", "values": ["null", "double", "Linked"]}, "default": {}},
    ],
}


class Evil(Exception):
    """Raised by objects that are not what they seem: the application's own trouble, and allowed to come out."""


class _EvilText(str):
    def __eq__(self, other: object) -> bool:
        raise Evil

    def __hash__(self) -> int:
        return 1

    def encode(self, *_: Any, **__: Any) -> bytes:
        raise Evil


class _EvilMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise Evil

    def __iter__(self) -> Iterator[str]:
        return iter(("k",))

    def __len__(self) -> int:
        return 2**62


class _EvilList(list[Any]):
    def __len__(self) -> int:
        return 2**62

    def __iter__(self) -> Iterator[Any]:
        raise Evil


class _EvilNumber(int):
    def __le__(self, other: Any) -> bool:
        raise Evil


def traps() -> list[Any]:
    """Values that are no data."""
    itself: list[Any] = []
    itself += [itself, itself]
    record: dict[str, Any] = {"k": "k"}
    record |= {"next": record, "all": [record, record]}
    shared: Any = {"k": "k", "all": []}
    for _ in range(60):
        shared = {"k": "k", "all": [shared, shared]}
    return [
        *(shared, itself, record, _EvilText("k"), _EvilMapping(), _EvilList([1]), _EvilNumber(7), object(), type, len, Ellipsis),
        *(
            Decimal("NaN"),
            Decimal("sNaN"),
            Decimal("1e1000000"),
            Decimal("-0"),
            Decimal("1." + "1" * 5_000),
            1j,
            b"\xff",
            bytearray(9),
        ),
        *(
            date.min,
            date.max,
            datetime.max,
            datetime.min.replace(tzinfo=UTC),
            datetime.max.replace(tzinfo=timezone.max),
            UUID(int=0),
        ),
        *(
            {1: 2},
            {None: 1},
            {"\ud800": 1},
            {"k": {"k": {"k": {}}}},
            (1, 2),
            ("Linked", record),
            ("double", float("nan")),
            set(),
            iter(()),
        ),
        *(range(10**12), memoryview(b"x"), "x" * 1_000_000, ["x"] * 100_000, dict.fromkeys(map(str, range(50_000)))),
    ]


class _Attack:
    def __init__(self) -> None:
        self._model: Any = generated(contract_root(PERSON_REGISTERED)).PersonRegistered
        self._tree = EventSchema(_TREE)
        self._publisher = Bus(models=[self._model]).publisher(_DEPARTMENT)
        self._traps = traps()

    def draw(self, rng: random.Random) -> tuple[str, Any, dict[str, Any]]:
        kind = rng.choice(("mapping", "mapping", "mapping", "model", "tree", "tree", "options"))
        if kind == "tree":
            return kind, self._of_tree(rng, rng.choice((1, 3, 20, 63, 64, 65, 200))), {}
        if kind == "options":
            chosen = rng.choice(("id", "time", "traceparent", "corrects"))
            return kind, person(), {chosen: rng.choice((*TEXTS, *NUMBERS[:8], *self._traps[1:26]))}
        # Python's enum shows a wrong value, be it that it has 2^60 parts: that is for whoever makes the model.
        traps_ = self._traps[1:] if kind == "model" else self._traps
        data = spoilt(person(), rng) if rng.random() < 0.5 else person()
        if isinstance(data, dict) and rng.random() < 0.6:
            holder = data if rng.random() < 0.6 or not isinstance(data.get("person"), dict) else data["person"]
            if holder:
                holder[rng.choice(list(holder))] = rng.choice(traps_) if rng.random() < 0.5 else anything(rng)
        if rng.random() < 0.02:
            data = rng.choice(traps_)
        return kind, data, {}

    def _of_tree(self, rng: random.Random, depth: int) -> Any:
        made: Any = rng.choice((None, *self._traps, {"k": "k"}))
        for _ in range(depth):
            match rng.randrange(4):
                case 0:
                    made = {"k": "k", "next": made}
                case 1:
                    made = {"k": "k", "all": [made]}
                case 2:
                    made = {"k": "k", "by": {"a": made, "b": float("nan")}}
                case _:
                    made = {"k": rng.choice(TEXTS), "next": made, "all": [made] * rng.choice((0, 1, 2))}
        return made

    def strike(self, value: tuple[str, Any, dict[str, Any]]) -> str:
        kind, data, options = value
        try:
            if kind == "tree":
                if not isinstance(data, Mapping):
                    return "no mapping"
                self._tree.pack(data)
            elif kind == "model":
                if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
                    return "no mapping"
                self._publisher.publish(self._model(**data))
            else:
                self._publisher.publish(data, CONTRACT, **options)
        except ContractViolation as error:
            if not error.rule or not error.problem or len(str(error)) > 2_000:
                raise Found("refused without a reason, or with too many words") from None
            return error.rule
        except ValidationError as error:
            return "model" if error.error_count() else "?"
        except (EventTooLarge, UnknownContract) as error:
            return type(error).__name__
        except Evil:
            return "the object's own error"
        return "taken"


@contextmanager
def _open(seed: int, directory: Path) -> Iterator[_Attack]:
    yield _Attack()


SURFACE = Surface(
    name="publisher",
    says="data, ids, times and trace contexts through Publisher.publish, models and a recursive contract",
    share=40_000,
    open=_open,
)
