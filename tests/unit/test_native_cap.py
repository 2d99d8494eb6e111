"""Deliveries that no broker takes: every transcoder stops at the same size, says the same, and spends no memory on the rest."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hutong.agreements.plan import Plan
from hutong.contracts.framing import FRAME_BYTES, frame
from hutong.contracts.schema import EventSchema
from hutong.transcode.cap import MOST_BYTES
from hutong.transcode.leaves import long_bytes
from hutong.transcode.native.transcoder import Writer, extension
from hutong.transcode.reference import ReferenceTranscoder
from tests.fuzz.agreements import compiled, event_schema, native, outcome, plan, versions
from tests.fuzz.memory import at_most

needs_extension = pytest.mark.skipif(extension is None, reason="the extension hutong_native is not built")

TEXTS = {"type": "array", "items": "string"}
PSEUDONYM = {"transform": "pseudonymise"}
EACH = 2 + 64  # a pseudonym with its length; an empty text is one byte
LAST = (MOST_BYTES - FRAME_BYTES - 1 - len(long_bytes(30_000))) // EACH  # texts whose pseudonyms just fit, as a list


def schema() -> EventSchema:
    return event_schema({"type": "record", "name": "t.R", "fields": [{"name": "texts", "type": TEXTS}]})


def plans(event: EventSchema, number: int = 1) -> list[Plan]:
    fields: list[list[dict[str, Any]]] = [[{"field": "texts", **PSEUDONYM}]] * number
    made = [plan(f"hidden{at}", event, one, []) for at, one in enumerate(fields)]
    made.append(plan("plain", event, [{"field": "texts"}], []))
    assert None not in made
    return [one for one in made if one is not None]


def value(texts: int) -> bytes:
    return frame(7) + b"\0" + (long_bytes(texts) + b"\0" * texts if texts else b"") + b"\0"


@settings(max_examples=15, deadline=None)
@given(st.integers(LAST - 20, LAST + 20))
@example(LAST)
@example(LAST + 1)
def test_all_stop_at_the_same_size(texts: int) -> None:
    """Around the limit: the delivery is made, or refused for its size, by all alike; the other agreement's is made always."""
    event = schema()
    of = versions(event, plans(event))
    found = outcome(ReferenceTranscoder(event, of), b"", value(texts))
    makers = [compiled, *([native] if extension is not None else [])]
    assert all(outcome(make(event, of), b"", value(texts)) == found for make in makers)
    made, failures = found
    assert [agreement for agreement, _, _ in made] == (["hidden0", "plain"] if texts <= LAST else ["plain"])
    assert all(len(body) <= MOST_BYTES for _, _, body in made)
    assert all("more than the brokers take" in problem for _, _, problem in failures)


@needs_extension
def test_the_extension_builds_nothing_beyond() -> None:
    """66 MB for each of twenty agreements would be 1.3 GB; it hands the event back before that."""
    event = schema()
    made = native(event, versions(event, plans(event, 20)))
    assert len(made.plans) == 21
    with at_most(40_000_000):
        assert made.native.transcode(b"", value(900_000), 1, 1) is None


@needs_extension
def test_a_plan_of_another_writer_is_refused() -> None:
    """Its places mean other fields there: it must not run."""
    event, other = schema(), schema()
    first = plans(event)[0]
    theirs = Writer(other).plan(first, event)
    assert theirs is not None
    with pytest.raises(ValueError, match="another writer"):
        Writer(event).transcoder([theirs], has_rest=False)
