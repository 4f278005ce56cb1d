"""Edits of the hierarchy do not wait for a running migration, because each has its own lock."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest
from alembic import command
from alembic.config import Config
from pydantic import SecretStr

from app.core.services import SETTINGS
from app.core.settings import Settings
from app.database import migration
from app.database.schema_compatibility import get_head_revision, list_revisions
from app.main import create_app
from tests.acts import certify
from tests.conftest import migrated_database
from tests.people import People

ROOT = Path(__file__).parents[2]
REVISION = """
from alembic import op

from app.database.indexes import create_index

revision = "blocked"
down_revision = "{head}"
branch_labels = depends_on = None
oldest_code = "{head}"


def upgrade():
    {upgrade}
"""
CASES = {
    "a migration in a transaction": (
        'op.execute("LOCK TABLE gate")',
        "LOCK TABLE gate",
        "LOCK TABLE gate",
    ),
    "a concurrent build over the edges": (
        'create_index("edges_blocked_idx", "certifications", ["id", "superior_id"])',
        "LOCK TABLE certifications IN ROW EXCLUSIVE MODE",
        "CREATE INDEX CONCURRENTLY",
    ),
}
"""For each case: the migration, the statement of another transaction that blocks it, and the statement that waits."""

_WAITS = """
SELECT true FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND starts_with(query, $1)
"""


@pytest.fixture
def database(server_url: str, worker_id: str) -> str:
    return migrated_database(server_url, f"edited_{worker_id}")


@pytest.fixture
async def people(database: str, tmp_path: Path) -> AsyncIterator[People]:
    """The service with a database of its own."""
    app = create_app(Settings(database_url=SecretStr(database), data_dir=tmp_path).complete_secrets())
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 50000))
        async with httpx.AsyncClient(transport=transport, base_url=SETTINGS.get(app).issuer) as api:
            yield People(api)


@pytest.fixture
async def connections(database: str) -> AsyncIterator[tuple[asyncpg.Connection, asyncpg.Connection]]:
    """Two connections: one blocks the migration, one observes it."""
    pair = await asyncpg.connect(database), await asyncpg.connect(database)
    yield pair
    for connection in pair:
        await connection.close()


def add_revision(directory: Path, upgrade: str, database: str, patched: pytest.MonkeyPatch) -> None:
    """Add a revision "blocked" after the newest one, which `migrate_to_head` then runs."""
    (directory / "blocked.py").write_text(REVISION.format(head=get_head_revision(), upgrade=upgrade))
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("version_locations", f"{ROOT / 'migrations' / 'versions'}{os.pathsep}{directory}")
    config.attributes["database_url"] = database
    patched.setattr(migration, "migrate", lambda *_: command.upgrade(config, "head"))
    patched.setattr(migration, "get_head_revision", lambda: "blocked")
    patched.setattr(migration, "list_revisions", lambda: (*list_revisions(), "blocked"))


@pytest.mark.parametrize("case", CASES)
async def test_hierarchy_edit_during_a_migration_does_not_wait(
    database: str,
    people: People,
    connections: tuple[asyncpg.Connection, asyncpg.Connection],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    (other, db), (upgrade, blocking, statement) = connections, CASES[case]
    add_revision(tmp_path, upgrade, database, monkeypatch)
    admin = await people.register()
    superior, subordinate = await admin.create_org(), await admin.create_org()

    await db.execute("CREATE TABLE gate ()")
    await other.execute(f"BEGIN; {blocking}")
    migrating = asyncio.create_task(migration.migrate_to_head(database))
    try:
        while not await db.fetchval(_WAITS, statement):
            assert not migrating.done()
            await asyncio.sleep(0.02)
        async with asyncio.timeout(3):
            await certify(admin, superior, admin, subordinate)
        assert not migrating.done()
    finally:
        await other.execute("COMMIT")
        await migrating
    assert await db.fetchval("SELECT version_num FROM alembic_version") == "blocked"
