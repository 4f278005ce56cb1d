"""Errors before the first use of the database: one sentence explains each, and the database is not changed."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import asyncpg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.core.settings import CannotStart
from app.database import migration
from app.database.schema_compatibility import get_head_revision, list_revisions
from tests.processes import ROOT, find_free_port, run_refused


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def refused(*arguments: str, **settings: object) -> str:
    return await asyncio.to_thread(run_refused, *arguments, **settings)


async def test_concurrent_migrations_run_one_after_the_other(database: str) -> None:
    lines: list[str] = []
    await asyncio.gather(*(migration.migrate_to_head(database, show=lines.append) for _ in range(2)))
    assert lines == [f"Migrating the database from nothing to {get_head_revision()}"]
    await migration.require_compatible_database(database)


async def test_database_at_another_revision_is_refused(database: str) -> None:
    await migration.migrate_to_head(database)
    await execute(database, "UPDATE alembic_version SET version_num = '0001'")
    behind = await refused("serve", XUEZU_DATABASE_URL=database, XUEZU_PORT=find_free_port())
    assert f"is at revision 0001 and this version of Xuezu needs {get_head_revision()}: run `xuezu migrate`" in behind
    await execute(database, "UPDATE alembic_version SET version_num = 'f00d'")
    ahead = await refused("run", XUEZU_DATABASE_URL=database, XUEZU_PORT=find_free_port())
    assert "is at revision f00d, which this version of Xuezu does not know: a newer version has" in ahead
    with pytest.raises(CannotStart, match="does not know"):
        await migration.require_compatible_database(database)


async def test_database_without_utf8_is_refused(server_url: str) -> None:
    name = f"latin_{uuid4().hex}"
    await execute(
        server_url,
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'",
    )
    with pytest.raises(CannotStart, match="is encoded in LATIN1 and Xuezu needs UTF8"):
        await migration.migrate_to_head(server_url.replace("/postgres?", f"/{name}?"))


async def test_user_without_privileges_is_refused(server_url: str, database: str) -> None:
    role = f"guest_{uuid4().hex}"
    await execute(server_url, f"CREATE ROLE {role} LOGIN")
    with pytest.raises(CannotStart, match=r"may not make tables in .*: let it own the database"):
        await migration.migrate_to_head(database.replace("postgres@", f"{role}@"))


async def test_locked_table_stops_the_migration(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migration, "LOCK_TIMEOUT", "200ms")
    await migration.migrate_to_head(database)
    holder = await asyncpg.connect(database)
    async with holder.transaction():
        await holder.execute("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(CannotStart, match="is locked by another session: try again"):
            await migration.migrate_to_head(database)
    await holder.close()


async def test_database_of_an_unreleased_version_is_refused(database: str) -> None:
    await execute(database, "CREATE TABLE users (mine text)")
    with pytest.raises(CannotStart, match=r'failed \(relation "users" already exists\) and it stays at the last'):
        await migration.migrate_to_head(database)


async def test_unreachable_database_is_refused(server_url: str) -> None:
    address = f"postgresql://boss:s3cret@127.0.0.1:{find_free_port()}/xuezu"
    lines = await refused("run", XUEZU_DATABASE_URL=address, XUEZU_PORT=find_free_port())
    assert f"The database {address.rpartition('@')[2]} cannot be reached (" in lines
    assert "make run" in lines
    for url, sentence in (
        (server_url.replace("/postgres?", "/nowhere?"), "does not exist: make it with CREATE DATABASE"),
        (server_url.replace("postgres@", "nobody@"), "refused the user or the password"),
        ("mysql://boss:s3cret@localhost/xuezu", "is no address: write postgresql://"),
        ("postgresql://boss:s3cret@[::1/xuezu", "is no address: write postgresql://"),
    ):
        with pytest.raises(CannotStart, match=sentence) as refusal_:
            await migration.require_compatible_database(url)
        assert "s3cret" not in str(refusal_.value)
    assert "s3cret" not in lines


async def test_old_postgresql_is_refused() -> None:
    with server_of_version("16.4") as port:
        lines = await refused("run", XUEZU_DATABASE_URL=f"postgresql://boss@127.0.0.1:{port}/xuezu?sslmode=disable")
    assert f"The database 127.0.0.1:{port}/xuezu is PostgreSQL 16.4 and Xuezu needs 18 or newer" in lines


@contextmanager
def server_of_version(version: str) -> Iterator[int]:
    """A server that greets with the version of an old PostgreSQL (protocol 3.0) and implements nothing else."""

    def message(kind: bytes, body: bytes) -> bytes:
        return kind + struct.pack("!I", len(body) + 4) + body

    def parameter(name: str, value: str) -> bytes:
        return message(b"S", f"{name}\0{value}\0".encode())

    greeting = (
        message(b"R", struct.pack("!I", 0))
        + parameter("server_version", version)
        + parameter("server_encoding", "UTF8")
        + parameter("client_encoding", "UTF8")
        + message(b"K", struct.pack("!II", 1, 1))
        + message(b"Z", b"I")
    )

    def greet() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                while (length := struct.unpack("!I", connection.recv(4))[0]) == 8:
                    connection.recv(length - 4)  # a request for TLS
                    connection.sendall(b"N")
                connection.recv(length - 4)
                connection.sendall(greeting)
                connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=greet, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def test_revisions_are_those_of_alembic_in_order() -> None:
    scripts = ScriptDirectory.from_config(Config(ROOT / "alembic.ini"))
    assert [script.revision for script in scripts.walk_revisions()] == list(reversed(list_revisions()))
