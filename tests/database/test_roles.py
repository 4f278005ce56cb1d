"""Every connection has the time limits of its role, and its socket those of the operating system."""

import asyncio
import socket
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.core.settings import ConfigurationError, Settings
from app.database.connections import LIMITS, Database, DatabaseAway, Role
from app.database.db import create_engine_over
from tests.processes import ROOT, find_free_port
from tests.tcp_proxy import run_proxy


@pytest.mark.parametrize("role", Role)
async def test_connection_has_the_limits_of_its_role(database_url: str, role: Role) -> None:
    connection = await Database.from_url(database_url).connect(role)
    shown = await connection.fetch(
        "SELECT setting::int / 1000, unit FROM unnest($1::text[]) WITH ORDINALITY AS wanted (name, place)"
        " JOIN pg_settings USING (name) ORDER BY place",
        ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"],
    )
    check = await connection.fetchval("SHOW client_connection_check_interval")
    await connection.close()
    limits = LIMITS[role]
    assert [tuple(row) for row in shown] == [
        (limits.statement, "ms"),
        (limits.lock, "ms"),
        (limits.idle_in_transaction, "ms"),
    ]
    assert check == "10s"


async def test_engine_has_the_limits_of_its_role_and_the_options_of_the_address(database_url: str) -> None:
    database = Database.from_url(f"{database_url}&options=-cstatement_timeout%3D7s%20-cwork_mem%3D9MB")
    engine = create_engine_over(database, Role.REQUEST, size=0)
    async with engine.connect() as db:
        shown = "SELECT current_setting('statement_timeout'), current_setting('work_mem'), current_setting('timezone')"
        assert tuple((await db.execute(text(shown))).one()) == ("7s", "9MB", "UTC")
    await engine.dispose()


async def test_sockets_are_given_up_when_the_host_is_silent(database_url: str) -> None:
    wanted = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
    async with run_proxy(database_url) as (_, address):
        found = []
        for query in ("", "&keepalives_idle=33&tcp_user_timeout=4000", "&keepalives=0"):
            connection = await Database.from_url(address + query).connect(Role.REQUEST)
            opened = connection._transport.get_extra_info("socket")
            kept = opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            found.append((kept, [opened.getsockopt(socket.IPPROTO_TCP, option) for option in wanted]))
            # The server, too, notices that this machine is gone.
            assert await connection.fetchval("SHOW tcp_user_timeout") is not None
            await connection.close()
    assert found[0] == (1, [5, 1, 4, 8000])
    assert found[1] == (1, [33, 1, 4, 4000])
    assert found[2][0] == 0
    assert found[2][1][3] == 8000


async def test_host_that_refuses_or_is_silent_is_passed_over(database_url: str) -> None:
    async with run_proxy(database_url) as (silent, silent_address), run_proxy(database_url) as (_, address):
        silent.silent = True
        hosts = f"127.0.0.1:{find_free_port()},127.0.0.1:{silent.port},{address.rpartition('@')[2].partition('/')[0]}"
        user, _, rest = silent_address.partition("127.0.0.1")
        database = Database.from_url(f"{user}{hosts}/{rest.partition('/')[2]}&connect_timeout=1")
        for _ in range(3):
            connection = await database.connect(Role.REQUEST)
            assert await connection.fetchval("SELECT 1") == 1
            await connection.close()
        # The host that worked is tried first the next time.
        assert silent.connections == 1


async def test_server_that_cannot_be_written_is_no_primary(database_url: str) -> None:
    """A target is what the address says, or with several hosts the one that can be written."""
    read_only = "&options=-cdefault_transaction_read_only%3Don"
    async with run_proxy(database_url) as (_, address):
        pair = address.replace("@", "@127.0.0.1:1,") + read_only
        with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
            await Database.from_url(pair).connect(Role.REQUEST)
        for target in ("any", "read-only", "primary"):
            connection = await Database.from_url(f"{pair}&target_session_attrs={target}").connect(Role.REQUEST)
            await connection.close()
        connection = await Database.from_url(address + read_only).connect(Role.REQUEST)  # the only host
        await connection.close()


async def test_errors_of_a_connection_name_no_secret(tmp_path: Path) -> None:
    address = f"postgresql://boss:s3cret@127.0.0.1:{find_free_port()}/xuezu"
    with pytest.raises(ConnectionError) as refused:
        await Database.from_url(address).connect(Role.REQUEST)
    assert "s3cret" not in str(refused.value)
    assert "boss" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="verify-full need `sslrootcert`"):
        await Database.from_url(f"{address}?sslmode=verify-full").connect(Role.REQUEST)
    for name in ("sslrootcert", "sslcert"):
        with pytest.raises(ConfigurationError, match=f"The file of `{name}` in the URL of the database cannot be read"):
            await Database.from_url(f"{address}?sslmode=require&{name}={tmp_path / 'none'}").connect(Role.REQUEST)


async def test_no_connection_is_tried_while_the_database_is_away(database_url: str) -> None:
    database = Database.from_url(database_url)
    database.is_away = True
    with pytest.raises(DatabaseAway):
        await database.connect(Role.REQUEST)
    probe = await database.connect(Role.LISTEN, while_away=True)
    await probe.close()


async def test_pool_replaces_connections_that_were_aborted(database_url: str) -> None:
    database = Database.from_url(database_url)
    engine = create_engine_over(database, Role.REQUEST, size=2)
    async with engine.connect(), engine.connect():
        pass
    async with engine.connect() as db:
        sleeping = asyncio.create_task(db.execute(text("SELECT pg_sleep(20)")))
        await asyncio.sleep(0.2)
        assert database.abort_connections() == 2
        with pytest.raises(Exception, match="connection was closed in the middle of operation"):
            await sleeping
    for _ in range(3):
        async with engine.connect() as db:
            assert await db.scalar(text("SELECT 1")) == 1
    await engine.dispose()


def test_requests_use_the_pooler_and_all_other_roles_a_session() -> None:
    settings = Settings(
        database_url=SecretStr("postgresql://pooler/d"),
        direct_url=SecretStr("postgresql://direct/d"),
        transaction_pooler=True,
    )
    database = Database.from_settings(settings)
    assert [role for role in Role if database.uses_pooler(role)] == [Role.REQUEST]
    assert str(database) == "direct/d"


def test_only_one_module_opens_connections() -> None:
    """A connection that is opened elsewhere has no limits, and another reading of the address."""
    for directory in ("app", "migrations", "devtools"):
        for path in (ROOT / directory).rglob("*.py"):
            if path != ROOT / "app" / "database" / "connections.py":
                written = path.read_text()
                for call in ("asyncpg.connect(", "asyncpg.create_pool("):
                    assert call not in written, path
                assert "create_async_engine(" not in written or path == ROOT / "app" / "database" / "db.py", path
