"""A real pgbouncer in transaction mode: requests go through it, and leave nothing in the sessions of the server."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core.settings import Settings
from app.database import connections
from app.database.connections import LIMITS, Database, Limits, Role
from app.database.db import ENGINE, create_engine_over
from app.main import create_app
from app.web.errors import build_problem
from app.worker.worker import run_worker
from tests.acts import add_member
from tests.people import People
from tests.pgbouncer import build_pooled_settings, needs_pgbouncer, run_pgbouncer
from tests.processes import ROOT

pytestmark = needs_pgbouncer

SERVER_CONNECTIONS = 3


@pytest.fixture(scope="module")
def pooled_settings(database_url: str, settings: Settings) -> Iterator[Settings]:
    with run_pgbouncer(database_url, pool_size=SERVER_CONNECTIONS) as address:
        direct = settings.direct_url or settings.database_url
        yield build_pooled_settings(settings.model_copy(update={"database_url": direct}), address)


@pytest.fixture
async def pooled_app(pooled_settings: Settings) -> AsyncIterator[FastAPI]:
    app = create_app(pooled_settings)
    async with app.router.lifespan_context(app):
        yield app


async def read_session_state(app: FastAPI) -> list[tuple[object, ...]]:
    """Return what is set, prepared, locked, listened to or temporary on each connection of the pooler to the server."""
    found: set[tuple[object, ...]] = set()
    engine, opened = ENGINE.get(app), []
    try:
        for _ in range(SERVER_CONNECTIONS):  # each transaction occupies one connection to the server
            opened.append(await engine.connect())
            rows = await opened[-1].execute(text(SESSION_STATE))
            found.update(map(tuple, rows.all()))
    finally:
        for each in opened:
            await each.close()
    assert len({row[0] for row in found}) == SERVER_CONNECTIONS
    return sorted(row[1:] for row in found if row[1] is not None)


SESSION_STATE = """
SELECT pg_backend_pid(), found.kind, found.name FROM (SELECT 1) AS one LEFT JOIN (
    SELECT 'setting' AS kind, name FROM pg_settings
    WHERE source = 'session' AND name NOT LIKE 'transaction%' AND name NOT IN (
        'application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings', 'IntervalStyle',
        'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout'
    )
    UNION ALL SELECT 'limit', name FROM pg_settings WHERE name LIKE '%_timeout' AND reset_val <> boot_val
    UNION ALL SELECT 'statement', statement FROM pg_prepared_statements WHERE name <> ''
    UNION ALL SELECT 'lock', l.objid::text FROM pg_locks AS l WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid()
    UNION ALL SELECT 'channel', c FROM pg_listening_channels() AS c
    UNION ALL SELECT 'table', c.oid::regclass::text FROM pg_class AS c WHERE c.relnamespace = pg_my_temp_schema()
) AS found ON true
"""


async def test_requests_through_a_pooler_succeed_and_leave_no_session_state(
    pooled_app: FastAPI, pooled_settings: Settings
) -> None:
    """There are many more requests at a time than connections to the server."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(pooled_app, client=("127.0.0.1", 50000)), base_url=pooled_settings.issuer
    ) as api:
        people = People(api, pooled_app)
        admins = await asyncio.gather(*(people.register() for _ in range(6)))
        orgs = await asyncio.gather(*(admin.create_org() for admin in admins))
        for _ in range(3):
            added = (add_member(admin, org) for admin, org in zip(admins, orgs, strict=True))
            read = (
                admin.get(path.format(org=org["id"]))
                for admin, org in zip(admins, orgs, strict=True)
                for path in ("/v1/me", "/v1/inbox", "/v1/me/orgs", "/v1/orgs/{org}", "/v1/orgs/{org}/members")
            )
            answers = (await asyncio.gather(asyncio.gather(*added), asyncio.gather(*read)))[1]
            assert {answer.status_code for answer in answers} == {200}
        asked = await admins[0].post(f"/v1/orgs/{orgs[0]['id']}/members/exports", json={})
        assert asked.status_code == 202
    await run_worker(pooled_settings, until_idle=True)
    assert await read_session_state(pooled_app) == []


async def test_transaction_has_the_limits_of_its_role_and_the_next_client_none(pooled_settings: Settings) -> None:
    database = Database.from_settings(pooled_settings)
    engine = create_engine_over(database, Role.REQUEST, size=0)
    shown = text(
        "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'),"
        " current_setting('idle_in_transaction_session_timeout')"
    )
    async with engine.begin() as db:
        found = tuple((await db.execute(shown)).one())
    limits = LIMITS[Role.REQUEST]
    assert found == (f"{limits.statement}s", f"{limits.lock}s", "1min")
    connection = await database.connect(Role.REQUEST)
    assert await connection.fetchval("SHOW statement_timeout") == "0"
    await connection.close()
    await engine.dispose()


async def test_statement_outside_a_transaction_has_a_limit(
    pooled_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.LIMITS, Role.REQUEST, Limits(statement=1, lock=1, idle_in_transaction=1))
    database = Database.from_settings(pooled_settings)
    engine = create_engine_over(database, Role.REQUEST, size=1)
    for level in ("AUTOCOMMIT", "READ COMMITTED"):
        async with engine.connect() as db:
            await db.execution_options(isolation_level=level)
            with pytest.raises((DBAPIError, TimeoutError)) as raised:
                await db.execute(text("SELECT pg_sleep(20)"))
            assert build_problem(raised.value).status == 503
    async with engine.connect() as db:  # its connection can be used again
        assert await db.scalar(text("SELECT 1")) == 1
    await engine.dispose()


async def test_rows_are_those_of_the_statement_whatever_other_clients_run(pooled_settings: Settings) -> None:
    """Statements without a name of several clients use the same connections to the server in turn."""
    database = Database.from_settings(pooled_settings)
    opened = [await database.connect(Role.REQUEST) for _ in range(8)]

    async def read(number: int) -> None:
        for step in range(60):
            statement = f"SELECT $1::int + {number} AS sum, '{number}' AS name"
            row = await opened[number].fetchrow(statement, step)
            assert tuple(row) == (step + number, str(number))

    await asyncio.gather(*(read(number) for number in range(8)))
    for each in opened:
        await each.close()


COMMANDS = [
    ("migrate",),
    ("totals", "verify", "--since", "2026-01-01"),
    ("points", "archive"),
    ("keys", "rotate"),
    ("operators", "add", "13800138000", "张伟"),
    ("clients", "create", "--kind", "service", "--scope", "point-events:write", "pooled"),
]


@pytest.mark.long
async def test_every_command_works_with_a_pooler(pooled_settings: Settings) -> None:
    assert pooled_settings.database_url is not None
    assert pooled_settings.direct_url is not None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XUEZU_")} | {
        "XUEZU_DATABASE_URL": pooled_settings.database_url.get_secret_value(),
        "XUEZU_DIRECT_URL": pooled_settings.direct_url.get_secret_value(),
        "XUEZU_TRANSACTION_POOLER": "true",
        "XUEZU_DATA_DIR": str(pooled_settings.data_dir),
    }

    async def run(*arguments: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli", *arguments),
            env=environment,
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        return process.returncode, said.decode()

    for began in (COMMANDS[:3], COMMANDS[3:]):
        for command, (code, said) in zip(began, await asyncio.gather(*(run(*each) for each in began)), strict=True):
            assert code == 0, f"{command}: {said}"


SESSION_STATEMENTS = re.compile(
    r"\bSET (?!LOCAL\b|CONSTRAINTS\b)(SESSION\b|[a-z_]+_(timeout|mem|mode|path|target|gather|role)\b)"
    r"|set_config\([^()]*,\s*false\s*\)|\bpg_(try_)?advisory_lock|^\s*LISTEN [a-z]|\bWITH HOLD\b|\bDISCARD [A-Z]"
    r"|\bCREATE TEMP(ORARY)? TABLE (?!.*ON COMMIT DROP)",
    re.DOTALL,
)
"""Statements whose effect outlives their transaction."""
SESSION_ALLOWED = {
    "app/database/indexes.py",  # migrations
    "app/database/migration.py",
    "app/reports/rollup/sql/staging.sql",  # the worker's own connection
}


def test_code_keeps_no_state_in_a_session() -> None:
    """It would be on another connection after the transaction, or reach another client."""
    found = []
    for path in sorted((ROOT / "app").rglob("*")):
        name = str(path.relative_to(ROOT))
        if path.suffix in {".py", ".sql"} and name not in SESSION_ALLOWED:
            for statement in re.split(r'"""|"|;\n', re.sub(r'"\n\s*"', "", path.read_text())):
                if (match := SESSION_STATEMENTS.search(statement)) is not None:
                    found.append(f"{name}: {match.group()}")
    assert found == []


def test_search_for_session_state_finds_each_kind() -> None:
    for statement in (
        "SET lock_timeout = '5s'",
        "SET SESSION AUTHORIZATION x",
        "SELECT set_config('jit', 'off', false)",
        "SELECT pg_advisory_lock(1)",
        "SELECT pg_try_advisory_lock_shared(1)",
        "LISTEN channel",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "DISCARD ALL",
        "CREATE TEMP TABLE kept AS SELECT 1",
    ):
        assert SESSION_STATEMENTS.search(statement), statement
    for statement in (
        "SET LOCAL lock_timeout = '5s'",
        "SELECT set_config('jit', 'off', true)",
        "SELECT pg_advisory_xact_lock(1)",
        "CREATE TEMPORARY TABLE dropped ON COMMIT DROP AS SELECT 1",
        "UPDATE jobs SET status = 'queued'",
    ):
        assert SESSION_STATEMENTS.search(statement) is None, statement
