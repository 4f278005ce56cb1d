"""Every error of PostgreSQL and of the driver means "again later" (503 with `Retry-After`) or is a fault (500)."""

import errno
import socket
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.database_errors import is_database_lost, is_temporary
from app.core.settings import Settings
from app.database.connections import Database, DatabaseAway
from app.database.driver import ReadPool
from app.web.errors import Unavailable, build_problem

AGAIN_LATER = {
    *("08000", "08001", "08003", "08004", "08006", "08007", "08P01"),
    "25006",  # after a failover the server is a standby
    *("25P03", "25P04"),
    *("40000", "40001", "40002", "40003", "40P01"),
    *("53000", "53100", "53200", "53300", "53400"),
    *("55006", "55P03"),
    *("57000", "57014", "57P01", "57P02", "57P03", "57P04", "57P05"),
    *("58000", "58030", "58P01", "58P02", "58P03"),
}
ONE_STATEMENT = {"40000", "40001", "40002", "40003", "40P01", "55006", "55P03", "57014"}
"""The server works; only this statement was not lucky."""

KINDS = [getattr(kind, "sqlstate", None) for kind in vars(asyncpg.exceptions).values()]
STATES = sorted({state for state in KINDS if isinstance(state, str) and state[:2] not in {"00", "01", "02", "M0"}})
RAISE = "DO $$ BEGIN RAISE EXCEPTION 'secret' USING ERRCODE = '{}'; END $$"


async def test_every_state_of_postgresql_is_answered_by_its_class(engine: AsyncEngine, settings: Settings) -> None:
    """Each is raised by PostgreSQL, once through SQLAlchemy and once through the driver alone."""
    assert len(STATES) > 220
    assert set(STATES) >= AGAIN_LATER
    wrapped: dict[str, int] = {}
    lost: set[str] = set()
    async with engine.connect() as db:
        await db.execution_options(isolation_level="AUTOCOMMIT")
        for state in STATES:
            with pytest.raises(DBAPIError) as raised:
                await db.execute(text(RAISE.format(state)))
            wrapped[state] = build_problem(raised.value).status
            if is_database_lost(raised.value):
                lost.add(state)
    assert {state for state, status in wrapped.items() if status == 503} == AGAIN_LATER
    assert lost == AGAIN_LATER - ONE_STATEMENT
    assert set(wrapped.values()) == {500, 503}
    async with ReadPool(Database.from_settings(settings), 1) as pool:
        for state in STATES:
            with pytest.raises(asyncpg.PostgresError) as refused:
                await pool.fetch(RAISE.format(state))
            assert build_problem(refused.value).status == wrapped[state]


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.ConnectionFailureError("lost"),
        asyncpg.CannotConnectNowError("starting"),
        asyncpg.TooManyConnectionsError("too many"),
        asyncpg.InternalClientError("lost"),
        asyncpg.TargetServerAttributeNotMatched("no primary"),
        asyncpg.OutdatedSchemaCacheError("migrated"),
        asyncpg.InvalidCachedStatementError("migrated"),
        PoolTimeout("no connection"),
        DatabaseAway("away"),
        TimeoutError(),
        ConnectionResetError(errno.ECONNRESET, "reset"),
        BrokenPipeError(errno.EPIPE, "pipe"),
        OSError(errno.EHOSTUNREACH, "no route"),
        OSError(errno.ENOSPC, "full"),
        OSError(errno.EMFILE, "too many files"),
        socket.gaierror(socket.EAI_AGAIN, "no name"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_of_the_driver_is_answered_with_503(error: Exception) -> None:
    problem = build_problem(error)
    assert isinstance(problem, Unavailable)
    assert int(problem.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), FileNotFoundError(errno.ENOENT, "template"), asyncpg.DataError("out of range"), KeyError("x")],
    ids=lambda error: type(error).__name__,
)
def test_fault_of_the_service_is_answered_with_500(error: Exception) -> None:
    assert build_problem(error).status == 500


async def test_value_that_the_driver_cannot_encode_is_a_fault(engine: AsyncEngine) -> None:
    async with engine.connect() as db:
        value: Any = 1 << 70
        with pytest.raises(DBAPIError) as raised:
            await db.execute(text("SELECT CAST(:value AS int)"), {"value": value})
    assert build_problem(raised.value).status == 500
    assert not is_temporary(raised.value)


async def test_time_limits_of_a_request_are_answered_with_503(engine: AsyncEngine) -> None:
    found = []
    for limit, statement in (
        ("statement_timeout = '50ms'", "SELECT pg_sleep(5)"),
        ("lock_timeout = '50ms'", "LOCK TABLE alembic_version"),
        ("transaction_read_only = on", "UPDATE alembic_version SET version_num = version_num"),
    ):
        async with engine.connect() as holder, engine.connect() as db:
            await holder.execute(text("SELECT * FROM alembic_version"))
            await db.execute(text(f"SET LOCAL {limit}"))
            with pytest.raises(DBAPIError) as raised:
                await db.execute(text(statement))
            found.append(build_problem(raised.value).status)
    assert found == [503] * 3
