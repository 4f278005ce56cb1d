"""The message catalogues: extraction, check, update and compilation.

    python -m devtools.messages           print the faults; `make check` runs this
    python -m devtools.messages update    add new messages, drop unused ones, compile; `make messages` runs this

The id of a message is its Chinese text in the code. A message whose Chinese changed keeps its translation, marked
`fuzzy`: read it again and remove the mark. `app.core.i18n` explains how code and templates mark texts.
"""

import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parent.parent
LOCALES = ROOT / "app" / "locale"
LANGUAGES = ("en",)
SOURCES = ("app", "devtools")

# Functions by name, with the argument positions of the message and its context. Chinese has one form, so singular and
# plural are one argument.
_KEYWORDS: dict[str, Any] = {
    "_": None,
    "gettext": None,
    "gettext_in": (2,),
    "gettext_noop": None,
    "ngettext": (1, 1),
    "pgettext": ((1, "c"), 2),
    "pgettext_noop": ((1, "c"), 2),
    "plural_forms": (1, 1),
}
_METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
_OPTIONS = {"**/templates/**.html": {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}}
_PLACEHOLDER = re.compile(r"\{(\w*)[^}]*\}")

Key = tuple[str, str | None]


def extract_messages(*directories: Path) -> Catalog:
    """Return every message of the sources with its files."""
    found = Catalog(charset="utf-8")
    for directory in directories or [ROOT / name for name in SOURCES]:
        for name, _, message, comments, context in extract_from_dir(
            directory, method_map=_METHODS, options_map=_OPTIONS, keywords=_KEYWORDS, strip_comment_tags=True
        ):
            path = (directory / name).relative_to(directory.parent).as_posix()
            found.add(message, locations=[(path, 0)], auto_comments=comments, context=context)
    return found


def find_faults(code: Catalog, language: str, directory: Path = LOCALES) -> Iterator[str]:
    """Return the faults of a language's catalogue, one line each."""
    catalog = _read(language, directory)
    wanted, present = _index_by_key(code), _index_by_key(catalog)
    yield from (f"missing: {_describe(wanted[key])}" for key in wanted.keys() - present.keys())
    yield from (f"not used: {_describe(present[key])}" for key in present.keys() - wanted.keys())
    for key in wanted.keys() & present.keys():
        message = present[key]
        if message.fuzzy:
            yield f"fuzzy: {_describe(message)}"
        yield from _find_message_faults(message, catalog.num_plurals)
        if message.pluralizable != wanted[key].pluralizable:
            yield f"has a number in the code or in the catalogue, but not in both: {_describe(message)}"
    compiled = _index_by_key(read_mo(io.BytesIO(_build_compiled_path(language, directory).read_bytes())))
    if {key: _list_translations(message) for key, message in compiled.items()} != {
        key: _list_translations(message) for key, message in present.items()
    }:
        yield f"{_build_compiled_path(language, directory).name} is not what the catalogue says: run `make messages`"


def _find_message_faults(message: Message, forms: int) -> Iterator[str]:
    strings = _list_translations(message)
    if len(strings) != (forms if message.pluralizable else 1):
        yield f"has not all {forms} plural forms: {_describe(message)}"
    if not all(strings):
        yield f"not translated: {_describe(message)}"
    # A merge of two branches with the same new message writes its text twice.
    if any(string and string == 2 * string[: len(string) // 2] for string in strings):
        yield f"translated twice in one text: {_describe(message)}"
    names = set(_PLACEHOLDER.findall(_get_id(message)))
    for number, string in enumerate(strings):
        used = set(_PLACEHOLDER.findall(string))
        # "1 person" may have its number in the text.
        if string and used != names and not (number == 0 and message.pluralizable and used == names - {"count"}):
            yield f"other values than in the code ({', '.join(sorted(used ^ names))}): {_describe(message)}"


def update_catalogues(directory: Path = LOCALES) -> None:
    """Update the catalogues from the sources, and compile them."""
    code = extract_messages()
    for language in LANGUAGES:
        catalog = _read(language, directory)
        catalog.update(code, no_fuzzy_matching=False, update_header_comment=False, update_creation_date=False)
        catalog.obsolete.clear()
        path = _build_path(language, directory)
        with path.open("wb") as po:
            write_po(po, catalog, width=120, sort_by_file=True, include_lineno=False, include_previous=False)
        with _build_compiled_path(language, directory).open("wb") as mo:
            write_mo(mo, _read(language, directory))


def _build_path(language: str, directory: Path) -> Path:
    return directory / language / "LC_MESSAGES" / "messages.po"


def _build_compiled_path(language: str, directory: Path) -> Path:
    return _build_path(language, directory).with_suffix(".mo")


def _read(language: str, directory: Path) -> Catalog:
    with _build_path(language, directory).open("rb") as po:
        return read_po(po, locale=language)


def _index_by_key(catalog: Catalog) -> dict[Key, Message]:
    # Babel returns the context of a compiled message as bytes.
    return {
        (_get_id(message), context.decode() if isinstance(context, bytes) else context): message
        for message, context in ((message, message.context) for message in catalog if message.id)
    }


def _get_id(message: Message) -> str:
    return str(message.id[0] if message.pluralizable else message.id)


def _list_translations(message: Message) -> tuple[str, ...]:
    """Return the translations of a message: one text, or one text for each plural form."""
    string: Any = message.string
    return tuple(string) if message.pluralizable else (string,)


def _describe(message: Message) -> str:
    context = f" [{message.context}]" if message.context else ""
    paths = ", ".join(dict.fromkeys(path for path, _ in message.locations))
    return f"{_get_id(message)}{context}{f' ({paths})' if paths else ''}"


def main(arguments: list[str]) -> int:
    if arguments == ["update"]:
        update_catalogues()
    code = extract_messages()
    faults = [f"{language}: {fault}" for language in LANGUAGES for fault in sorted(find_faults(code, language))]
    sys.stdout.write("".join(f"{fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
