"""Whose page a browser's request comes from."""

from fastapi import Depends, Request

from app.authz.errors import ForeignOrigin
from app.core.services import SETTINGS


def is_foreign_origin(request: Request) -> bool:
    """Whether a browser says that the request was made by another site's page; other programs say nothing."""
    origin = request.headers.get("origin")
    if origin is None:
        return False
    ours = {SETTINGS.of(request).issuer.partition("://")[2], request.headers.get("host")}
    return origin.partition("://")[2] not in ours


async def _same_origin(request: Request) -> None:
    if is_foreign_origin(request):
        raise ForeignOrigin


SameOrigin = Depends(_same_origin)
"""A route that another site's page has no business calling; raises ForeignOrigin."""
