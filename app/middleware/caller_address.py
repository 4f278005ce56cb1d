"""The address of the caller of a request that comes through a trusted proxy.

Without `XUEZU_TRUSTED_PROXIES` no header is believed. With it:

- `X-Forwarded-For` of a trusted proxy is read from right to left, since each proxy appends the address that it sees.
  The first address that is not a trusted proxy's is the caller's. An entry that is no address counts as the proxy that
  passed it on, so that a caller cannot escape the limits with it.
- `X-Forwarded-Proto` of a trusted proxy is the scheme.
- `Forwarded` (RFC 7239) and `X-Forwarded-Host` are not read. A proxy that does not know `Forwarded` passes on what its
  caller wrote there, and nothing in the header shows which of the two wrote it.
"""

import re
from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.networks import Networks, parse_address
from app.web.request_state import get_request_state

MAX_HOPS = 16
"""The number of entries that are read. If all of them are trusted, the last one read counts."""
_MAX_ENTRY = 64
_BRACKETED = re.compile(r"\[([^\]]+)\](?::[0-9]{1,5})?")
_WITH_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")
_SCHEMES = {b"http": "http", b"https": "https"}


class CallerAddress:
    """Middleware that replaces the address and the scheme of a trusted proxy by those of its caller."""

    def __init__(self, app: ASGIApp, *, proxies: Networks) -> None:
        self.app = app
        self._proxies = proxies

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and scope.get("client"):
            address = parse_address(scope["client"][0])
            if address is not None and address in self._proxies:
                self._replace_proxy(scope, address)
        return self.app(scope, receive, send)

    def _replace_proxy(self, scope: Scope, proxy: str) -> None:
        forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        if forwarded:
            scope["client"] = (find_caller(proxy, forwarded, self._proxies), 0)
        else:
            get_request_state(scope).from_proxy = True
        schemes = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
        if schemes:
            nearest = schemes[-1].rpartition(b",")[2].strip().lower()
            scope["scheme"] = _SCHEMES.get(nearest, scope["scheme"])


def find_caller(proxy: str, forwarded: list[bytes], proxies: Networks) -> str:
    """Return the address of the caller from the values of `X-Forwarded-For` that a trusted proxy sent."""
    caller = proxy
    unread = MAX_HOPS
    for line in reversed(forwarded):
        for entry in reversed(line.rsplit(b",", unread)):
            address = parse_entry(entry) if unread else None
            if address is None:
                return caller
            caller = address
            unread -= 1
            if address not in proxies:
                return caller
    return caller


def parse_entry(entry: bytes) -> str | None:
    """Return the address of one entry, without its port (`192.0.2.7:443`, `[2001:db8::7]:443`); None if there is
    none."""
    if len(entry) > _MAX_ENTRY:
        return None
    text = entry.decode("latin-1").strip()
    found = _BRACKETED.fullmatch(text) or _WITH_PORT.fullmatch(text)
    return parse_address(found[1] if found else text)
