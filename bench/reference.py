"""Bare handlers, the limit for requests: Starlette, asyncpg and orjson, with one statement each and without sign-in."""

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

from app.core.calendar import today

CARD = "SELECT id, name, region_code, kind, status, version, created_at, main_admin_id FROM orgs WHERE id = $1"
TOTALS = """
SELECT t.*, o.name FROM org_totals AS t JOIN orgs AS o ON o.id = t.org_id
WHERE t.day = $2 AND t.org_id = $1
UNION ALL
(SELECT t.*, o.name FROM tree_edges AS e
JOIN org_totals AS t ON t.org_id = e.subordinate_id AND t.day = $2
JOIN orgs AS o ON o.id = t.org_id
WHERE e.superior_id = $1 AND e.since <= $2 AND e.before > $2 ORDER BY o.name LIMIT 51)
"""
# The same statement as the service's; the values for the blind index and the cipher text have the same lengths.
MEMBER = """
INSERT INTO bench.written (org_id, name, pinyin, initials, phone_cipher, phone_index, phone_last4_index, party)
VALUES ($1, $2, 'wang wei', 'ww', $3, sha256($3), sha256($3), true) RETURNING id
"""


async def read_org(request: Request) -> Response:
    """Read the card of one org: the baseline of the measurement `read_org`."""
    async with request.app.state.pool.acquire() as connection:
        row = await connection.fetchrow(CARD, UUID(request.path_params["org_id"]))
    return Response(orjson.dumps(dict(row), default=str), media_type="application/json")


async def read_overview(request: Request) -> Response:
    """Read the totals of an org and its direct subordinates: the baseline of the measurement `read_overview`."""
    async with request.app.state.pool.acquire() as connection:
        rows = await connection.fetch(TOTALS, UUID(request.path_params["org_id"]), today())
    return Response(orjson.dumps([dict(row) for row in rows], default=str), media_type="application/json")


async def insert_member(request: Request) -> Response:
    """Insert one row into a copy of the table `members`: the baseline of the measurement `write_member`."""
    person = orjson.loads(await request.body())
    async with request.app.state.pool.acquire() as connection:
        row = await connection.fetchrow(
            MEMBER, UUID(request.path_params["org_id"]), person["name"], person["phone"].encode()
        )
    return Response(orjson.dumps(dict(row), default=str), status_code=201, media_type="application/json")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["XUEZU_DATABASE_URL"], min_size=20, max_size=20) as pool:
        app.state.pool = pool
        yield


app = Starlette(
    routes=[
        Route("/v1/orgs/{org_id}", read_org),
        Route("/v1/orgs/{org_id}/reports/overview", read_overview),
        Route("/v1/orgs/{org_id}/members", insert_member, methods=["POST"]),
    ],
    lifespan=lifespan,
)
