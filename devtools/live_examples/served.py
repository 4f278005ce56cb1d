"""The document as the explorer gets it: in development with examples of what the database holds at this moment."""

from copy import deepcopy
from typing import Any

import structlog
from fastapi import FastAPI, Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse
from starlette.routing import Route

from app.api_docs.examples import write_examples
from app.database.db import ENGINE
from devtools.live_examples.things import find_things

log = structlog.get_logger()


def serve_living_examples(app: FastAPI) -> None:
    """Answer the document's address before FastAPI does. For development: it tells ids to whoever asks."""
    assert app.openapi_url is not None

    async def document(_: Request) -> JSONResponse:
        written: dict[str, Any] = app.openapi()
        engine = ENGINE.of(app)
        try:
            async with engine.connect() as db:
                found = await find_things(db)
        except (SQLAlchemyError, OSError) as error:
            # The explorer is of use without a database too, with placeholders.
            log.warning("no_living_examples", error=type(error).__name__)
        else:
            written = write_examples(deepcopy(written), found)
        return JSONResponse(written, headers={"Cache-Control": "no-store"})

    app.router.routes.insert(0, Route(app.openapi_url, document, include_in_schema=False))
