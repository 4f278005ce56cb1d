"""Rotation of the data keys: it rotates every value, beside writers and after a kill, and loses nothing."""

import asyncio
import subprocess
import sys
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.audit_log.entries import Actor
from app.core.cipher import CIPHER, Cipher, Undecryptable
from app.core.settings import Settings, make_key
from app.database.db import Table
from app.key_rotation import data_key as rotation
from app.key_rotation.encrypted_columns import ENCRYPTED_COLUMNS, EncryptedColumn
from app.schema.members import Member
from tests.acts import Json, add_member, get_body, list_all
from tests.members.sheets import Work, check, open_xlsx, xlsx
from tests.people import People, fresh_phone

MEMBERS = next(column for column in ENCRYPTED_COLUMNS if column.name == "members.phone_cipher")


def make_cipher(settings: Settings, keys: str) -> Cipher:
    return Cipher(settings.model_copy(update={"data_keys": SecretStr(keys)}))


@pytest.fixture
def both(settings: Settings) -> Cipher:
    """The cipher of a process that was restarted with a new key before the old key."""
    assert settings.data_keys is not None
    return make_cipher(settings, f"new{make_key()[:4]}:{make_key()},{settings.data_keys.get_secret_value()}")


def test_every_encrypted_column_is_rotated() -> None:
    found = {
        f"{table.name}.{column.name}"
        for table in Table.metadata.tables.values()
        for column in table.columns
        if column.name.endswith("_cipher")
    }
    assert {column.name for column in ENCRYPTED_COLUMNS} == found


def _set(event: asyncio.Event, *_: object) -> None:
    event.set()


async def _rotate_back(engine: AsyncEngine, settings: Settings, both: Cipher) -> None:
    """Encrypt with the old key again, which the service of this test run uses."""
    back = Cipher(settings)
    back._keys |= both._keys
    await rotation.rotate_data_keys(engine, back, Actor(), lambda *_: None)


def restart_with(service: Cipher, other: Cipher) -> None:
    """Let the service encrypt as the other cipher does, like a process that started with its settings."""
    service.primary, service.primary_prefix = other.primary, other.primary_prefix


async def test_data_key_rotation_during_writes_loses_no_value(
    people: People, engine: AsyncEngine, settings: Settings, both: Cipher, app: FastAPI, worker: Work
) -> None:
    """A service with both keys adds and edits people while the rotation is killed twice and runs again.

    At the end the new key alone decrypts every value, and every phone is unchanged.
    """
    admin = await people.register()
    org = await admin.create_org()
    phones: dict[str, str] = {}

    async def add() -> Json:
        phone = fresh_phone()
        member = await add_member(admin, org, phone=phone)
        phones[member["id"]] = phone
        return member

    members = [await add() for _ in range(20)]
    get_body(await admin.post(f"/v1/orgs/{org['id']}/members/exports", json={}), 202)
    refused = await check(admin, org["id"], worker, xlsx([("无号", "1", "无此支部")]))
    writing = True

    async def write() -> None:
        number = 0
        while writing:
            member = members[number % len(members)]
            path = f"/v1/orgs/{org['id']}/members/{member['id']}"
            phone = fresh_phone()
            get_body(await admin.patch(path, json={"phone": phone}))
            phones[member["id"]] = phone
            members.append(await add())
            number += 1

    # The service has the new key, but encrypts with the old key until its restart.
    service: Cipher = CIPHER.get(app)
    service._keys |= both._keys
    writer = asyncio.create_task(write())
    small = EncryptedColumn(MEMBERS.attribute, MEMBERS.bound_columns, batch_size=3)
    progress: list[tuple[str, int, int]] = []
    try:
        for _ in range(2):
            under_way = asyncio.Event()
            begun = partial(_set, under_way)
            killed = asyncio.create_task(rotation._rotate_column(engine, both, small, begun))
            await under_way.wait()
            killed.cancel()
            await asyncio.gather(killed, return_exceptions=True)
        restart_with(service, both)
        assert await rotation.rotate_data_keys(engine, both, Actor(), lambda *step: progress.append(step)) == {}
        await asyncio.gather(*(rotation.rotate_data_keys(engine, both, Actor(), lambda *_: None) for _ in range(2)))
    finally:
        writing = False
        await writer
    try:
        assert {column for column, _, _ in progress} >= {"members.phone_cipher", "users.phone_cipher"}
        alone = Cipher(settings)
        alone._keys = {both.primary: both._keys[both.primary]}
        async with engine.connect() as db:
            for column in ENCRYPTED_COLUMNS:
                assert await rotation.count_unrotated(engine, both, column) == 0, column.name
            rows = (
                await db.execute(
                    text("SELECT id, phone_cipher, phone_index FROM members WHERE org_id = :org"), {"org": org["id"]}
                )
            ).all()
        found = {str(row.id): alone.decrypt_text(row.phone_cipher, row.id) for row in rows}
        assert {member_id: found[member_id] for member_id in phones} == phones
        assert all(row.phone_index == alone.index_phone(found[str(row.id)]) for row in rows)
        with pytest.raises(Undecryptable):
            alone.decrypt(rows[0].phone_cipher, UUID(int=1))
    finally:
        restart_with(service, Cipher(settings))
        await _rotate_back(engine, settings, both)
    # After the rotation back, the file that was made before is complete.
    (export,) = await list_all(admin, f"/v1/orgs/{org['id']}/exports")
    assert (await admin.get(export["content"])).status_code == 200
    # The cells of a refused row are complete too.
    sheet = await admin.get(f"/v1/orgs/{org['id']}/imports/{refused['id']}/failed-rows.xlsx")
    assert open_xlsx(sheet.content).active["A2"].value == "无号"


async def test_locked_row_is_rotated_after_the_lock_ends(
    people: People, engine: AsyncEngine, settings: Settings, both: Cipher
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    member = await add_member(admin, org)
    async with engine.connect() as other:
        await other.begin()
        await other.execute(text("SELECT FROM members WHERE id = :id FOR UPDATE"), {"id": member["id"]})
        others_rotated = asyncio.Event()

        def progress(_: str, done: int, total: int) -> None:
            if done == total - 1:
                others_rotated.set()

        rotating = asyncio.create_task(rotation._rotate_column(engine, both, MEMBERS, progress))
        await others_rotated.wait()  # without waiting for the locked row
        assert not rotating.done()
        await other.rollback()
    assert (await rotating)[1] == 0
    assert await rotation.count_unrotated(engine, both, MEMBERS) == 0
    await _rotate_back(engine, settings, both)


async def test_undecryptable_value_is_reported_and_left_unchanged(
    people: People, engine: AsyncEngine, db: AsyncConnection, settings: Settings, both: Cipher
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    member = await add_member(admin, org)
    where = {"id": UUID(member["id"])}
    stored = await db.scalar(text("SELECT phone_cipher FROM members WHERE id = :id"), where)
    lost = make_cipher(settings, f"lost:{make_key()}").encrypt("13800138000", member["id"])
    write = Member.__table__.update().where(Member.id == where["id"])  # type: ignore[attr-defined]  # SQLAlchemy types it as a FromClause
    await db.execute(write.values(phone_cipher=lost))
    try:
        assert await rotation.rotate_data_keys(engine, both, Actor(), lambda *_: None) == {"members.phone_cipher": 1}
        assert await db.scalar(text("SELECT phone_cipher FROM members WHERE id = :id"), where) == lost
    finally:
        await db.execute(write.values(phone_cipher=stored))
        await _rotate_back(engine, settings, both)


def test_data_key_rotation_command_prints_what_it_rotated_and_what_remains(settings: Settings, directory: Path) -> None:
    assert settings.database_url is not None
    assert settings.data_keys is not None
    assert settings.index_key is not None
    given = {
        "XUEZU_DATABASE_URL": settings.database_url.get_secret_value(),
        "XUEZU_DATA_KEYS": settings.data_keys.get_secret_value(),
        "XUEZU_INDEX_KEY": settings.index_key.get_secret_value(),
        "XUEZU_DATA_DIR": str(directory),
    }
    ran = subprocess.run(
        [sys.executable, "-m", "app.cli", "keys", "rotate"],
        env=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "the other data keys are no longer needed" in ran.stdout
    made = subprocess.run(
        [sys.executable, "-m", "app.cli", "keys"], env=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert made.stdout.startswith("XUEZU_DATA_KEYS=k")
