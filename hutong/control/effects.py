"""What a change means for who receives: fields that come, go or come otherwise, rows, validity. Pure.

Neighbours: ``rows`` compares conditions, ``diff`` puts the effects beside the changes that cause them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hutong.agreements.agreement import Agreement, Constant, Copy, Derive, FieldGrant, Generalise, MapCodes, Mask, Pseudonymise
from hutong.agreements.grant import Grant
from hutong.contracts.avro import Parsed, Schema, branches, field_paths, is_null, kind, logical, parse
from hutong.contracts.rules import ATTRIBUTE
from hutong.control.changes import Effect, FieldEffect
from hutong.control.desired import WantedGrant
from hutong.control.rows import compare_rows, row_text

__all__ = ["contract_fields", "effect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    type: str
    how: str
    classification: str | None
    rules: Mapping[str, Any]


def effect(old: Grant | None, new: WantedGrant | None) -> Effect:
    """What replacing one grant by another means; None stands for no grant."""
    agreement = (new or old).agreement  # type: ignore[union-attr]  # one of them is there
    before = _received(old) if old else {}
    after = _received(new) if new else {}
    rows = compare_rows(old.agreement.rows, new.agreement.rows) if old and new else None
    details = tuple(_details(old, new, rows)) if old and new else ()
    if new and not old:
        details = tuple(f"only rows where {row_text(row)}" for row in new.agreement.rows)
    return Effect(
        recipient=agreement.recipient,
        agreement=agreement.id,
        fields=tuple(_field_effects(before, after)),
        rows=rows,
        details=details,
    )


def contract_fields(old: Schema | None, new: Schema) -> tuple[FieldEffect, ...]:
    """How the fields of two versions of a contract, or two descriptions of one, differ."""
    before = _fields(parse(old)) if old is not None else {}
    return tuple(_field_effects(before, _fields(parse(new))))


def _details(old: Grant, new: WantedGrant, rows: str | None) -> Iterator[str]:
    was, now = old.agreement, new.agreement
    if rows:
        for sign, these, others in (("-", was.rows, now.rows), ("+", now.rows, was.rows)):
            yield from (f"{sign} {row_text(row)}" for row in these if row not in others)
    if (old.valid_from_ms, old.valid_until_ms) != (new.valid_from_ms, new.valid_until_ms):
        yield f"valid {_days(was)} -> {_days(now)}"
    if was.topic != now.topic:
        yield f"on the topic {was.topic} -> {now.topic}"
    if was.recipient != now.recipient:
        yield f"to {was.recipient} -> {now.recipient}"
    if was.contract != now.contract:
        yield f"of the contract {was.contract} -> {now.contract}"
    for name in ("purpose", "legal_basis", "title"):
        if getattr(was, name) != getattr(now, name):
            yield f"other {name.replace('_', ' ')}"
    if old.code_lists != new.code_lists:
        changed = {*old.code_lists, *new.code_lists}
        names = sorted(name for name in changed if old.code_lists.get(name) != new.code_lists.get(name))
        yield f"code list {', '.join(names)} changed"


def _days(agreement: Agreement) -> str:
    return f"{agreement.valid.from_} to {agreement.valid.until or 'further notice'}"


def _received(grant: Grant | WantedGrant) -> dict[str, _Field]:
    """What a recipient sees: path in the delivery -> the field. A record that is granted whole brings all fields below it."""
    source = _fields(parse(grant.reader_schema))
    found: dict[str, _Field] = {}
    for entry in grant.agreement.fields:
        if isinstance(entry, (Constant, Derive)):
            found[entry.out_name] = _Field(type="", how=_how(entry), classification=None, rules={})
            continue
        parent = entry.field.rpartition(".")[0]
        out = f"{parent}.{entry.out_name}" if parent else entry.out_name
        below = [
            path for path in source if path == entry.field or (isinstance(entry, Copy) and path.startswith(f"{entry.field}."))
        ]
        for path in below:
            field = source[path]
            how = _how(entry) if entry.out_name == entry.field.rpartition(".")[2] else f"{_how(entry)}, from {path}"
            rules = field.rules if isinstance(entry, Copy) else {}
            found[out + path.removeprefix(entry.field)] = _Field(
                type=field.type, how=how, classification=field.classification, rules=rules
            )
    return found


def _how(entry: FieldGrant) -> str:
    match entry:
        case Copy():
            return "as is"
        case Mask(keep_first=first, keep_last=last):
            return f"masked but for {first} first and {last} last characters"
        case Pseudonymise():
            return "pseudonymised"
        case Generalise(to=str(to)):
            return f"generalised to the {to}"
        case Generalise(bands=tuple(bands)):
            return f"in bands of {', '.join(f'{bound:g}' for bound in bands)}"
        case Generalise(keep_first=kept, pad=pad):
            return f"generalised to {kept} characters" + (f" padded with {pad}" if pad else "")
        case MapCodes(code_list=name, source=source, to=to):
            return f"mapped by {name} from {source} to {to}"
        case Constant(value=value):
            return f"constant {value}"
        case Derive(cel=text, type=type_):
            return f"derived ({type_}): {text}"


def _field_effects(before: Mapping[str, _Field], after: Mapping[str, _Field]) -> Iterator[FieldEffect]:
    gone, come = before.keys() - after.keys(), after.keys() - before.keys()
    for path, field in after.items():
        if path in come and _worth_showing(path, come, field):
            yield FieldEffect(sign="+", path=path, text=_first_words(field), classification=field.classification)
        elif path in before and (differences := _differences(before[path], field)):
            yield FieldEffect(sign="~", path=path, text="; ".join(differences), classification=field.classification)
    for path, field in before.items():
        if path in gone and _worth_showing(path, gone, field):
            yield FieldEffect(sign="-", path=path, text=_first_words(field), classification=field.classification)


def _worth_showing(path: str, all_: set[str], field: _Field) -> bool:
    """A record that comes or goes whole is one line, beside its sensitive fields, which must be seen."""
    parts = path.split(".")
    return field.classification == "sensitive" or not any(".".join(parts[:n]) in all_ for n in range(1, len(parts)))


def _first_words(field: _Field) -> str:
    return ", ".join(filter(None, (field.how, field.type)))


def _differences(old: _Field, new: _Field) -> list[str]:
    found = []
    if old.how != new.how:
        found.append(f"{old.how} -> {new.how}")
    if old.type != new.type:
        found.append(f"{old.type} -> {new.type}")
    if old.classification != new.classification:
        found.append(f"classification {old.classification} -> {new.classification}")
    for name in sorted({*old.rules, *new.rules}):
        was, now = old.rules.get(name), new.rules.get(name)
        if was != now:
            is_list = isinstance(was, (list, tuple)) or isinstance(now, (list, tuple))
            found.append(
                _list_difference(name, was or (), now or ()) if is_list else f"{name} {was or 'none'} -> {now or 'none'}"
            )
    return found


def _list_difference(name: str, was: Sequence[str], now: Sequence[str]) -> str:
    changes = [f"+{one}" for one in now if one not in was] + [f"-{one}" for one in was if one not in now]
    return f"{name} {', '.join(changes) or 'in another order'}"


def _fields(parsed: Parsed) -> dict[str, _Field]:
    found = {}
    for path, field in field_paths(parsed):
        facts = dict(field.get(ATTRIBUTE) or {})
        classification = facts.pop("classification", None)
        if symbols := _symbols(parsed, field["type"]):
            facts["symbols"] = symbols
        found[path] = _Field(type=_type_text(parsed, field["type"]), how="", classification=classification, rules=facts)
    return found


def _symbols(parsed: Parsed, schema: Schema) -> tuple[str, ...]:
    for branch in branches(parsed.resolve(schema)):
        if kind(resolved := parsed.resolve(branch)) == "enum":
            return tuple(resolved["symbols"])
    return ()


def _type_text(parsed: Parsed, schema: Schema) -> str:
    schema = parsed.resolve(schema)
    match kind(schema):
        case "union":
            rest = [_type_text(parsed, branch) for branch in schema if not is_null(branch)]
            return " or ".join(rest) + ("" if len(rest) == len(schema) else " or null")
        case "array":
            return f"array of {_type_text(parsed, schema['items'])}"
        case "map":
            return f"map of {_type_text(parsed, schema['values'])}"
        case "record" | "fixed" as name:
            return f"{name} {schema['name'].rpartition('.')[2]}"
        case "enum":
            return f"enum {schema['name'].rpartition('.')[2]}"
        case name:
            special = logical(schema)
            digits = f"({schema['precision']}, {schema.get('scale', 0)})" if special == "decimal" else ""
            return f"{special}{digits}" if special else name
