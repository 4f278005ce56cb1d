"""The OpenAPI document for the explorer, in development: its examples contain current ids from the database."""

from copy import deepcopy
from typing import Any

import structlog
from fastapi import FastAPI, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.api_docs.example_writer import write_examples
from app.database.db import ENGINE
from devtools.live_examples.example_values import find_example_values

log = structlog.get_logger()


def serve_live_examples(app: FastAPI) -> None:
    """Answer the document's address before FastAPI does. Development only: it reveals ids to every caller."""
    assert app.openapi_url is not None

    async def document(_: Request) -> JSONResponse:
        written: dict[str, Any] = app.openapi()
        engine = ENGINE.get(app)
        try:
            async with engine.connect() as db:
                found = await find_example_values(db)
        except (SQLAlchemyError, OSError) as error:
            # Without a database the explorer still works, with placeholders.
            log.warning("no_living_examples", error=type(error).__name__)
        else:
            written = write_examples(deepcopy(written), found)
        return JSONResponse(written, headers={"Cache-Control": "no-store"})

    app.router.routes.insert(0, Route(app.openapi_url, document, include_in_schema=False))
