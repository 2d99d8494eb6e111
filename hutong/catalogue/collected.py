"""Errors and warnings, collected while reading goes on: a steward wants all of them, not the first.

Neighbours: ``load`` and its parts report here; ``hutong check`` prints the sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hutong.catalogue.document import Document
from hutong.contracts.finding import Finding
from hutong.errors import DeclarationError

__all__ = ["Collected"]

Model = TypeVar("Model", bound=BaseModel)

_WORDS = {
    "missing": "is required; add it",
    "extra_forbidden": "is not known here; correct its name, or remove it",
    "string_type": "must be text; put it in quotes",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "model_attributes_type": "must be a mapping of keys to values",
    "tuple_type": "must be a list",
    "date_from_datetime_parsing": "must be a date such as 2025-08-31",
    "string_too_short": "must not be empty",
}


_TEXT = "constrained-str"  # pydantic's name for a text among alternatives


class Collected:
    """What has been found so far."""

    def __init__(self) -> None:
        self._errors: list[DeclarationError] = []
        self._warnings: list[DeclarationError] = []

    @property
    def errors(self) -> tuple[DeclarationError, ...]:
        """All errors, by file and line."""
        return _sorted(self._errors)

    @property
    def warnings(self) -> tuple[DeclarationError, ...]:
        """All warnings, by file and line."""
        return _sorted(self._warnings)

    def error(self, error: DeclarationError) -> None:
        """Remember an error."""
        self._errors.append(error)

    def warning(self, warning: DeclarationError) -> None:
        """Remember a warning."""
        self._warnings.append(warning)

    @contextmanager
    def step(self) -> Iterator[None]:
        """Collect an error that is raised inside, and go on after the block."""
        try:
            yield
        except DeclarationError as error:
            self._errors.append(error)

    def findings(self, findings: Iterable[Finding], document: Document) -> bool:
        """Remember findings about a document; whether any is an error."""
        failed = False
        for finding in findings:
            found = document.error(finding.problem, finding.place, field=finding.field or None)
            (self.warning if finding.warning else self.error)(found)
            failed = failed or not finding.warning
        return failed

    def model(self, model: type[Model], document: Document) -> Model | None:
        """The document as a model, or None with its errors remembered."""
        try:
            return model.model_validate(document.data)
        except ValidationError as error:
            for detail in _relevant(error.errors(include_url=False), document):
                self.error(document.error(_problem(detail), _place(detail, document)))
            return None


def _relevant(details: Sequence[Any], document: Document) -> list[Any]:
    """Without errors that only follow from others, and those of alternatives that were not meant.

    A row condition with a field is no CEL one, an agency in curly brackets no code, and a constant is told of once.
    """
    kept = []
    for detail in details:
        place = list(detail["loc"])
        # pydantic drops the items that are wrong before it counts them.
        if detail["type"] == "too_short" and any(
            other["loc"][: len(place)] == detail["loc"] != other["loc"] for other in details
        ):
            continue
        if not _was_not_meant(place, document.data):
            kept.append(detail)
    return kept


def _was_not_meant(place: list[str | int], data: Any) -> bool:
    match place:
        case ["rows", int(at), ("CelRow" | "FieldRow") as alternative, *_]:
            row = data["rows"][at]
            meant = "CelRow" if isinstance(row, dict) and "cel" in row and "field" not in row else "FieldRow"
            return alternative != meant
        case ["ask", int(at), "agency", alternative, *_]:
            return isinstance(data["ask"][at]["agency"], dict) == (alternative == _TEXT)
        case [*_, "constant", ("bool" | "int" | "float")]:
            return True
    return False


def _place(detail: Any, document: Document) -> tuple[str | int, ...]:
    here = document.present(detail["loc"])
    return (*here, detail["loc"][-1]) if detail["type"] == "missing" else here


def _problem(detail: Any) -> str:
    if detail["type"] in _WORDS:
        return _WORDS[detail["type"]]
    if detail["type"] == "string_pattern_mismatch":
        return f"must have the form {detail['ctx']['pattern']}"
    if detail["type"] in ("union_tag_invalid", "literal_error"):
        expected = detail["ctx"].get("expected_tags") or detail["ctx"].get("expected")
        return f"must be one of {expected}"
    message = str(detail["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _sorted(errors: list[DeclarationError]) -> tuple[DeclarationError, ...]:
    return tuple(sorted(errors, key=lambda error: (error.file, error.line or 0, error.field, error.problem)))
