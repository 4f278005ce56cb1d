"""A body that is larger than a route takes, and says so, is refused in the service's own form.

Starlette answers it in plain text in place of whatever the route answers.
"""

from fastapi import Request, Response
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.web.errors import BodyTooLarge, build_problem_response


class BodyLimitTold:
    """Turns that plain text into a problem, at the OAuth endpoints into their own form of errors (RFC 6749 §5.2)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        told = False

        async def telling(message: Message) -> None:
            nonlocal told
            if message["type"] == "http.response.start" and message["status"] == 413 and _is_plain(message):
                told = True
                await _refusal(Request(scope))(scope, receive, send)
            elif not told:
                await send(message)

        await self.app(scope, receive, telling)


def _is_plain(message: Message) -> bool:
    return any(name == b"content-type" and value.startswith(b"text/plain") for name, value in message["headers"])


def _refusal(request: Request) -> Response:
    if request.url.path.startswith("/oauth/"):
        refused = {"error": "invalid_request", "error_description": "the body is too large"}
        return JSONResponse(refused, 413, {"Cache-Control": "no-store"})
    return build_problem_response(request, BodyTooLarge())
