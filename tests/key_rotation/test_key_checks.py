"""A process whose keys are not those of the database refuses to start with one sentence, and changes nothing."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from pydantic import SecretStr

from app.audit_log.entries import Actor
from app.authz.signing_keys import rotate_signing_key
from app.blind_index.key_checks import require_keys
from app.core.cipher import Cipher
from app.core.settings import CannotStart, Settings, make_key
from app.database.db import create_engine
from app.key_rotation.data_key import rotate_data_keys
from tests.conftest import migrated_database
from tests.processes import find_free_port, run_refused

FIRST, SECOND = f"first:{make_key()}", f"second:{make_key()}"
INDEX_KEY = make_key()
COMMANDS = ("serve", "worker", "run", "clients list", "totals verify", "keys rotate-index")


@pytest.fixture
def database(server_url: str) -> str:
    return migrated_database(server_url, f"keys_{uuid4().hex}")


def build_settings(database: str, data_keys: str = FIRST, index_key: str = INDEX_KEY) -> Settings:
    return Settings(database_url=SecretStr(database), data_keys=SecretStr(data_keys), index_key=SecretStr(index_key))


@pytest.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection]:
    connected = await asyncpg.connect(database)
    yield connected
    await connected.close()


async def add_user(connection: asyncpg.Connection, settings: Settings) -> None:
    cipher, user_id, phone = Cipher(settings), uuid4(), "13800138000"
    await connection.execute(
        "INSERT INTO users (id, phone_cipher, phone_index) VALUES ($1, $2, $3)",
        *(user_id, cipher.encrypt(phone, user_id), cipher.index_phone(phone)),
    )


async def add_signing_key(settings: Settings) -> None:
    engine = create_engine(settings)
    async with engine.begin() as db:
        await rotate_signing_key(db, Cipher(settings), Actor())
    await engine.dispose()


@pytest.mark.parametrize("command", COMMANDS)
async def test_every_process_with_another_index_key_refuses(database: str, command: str) -> None:
    await require_keys(build_settings(database))
    given = {"XUEZU_DATABASE_URL": database, "XUEZU_DATA_KEYS": FIRST, "XUEZU_INDEX_KEY": make_key()}
    sentence = run_refused(*command.split(), **given, XUEZU_PORT=find_free_port())
    assert sentence.startswith("XUEZU_INDEX_KEY has another key in place 1"), sentence


async def test_process_without_a_data_key_of_the_values_refuses_and_names_it(database: str) -> None:
    await require_keys(build_settings(database))
    await require_keys(build_settings(database, f"{SECOND},{FIRST}"))
    for given in (FIRST, SECOND, f"third:{make_key()}"):
        with pytest.raises(CannotStart, match=f"named {'second' if given == FIRST else 'first'}, which"):
            await require_keys(build_settings(database, given))
    with pytest.raises(CannotStart, match="another key named first"):
        await require_keys(build_settings(database, f"first:{make_key()}"))
    await require_keys(build_settings(database, f"{FIRST},{SECOND}"))


async def test_keys_of_an_earlier_release_are_compared_with_the_data(
    database: str, connection: asyncpg.Connection
) -> None:
    """That release recorded no key."""
    await add_user(connection, build_settings(database))
    with pytest.raises(CannotStart, match="XUEZU_INDEX_KEY is not the key"):
        await require_keys(build_settings(database, index_key=make_key()))
    with pytest.raises(CannotStart, match="named first, which"):
        await require_keys(build_settings(database, SECOND))
    assert await connection.fetchval("SELECT count(*) FROM data_keys") == 0
    await require_keys(build_settings(database))
    assert await connection.fetchval("SELECT key_id FROM data_keys") == "first"


async def test_signing_keys_of_another_data_key_are_found_without_users(database: str) -> None:
    await add_signing_key(build_settings(database))
    with pytest.raises(CannotStart, match="named first, which"):
        await require_keys(build_settings(database, SECOND))


async def test_rotation_ends_the_need_of_the_old_data_key(database: str, connection: asyncpg.Connection) -> None:
    await add_user(connection, build_settings(database))
    await require_keys(build_settings(database))
    both = build_settings(database, f"{SECOND},{FIRST}")
    await require_keys(both)
    engine = create_engine(both)
    await rotate_data_keys(engine, Cipher(both), Actor(), lambda *_: None)
    await require_keys(build_settings(database, SECOND))
    lost = build_settings(database, f"third:{make_key()}")
    with pytest.raises(CannotStart, match="keys rotate --without-lost-keys"):
        await require_keys(lost)
    await require_keys(lost, with_all_data_keys=False)
    rotated = await rotate_data_keys(engine, Cipher(lost), Actor(), lambda *_: None, without_lost_keys=True)
    assert rotated == {"users.phone_cipher": 1}
    await require_keys(lost)
    await engine.dispose()
