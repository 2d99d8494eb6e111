"""Every sentence that people read, collected from the code: for the tests of its translation, and for whoever translates.

``python -m tests.sentences`` prints the entries that ``hutong.po`` lacks, ready to be filled in; with ``--errors`` those for
messages of errors too.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from hutong.po import Entry, read_po

__all__ = ["PO", "Sources", "entries", "errors", "sources"]

ROOT = Path(__file__).parents[1]
PO = ROOT / "hutong/locale/zh/LC_MESSAGES/hutong.po"
_ERRORS = re.compile(
    r"Error$|Violation$|Unavailable$|Full$|Authorised$|TooLarge$|Destination$|Fenced$|Failed$|Closed$|Refused$|Contract$"
)


@dataclass
class Sources:
    """What the code says.

    Attributes:
        said: sentence -> the file where it is said.
        many: sentences about a number of things: (about one, about many) -> the file.
    """

    said: dict[str, str] = field(default_factory=dict)
    many: dict[tuple[str, str], str] = field(default_factory=dict)


def entries() -> list[Entry]:
    """What is translated."""
    return list(read_po(PO.read_text(encoding="utf-8")))


@cache
def sources() -> Sources:
    """Sentences that are said as such: through ``said``, and as the words of findings."""
    found = Sources()
    for node, where in _calls():
        _call(node, where, found)
    return found


@cache
def _calls() -> list[tuple[ast.Call, str]]:
    """Every call in the library, with its file."""
    found: list[tuple[ast.Call, str]] = []
    for path in sorted((ROOT / "hutong").rglob("*.py")):
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        found += [(node, str(path.relative_to(ROOT))) for node in nodes if isinstance(node, ast.Call)]
    return found


def _call(node: ast.Call, where: str, found: Sources) -> None:
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name == "said":
        for text in _texts(node.args[0]):
            found.said[text] = where
    elif name == "said_many":
        one, many = (next(iter(_texts(argument)), "") for argument in node.args[1:3])
        if one and many:
            found.many[one, many] = where
    elif name in ("Finding", "several") and where.startswith("hutong/doctor/"):
        for keyword in node.keywords:
            if keyword.arg in ("what", "remedy"):
                for text in _texts(keyword.value):
                    found.said[text] = where


def _texts(node: ast.expr) -> Iterator[str]:
    """The literal texts that an expression may be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)


def errors() -> dict[str, str]:
    """Messages of errors, and of findings about declarations, as patterns: each value is a ``{placeholder}`` -> the file."""
    found = {text: where for node, where in _calls() for text in _messages(node, where)}
    return {text: where for text, where in found.items() if text.count(" ") > 1}


def _messages(node: ast.Call, where: str) -> Iterator[str]:
    name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""
    finding = name in ("Finding", "finding", "_finding") and not where.startswith("hutong/doctor/")
    if not (finding or _ERRORS.search(name)):
        return
    arguments = [*node.args[:2], *(one.value for one in node.keywords if one.arg == "problem")]
    for argument in arguments:
        for text in (argument.body, argument.orelse) if isinstance(argument, ast.IfExp) else (argument,):
            if isinstance(text, ast.JoinedStr) or (isinstance(text, ast.Constant) and isinstance(text.value, str)):
                yield _pattern(text)


def _pattern(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    parts: list[str] = []
    assert isinstance(node, ast.JoinedStr)
    for part in node.values:
        if isinstance(part, ast.FormattedValue):
            value = part.value
            parts.append("{" + re.sub(r"\W+", "_", ast.unparse(value)).strip("_").split("_")[-1] + "}")
        else:
            parts.append(str(part.value))  # type: ignore[attr-defined]
    return "".join(parts)


def _entry(sentence: str, plural: str = "") -> str:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

    return f"msgid {quoted(sentence)}\n" + (f'msgid_plural {quoted(plural)}\nmsgstr[0] ""\n' if plural else 'msgstr ""\n')


def main() -> None:
    """Print what is not translated."""
    known = {one.sentence for one in entries()} if PO.exists() else set()
    found = sources()
    for text, where in found.said.items():
        if text not in known:
            print(f"#: {where}\n{_entry(text)}")
    for (one, many), where in found.many.items():
        if one not in known:
            print(f"#: {where}\n{_entry(one, many)}")
    if "--errors" in sys.argv:
        for text, where in errors().items():
            if text not in known:
                print(f"#: {where}\n{_entry(text)}")


if __name__ == "__main__":
    main()
