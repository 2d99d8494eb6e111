"""A difference as a tree for the terminal: contract by contract, agreement by agreement, with the fields that each touches.

Neighbours: ``changes`` has the values, ``hutong plan`` and ``hutong apply`` print this.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from hutong.control.changes import Change, Difference, Effect, FieldEffect
from hutong.language import said, said_many, translated

__all__ = ["show"]

_STYLES = {"+": "green", "-": "red", "~": "yellow"}
_SIGNS = {"create": "+", "change": "~", "remove": "-"}
_QUIET = 6
"""Lines of one kind that are shown one by one; the first apply of a bus has hundreds of them."""


def show(difference: Difference, console: Console, *, prune: bool) -> None:
    """Print a difference."""
    due, stays = difference.due(prune=prune), difference.stays(prune=prune)
    if due:
        console.print(_tree(said("bus"), due))
    if stays:
        console.print(_tree(Text(said("gone from the declarations, will stay until --prune"), style="bold"), stays))
    for refusal in difference.refusals:
        console.print(Text.assemble((f"{said('refused')} ", "bold red"), f"{refusal.contract}: {translated(refusal.text)}"))
    for note in difference.notes:
        console.print(Text.assemble((f"{said('note')} ", "bold"), translated(note)))
    console.print(_summary(difference, due, stays))


def _summary(difference: Difference, due: tuple[Change, ...], stays: tuple[Change, ...]) -> str:
    if not due and not difference.refusals:
        if not stays:
            return said("the bus is as declared; nothing to do")
        things = said_many(len(stays), "{number} thing will stay until --prune", "{number} things will stay until --prune")
        return said("the bus is as declared; {rest}", rest=things)
    numbers = {action: sum(change.action == action for change in due) for action in _SIGNS}
    words = {
        "create": said("{number} to create", number=numbers["create"]),
        "change": said("{number} to change", number=numbers["change"]),
        "remove": said("{number} to remove", number=numbers["remove"]),
    }
    text = said(", ").join(words[action] for action, number in numbers.items() if number) or said("nothing to do")
    recipients = sorted({e.recipient for change in due for e in change.effects if e.touches_data})
    if recipients:
        text += said("; ") + said_many(
            len(recipients),
            "touches what goes to {number} recipient: {names}",
            "touches what goes to {number} recipients: {names}",
            names=", ".join(recipients),
        )
    return text + (said("; {number} refused", number=len(difference.refusals)) if difference.refusals else "")


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
    for step in ("topic", "principal", "acl", "quota", "agreement", "flow"):
        these = [change for change in changes if change.step == step]
        for change in these[:_QUIET]:
            node = tree.add(_line(change))
            for detail in change.details:
                node.add(Text(translated(detail)))
        rest = these[_QUIET:]
        if rest:
            names = ", ".join(change.name for change in rest)
            more = said("{number} more of the kind: {names}", number=len(rest), names=names)
            tree.add(_signed(_SIGNS[rest[0].action], more))


def _contract_line(branch: Tree, change: Change) -> None:
    node = branch.add(_line(change))
    _fields(node, change.fields)
    for effect in change.effects:
        if effect.touches_data:
            told = said("reaches {recipient} by {agreement}, see there", recipient=effect.recipient, agreement=effect.agreement)
            node.add(Text(told))
    untouched = [effect for effect in change.effects if not effect.touches_data]
    if untouched:
        names = ", ".join(f"{effect.recipient} ({effect.agreement})" for effect in untouched)
        node.add(Text(said("leaves as it is what goes to {names}", names=names), style="dim"))


def _agreement(branch: Tree, agreement: str, changes: list[Change]) -> None:
    main = next((change for change in changes if change.step == "agreement"), None)
    if main is None:
        node = branch.add(Text(f"{said('agreement')} {agreement}"))
    else:
        node = branch.add(_signed(_SIGNS[main.action], f"{said('agreement')} {agreement}: {translated(main.text)}"))
        for effect in main.effects:
            _effect(node, effect, is_new=main.action == "create")
    for change in changes:
        if change is not main and change.step != "key":
            node.add(_line(change))


def _effect(node: Tree, effect: Effect, *, is_new: bool) -> None:
    _fields(node, effect.fields)
    if effect.rows:
        node.add(_signed("~", said(f"rows {effect.rows}")))
    for detail in effect.details:
        node.add(Text(translated(detail)))
    if not effect.touches_data and not is_new:
        node.add(Text(said("the recipient gets the same data as before"), style="dim"))


def _fields(node: Tree, fields: Iterable[FieldEffect]) -> None:
    for field in fields:
        mark = f" [{said(field.classification)}]" if field.classification in ("personal", "sensitive") else ""
        line = _signed(field.sign, f"{field.path}: {translated(field.text)}" if field.text else field.path)
        line.append(mark, style="bold red" if field.classification == "sensitive" else "dim")
        node.add(line)


def _line(change: Change) -> Text:
    text = translated(change.text)
    what = text if change.step == "acl" else f"{said(change.step)} {change.name}: {text}"
    return _signed(_SIGNS[change.action], what)


def _signed(sign: str, text: str) -> Text:
    return Text.assemble((f"{sign} ", _STYLES[sign]), text)
