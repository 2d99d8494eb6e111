"""A difference as a tree for the terminal: contract by contract, agreement by agreement, with the fields that each touches.

Neighbours: ``changes`` has the values, ``hutong plan`` and ``hutong apply`` print this.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from hutong.control.changes import Change, Difference, Effect, FieldEffect
from hutong.control.words import counted

__all__ = ["show"]

_STYLES = {"+": "green", "-": "red", "~": "yellow"}
_SIGNS = {"create": "+", "change": "~", "remove": "-"}
_QUIET = 6
"""Lines of one kind that are shown one by one; the first apply of a bus has hundreds of them."""


def show(difference: Difference, console: Console, *, prune: bool) -> None:
    """Print a difference."""
    due, stays = difference.due(prune=prune), difference.stays(prune=prune)
    if due:
        console.print(_tree("bus", due))
    if stays:
        console.print(_tree(Text("gone from the declarations, will stay until --prune", style="bold"), stays))
    for refusal in difference.refusals:
        console.print(Text.assemble(("refused ", "bold red"), f"{refusal.contract}: {refusal.text}"))
    for note in difference.notes:
        console.print(Text.assemble(("note ", "bold"), note))
    console.print(_summary(difference, due, stays))


def _summary(difference: Difference, due: tuple[Change, ...], stays: tuple[Change, ...]) -> str:
    if not due and not difference.refusals:
        return "the bus is as declared" + (
            f"; {counted(len(stays), 'thing')} will stay until --prune" if stays else "; nothing to do"
        )
    counts = [(sum(change.action == action for change in due), word) for action, word in _WORDS]
    text = ", ".join(f"{number} to {word}" for number, word in counts if number) or "nothing to do"
    recipients = {e.recipient for change in due for e in change.effects if e.touches_data}
    if recipients:
        text += f"; touches what goes to {counted(len(recipients), 'recipient')}: {', '.join(sorted(recipients))}"
    return text + (f"; {len(difference.refusals)} refused" if difference.refusals else "")


_WORDS = (("create", "create"), ("change", "change"), ("remove", "remove"))


def _tree(title: str | Text, changes: tuple[Change, ...]) -> Tree:
    tree = Tree(title, guide_style="dim")
    contracts = sorted({change.contract for change in changes if change.contract})
    _shared(tree, [change for change in changes if change.contract is None])
    for contract in contracts:
        here = [change for change in changes if change.contract == contract]
        branch = tree.add(Text(contract, style="bold"))
        for change in here:
            if change.agreement is None:
                _contract_line(branch, change)
        for agreement in sorted({change.agreement for change in here if change.agreement}):
            _agreement(branch, agreement, [change for change in here if change.agreement == agreement])
    return tree


def _shared(tree: Tree, changes: list[Change]) -> None:
    """What belongs to no contract: control topics, principals, the services' rules, flows."""
    for step in ("topic", "principal", "acl", "agreement", "flow"):
        these = [change for change in changes if change.step == step]
        for change in these[:_QUIET]:
            node = tree.add(_line(change))
            for detail in change.details:
                node.add(Text(detail))
        rest = these[_QUIET:]
        if rest:
            names = ", ".join(change.name for change in rest)
            tree.add(_signed(_SIGNS[rest[0].action], f"{len(rest)} more of the kind: {names}"))


def _contract_line(branch: Tree, change: Change) -> None:
    node = branch.add(_line(change))
    _fields(node, change.fields)
    for effect in change.effects:
        if effect.touches_data:
            node.add(Text(f"reaches {effect.recipient} by {effect.agreement}, see there"))
    untouched = [effect for effect in change.effects if not effect.touches_data]
    if untouched:
        names = ", ".join(f"{effect.recipient} ({effect.agreement})" for effect in untouched)
        node.add(Text(f"leaves as it is what goes to {names}", style="dim"))


def _agreement(branch: Tree, agreement: str, changes: list[Change]) -> None:
    main = next((change for change in changes if change.step == "agreement"), None)
    if main is None:
        node = branch.add(Text(f"agreement {agreement}"))
    else:
        node = branch.add(_signed(_SIGNS[main.action], f"agreement {agreement}: {main.text}"))
        for effect in main.effects:
            _effect(node, effect, is_new=main.action == "create")
    for change in changes:
        if change is not main and change.step != "key":
            node.add(_line(change))


def _effect(node: Tree, effect: Effect, *, is_new: bool) -> None:
    _fields(node, effect.fields)
    if effect.rows:
        node.add(_signed("~", f"rows {effect.rows}"))
    for detail in effect.details:
        node.add(Text(detail))
    if not effect.touches_data and not is_new:
        node.add(Text("the recipient gets the same data as before", style="dim"))


def _fields(node: Tree, fields: Iterable[FieldEffect]) -> None:
    for field in fields:
        mark = f" [{field.classification}]" if field.classification in ("personal", "sensitive") else ""
        line = _signed(field.sign, f"{field.path}: {field.text}" if field.text else field.path)
        line.append(mark, style="bold red" if field.classification == "sensitive" else "dim")
        node.add(line)


def _line(change: Change) -> Text:
    what = change.text if change.step == "acl" else f"{change.step} {change.name}: {change.text}"
    return _signed(_SIGNS[change.action], what)


def _signed(sign: str, text: str) -> Text:
    return Text.assemble((f"{sign} ", _STYLES[sign]), text)
