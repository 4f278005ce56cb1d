"""The language of a request, from its Accept-Language header."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.i18n import set_locale


class RequestLocale:
    """Gives each request a language of its own; the header is read where a text goes out, and not before.

    No coroutine of its own around the request: it costs the setting of one context variable.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            set_locale(scope["headers"])
        return self.app(scope, receive, send)
