"""The answer to a body that is larger than a route accepts, in the service's own format.

Starlette answers such a body in plain text, in place of the answer of the route.
"""

from fastapi import Request, Response
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.errors import BodyTooLarge, build_problem_response


class BodyLimitErrors:
    """Replace the plain text by a problem, or at the OAuth endpoints by an OAuth error (RFC 6749 §5.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        replaced = False

        async def send_or_replace(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and message["status"] == 413 and _is_plain_text(message):
                replaced = True
                await _build_refusal(Request(scope))(scope, receive, send)
            elif not replaced:
                await send(message)

        await self.app(scope, receive, send_or_replace)


def _is_plain_text(message: Message) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/plain") for name, value in message["headers"])


def _build_refusal(request: Request) -> Response:
    if request.url.path.startswith("/oauth/"):
        refused = {"error": "invalid_request", "error_description": "the body is too large"}
        return JSONResponse(refused, 413, {"Cache-Control": "no-store"})
    return build_problem_response(request, BodyTooLarge())
