"""Rotating the data keys: everything, beside writers, killed in the middle, and nothing is lost."""

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
from app.key_rotation.encrypted_columns import SEALED, Sealed
from app.schema.members import Member
from tests.acts import Json, add_member, done, list_all
from tests.members.sheets import Work, check, open_xlsx, xlsx
from tests.people import People, fresh_phone

MEMBERS = next(sealed for sealed in SEALED if sealed.name == "members.phone_cipher")


def cipher_of(settings: Settings, keys: str) -> Cipher:
    return Cipher(settings.model_copy(update={"data_keys": SecretStr(keys)}))


@pytest.fixture
def both(settings: Settings) -> Cipher:
    """A process that was restarted with a new key before the old one."""
    assert settings.data_keys is not None
    return cipher_of(settings, f"new{make_key()[:4]}:{make_key()},{settings.data_keys.get_secret_value()}")


def test_every_encrypted_column_is_rotated() -> None:
    found = {
        f"{table.name}.{column.name}"
        for table in Table.metadata.tables.values()
        for column in table.columns
        if column.name.endswith("_cipher")
    }
    assert {sealed.name for sealed in SEALED} == found


def _set(event: asyncio.Event, *_: object) -> None:
    event.set()


async def _rotate_back(engine: AsyncEngine, settings: Settings, both: Cipher) -> None:
    """As the service of this test run wants it: by the old key again."""
    back = Cipher(settings)
    back._keys |= both._keys
    await rotation.rotate_data_keys(engine, back, Actor(), lambda *_: None)


async def test_a_rotation_in_the_middle_of_writes_loses_nothing(
    people: People, engine: AsyncEngine, settings: Settings, both: Cipher, app: FastAPI, worker: Work
) -> None:
    """People are added, edited and removed by processes with the old keys, first with both; the rotation is killed
    twice and run again. At its end every value is the new key's alone, and every phone is what it was."""
    admin = await people.register()
    org = await admin.create_org()
    phones: dict[str, str] = {}

    async def add() -> Json:
        phone = fresh_phone()
        member = await add_member(admin, org, phone=phone)
        phones[member["id"]] = phone
        return member

    members = [await add() for _ in range(20)]
    done(await admin.post(f"/v1/orgs/{org['id']}/members/exports", json={}), 202)
    refused = await check(admin, org["id"], worker, xlsx([("无号", "1", "无此支部")]))
    writing = True

    async def write() -> None:
        number = 0
        while writing:
            member = members[number % len(members)]
            path = f"/v1/orgs/{org['id']}/members/{member['id']}"
            phone = fresh_phone()
            done(await admin.patch(path, json={"phone": phone}))
            phones[member["id"]] = phone
            members.append(await add())
            number += 1

    # The service knows the new key, and as long as it is not restarted it writes by the old one.
    service: Cipher = CIPHER.of(app)
    service._keys |= both._keys
    writer = asyncio.create_task(write())
    small = Sealed(MEMBERS.column, MEMBERS.bound, batch=3)
    told: list[tuple[str, int, int]] = []
    try:
        for _ in range(2):
            under_way = asyncio.Event()
            begun = partial(_set, under_way)
            killed = asyncio.create_task(rotation._rotate(engine, both, small, begun))
            await under_way.wait()
            killed.cancel()
            await asyncio.gather(killed, return_exceptions=True)
        service.primary = both.primary  # restarted
        assert await rotation.rotate_data_keys(engine, both, Actor(), lambda *step: told.append(step)) == {}
        await asyncio.gather(*(rotation.rotate_data_keys(engine, both, Actor(), lambda *_: None) for _ in range(2)))
    finally:
        writing = False
        await writer
    try:
        assert {column for column, _, _ in told} >= {"members.phone_cipher", "users.phone_cipher"}
        alone = Cipher(settings)
        alone._keys = {both.primary: both._keys[both.primary]}
        async with engine.connect() as db:
            for sealed in SEALED:
                assert await rotation.count_left(engine, both, sealed) == 0, sealed.name
            rows = (
                await db.execute(
                    text("SELECT id, phone_cipher, phone_index FROM members WHERE org_id = :org"), {"org": org["id"]}
                )
            ).all()
        found = {str(row.id): alone.decrypt_text(row.phone_cipher, row.id) for row in rows}
        assert {member_id: found[member_id] for member_id in phones} == phones
        assert all(row.phone_index == alone.phone_index(found[str(row.id)]) for row in rows)
        with pytest.raises(Undecryptable):
            alone.decrypt(rows[0].phone_cipher, UUID(int=1))
    finally:
        service.primary = next(iter(settings.parsed_data_keys()))
        await _rotate_back(engine, settings, both)
    # By the old key again, the file that was made before is whole.
    (export,) = await list_all(admin, f"/v1/orgs/{org['id']}/exports")
    assert (await admin.get(export["content"])).status_code == 200
    # So are the cells of a row that was refused.
    sheet = await admin.get(f"/v1/orgs/{org['id']}/imports/{refused['id']}/failed-rows.xlsx")
    assert open_xlsx(sheet.content).active["A2"].value == "无号"


async def test_a_row_that_somebody_holds_is_come_back_to(
    people: People, engine: AsyncEngine, settings: Settings, both: Cipher
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    member = await add_member(admin, org)
    async with engine.connect() as held:
        await held.begin()
        await held.execute(text("SELECT FROM members WHERE id = :id FOR UPDATE"), {"id": member["id"]})
        others_done = asyncio.Event()

        def told(_: str, done: int, total: int) -> None:
            if done == total - 1:
                others_done.set()

        rotating = asyncio.create_task(rotation._rotate(engine, both, MEMBERS, told))
        await others_done.wait()  # without waiting for the one that is held
        assert not rotating.done()
        await held.rollback()
    assert (await rotating)[1] == 0
    assert await rotation.count_left(engine, both, MEMBERS) == 0
    await _rotate_back(engine, settings, both)


async def test_what_no_key_decrypts_is_told_and_left_as_it_is(
    people: People, engine: AsyncEngine, db: AsyncConnection, settings: Settings, both: Cipher
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    member = await add_member(admin, org)
    where = {"id": UUID(member["id"])}
    kept = await db.scalar(text("SELECT phone_cipher FROM members WHERE id = :id"), where)
    lost = cipher_of(settings, f"lost:{make_key()}").encrypt("13800138000", member["id"])
    write = Member.__table__.update().where(Member.id == where["id"])  # type: ignore[attr-defined]
    await db.execute(write.values(phone_cipher=lost))
    try:
        assert await rotation.rotate_data_keys(engine, both, Actor(), lambda *_: None) == {"members.phone_cipher": 1}
        assert await db.scalar(text("SELECT phone_cipher FROM members WHERE id = :id"), where) == lost
    finally:
        await db.execute(write.values(phone_cipher=kept))
        await _rotate_back(engine, settings, both)


def test_the_command_says_what_it_did(settings: Settings, folder: Path) -> None:
    assert settings.database_url is not None
    assert settings.data_keys is not None
    assert settings.index_key is not None
    given = {
        "XUEZU_DATABASE_URL": settings.database_url.get_secret_value(),
        "XUEZU_DATA_KEYS": settings.data_keys.get_secret_value(),
        "XUEZU_INDEX_KEY": settings.index_key.get_secret_value(),
        "XUEZU_DATA_DIR": str(folder),
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
