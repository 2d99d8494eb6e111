"""The surfaces, one module each, by their names."""

from __future__ import annotations

from tests.fuzz.attack import Surface
from tests.fuzz.surfaces import (
    cases,
    control,
    declarations,
    expressions,
    outbox,
    pages,
    publishing,
    registry,
    router,
    snapshots,
    subscription,
    writers,
)

__all__ = ["SURFACES"]

SURFACES: list[Surface] = [
    router.SURFACE,
    subscription.SURFACE,
    publishing.SURFACE,
    *declarations.SURFACES,
    expressions.SURFACE,
    pages.SURFACE,
    registry.SURFACE,
    *snapshots.SURFACES,
    control.SURFACE,
    writers.SURFACE,
    cases.INTAKE,
    cases.INBOX,
    outbox.SURFACE,
]
