"""The calling codes of countries and regions (ITU-T E.164), with their names in the reader's language."""

from functools import cache
from typing import NamedTuple

import phonenumbers
from babel import Locale as Territories

from app.core.i18n import Locale, get_locale, gettext_in, gettext_noop
from app.core.sort_keys import make_sort_key

MAINLAND = "86"

_FIRST: dict[str, str] = {
    "CN": gettext_noop("中国大陆"),
    "HK": gettext_noop("中国香港"),
    "MO": gettext_noop("中国澳门"),
    "TW": gettext_noop("中国台湾"),
}
"""The regions that lead the list. Their names are those of Chinese offices, which the CLDR does not have."""
_UNLISTED = {"001", "XK"}
"""`001` is satellite and toll-free services. A number of an unlisted code can be typed with its code."""
_SHARED = {"US": "CA", "RU": "KZ"}
"""The countries that share a code with the first country of that code."""


class CallingCode(NamedTuple):
    """A code without its plus sign, and the country or region that has it."""

    code: str
    name: str


def list_calling_codes() -> tuple[CallingCode, ...]:
    """Return the calling codes: the mainland, Hong Kong, Macao and Taiwan, then all others by name."""
    return _list_calling_codes(get_locale())


@cache
def _list_calling_codes(locale: Locale) -> tuple[CallingCode, ...]:
    names = Territories.parse(locale).territories
    codes = {regions[0]: str(code) for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items()}
    first = [CallingCode(codes[region], gettext_in(locale, name)) for region, name in _FIRST.items()]
    others = [
        CallingCode(code, " / ".join(names[name] for name in (region, _SHARED.get(region)) if name))
        for region, code in codes.items()
        if region not in _FIRST and region not in _UNLISTED
    ]
    return (*first, *sorted(others, key=lambda found: make_sort_key(found.name)))


def add_calling_code(code: str, phone: str) -> str:
    """Return the phone with the code in front, unless it is of the mainland or begins with a code itself."""
    typed = phone.strip()
    if not typed or code == MAINLAND or typed.startswith(("+", "＋", "00", "００")):
        return typed
    return f"+{code} {typed}"
