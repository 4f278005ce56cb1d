"""The page `/docs` in development, in place of FastAPI's: Swagger UI under a form that signs in.

The form has the phone of the demo's first administrator, who sends the examples. Its script takes the steps of the
introduction: it sends a code, reads it from the simulated gateway, and exchanges it for tokens.
"""

import json
from functools import cache
from html import escape
from importlib.resources import files

import structlog
from fastapi import FastAPI, Request
from fastapi.openapi.docs import swagger_ui_default_parameters
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from app.api_docs.examples import PLACEHOLDERS
from app.core.cipher import CIPHER
from app.database.db import ENGINE
from devtools.live_examples.example_values import find_demo_phone

log = structlog.get_logger()

SCRIPT = "/docs/sign-in.js"
WITH_DEMO = "The phone is that of the demo's first administrator, who sends the examples."
WITHOUT_DEMO = "Any phone signs in. The examples work after `make demo`: reload this page then."


def serve_explorer(app: FastAPI) -> None:
    """Answer `/docs` before FastAPI does. Development only: it reveals the phone of the demo's administrator."""

    async def page(request: Request) -> HTMLResponse:
        phone = await _find_phone(app)
        root = request.scope.get("root_path", "")
        settings = {
            "root": root,
            "document": f"{root}{app.openapi_url}",
            "phone": phone,
            "parameters": swagger_ui_default_parameters | (app.swagger_ui_parameters or {}),
        }
        shown = _load_file("explorer.html").format(
            title=escape(app.title),
            assets=escape(f"{root}/static-offline-docs", quote=True),
            script=escape(root + SCRIPT, quote=True),
            phone=escape(phone or PLACEHOLDERS["phone"], quote=True),
            note=WITHOUT_DEMO if phone is None else WITH_DEMO,
            settings=json.dumps(settings).replace("<", "\\u003c"),
        )
        return HTMLResponse(shown, headers={"Cache-Control": "no-store"})

    app.router.routes.insert(0, Route(SCRIPT, _serve_script, include_in_schema=False))
    app.router.routes.insert(0, Route("/docs", page, include_in_schema=False))


async def _find_phone(app: FastAPI) -> str | None:
    try:
        async with ENGINE.get(app).connect() as db:
            return await find_demo_phone(db, CIPHER.get(app))
    except (SQLAlchemyError, OSError) as error:
        # Without a database the page still shows the document.
        log.warning("no_demo_phone", error=type(error).__name__)
        return None


async def _serve_script(_: Request) -> Response:
    return Response(
        _load_file("sign_in.js"), media_type="text/javascript; charset=utf-8", headers={"Cache-Control": "no-cache"}
    )


@cache
def _load_file(name: str) -> str:
    return files("devtools.explorer").joinpath("static", name).read_text(encoding="utf-8")
