"""The limit that reads are held against: bare Starlette + asyncpg + orjson, one statement, no sign-in."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

STATEMENT = "SELECT id, name, region_code, kind, status, version, created_at, main_admin_id FROM orgs WHERE id = $1"


async def read_org(request: Request) -> Response:
    async with request.app.state.pool.acquire() as connection:
        row = await connection.fetchrow(STATEMENT, UUID(request.path_params["org_id"]))
    return Response(orjson.dumps(dict(row), default=str), media_type="application/json")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["XUEZU_DATABASE_URL"], min_size=20, max_size=20) as pool:
        app.state.pool = pool
        yield


app = Starlette(routes=[Route("/v1/orgs/{org_id}", read_org)], lifespan=lifespan)
