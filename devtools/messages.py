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


def extract(*folders: Path) -> Catalog:
    """Return every message of the sources with its files."""
    found = Catalog(charset="utf-8")
    for folder in folders or [ROOT / name for name in SOURCES]:
        for name, _, message, comments, context in extract_from_dir(
            folder, method_map=_METHODS, options_map=_OPTIONS, keywords=_KEYWORDS, strip_comment_tags=True
        ):
            place = (folder / name).relative_to(folder.parent).as_posix()
            found.add(message, locations=[(place, 0)], auto_comments=comments, context=context)
    return found


def find_faults(code: Catalog, language: str, folder: Path = LOCALES) -> Iterator[str]:
    """Return the faults of a language's catalogue, one line each."""
    catalog = _read(language, folder)
    wanted, present = _by_key(code), _by_key(catalog)
    yield from (f"missing: {_named(wanted[key])}" for key in wanted.keys() - present.keys())
    yield from (f"not used: {_named(present[key])}" for key in present.keys() - wanted.keys())
    for key in wanted.keys() & present.keys():
        message = present[key]
        if message.fuzzy:
            yield f"fuzzy: {_named(message)}"
        yield from _faults_of(message, catalog.num_plurals)
        if message.pluralizable != wanted[key].pluralizable:
            yield f"has a number in the code or in the catalogue, but not in both: {_named(message)}"
    compiled = _by_key(read_mo(io.BytesIO(_compiled(language, folder).read_bytes())))
    if {key: _strings(message) for key, message in compiled.items()} != {
        key: _strings(message) for key, message in present.items()
    }:
        yield f"{_compiled(language, folder).name} is not what the catalogue says: run `make messages`"


def _faults_of(message: Message, forms: int) -> Iterator[str]:
    strings = _strings(message)
    if len(strings) != (forms if message.pluralizable else 1):
        yield f"has not all {forms} plural forms: {_named(message)}"
    if not all(strings):
        yield f"not translated: {_named(message)}"
    names = set(_PLACEHOLDER.findall(_id_of(message)))
    for number, string in enumerate(strings):
        said = set(_PLACEHOLDER.findall(string))
        # "1 person" may have its number in the text.
        if string and said != names and not (number == 0 and message.pluralizable and said == names - {"count"}):
            yield f"other values than in the code ({', '.join(sorted(said ^ names))}): {_named(message)}"


def update(folder: Path = LOCALES) -> None:
    """Update the catalogues from the sources, and compile them."""
    code = extract()
    for language in LANGUAGES:
        catalog = _read(language, folder)
        catalog.update(code, no_fuzzy_matching=False, update_header_comment=False, update_creation_date=False)
        catalog.obsolete.clear()
        path = _path(language, folder)
        with path.open("wb") as po:
            write_po(po, catalog, width=120, sort_by_file=True, include_lineno=False, include_previous=False)
        with _compiled(language, folder).open("wb") as mo:
            write_mo(mo, _read(language, folder))


def _path(language: str, folder: Path) -> Path:
    return folder / language / "LC_MESSAGES" / "messages.po"


def _compiled(language: str, folder: Path) -> Path:
    return _path(language, folder).with_suffix(".mo")


def _read(language: str, folder: Path) -> Catalog:
    with _path(language, folder).open("rb") as po:
        return read_po(po, locale=language)


def _by_key(catalog: Catalog) -> dict[Key, Message]:
    # Babel returns the context of a compiled message as bytes.
    return {
        (_id_of(message), context.decode() if isinstance(context, bytes) else context): message
        for message, context in ((message, message.context) for message in catalog if message.id)
    }


def _id_of(message: Message) -> str:
    return str(message.id[0] if message.pluralizable else message.id)


def _strings(message: Message) -> tuple[str, ...]:
    """Return the translation: one text, or its plural forms."""
    string: Any = message.string
    return tuple(string) if message.pluralizable else (string,)


def _named(message: Message) -> str:
    context = f" [{message.context}]" if message.context else ""
    places = ", ".join(dict.fromkeys(place for place, _ in message.locations))
    return f"{_id_of(message)}{context}{f' ({places})' if places else ''}"


def main(arguments: list[str]) -> int:
    if arguments == ["update"]:
        update()
    code = extract()
    faults = [f"{language}: {fault}" for language in LANGUAGES for fault in sorted(find_faults(code, language))]
    sys.stdout.write("".join(f"{fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
