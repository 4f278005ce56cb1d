"""The message catalogues are complete, and the check finds every fault."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from devtools import messages
from devtools.messages import LANGUAGES, ROOT, extract_messages, find_faults

CODE = """
from app.core.i18n import gettext, gettext_noop, ngettext, pgettext
title = gettext_noop("标题")
def say(count):
    return gettext("您好，{name}", name="x") + ngettext("{count} 人", count) + pgettext("audit", "关闭")
"""
PAGE = "<p>{{ _('页面') }}{% if a %}{{ ngettext('{count} 行', a|length) }}{% endif %}</p>"
WHOLE = """
msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\\n"
"Language: en\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

msgid "标题"
msgstr "Title"

msgid "您好，{name}"
msgstr "Hello, {name}"

msgid "{count} 人"
msgid_plural "{count} 人"
msgstr[0] "One person"
msgstr[1] "{count} people"

msgctxt "audit"
msgid "关闭"
msgstr "Closed"

msgid "页面"
msgstr "Page"

msgid "{count} 行"
msgid_plural "{count} 行"
msgstr[0] "{count} row"
msgstr[1] "{count} rows"
"""


def faults(directory: Path, catalogue: str, *, compiled: str | None = None) -> list[str]:
    """Return the faults of a catalogue for the code and the page above."""
    code = directory / "code"
    (code / "templates").mkdir(parents=True)
    (code / "say.py").write_text(CODE)
    (code / "templates" / "page.html").write_text(PAGE)
    catalogue_directory = directory / "locale" / "en" / "LC_MESSAGES"
    catalogue_directory.mkdir(parents=True)
    (catalogue_directory / "messages.po").write_text(catalogue)
    (directory / "compiled.po").write_text(compiled or catalogue)
    with (directory / "compiled.po").open("rb") as source, (catalogue_directory / "messages.mo").open("wb") as target:
        write_mo(target, read_po(source, locale="en"))
    return list(find_faults(extract_messages(code), "en", directory / "locale"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_messages_are_all_translated_and_used(language: str) -> None:
    code = extract_messages()
    assert len(code) > 1000
    assert list(find_faults(code, language)) == []


def test_complete_catalogue_has_no_faults(tmp_path: Path) -> None:
    assert faults(tmp_path, WHOLE) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('msgid "页面"\nmsgstr "Page"\n', "", "missing: 页面"),
        ('msgid "标题"', 'msgid "旧标题"', "not used: 旧标题"),
        ('msgstr "Title"', 'msgstr ""', "not translated: 标题"),
        ('msgstr "Title"', 'msgstr "Title"\n"Title"', "translated twice in one text: 标题"),
        ('msgid "标题"', '#, fuzzy\nmsgid "标题"', "fuzzy: 标题"),
        ("Hello, {name}", "Hello, {person}", "other values than in the code (name, person): 您好，{name}"),
        ("{count} people", "people", "other values than in the code (count): {count} 人"),
        ('msgstr[1] "{count} rows"\n', "", "not translated: {count} 行"),
        ('msgctxt "audit"\n', "", "missing: 关闭 [audit]"),
        (
            'msgid_plural "{count} 行"\nmsgstr[0] "{count} row"\nmsgstr[1] "{count} rows"',
            'msgstr "{count} rows"',
            "has a number in the code or in the catalogue, but not in both: {count} 行",
        ),
    ],
)
def test_faults_of_each_kind_are_found(tmp_path: Path, old: str, new: str, found: str) -> None:
    assert old in WHOLE
    listed = faults(tmp_path, WHOLE.replace(old, new))
    assert any(fault.startswith(found) for fault in listed), listed


def test_outdated_compiled_catalogue_is_found(tmp_path: Path) -> None:
    stale = faults(tmp_path, WHOLE, compiled=WHOLE.replace("Title", "Heading"))
    assert stale == ["messages.mo is not what the catalogue says: run `make messages`"]


def test_check_fails_on_an_untranslated_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert messages.main([]) == 0
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "say.py").write_text('gettext("没有译文的话")')
    sources = [*(ROOT / name for name in messages.SOURCES), tmp_path / "new"]
    monkeypatch.setattr(messages, "extract_messages", lambda: extract_messages(*sources))
    assert messages.main([]) == 1
    assert "missing: 没有译文的话 (new/say.py)" in capsys.readouterr().out


# Chinese text outside messages: compared or stored values, names, and the columns of the import's sheet.
_HAN = re.compile("[\u4e00-\u9fff]")
_NOT_MESSAGES = {
    "app/api_docs": "the OpenAPI document and its examples",
    "app/auth/devices.py": "names of browsers",
    "app/auth/security_keys/keys.py": "the name of the service",
    "app/sms/messages.py": "messages to phones, which carriers deliver in Chinese",
    "app/auth/token_endpoint/router.py": "the name of the service",
    "app/cli.py": "the name of the service",
    "app/console/frame/formats.py": "patterns of dates",
    "app/core/characters.py": "characters with another form",
    "app/core/names.py": "ranges of characters",
    "app/core/readings.py": "readings of characters",
    "app/core/search.py": "readings of characters",
    "app/core/sort_keys.py": "numerals",
    "app/core/text.py": "ranges of characters",
    "app/main.py": "the name of the service",
    "app/members/group_transfers/router.py": "cells of the sheet",
    "app/members/imports/merge.py": "kinds of units by their names",
    "app/members/imports/row_queries.py": "cells of the sheet",
    "app/members/imports/parser/tables.py": "cells of the sheet",
    "app/members/imports/rows.py": "cells of the sheet",
    "app/members/imports/staging/units.py": "cells of the sheet",
    "app/members/imports/parser": "cells of the sheet",
    "app/members/imports/values": "cells of the sheet",
    "app/members/retention.py": "ranges of characters",
    "app/members/sheets.py": "the sheet's format",
    "app/members/names.py": "ranges of characters",
    "app/org_loads/rows.py": "cells of the sheet",
    "app/org_loads/sheets.py": "the sheet's format",
    "app/orgs/names.py": "parts of names",
    "app/orgs/regions.py": "names of regions",
    "app/schema/imports.py": "a column of the sheet",
    "app/run.py": "what the terminal shows",
}
_LOOKED_UP = {*messages._KEYWORDS, "Field", "Query", "computed_field"}


def _find_bare_texts(source: Path) -> Iterator[str]:
    """Yield Chinese texts of a module that are neither in a message nor in a description."""
    tree = ast.parse(source.read_text())
    allowed: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in _LOOKED_UP:
            allowed |= set(ast.walk(node))
        body = getattr(node, "body", None)
        if isinstance(body, list):  # docstrings, also those of attributes
            allowed |= {part for statement in body if isinstance(statement, ast.Expr) for part in ast.walk(statement)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and node not in allowed else None
        if isinstance(text, str) and _HAN.search(text):
            yield text


def test_chinese_texts_are_all_in_the_catalogue() -> None:
    found = {}
    for source in (ROOT / "app").rglob("*.py"):
        catalogue_directory = source.relative_to(ROOT).as_posix()
        if not catalogue_directory.startswith(tuple(_NOT_MESSAGES)) and (texts := list(_find_bare_texts(source))):
            found[catalogue_directory] = texts
    assert found == {}
