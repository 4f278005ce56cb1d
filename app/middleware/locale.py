"""The language of a request, from its Accept-Language header."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.i18n import set_locale


class RequestLocale:
    """Set the language of each request. The header is parsed when a text is needed, not before.

    This middleware adds no coroutine to the request: its cost is one assignment of a context variable.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            set_locale(scope["headers"])
        return self.app(scope, receive, send)
