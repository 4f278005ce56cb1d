"""What a person is told of where an address is: this machine, an inner network, or a country.

A public address is found in the registries' own lists (which country an address was given out in), which come with
the package and are asked without any network. They know nothing finer: a province or a city is not in them, and an
address can be used in another country than it was given out in.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from babel import Locale
from iptocc import country_code as untyped_country_code

from app.core.i18n import get_locale, gettext, gettext_noop

country_code: Any = untyped_country_code

# As they are called in China, where the package's names are others or longer.
_CALLED = {"HK": gettext_noop("中国香港"), "MO": gettext_noop("中国澳门"), "TW": gettext_noop("中国台湾")}


def place_of(address: IPv4Address | IPv6Address | str | None) -> str | None:
    """Such as `中国`, `内网` or `本机`, in the reader's language; None where nothing is known."""
    if address is None:
        return None
    found = ip_address(address)
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    if found.is_loopback:
        return gettext("本机")
    if not found.is_global:
        return gettext("内网")
    code = country_code(str(found))
    if code in _CALLED:
        return gettext(_CALLED[code])
    return None if code is None else _country(code, get_locale())


@lru_cache(maxsize=512)
def _country(code: str, locale: str) -> str | None:
    name: str | None = Locale(locale).territories.get(code)
    return name
