"""Writes a contract's facts into its Avro schema, so that whoever holds only the registered schema has every rule.

The result depends on the declarations alone: the same files give the same bytes. Neighbours: ``rulebook`` has the rules,
``schema`` reads what is written here.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from hutong.contracts.avro import Schema, kind
from hutong.contracts.contract import Sharing
from hutong.contracts.matching import Version, leaves
from hutong.contracts.rules import ATTRIBUTE, FieldRules

__all__ = ["annotate", "without_annotations"]


def annotate(
    version: Version, rules: Mapping[str, FieldRules], *, contract: str, key: tuple[str, ...], sharing: Sharing
) -> dict[str, Any]:
    """The version's schema with Hutong's attributes.

    Args:
        version: the schema, taken apart.
        rules: path -> rules, of all versions' fields.
        contract: the contract's name.
        key: paths of the key fields.
        sharing: the contract's sharing attribute.
    """
    facts: dict[tuple[str, str], dict[str, Any]] = {}
    for usage in version.usages.values():
        if usage.definition not in facts and usage.path in rules:
            attribute = rules[usage.path].to_attribute()
            if any(kind(leaf) == "enum" for leaf in leaves(version.parsed, usage.branches)):
                attribute.pop("codes", None)  # the type has them
            facts[usage.definition] = attribute
    annotated: dict[str, Any] = copy.deepcopy(version.raw)
    head = {"contract": contract, "version": version.number, "key": list(key), "sharing": sharing}
    places = {version.definitions[definition].place: attribute for definition, attribute in facts.items()}
    for place, attribute in places.items():
        target: Any = annotated
        for step in place:
            target = target[step]
        target[ATTRIBUTE] = attribute
    return {**annotated, ATTRIBUTE: head}


def without_annotations(schema: Schema) -> Schema:
    """The schema without Hutong's attributes, as the department wrote it."""
    if isinstance(schema, list):
        return [without_annotations(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {"type", "items", "values", "fields"}
    return {name: without_annotations(value) if name in inner else value for name, value in schema.items() if name != ATTRIBUTE}
