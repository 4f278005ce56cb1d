"""The explorer's pages, with nothing asked of any other host: what `fastapi-offline` leaves to be done."""

from functools import cache
from pathlib import Path
from typing import Any

import fastapi_offline
from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.routing import Route

REDOC = "/static-offline-docs/redoc.standalone.js"
# Redoc shows its maker's logo from there; where it does not load, it shows the maker's name alone.
_FAR_LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg"


def arrange_pages(app: FastAPI, *, development: bool) -> None:
    """Groups folded, a filter, the time each call took; in development the pasted token outlives a reload."""
    parameters: dict[str, Any] = {
        "docExpansion": "none",
        "filter": True,
        "displayRequestDuration": True,
        "persistAuthorization": development,
        "tryItOutEnabled": development,
        "validatorUrl": None,
    }
    app.swagger_ui_parameters = (app.swagger_ui_parameters or {}) | parameters
    app.router.routes.insert(0, Route(REDOC, _redoc, include_in_schema=False))


async def _redoc(_: Request) -> Response:
    return Response(_redoc_script(), media_type="text/javascript", headers={"Cache-Control": "public, max-age=3600"})


@cache
def _redoc_script() -> str:
    script = Path(fastapi_offline.__file__).parent / "static" / Path(REDOC).name
    return script.read_text(encoding="utf-8").replace(_FAR_LOGO, "data:,")
