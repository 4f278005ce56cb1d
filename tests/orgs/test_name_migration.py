"""The migration to keys of names numbers siblings that have one name by now, and loses none."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from app.database.migration import migrate
from app.database.schema_compatibility import list_revisions

(FILE,) = (Path(__file__).parents[2] / "migrations" / "versions").glob("*_name_keys.py")
AFTER = FILE.name.partition("_")[0]
BEFORE = list_revisions()[list_revisions().index(AFTER) - 1]
ORG, USER = uuid4(), uuid4()
NAMES = ("第一支部(机关)", "第一支部（机关）", "第一 支部【机关】", "第二支部")


@pytest.fixture
async def database(server_url: str) -> AsyncIterator[str]:
    name = f"names_{uuid4().hex}"
    connection = await asyncpg.connect(server_url)
    await connection.execute(f"CREATE DATABASE {name}")
    yield server_url.replace("/postgres?", f"/{name}?")
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


async def test_siblings_with_one_key_get_numbers_until_they_are_renamed(database: str) -> None:
    await asyncio.to_thread(migrate, database, BEFORE)
    connection = await asyncpg.connect(database)
    await connection.execute("SET session_replication_role = replica")  # the orgs and users do not exist
    unit = "INSERT INTO units (org_id, name, kind, position) VALUES ($1, $2, 'branch', $3)"
    await connection.executemany(unit, [(ORG, name, at) for at, name in enumerate(NAMES)])
    edge = (
        "INSERT INTO certifications (superior_id, subordinate_id, subordinate_name, state, requested_by, certified_at)"
        " VALUES ($1, uuidv7(), $2, 'live', $3, now())"
    )
    await connection.executemany(edge, [(ORG, name, USER) for name in NAMES])
    await asyncio.to_thread(migrate, database, AFTER)
    await connection.execute("SET session_replication_role = DEFAULT")
    for table, column in (("units", "name"), ("certifications", "subordinate_name")):
        numbers = await connection.fetch(f"SELECT {column}, name_number FROM {table} ORDER BY id")
        assert [tuple(row) for row in numbers] == list(zip(NAMES, (0, 1, 2, 0), strict=True)), table
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("UPDATE units SET name = '第二 支部' WHERE name = $1", NAMES[1])
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute("UPDATE units SET name = '第一支部（机 关）' WHERE name = $1", NAMES[1])
    await connection.execute("UPDATE units SET name = '第三支部' WHERE name = $1", NAMES[1])
    assert await connection.fetchval("SELECT name_number FROM units WHERE name = '第三支部'") == 0
    await connection.close()
