"""The location of a network address for display: this machine, an internal network, or a country.

The country of a public address comes from the registries' allocation lists, which are part of a package and need no
network. The lists contain no province or city, and an address may be used in another country than its allocation.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from babel import Locale
from iptocc import country_code as untyped_country_code

from app.core.i18n import get_locale, gettext, gettext_noop

country_code: Any = untyped_country_code

# The names used in China; the names of babel differ or are longer.
_NAMES_IN_CHINA = {"HK": gettext_noop("中国香港"), "MO": gettext_noop("中国澳门"), "TW": gettext_noop("中国台湾")}


def describe_location(address: IPv4Address | IPv6Address | str | None) -> str | None:
    """Return the location in the reader's language, such as `中国`, `内网` or `本机`; None if it is unknown."""
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
    if code in _NAMES_IN_CHINA:
        return gettext(_NAMES_IN_CHINA[code])
    return None if code is None else _name_country(code, get_locale())


@lru_cache(maxsize=512)
def _name_country(code: str, locale: str) -> str | None:
    name: str | None = Locale(locale).territories.get(code)
    return name
