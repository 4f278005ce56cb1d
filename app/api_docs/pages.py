"""The docs explorer's pages without requests to other hosts, as far as `fastapi-offline` does not provide it."""

from functools import cache
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.routing import Route

REDOC = "/static-offline-docs/redoc.standalone.js"
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


async def _serve_redoc(_: Request) -> Response:
    return Response(
        _load_redoc_script(), media_type="text/javascript", headers={"Cache-Control": "public, max-age=3600"}
    )


@cache
def _load_redoc_script() -> str:
    script = Path(fastapi_offline.__file__).parent / "static" / Path(REDOC).name
    return script.read_text(encoding="utf-8").replace(_LOGO_URL, "data:,")
