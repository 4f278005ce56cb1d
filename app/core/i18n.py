"""Texts in the reader's language: gettext, with the Chinese text as the id of a message.

    gettext("已添加 {name}", name=member.name)           a text; its values are formatted for the reader's language
    ngettext("已移除 {count} 人", count)                 a text with a number; English has two forms of it
    pgettext("audit", "关闭组织")                        a Chinese text with a second translation in this context
    gettext_noop("未找到")                               marks a text that is looked up later

Chinese needs no catalogue. English is `app/locale/en/LC_MESSAGES/messages.po`; `make messages` updates it from the
code and compiles the `.mo` that this module reads. `make check` refuses a message that has no translation.

The language is a context variable. `app.middleware.locale` sets it to the language of the request, the route of a page
(`app.console.frame.page_route`) to the reader's choice, and the worker to the language of the person who started the
job (`app.queue.jobs`). Concurrent requests therefore do not share it.
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
"""The language of the message ids. It is the default language."""
TAGS: Final[dict[Locale, str]] = {"zh": "zh-CN", "en": "en"}
"""The languages as HTML names them (BCP 47)."""

# The value is the headers until the language is needed: most answers contain no text.
_current: ContextVar[Locale | Headers] = ContextVar("locale", default=SOURCE)


def get_locale() -> Locale:
    """Return the language of this request or job."""
    current = _current.get()
    if not isinstance(current, str):
        current = choose_locale(current)
        _current.set(current)
    return current


def set_locale(locale: Locale | Headers) -> None:
    """Set the language of this task, or the request headers that define it. Headers are parsed at the first use."""
    _current.set(locale)


@contextmanager
def use_locale(locale: Locale) -> Iterator[None]:
    """Set the language within the block."""
    token = _current.set(locale)
    try:
        yield
    finally:
        _current.reset(token)


def parse_locale(text: str | None) -> Locale:
    """Return the language with this name, or Chinese for any other text."""
    return "en" if text == "en" else SOURCE


def choose_locale(headers: Headers) -> Locale:
    """Return the supported language that Accept-Language prefers (RFC 9110 §12.5.4)."""
    wanted: dict[Locale, float] = {}
    for header, value in headers:
        if header == b"accept-language":
            for part in value[:200].decode("latin-1").lower().split(","):
                tag, _, weight = part.partition(";")
                language = tag.strip().partition("-")[0]
                if language in TAGS:
                    wanted.setdefault(parse_locale(language), _parse_weight(weight))
    best = max(wanted, key=wanted.__getitem__, default=SOURCE)  # of equal weights, the first
    return best if wanted.get(best) else SOURCE


def _parse_weight(parameter: str) -> float:
    try:
        weight = float(parameter.partition("q=")[2] or 1)
    except ValueError:
        return 0
    return weight if 0 <= weight <= 1 else 0  # NaN is not either


def gettext(message: str, /, **values: object) -> str:
    """Return the text in the current language with its values. If one of the values is markup, the result is markup,
    and the text and the other values are escaped."""
    return _fill_in(_load_translations(get_locale()).gettext(message), values)


def ngettext(message: str, count: int, /, **values: object) -> str:
    """Return the text in the form for `count`, which is also a value of it. Chinese has one form."""
    return _fill_in(_load_translations(get_locale()).ngettext(message, message, count), {"count": count, **values})


def pgettext(context: str, message: str, /, **values: object) -> str:
    """Return the translation of the text for this context."""
    return _fill_in(_load_translations(get_locale()).pgettext(context, message), values)


def gettext_in(locale: Locale, message: str, /) -> str:
    """Return the text in a given language instead of the reader's, for example in the OpenAPI document."""
    return _load_translations(locale).gettext(message)


def gettext_noop(message: str, /) -> str:
    """Return the message unchanged. It marks the message for extraction; the text is looked up elsewhere."""
    return message


def pgettext_noop(context: str, message: str, /) -> tuple[str, str]:
    """Return the arguments of a later `pgettext`. It marks the message for extraction."""
    return context, message


def plural_forms(message: str, /) -> dict[str, str]:
    """Return the forms of a text by their names in `Intl.PluralRules`, for a number that only the page's script has."""
    translations = _load_translations(get_locale())
    forms = {"one": translations.ngettext(message, message, 1), "other": translations.ngettext(message, message, 2)}
    return forms if forms["one"] != forms["other"] else {"other": forms["other"]}


def join_words(words: Iterable[str]) -> str:
    """Join a list within a sentence: `甲、乙`, `a, b`."""
    return pgettext("between words", "、").join(words)


def join_sentences(sentences: Iterable[str]) -> str:
    """Join sentences that have no full stops into one text."""
    return pgettext("between sentences", "；").join(sentences)


@cache
def _load_translations(locale: Locale) -> NullTranslations:
    if locale == SOURCE:
        return NullTranslations()
    with files("app").joinpath("locale", locale, "LC_MESSAGES", "messages.mo").open("rb") as compiled:
        return GNUTranslations(compiled)


def _fill_in(text: str, values: dict[str, object]) -> str:
    if not values:
        return text
    if any(isinstance(value, Markup) for value in values.values()):
        text = escape(text)
    return text.format(**{name: _format_value(value) for name, value in values.items()})


def _format_value(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return _isolate_text(value) if isinstance(value, str) else str(value)


def number(value: float | None, digits: int | None = None) -> str:
    """Return the number with grouped thousands, or `—` for None."""
    if value is None:
        return "—"
    if digits is None:
        digits = 0 if float(value).is_integer() else 2
    return f"{value:,.{digits}f}"


def _isolate_text(text: str) -> str:
    """Return a right-to-left value within isolation marks, so that it does not reorder the sentence around it."""
    if any(unicodedata.bidirectional(letter) in {"R", "AL"} for letter in text):
        return f"\u2068{text}\u2069"
    return text
