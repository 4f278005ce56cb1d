"""Liveness and readiness for supervisors and load balancers."""

import asyncio
from typing import Literal

import asyncpg
from fastapi import APIRouter, Request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.authz.access import Public
from app.core.i18n import gettext_noop
from app.database.db import ENGINE
from app.database.schema_compatibility import SELECT_SCHEMA, SchemaState, is_compatible
from app.web.errors import Unavailable, problems
from app.web.schemas import Out

# Not a TransactionalRoute: liveness must not depend on the database.
router = APIRouter(tags=["health"], dependencies=[Public])

ANSWER_SECONDS = 2


class Alive(Out):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(Out):
    """The service can do its work."""

    status: Literal["ready"] = "ready"
    revision: str


class NotReady(Unavailable):
    slug = "not-ready"
    title = gettext_noop("服务尚未就绪")
    advice = gettext_noop("数据库无法访问，或其版本与本服务不一致；请稍后重试。")


@router.get("/livez", summary="Is the process alive?")
async def livez() -> Alive:
    """Tell the supervisor of the process that the process runs. The call checks nothing else. If it gets no answer,
    restart the process."""
    return Alive()


@router.get("/readyz", summary="Can the service do its work?", responses=problems(NotReady))
async def readyz(request: Request) -> Ready:
    """Tell the load balancer whether the process can serve requests: the database answers and this code can run on
    its schema. If the answer is 503, send no traffic and call again later; do not restart the process."""
    return Ready(revision=await check_database(ENGINE.get(request)))


async def check_database(engine: AsyncEngine) -> str:
    """Return the revision of the database. Raises NotReady if requests cannot be answered with it."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS), engine.connect() as connection:
            row = (await connection.execute(text(SELECT_SCHEMA))).one_or_none()
    except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise NotReady from error
    state = SchemaState(*row) if row else SchemaState(None, None)
    if state.revision is None or not is_compatible(state):
        raise NotReady
    return state.revision
