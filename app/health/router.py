"""Liveness and readiness for supervisors and load balancers."""

import asyncio
from typing import Literal

import asyncpg
from fastapi import APIRouter, Request
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.authz.access import Public
from app.core.i18n import gettext_noop
from app.database import migration
from app.database.db import ENGINE
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
    """Tell the load balancer whether the process can serve requests: the database answers and is at the revision of
    this code. If the answer is 503, send no traffic and call again later; do not restart the process."""
    engine = ENGINE.get(request)
    try:
        async with asyncio.timeout(ANSWER_SECONDS), engine.connect() as connection:
            present = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise NotReady from error
    if present != migration.get_head_revision():
        raise NotReady
    return Ready(revision=present)
