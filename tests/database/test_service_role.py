"""The service, its worker and the rotations run as a role that owns nothing, and this role cannot change the audit."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest
from pydantic import SecretStr

from app.audit_log.entries import Actor
from app.core.calendar import today
from app.core.cipher import Cipher
from app.core.settings import CannotStart, Settings, make_key
from app.database.connections import Database, Role
from app.database.roles import build_roles_sql
from app.key_rotation.data_key import rotate_data_keys
from app.reports.rollup.rebuild import rebuild_all
from app.worker.retention import CLEAN_UPS, run_clean_up
from app.worker.worker import run_worker
from devtools.demo.play import Play
from tests.conftest import migrated_database
from tests.databases import create_test_engine
from tests.live import serve_in_thread

OLD = today() - timedelta(days=500)
OLD_MONTH = OLD.replace(day=1)


class Roles:
    """The addresses of one database for its owner, the service and an auditor."""

    def __init__(self, owner: str) -> None:
        name = uuid4().hex[:12]
        self.owner, self.groups = owner, (f"service_{name}", f"auditor_{name}")
        self.logins = tuple(f"{group}_login" for group in self.groups)
        user = owner.partition("://")[2].partition("@")[0]
        self.service, self.auditor = (owner.replace(f"//{user}@", f"//{login}@", 1) for login in self.logins)


@pytest.fixture(scope="module")
async def roles(server_url: str, worker_id: str) -> AsyncIterator[Roles]:
    name = f"roles_{worker_id}"
    found = Roles(await asyncio.to_thread(migrated_database, server_url, name))
    owner = await asyncpg.connect(found.owner)
    for _ in range(2):  # again, as after an upgrade
        await owner.execute(build_roles_sql(*found.groups))
    for group, login in zip(found.groups, found.logins, strict=True):
        await owner.execute(f"CREATE ROLE {login} LOGIN IN ROLE {group}")
    await owner.close()
    yield found
    administrator = await asyncpg.connect(server_url)
    await administrator.execute(f"DROP DATABASE {name} WITH (FORCE)")
    for role in (*found.logins, *found.groups):
        await administrator.execute(f"DROP ROLE {role}")
    await administrator.close()


@pytest.fixture
async def service(roles: Roles) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(roles.service)
    yield connection
    await connection.close()


async def test_service_and_worker_do_all_their_work_as_the_role(roles: Roles, tmp_path: Path) -> None:
    settings = Settings(database_url=SecretStr(roles.service), data_dir=tmp_path).complete_secrets()
    working = asyncio.create_task(run_worker(settings))
    try:
        with serve_in_thread(settings) as url, httpx.Client(base_url=url, timeout=30) as client:
            client.headers["Accept-Language"] = "en"
            play = Play(client, None)
            assert await asyncio.to_thread(play.run), play.log[-1]
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working

    owner = await asyncpg.connect(roles.owner)
    await owner.execute("SELECT make_partition('org_totals', $1, $1::date + 1)", OLD)
    await owner.execute("ALTER TABLE outgoing_events DETACH PARTITION partitions.outgoing_events_first")
    await owner.execute(
        "SELECT make_partition('outgoing_events', $1, ($1::date + interval '1 month')::date)", OLD_MONTH
    )
    engine = create_test_engine(roles.service)
    deleted = {each.name: await run_clean_up(engine, each) for each in CLEAN_UPS}
    assert (deleted["totals"], deleted["outgoing-events"]) == (1, 1)

    new_keys = SecretStr(f"next:{make_key()},{settings.data_keys.get_secret_value()}" if settings.data_keys else "")
    cipher = Cipher(settings.model_copy(update={"data_keys": new_keys}))
    assert await rotate_data_keys(engine, cipher, Actor(), lambda *_: None) == {}
    await engine.dispose()
    connection = await Database.from_url(roles.service).connect(Role.JOB)
    await rebuild_all(connection)
    await connection.close()
    await owner.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET action = 'x'",
        "DELETE FROM audit_entries",
        "TRUNCATE audit_entries",
        "DROP TABLE audit_entries",
        "ALTER TABLE audit_entries DISABLE TRIGGER ALL",
        "DROP TRIGGER audit_entries_append_only ON audit_entries",
        "UPDATE partitions.audit_entries_first SET action = 'x'",
        "UPDATE outgoing_events SET type = 'x'",
        "DELETE FROM outgoing_events",
        "UPDATE audit_seals SET entries = 1",
        "DELETE FROM audit_seals",
        "DELETE FROM point_events",
        "UPDATE alembic_version SET version_num = '0001'",
        "SET session_replication_role = replica",
        "CREATE TABLE mine (id int)",
        "CREATE TABLE partitions.mine (id int)",
        "CREATE SCHEMA mine",
        "ALTER TABLE users ADD COLUMN more int",
        "TRUNCATE users",
        "DROP FUNCTION refuse_change() CASCADE",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "SELECT create_partition('point_events', '2030-01-01', '2030-01-02')",
    ],
)
async def test_role_changes_neither_the_schema_nor_the_audit(service: asyncpg.Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute(statement)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("make_partition('users', '2026-01-01', '2026-01-02')", asyncpg.CheckViolationError),
        ("make_partition('point_events', '2026-01-01', '2027-01-01')", asyncpg.CheckViolationError),
        ("make_partition('audit_entries', '2026-01-15', '2026-02-15')", asyncpg.CheckViolationError),
        ("make_partition('point_events; DROP TABLE users', '2026-01-01', '2026-01-02')", asyncpg.CheckViolationError),
        ("make_partition('point_events', '2090-01-01', '2090-01-02')", asyncpg.InsufficientPrivilegeError),
        ("drop_partition('audit_entries', 'partitions.audit_entries_first')", asyncpg.InsufficientPrivilegeError),
        ("drop_partition('outgoing_events', (SELECT max(name) FROM list_partitions('outgoing_events')))",
         asyncpg.InsufficientPrivilegeError),
        ("drop_partition('outgoing_events', 'users')", asyncpg.WrongObjectTypeError),
        ("drop_partition('users', 'users')", asyncpg.WrongObjectTypeError),
    ],
)  # fmt: skip
async def test_functions_of_partitions_accept_their_own_tables_and_ranges_only(
    service: asyncpg.Connection, call: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await service.execute(f"SELECT {call}")


async def test_temporary_object_does_not_replace_what_the_functions_of_the_owner_use(
    service: asyncpg.Connection,
) -> None:
    await service.execute("CREATE TEMPORARY TABLE pg_class (oid oid, relnamespace oid)")
    await service.execute("CREATE TEMPORARY TABLE org_totals (day date)")
    await service.execute("SET search_path = pg_temp, public")
    with pytest.raises(asyncpg.WrongObjectTypeError):
        await service.execute("SELECT drop_partition('org_totals', 'pg_temp.org_totals')")


async def test_tables_of_later_migrations_are_the_services_too(roles: Roles, service: asyncpg.Connection) -> None:
    owner = await asyncpg.connect(roles.owner)
    await owner.execute("CREATE TABLE later (id bigserial PRIMARY KEY, name text)")
    try:
        await service.execute("INSERT INTO later (name) VALUES ('a'); UPDATE later SET name = 'b'; DELETE FROM later")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute("TRUNCATE later")
    finally:
        await owner.execute("DROP TABLE later")
        await owner.close()


async def test_auditor_reads_the_trail_alone(roles: Roles) -> None:
    owner = await asyncpg.connect(roles.owner)
    await owner.execute(
        "INSERT INTO audit_entries (action, subject_type, after) VALUES ('a.made', 'a', '{\"name\": \"李雷\"}')"
    )
    await owner.close()
    auditor = await asyncpg.connect(roles.auditor)
    found = await auditor.fetchrow("SELECT * FROM audit_trail WHERE action = 'a.made'")
    assert set(found.keys()) == {
        "id", "at", "org_id", "user_id", "client_id", "action", "subject_type", "subject_id", "request_id"
    }  # fmt: skip
    assert "李雷" not in str(found)
    for statement in ("SELECT * FROM audit_entries", "SELECT * FROM users", "DELETE FROM audit_trail"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await auditor.execute(statement)
    await auditor.close()


@pytest.mark.parametrize("name", ["", "Boss", 'a"; DROP TABLE users; --', "pg_read_all_data"])
def test_name_of_a_role_that_would_be_quoted_is_refused(name: str) -> None:
    with pytest.raises(CannotStart, match="is no name of a role"):
        build_roles_sql(name)
