"""The docs explorer's pages without requests to other hosts, as far as `fastapi-offline` does not provide it."""

import base64
import hashlib
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI, Request
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REDOC = "/static-offline-docs/redoc.standalone.js"
_PAGES = {"/docs", "/docs/oauth2-redirect", "/redoc"}
_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
# The address of the logo in Redoc's script. Without the logo Redoc shows the name of its maker.
_LOGO_URL = "https://cdn.redoc.ly/redoc/logo-mini.svg"


def configure_pages(app: FastAPI, *, development: bool) -> None:
    """Configure the pages: collapsed groups, a filter, durations. In development the pasted token survives a reload."""
    parameters: dict[str, Any] = {
        "docExpansion": "none",
        "filter": True,
        "displayRequestDuration": True,
        "persistAuthorization": development,
        "tryItOutEnabled": development,
        "validatorUrl": None,
    }
    app.swagger_ui_parameters = (app.swagger_ui_parameters or {}) | parameters
    app.router.routes.insert(0, Route(REDOC, _serve_redoc, include_in_schema=False))
    for route in app.router.routes:
        if isinstance(route, Route) and route.path in _PAGES:
            route.app = _ProtectedPage(route.app)


class _ProtectedPage:
    """A page of the explorer with a Content-Security-Policy: no other site may show it in a frame, and of the scripts
    in the page only those run that the page had when the service sent it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        head: Message | None = None

        async def add_policy(message: Message) -> None:
            nonlocal head
            if message["type"] == "http.response.start":
                head = message
                return
            if head is not None:
                MutableHeaders(raw=head["headers"])["Content-Security-Policy"] = _build_policy(message["body"])
                await send(head)
                head = None
            await send(message)

        await self._app(scope, receive, add_policy)


@lru_cache(maxsize=8)
def _build_policy(page: bytes) -> str:
    digests = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _INLINE_SCRIPT.findall(page)]
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in digests)])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


async def _serve_redoc(_: Request) -> Response:
    return Response(
        _load_redoc_script(), media_type="text/javascript", headers={"Cache-Control": "public, max-age=3600"}
    )


@cache
def _load_redoc_script() -> str:
    script = Path(fastapi_offline.__file__).parent / "static" / Path(REDOC).name
    return script.read_text(encoding="utf-8").replace(_LOGO_URL, "data:,")
