"""A registry that refuses whoever asks, or is not the one that is trusted: that says nothing of the events."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from hutong.errors import ConfigurationError, HutongError, NotAuthorised, RegistryUnavailable
from hutong.kafka.schemas import WriterSchemas

FRAMES = [("pub.dvv.person_moved", b"\0\0\0\0\7")]


class Refusing:
    """A registry's client whose questions fail."""

    def __init__(self, error: HutongError) -> None:
        self.error: HutongError | None = error

    def by_id(self, _: int) -> Any:
        """Fail, or know a schema that is no contract's."""
        if self.error is not None:
            raise self.error
        return {"type": "string"}


@pytest.mark.parametrize(
    "error",
    [
        NotAuthorised("the schema registry does not allow GET /schemas/ids/7; check HUTONG_REGISTRY_USERNAME"),
        ConfigurationError("the schema registry shows a certificate that is not trusted"),
    ],
)
def test_who_is_refused_waits_and_quarantines_nothing(error: HutongError) -> None:
    """The batch is tried again, with the reason told, until somebody has mended the setting: no schema counts as unknown."""
    registry = Refusing(error)
    schemas = WriterSchemas(registry)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(RegistryUnavailable, match="the schema registry") as refused:
            schemas.fetch(FRAMES, Counter())
        assert refused.value.retriable
    registry.error = None
    schemas.fetch(FRAMES, Counter())
    assert schemas.get(7) is None
