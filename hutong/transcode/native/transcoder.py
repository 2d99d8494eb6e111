"""Event bytes to recipients' bytes in Rust, held to the reference: what it does not do, and whatever is wrong, goes there.

The extension never decides that an event is bad: it hands the event back, and the reference says why. Each agreement is compiled
once per writer schema. Neighbours: ``reference`` is oracle and fallback, ``hutong.transcode.choice`` picks this one.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from hutong.agreements.plan import Plan
from hutong.agreements.rows import indexed_position
from hutong.contracts.schema import EventSchema
from hutong.transcode.native.beyond import Beyond
from hutong.transcode.native.copies import always_resolves
from hutong.transcode.native.emit import lower_plan
from hutong.transcode.native.rows import lower_row
from hutong.transcode.native.texts import key_part
from hutong.transcode.native.types import Types
from hutong.transcode.reference import Output, ReferenceTranscoder, Transcoded, VersionPlans

__all__ = ["NativeTranscoder", "Writer", "extension", "writer_of"]


def _load() -> ModuleType | None:
    try:
        return importlib.import_module("hutong_native")
    except ImportError:
        return None


extension = _load()
"""The Rust module, or None where it was not built."""


class Writer:
    """What the extension knows of one writer schema, and the plans compiled for it.

    Raises:
        Beyond: the extension does not read this schema's key, or the schema is too large.
    """

    def __init__(self, event: EventSchema) -> None:
        if extension is None:
            raise Beyond
        self._event, self._extension = event, extension
        self._types = Types(event.parsed)
        key = [key_part(self._types, path) for path in event.key]
        self._native = extension.Writer(self._types.described, len(self._types.places), key)
        self._plans: WeakKeyDictionary[Plan, Any] = WeakKeyDictionary()
        self._resolving: WeakKeyDictionary[EventSchema, bool] = WeakKeyDictionary()

    def transcoder(self, plans: list[Any], *, has_rest: bool) -> Any:
        """The extension's transcoder over compiled plans."""
        return self._extension.Transcoder(self._native, plans, has_rest)

    def plan(self, plan: Plan, granted: EventSchema) -> Any | None:
        """The plan compiled, or None where it is beyond the extension."""
        if plan not in self._plans:
            try:
                self._plans[plan] = self._compile(plan, granted)
            except (Beyond, ValueError, ArithmeticError):  # the latter two: a number or text that has no place in the extension
                self._plans[plan] = None
        return self._plans[plan]

    def _compile(self, plan: Plan, granted: EventSchema) -> Any:
        if granted not in self._resolving:
            self._resolving[granted] = always_resolves(self._types, granted.parsed)
        if not self._resolving[granted]:
            raise Beyond
        rows = plan.grant.agreement.rows
        lowered = [lower_row(row, self._types, granted.parsed) for row in rows]
        return self._extension.Plan(
            self._native,
            topic=plan.topic,
            agreement=plan.agreement,
            valid=(plan.valid_from_ms, min(plan.valid_until_ms, 2**63 - 1)),
            published=plan.published,
            frame=plan.frame,
            key=self._key(plan, granted),
            rows=lowered,
            indexed=indexed_position(rows),
            emit=lower_plan(plan, granted.parsed, self._types),
            signature=plan.signature and f"{granted.version} {plan.signature}",
        )

    def _key(self, plan: Plan, granted: EventSchema) -> tuple[Any, ...]:
        if all(plan.key_shown):
            return ("same",)
        if len(plan.key_shown) == 1:
            return ("pseudonym", plan.secret)
        if granted.key != self._event.key:
            raise Beyond
        parts = [(*key_part(self._types, path), shown) for path, shown in zip(granted.key, plan.key_shown, strict=True)]
        return ("parts", plan.secret, parts)


_writers: WeakKeyDictionary[EventSchema, Writer | None] = WeakKeyDictionary()


def writer_of(event: EventSchema) -> Writer | None:
    """The one writer of a schema, or None where the extension is not there or does not read it."""
    if event not in _writers:
        try:
            _writers[event] = Writer(event)
        except (
            Beyond,
            ValueError,
            ArithmeticError,
        ):  # the latter two: what only looks like a schema, or has numbers beyond all use
            _writers[event] = None
    return _writers[event]


class NativeTranscoder:
    """Runs plans over the values of one writer schema.

    Attributes:
        plans: the plans that run in the extension, by the numbers it gives back.
        rest: runs the others; None where there are none.
        native: the extension's transcoder.
    """

    def __init__(self, event: EventSchema, writer: Writer, versions: Sequence[VersionPlans]) -> None:
        self.plans: list[Plan] = []
        compiled: list[Any] = []
        left: list[VersionPlans] = []
        for version in versions:
            rest = VersionPlans(reader=version.reader)
            for plan in version.plans:
                if (made := writer.plan(plan, version.reader)) is None:
                    rest.add(plan)
                else:
                    self.plans.append(plan)
                    compiled.append(made)
            if rest.plans:
                left.append(rest)
        self.rest = ReferenceTranscoder(event, left) if left else None
        self.native = writer.transcoder(compiled, has_rest=bool(left))
        self._event, self._versions = event, versions
        self._reference: ReferenceTranscoder | None = None

    def transcode(self, key: bytes, value: bytes, moments: tuple[int, int]) -> Transcoded:
        """All deliveries of one event; as ``ReferenceTranscoder.transcode``."""
        made = self.native.transcode(key, value, *moments)
        if made is None:
            return self.explain(key, value, moments)
        result = Transcoded([], []) if self.rest is None else self.rest.transcode_guarded(key, value, moments)
        result.outputs.extend(Output(self.plans[number], out_key, out_value) for number, out_key, out_value in made)
        return result

    def explain(self, key: bytes, value: bytes, moments: tuple[int, int]) -> Transcoded:
        """What becomes of an event that the extension handed back, all plans together."""
        if self._reference is None:
            self._reference = ReferenceTranscoder(self._event, self._versions)
        return self._reference.transcode(key, value, moments)
