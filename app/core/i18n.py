"""Texts in the reader's language: gettext, with the Chinese text as the id of a message.

    gettext("已添加 {name}", name=member.name)           a text; its values are written as the reader writes them
    ngettext("已移除 {count} 人", count)                 a text with a number, which English has in two forms
    pgettext("audit", "关闭组织")                        a text that another language says differently elsewhere
    gettext_noop("未找到")                               marks a text that is looked up later

Chinese needs no catalogue. English is `app/locale/en/LC_MESSAGES/messages.po`; `make messages` updates it from the
code and compiles the `.mo` that this module reads. `make check` refuses a message that has no translation.

The language is a variable of the context. `app.middleware.locale` sets it to that of the request, the route of a page
(`app.console.frame.page_route`) to the one that the reader chose, and the worker to that of the person who started the
job (`app.queue.jobs`). So two requests at once do not share it.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from typing import Final, Literal

from markupsafe import Markup, escape

Locale = Literal["zh", "en"]
Headers = Sequence[tuple[bytes, bytes]]

SOURCE: Final[Locale] = "zh"
"""The language of the message ids, and of everybody who asks for no other."""
TAGS: Final[dict[Locale, str]] = {"zh": "zh-CN", "en": "en"}
"""The languages as HTML names them (BCP 47)."""

# Headers stand here until somebody asks for the language: most requests are answered without any text.
_current: ContextVar[Locale | Headers] = ContextVar("locale", default=SOURCE)


def get_locale() -> Locale:
    """The language of this request or job."""
    current = _current.get()
    if not isinstance(current, str):
        current = accepted_locale(current)
        _current.set(current)
    return current


def set_locale(locale: Locale | Headers) -> None:
    """Say the language of this task from here on, or the headers of its request, which say it if they are asked."""
    _current.set(locale)


@contextmanager
def use_locale(locale: Locale) -> Iterator[None]:
    """Have the language only within the block."""
    token = _current.set(locale)
    try:
        yield
    finally:
        _current.reset(token)


def as_locale(text: str | None) -> Locale:
    """A language by its name; Chinese for whatever names none."""
    return "en" if text == "en" else SOURCE


def accepted_locale(headers: Headers) -> Locale:
    """The language of Accept-Language that is preferred of those that there are (RFC 9110 §12.5.4)."""
    wanted: dict[Locale, float] = {}
    for header, value in headers:
        if header == b"accept-language":
            for part in value[:200].decode("latin-1").lower().split(","):
                tag, _, weight = part.partition(";")
                language = tag.strip().partition("-")[0]
                if language in TAGS:
                    wanted.setdefault(as_locale(language), _weight(weight))
    best = max(wanted, key=wanted.__getitem__, default=SOURCE)  # the first of those that weigh the same
    return best if wanted.get(best) else SOURCE


def _weight(parameter: str) -> float:
    try:
        return float(parameter.partition("q=")[2] or 1)
    except ValueError:
        return 0


def gettext(message: str, /, **values: object) -> str:
    """The text in the context's language. Where a value is markup, the text is, and all else in it is escaped."""
    return _filled(_translations(get_locale()).gettext(message), values)


def ngettext(message: str, count: int, /, **values: object) -> str:
    """The text in the form for this number, which is the value `count`. Chinese has one form for every number."""
    return _filled(_translations(get_locale()).ngettext(message, message, count), {"count": count, **values})


def pgettext(context: str, message: str, /, **values: object) -> str:
    """The text as it is said in this context."""
    return _filled(_translations(get_locale()).pgettext(context, message), values)


def gettext_in(locale: Locale, message: str, /) -> str:
    """The text in a language that is not the reader's, such as that of the OpenAPI document."""
    return _translations(locale).gettext(message)


def gettext_noop(message: str, /) -> str:
    """The message itself: a mark for the extraction, where the text is looked up elsewhere."""
    return message


def pgettext_noop(context: str, message: str, /) -> tuple[str, str]:
    """The arguments of a `pgettext` elsewhere."""
    return context, message


def plural_forms(message: str, /) -> dict[str, str]:
    """The forms of a text whose number only the page's script knows, by their names in `Intl.PluralRules`."""
    translations = _translations(get_locale())
    forms = {"one": translations.ngettext(message, message, 1), "other": translations.ngettext(message, message, 2)}
    return forms if forms["one"] != forms["other"] else {"other": forms["other"]}


def join_words(words: Iterable[str]) -> str:
    """A list within a sentence: `甲、乙`, `a, b`."""
    return pgettext("between words", "、").join(words)


def join_sentences(sentences: Iterable[str]) -> str:
    """Several sentences without full stops, one after the other."""
    return pgettext("between sentences", "；").join(sentences)


@cache
def _translations(locale: Locale) -> NullTranslations:
    if locale == SOURCE:
        return NullTranslations()
    with files("app").joinpath("locale", locale, "LC_MESSAGES", "messages.mo").open("rb") as compiled:
        return GNUTranslations(compiled)


def _filled(text: str, values: dict[str, object]) -> str:
    if not values:
        return text
    if any(isinstance(value, Markup) for value in values.values()):
        text = escape(text)
    return text.format(**{name: _shown(value) for name, value in values.items()})


def _shown(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return _isolated(value) if isinstance(value, str) else str(value)


def number(value: float | None, digits: int | None = None) -> str:
    """With thousands set apart; `—` for none."""
    if value is None:
        return "—"
    if digits is None:
        digits = 0 if float(value).is_integer() else 2
    return f"{value:,.{digits}f}"


def _isolated(text: str) -> str:
    """A value that is read from right to left, in marks that keep it from turning the sentence around it."""
    if any(unicodedata.bidirectional(letter) in {"R", "AL"} for letter in text):
        return f"\u2068{text}\u2069"
    return text
