"""The site whose page sent a browser's request."""

from fastapi import Depends, Request

from app.authz.errors import ForeignOrigin
from app.core.services import SETTINGS


def is_foreign_origin(request: Request) -> bool:
    """Return whether the Origin header names another site. Only browsers send this header; a request without it is not
    foreign."""
    origin = request.headers.get("origin")
    if origin is None:
        return False
    ours = {SETTINGS.get(request).issuer.partition("://")[2], request.headers.get("host")}
    return origin.partition("://")[2] not in ours


async def _require_same_origin(request: Request) -> None:
    if is_foreign_origin(request):
        raise ForeignOrigin


SameOrigin = Depends(_require_same_origin)
"""The dependency of a route that refuses requests of other sites' pages; raises ForeignOrigin."""
