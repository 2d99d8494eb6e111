"""Can a reader with one schema read what a writer with another wrote? Schema resolution as Avro 1.12 specifies it.

The answer names every place where it fails, and why. Two things are stricter than the letter of the specification, so that "yes"
holds for every Avro library and keeps its meaning: a logical type must not change, and an alias must not fit two fields
(``docs/decisions/0006-stricter-than-avro.md``). Neighbours: the catalogue asks this between the versions of a contract.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hutong.contracts.avro import Parsed, Schema, branches, kind, logical
from hutong.contracts.wellformed import LOGICAL_TYPES

__all__ = ["Evolution", "Incompatibility", "Mode", "evolution_problems", "incompatibilities"]

Mode = Literal["BACKWARD", "FORWARD", "FULL"]

_PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
_NAMED = frozenset({"record", "enum", "fixed"})
_CONTAINERS = {"array": "items", "map": "values"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Incompatibility:
    """One place where a reader cannot read what a writer may have written.

    Attributes:
        path: dotted path of the field, as agreements write it; empty for the whole event.
        kind: what fails there: ``type``, ``name``, ``missing_default``, ``symbols``, ``size``, ``branch``, ``meaning`` or
            ``alias``.
        reason: the same in words.
    """

    path: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evolution:
    """A pair of versions that break a contract's compatibility mode.

    Attributes:
        reader: number of the version that cannot read.
        writer: number of the version whose values it cannot read.
        problem: where and why.
    """

    reader: int
    writer: int
    problem: Incompatibility


def incompatibilities(reader: Parsed, writer: Parsed) -> list[Incompatibility]:
    """Every place where the reader's schema cannot resolve the writer's; empty means that it reads every value."""
    resolution = _Resolution(reader, writer)
    resolution.resolve(reader.root, writer.root, "")
    return resolution.found


def evolution_problems(versions: Sequence[tuple[int, Parsed]], mode: Mode) -> Iterator[Evolution]:
    """Check every pair of versions (transitively), oldest first.

    Args:
        versions: numbers and schemas, in rising order.
        mode: BACKWARD: newer readers read older events; FORWARD: older readers read newer events; FULL: both.
    """
    for i, (newer, newer_schema) in enumerate(versions):
        for older, older_schema in versions[:i]:
            if mode in ("BACKWARD", "FULL"):
                for problem in incompatibilities(newer_schema, older_schema):
                    yield Evolution(reader=newer, writer=older, problem=problem)
            if mode in ("FORWARD", "FULL"):
                for problem in incompatibilities(older_schema, newer_schema):
                    yield Evolution(reader=older, writer=newer, problem=problem)


@dataclass(slots=True)
class _Resolution:
    reader: Parsed
    writer: Parsed
    found: list[Incompatibility] = field(default_factory=list)
    # Pairs of records that are, or are being, compared: a recursive type is compatible unless something else is not.
    seen: set[tuple[str, str]] = field(default_factory=set)

    def fail(self, path: str, what: str, reason: str) -> None:
        self.found.append(Incompatibility(path=path, kind=what, reason=reason))

    def resolve(self, reader: Schema, writer: Schema, path: str) -> None:
        reader, writer = self.reader.resolve(reader), self.writer.resolve(writer)
        if isinstance(writer, list):
            # Any branch may have been written, so the reader must take each.
            for branch in writer:
                self.resolve(reader, branch, path)
        elif isinstance(reader, list):
            self.into_union(reader, writer, path)
        elif self.matches(reader, writer):
            self.resolve_matching(reader, writer, path)
        else:
            self.mismatch(reader, writer, path)

    def into_union(self, reader: list[Schema], writer: Schema, path: str) -> None:
        # The first branch that matches is taken, even where a later one would resolve: so the specification says.
        branch = next((b for b in reader if self.matches(self.reader.resolve(b), writer)), None)
        if branch is None:
            offered = ", ".join(_words(self.reader.resolve(b)) for b in reader)
            self.fail(path, "branch", f"the reader takes {offered}, and not {_words(writer)}")
        else:
            self.resolve_matching(self.reader.resolve(branch), writer, path)

    def matches(self, reader: Schema, writer: Schema) -> bool:
        """The specification's "to match": one level deep for named types, all the way for arrays and maps."""
        reader, writer = self.reader.resolve(reader), self.writer.resolve(writer)
        if isinstance(reader, list) or isinstance(writer, list):
            return True
        read, written = kind(reader), kind(writer)
        if read != written:
            return read in _PROMOTIONS.get(written, ())
        if read in _CONTAINERS:
            return self.matches(reader[_CONTAINERS[read]], writer[_CONTAINERS[read]])
        if read not in _NAMED:
            return True
        return _same_name(reader, writer) and (read != "fixed" or reader["size"] == writer["size"])

    def mismatch(self, reader: Schema, writer: Schema, path: str) -> None:
        read, written = kind(reader), kind(writer)
        if read != written:
            self.fail(path, "type", f"the reader expects {_words(reader)}, the writer has {_words(writer)}")
        elif read in _CONTAINERS:
            self.resolve(reader[_CONTAINERS[read]], writer[_CONTAINERS[read]], path)
        elif not _same_name(reader, writer):
            hint = "give the reader's type the other name as an alias"
            self.fail(path, "name", f"the reader expects {_words(reader)}, the writer has {_words(writer)}; {hint}")
        else:
            self.fail(path, "size", f"the reader expects {reader['size']} bytes, the writer has {writer['size']}")

    def resolve_matching(self, reader: Schema, writer: Schema, path: str) -> None:
        if not self.same_meaning(reader, writer, path):
            return
        match kind(reader):
            case "record":
                self.record(reader, writer, path)
            case "enum":
                self.enum(reader, writer, path)
            case "array" | "map" as container:
                self.resolve(reader[_CONTAINERS[container]], writer[_CONTAINERS[container]], path)

    def same_meaning(self, reader: Schema, writer: Schema, path: str) -> bool:
        read, written = _meaning(reader), _meaning(writer)
        # A UUID written as text is text to whoever does not care.
        if read == written or (read is None and written == "uuid" and kind(reader) == "string"):
            return True
        plain = "a plain value"
        self.fail(path, "meaning", f"the writer means {written or plain}, the reader takes it for {read or plain}")
        return False

    def enum(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> None:
        known = set(reader["symbols"])
        unknown = [symbol for symbol in writer["symbols"] if symbol not in known]
        if unknown and "default" not in reader:
            self.fail(path, "symbols", f"the reader's enum lacks {', '.join(unknown)} and has no default symbol")

    def record(self, reader: dict[str, Any], writer: dict[str, Any], path: str) -> None:
        pair = (reader["name"], writer["name"])
        if pair in self.seen:
            return
        self.seen.add(pair)
        written = {f["name"]: f for f in writer["fields"]}
        taken: dict[str, str] = {}
        for target in reader["fields"]:
            name = target["name"]
            inner = f"{path}.{name}" if path else name
            sources = [n for n in (name, *target.get("aliases", ())) if n in written]
            clash = next((taken[n] for n in sources if n in taken), None)
            taken.update(dict.fromkeys(sources, name))
            if len(sources) > 1 or clash:
                targets = " and ".join(filter(None, (clash, name)))
                self.fail(inner, "alias", f"the writer's {' and '.join(sources)} fit {targets} by alias; only one may")
            elif sources:
                self.resolve_field(target["type"], written[sources[0]]["type"], inner)
            elif "default" not in target:
                self.fail(inner, "missing_default", "the reader needs it, the writer does not have it, and it has no default")

    def resolve_field(self, reader: Schema, writer: Schema, path: str) -> None:
        if isinstance(reader, list) and sum(kind(self.reader.resolve(b)) == "record" for b in reader) > 1:
            # Below a union of several records, paths name the branch.
            for branch in branches(self.writer.resolve(writer)):
                resolved = self.writer.resolve(branch)
                short = f"{path}.{_short(resolved)}" if kind(resolved) == "record" else path
                self.resolve(reader, branch, short)
        else:
            self.resolve(reader, writer, path)


def _short(schema: dict[str, Any]) -> str:
    return str(schema["name"]).rpartition(".")[2]


def _same_name(reader: dict[str, Any], writer: dict[str, Any]) -> bool:
    if _short(reader) == _short(writer):
        return True
    aliases = reader.get("aliases", ())
    return writer["name"] in aliases or _short(writer) in aliases


def _meaning(schema: Schema) -> str | None:
    """The logical type where it is valid for its type; one that is not is ignored, as the specification wants."""
    name = logical(schema)
    if name is None or kind(schema) not in LOGICAL_TYPES.get(name, ()):
        return None
    if name == "decimal":
        return f"decimal({schema.get('precision')}, {schema.get('scale', 0)})"
    return name


def _words(schema: Schema) -> str:
    name = kind(schema)
    return f"{name} {_short(schema)}" if name in _NAMED else name
