"""The commands in another language: complete where it matters, values untouched, and English where nobody asks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from babel.messages.pofile import read_po as babel_read_po
from hypothesis import given
from hypothesis import strategies as st

from hutong import language
from hutong.cli import _group, main
from hutong.cli._help import cells, paragraphs, wrapped
from hutong.errors import ConfigurationError
from hutong.language import Sentences, placeholders, said, said_many, translated
from hutong.po import Entry, read_po
from tests import sentences
from tests.declaring import FI, Declarations

UNTRANSLATED_ERRORS = 3
"""Messages of errors that have no Chinese yet, at most: write the translation with the message, and this number falls."""

ENTRIES = sentences.entries()


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader wants Chinese."""
    monkeypatch.setenv("HUTONG_LANG", "zh")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command line; its exit code."""
    monkeypatch.setattr(sys, "argv", ["hutong", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code
    return code if isinstance(code, int) else 1


def commands() -> dict[str, click.Command]:
    """Every command and subcommand by its full name, as it is in English."""
    found: dict[str, click.Command] = {}

    def walk(name: str, command: click.Command) -> None:
        found[name] = command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for one in command.list_commands(context):
                below = command.get_command(context, one)
                assert below is not None
                walk(f"{name} {one}", below)

    walk("hutong", _group())
    return found


def test_the_file_is_read_as_gettexts_own_tools_read_it() -> None:
    """Babel finds the same sentences, plurals and translations."""
    with sentences.PO.open("rb") as file:
        catalogue = babel_read_po(file)
    theirs = set()
    for message in catalogue:
        if not message.id:
            continue
        (one, many), text = message.id if isinstance(message.id, tuple) else (message.id, ""), message.string
        theirs.add((one, many, text[0] if isinstance(text, tuple) else text))
    assert theirs == {(one.sentence, one.plural, one.text) for one in ENTRIES}
    assert len(ENTRIES) == len({one.sentence for one in ENTRIES})


def test_comments_guesses_and_gone_entries_are_left_out() -> None:
    """As gettext does it; a text may go over several lines; what is not understood is told with its line."""
    text = (
        '# a remark\n#, fuzzy\nmsgid "a"\nmsgstr "A"\n\n#~ msgid "gone"\n#~ msgstr "X"\n\n'
        'msgid ""\n"b "\n"c\\n"\nmsgstr "\\"B\\""\nmsgid "d"\nmsgid_plural "ds"\nmsgstr[0] "D"\n\nmsgid "e"\nmsgstr ""\n'
    )
    assert list(read_po(text)) == [Entry(sentence="b c\n", plural="", text='"B"'), Entry(sentence="d", plural="ds", text="D")]
    for wrong in ('msgctxt "x"\n', "msgid x\n", 'msgid "x\n', "msgid 5\n"):
        with pytest.raises(ValueError, match="line 1"):
            list(read_po(wrong))


def test_translations_have_the_same_values() -> None:
    """Nothing that a sentence tells is lost, and nothing is asked for that it does not tell."""
    for entry in ENTRIES:
        told = placeholders(entry.sentence) | placeholders(entry.plural)
        assert placeholders(entry.text) <= told, entry
        assert entry.plural or placeholders(entry.text) == told, entry


def test_everything_that_a_command_says_is_translated() -> None:
    """Headings, lines, findings: no sentence is said that the file lacks."""
    known, found = {one.sentence for one in ENTRIES}, sentences.sources()
    assert not {text: where for text, where in found.said.items() if text not in known}
    assert not {one: where for (one, _), where in found.many.items() if one not in known}


def test_no_sentence_is_translated_that_nobody_says() -> None:
    """A plural is the plural that the code says."""
    plurals = {one.sentence: one.plural for one in ENTRIES}
    assert not {one: many for one, many in sentences.sources().many if plurals.get(one) != many}


def test_every_help_is_translated() -> None:
    """Every paragraph, short help and option, of every command and subcommand."""
    known = {one.sentence for one in ENTRIES}
    missing = {}
    for name, command in commands().items():
        texts = [*paragraphs(command.help or ""), *paragraphs(command.short_help or "")]
        texts += [one for option in command.params if isinstance(option, click.Option) for one in paragraphs(option.help or "")]
        missing |= {text: name for text in texts if text and text not in known}
    assert not missing


def test_the_messages_of_errors_are_translated_as_far_as_is_told() -> None:
    """How many are not is written down here, and may only fall."""
    chinese = Sentences.of(tuple(ENTRIES))
    samples = {text: text.replace("{", "").replace("}", "") for text in sentences.errors()}
    missing = [text for text, sample in samples.items() if chinese.find(sample.split("\n")[0]) == sample.split("\n")[0]]
    assert len(missing) <= UNTRANSLATED_ERRORS, "\n".join(missing)


def _filled(text: str, names: frozenset[str]) -> str:
    return text.format(**{name: f"V{number}" for number, name in enumerate(sorted(names))})


def test_every_sentence_is_known_again_by_its_pattern() -> None:
    """With values in it, the translation is that of this sentence and no other's, and the values are in their places."""
    chinese = Sentences.of(tuple(ENTRIES))
    known = [one for one in ENTRIES if language._can_be_filled(one.sentence, one.text) and language._own(one.sentence) >= 8]
    assert len(known) > 250
    for one in known:
        names = placeholders(one.sentence)
        assert chinese.find(_filled(one.sentence, names)) == _filled(one.text, names)


@given(st.text(st.characters(exclude_characters="\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=80))
def test_what_is_not_known_stays_as_it_is(text: str) -> None:
    """A text that is no sentence of ours is not touched, whatever it holds."""
    chinese = Sentences.of(tuple(one for one in ENTRIES if len(one.sentence) > 90))
    assert chinese.find(text) == text


def test_values_are_left_as_they_are(chinese: None) -> None:
    """A department that is called like a word of ours keeps its name; a sentence within a sentence is translated."""
    assert said("{files} files, {written} of them written", files="case", written=2) == "共 case 个文件，写入 2 个"
    assert translated("the publisher of closed is closed; make a new one") == "closed 的发布器已关闭；请新建一个"
    inner = "cannot reach the bus: another client with the same identity has taken over; start a new one"
    assert translated(inner) == "无法连接集群".replace("集群", "总线") + "：同一身份的另一客户端已接手；请重新启动"
    assert translated(f"  {inner}\n\nX") == f"  {translated(inner)}\n\nX"
    assert (said_many(1, "{number} case", "{number} cases"), said_many(2, "{number} case", "{number} cases")) == (
        "1 个案件",
        "2 个案件",
    )


def test_english_needs_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variable, and with ``en``, sentences are said as they are written; numbers choose between one and many."""
    for value in ("", "en", "en_GB"):
        monkeypatch.setenv("HUTONG_LANG", value)
        assert said("{path}: written", path="x") == "x: written"
        assert [said_many(number, "{number} case", "{number} cases") for number in (1, 2)] == ["1 case", "2 cases"]
        assert translated("interrupted") == "interrupted"
    monkeypatch.setenv("HUTONG_LANG", "zh_CN.UTF-8")
    assert translated("interrupted") == "已中断"


def test_a_language_that_there_is_not_ends_with_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told before anything else is done."""
    monkeypatch.setenv("HUTONG_LANG", "fi")
    assert run(monkeypatch, "check", "--schemas", FI) == 2
    assert capsys.readouterr().err == "hutong: HUTONG_LANG is fi; there are en and zh\n"
    with pytest.raises(ConfigurationError):
        language.chosen()


def test_check_in_chinese(
    chinese: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Findings and the closing line are Chinese; file, line and field stay; ``--json`` is as in English."""
    declarations = Declarations(tmp_path)
    line = declarations.edit("agreements/kela/moves-to-benefits.yaml", "contract: ", "contract: no-such.")
    assert run(monkeypatch, "check", "--schemas", tmp_path, "--today", "2026-01-01") == 1
    out = capsys.readouterr().out
    assert f"agreements/kela/moves-to-benefits.yaml:{line}: 错误: contract: " in out
    assert "contracts/ 下没有契约 " in out
    assert "1 个文件中有 1 个错误；" in out
    assert run(monkeypatch, "check", "--schemas", tmp_path, "--today", "2026-01-01", "--json") == 1
    (told,) = json.loads(capsys.readouterr().out)["errors"]
    assert told["problem"].startswith("there is no contract ")


def test_help_and_wrong_use_in_chinese(tmp_path: Path) -> None:
    """click's own words too, in lines that fit the terminal; a process of its own, since click is told once for all."""
    environment = {"HUTONG_LANG": "zh", "HUTONG_HOME": str(tmp_path), "COLUMNS": "80", "PYTHONIOENCODING": "utf-8"}
    code = "import sys; sys.argv[0] = 'hutong'; from hutong.cli import main; main()"

    def hutong(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, env=environment, cwd=sentences.ROOT, capture_output=True, text=True, check=False)

    root = hutong("--help")
    assert root.returncode == 0
    assert root.stdout.startswith("用法： hutong")
    assert "部门系统之间的事件层。" in root.stdout
    assert "显示本帮助并退出。" in root.stdout
    for name in ("up", "replay", "doctor"):
        shown = hutong(name, "--help").stdout
        assert "选项" in shown
        assert all(cells(row) <= 80 for row in shown.splitlines()), shown
    wrong = hutong("check", "--nope")
    assert (wrong.returncode, "没有选项：--nope" in wrong.stderr) == (2, True)
    missing = hutong("check", "--schemas", "/nowhere/at/all")
    assert (missing.returncode, "没有目录 /nowhere/at/all" in missing.stderr) == (2, True)


LETTERS = st.sampled_from("中文字符，。；：abc-` xyz 0123（）")


@given(st.text(LETTERS, max_size=120), st.integers(12, 60))
def test_lines_fit_and_lose_nothing(text: str, width: int) -> None:
    """No line is wider than it may be unless one word is, and the words stay in their order."""
    lines = wrapped(text, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(cells(line) <= width or " " not in line for line in lines)
