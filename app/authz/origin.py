"""The site whose page sent a browser's request."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Depends, Request

from app.authz.errors import ForeignOrigin
from app.core.services import SETTINGS


def is_foreign_origin(request: Request) -> bool:
    """Return whether the Origin header names another site. Only browsers send this header; a request without it is not
    foreign."""
    origin = request.headers.get("origin")
    return origin is not None and not is_own_origin(request, origin)


def is_own_origin(request: Request, origin: str) -> bool:
    """Return whether this is the origin of the service: its public address with the scheme, or the address of this
    request if that is an IP address or `localhost`.

    Another name in the Host header proves nothing: the owner of a domain can let it point to this service (DNS
    rebinding), and then the browser sends their page's origin with their name as the host.
    """
    if origin == SETTINGS.get(request).issuer:
        return True
    host = request.headers.get("host", "")
    return origin == f"{request.url.scheme}://{host}" and _cannot_be_rebound(host)


def _cannot_be_rebound(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ip_address(name))
    except ValueError:
        return False


async def _require_same_origin(request: Request) -> None:
    if is_foreign_origin(request):
        raise ForeignOrigin


SameOrigin = Depends(_require_same_origin)
"""The dependency of a route that refuses requests of other sites' pages; raises ForeignOrigin."""
