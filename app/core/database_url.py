"""The address of a database, `postgresql://user:password@host:5432/database`, checked strictly.

A password with `@`, `/`, `?` or `#` that is not percent-encoded moves the borders of the parts, so that a part of it
would be taken for the host or the database, and shown. Such an address is refused as a whole.
"""

import re
from urllib.parse import quote

_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[^\[\]@/?#:,\s]*)(?::[0-9]*)?"
_ADDRESS = re.compile(
    r"(?P<scheme>postgres(?:ql)?(?:\+\w+)?)://"
    r"(?:(?P<user>[^:@/?#\s]*)(?::[^@/?#\s]*)?@)?"
    rf"(?P<place>{_HOST}(?:,{_HOST})*(?:/[^@/?#\s]*)?(?:\?[^@#\s]*)?)"
)


def is_database_url(text: str) -> bool:
    """Return whether the text is an address whose parts have one reading."""
    return _ADDRESS.fullmatch(text) is not None


def replace_password(database_url: str, password: str) -> str:
    """Return the address with this password, of any characters, in place of its own. Raises ValueError if the text is
    no address, or if the address has no user."""
    parts = _ADDRESS.fullmatch(database_url)
    if parts is None or not parts["user"]:
        raise ValueError
    return f"{parts['scheme']}://{parts['user']}:{quote(password, safe='')}@{parts['place']}"
