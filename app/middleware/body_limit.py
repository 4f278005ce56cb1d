"""The answer to a body that is larger than a route accepts, in the service's own format.

Starlette answers such a body in plain text, in place of the answer of the route.
"""

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.middleware.refusals import build_refusal
from app.web.errors import BodyTooLarge


class BodyLimitErrors:
    """Middleware that answers a body that is too large with a problem, or at the OAuth endpoints with an OAuth error
    (RFC 6749 §5.2), instead of a plain text."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        replaced = False

        async def send_or_replace(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and message["status"] == 413 and _is_plain_text(message):
                replaced = True
                await build_refusal(Request(scope), BodyTooLarge())(scope, receive, send)
            elif not replaced:
                await send(message)

        await self.app(scope, receive, send_or_replace)


def _is_plain_text(message: Message) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/plain") for name, value in message["headers"])
