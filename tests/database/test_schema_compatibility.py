"""Old code beside a newer schema: ready while the schema's migrations allow it, and a sentence where they do not."""

import asyncio
import importlib.util
from pathlib import Path
from types import ModuleType

import asyncpg
import pytest

from app.core.settings import CannotStart
from app.database import migration
from app.database.schema_compatibility import (
    FIRST_DECLARED,
    SchemaState,
    get_head_revision,
    is_compatible,
    list_revisions,
    require_compatible,
)
from app.health.router import NotReady, check_database
from tests.conftest import migrated_database
from tests.databases import create_test_engine
from tests.processes import ROOT, find_free_port, program, run_refused

VERSIONS = ROOT / "migrations" / "versions"
HEAD = get_head_revision()
STEP_DOWN = list_revisions()[-2]


def read_script(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"migration_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_migration_declares_the_oldest_code() -> None:
    """Since `FIRST_DECLARED`; the declarations never fall, since what one migration removes stays removed."""
    before = ""
    for path in sorted(VERSIONS.glob("[0-9]*_*.py")):
        script = read_script(path)
        declared = getattr(script, "oldest_code", None)
        if script.revision < FIRST_DECLARED:
            assert declared is None, f"{path.name} is older than the table of the declarations"
            continue
        assert declared in list_revisions(), f"{path.name}: say with `oldest_code` which code can run on this schema"
        assert before <= declared <= script.revision, f"{path.name}: oldest_code is from {before} to {script.revision}"
        before = declared


@pytest.fixture
def schema(server_url: str, worker_id: str) -> str:
    return migrated_database(server_url, f"compatible_{worker_id}")


async def run_sql(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def pretend_newer(url: str, oldest_code: str, revision: str = "9000") -> None:
    """Do to the database what a migration of a later version does."""
    await run_sql(
        url,
        f"UPDATE alembic_version SET version_num = '{revision}'",
        f"INSERT INTO schema_compatibility VALUES ('{revision}', '{oldest_code}')",
    )


async def test_migrations_store_their_declarations(schema: str) -> None:
    connection = await asyncpg.connect(schema)
    stored = dict(await connection.fetch("SELECT revision, oldest_code FROM schema_compatibility"))
    await connection.close()
    declared = {
        script.revision: script.oldest_code
        for script in map(read_script, VERSIONS.glob("[0-9]*_*.py"))
        if script.revision >= FIRST_DECLARED
    }
    assert stored == declared


async def test_old_instance_stays_ready_and_restarts_beside_a_newer_compatible_schema(schema: str) -> None:
    engine = create_test_engine(schema)
    assert await check_database(engine) == HEAD
    await pretend_newer(schema, oldest_code=HEAD)
    assert await check_database(engine) == "9000"
    await migration.require_compatible_database(schema)
    lines: list[str] = []
    assert await migration.migrate_to(schema, HEAD, show=lines.append) == "9000"
    assert lines == ["The database is at revision 9000 of a newer version, on which this version can run"]
    assert await migration.plan_migration(schema, HEAD) == []
    await engine.dispose()


async def test_old_instance_is_not_ready_on_a_schema_that_is_too_new(schema: str) -> None:
    engine = create_test_engine(schema)
    await pretend_newer(schema, oldest_code="8999")
    with pytest.raises(NotReady):
        await check_database(engine)
    await engine.dispose()
    said = await asyncio.to_thread(run_refused, "serve", XUEZU_DATABASE_URL=schema, XUEZU_PORT=find_free_port())
    assert said.endswith(
        f"is at revision 9000, which needs a version of Xuezu with revision 8999 or newer, and this version has "
        f"{HEAD}: run a newer version."
    )
    with pytest.raises(CannotStart, match="run a newer version"):
        await migration.migrate_to_head(schema)


async def test_contract_stays_in_force_after_a_later_careless_declaration(schema: str) -> None:
    await pretend_newer(schema, oldest_code="8999", revision="8999")
    await pretend_newer(schema, oldest_code=HEAD)
    with pytest.raises(CannotStart, match="revision 8999 or newer"):
        await migration.require_compatible_database(schema)


async def test_database_from_before_the_declarations_needs_a_migration(schema: str) -> None:
    await run_sql(schema, "DROP TABLE schema_compatibility", "UPDATE alembic_version SET version_num = '0062'")
    engine = create_test_engine(schema)
    with pytest.raises(NotReady):
        await check_database(engine)
    await engine.dispose()
    with pytest.raises(CannotStart, match="is at revision 0062 and this version of Xuezu needs"):
        await migration.require_compatible_database(schema)


def test_schema_that_is_older_than_the_code_is_refused_unless_it_is_migrated() -> None:
    old = SchemaState(STEP_DOWN, STEP_DOWN)
    assert not is_compatible(old)
    require_compatible(old, "db", migrating=True)
    assert not is_compatible(SchemaState(None, None))


# xuezu migrate --to, --check, --down


async def test_plan_lists_what_would_run_and_changes_nothing(database: str) -> None:
    steps = await migration.plan_migration(database, "0003")
    assert [step.revision for step in steps] == ["0001", "0002", "0003"]
    assert all(step.summary and not step.down for step in steps)
    assert (await migration.plan_migration(database, HEAD))[-1].revision == HEAD
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT to_regclass('alembic_version')") is None
    await connection.close()


async def test_newest_migrations_go_down_and_up_again(schema: str) -> None:
    """The rehearsed way back: each of the last migrations, and the tables are the same afterwards."""
    before = await read_columns(schema)
    target = list_revisions()[list_revisions().index("0058")]
    with pytest.raises(CannotStart, match="add --down"):
        await migration.migrate_to(schema, target)
    planned = await migration.plan_migration(schema, target, down=True)
    assert [step.revision for step in planned] == list(reversed(list_revisions()[list_revisions().index(target) + 1 :]))
    assert await migration.migrate_to(schema, target, down=True) == target
    assert await read_columns(schema) != before
    await migration.migrate_to_head(schema)
    assert await read_columns(schema) == before
    await migration.require_compatible_database(schema)


async def read_columns(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable AS line"
        " FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1"
    )
    await connection.close()
    return [row["line"] for row in rows]


async def test_migrate_command_checks_and_migrates_to_a_revision(schema: str) -> None:
    def xuezu(*arguments: str) -> tuple[int, str]:
        with program(".venv/bin/xuezu", *arguments, XUEZU_DATABASE_URL=schema) as started:
            code = started.process.wait(60)
        return code, started.output

    assert await asyncio.to_thread(xuezu, "migrate", "--check") == (0, "No migration would run.\n")
    await asyncio.to_thread(migration.migrate, schema, STEP_DOWN, down=True)
    code, said = await asyncio.to_thread(xuezu, "migrate", "--check")
    assert code == 3
    assert said.startswith(f"to {HEAD}: ")
    assert await asyncio.to_thread(xuezu, "migrate", "--to", STEP_DOWN) == (
        0,
        f"The database is at revision {STEP_DOWN}.\n",
    )


async def test_unknown_revision_is_refused(schema: str) -> None:
    with pytest.raises(CannotStart, match=f"Revision 9999 is not one of this version of Xuezu: its newest is {HEAD}"):
        await migration.migrate_to(schema, "9999")
