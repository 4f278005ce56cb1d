"""Signing keys: rotation ends no session, and a leaked key is removed at once."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor
from app.authz.signing_keys import drop_signing_key, rotate_signing_key
from app.authz.tokens import SIGNING_KEYS
from app.core.cipher import CIPHER
from app.core.settings import Settings
from app.database.db import ENGINE
from app.main import create_app
from tests.people import People, Person


async def list_published(api: httpx.AsyncClient) -> set[str]:
    return {key["kid"] for key in (await api.get("/oauth/jwks")).json()["keys"]}


async def wait_until_published(api: httpx.AsyncClient, kid: str, present: bool = True) -> None:
    for _ in range(50):
        if (kid in await list_published(api)) is present:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the change of the keys did not arrive")


async def rotate(app: FastAPI, **options: timedelta) -> str:
    async with ENGINE.get(app).begin() as db:
        return await rotate_signing_key(db, CIPHER.get(app), Actor(), **options)


async def refresh(person: Person) -> str:
    form = {"grant_type": "refresh_token", "client_id": "xuezu-app", "refresh_token": person.refresh_token}
    tokens = (await person.api.post("/oauth/token", data=form)).json()
    person.refresh_token = tokens["refresh_token"]
    return str(tokens["access_token"])


async def read_status(api: httpx.AsyncClient, token: str) -> int:
    return (await api.get("/v1/me", headers={"Authorization": f"Bearer {token}"})).status_code


async def test_rotation_ends_no_session(app: FastAPI, people: People) -> None:
    person = await people.register(verified=False, party=False)
    keys = SIGNING_KEYS.get(app)
    before, _ = await keys.get_signing_key()
    next_kid = await rotate(app)
    await wait_until_published(people.api, next_kid)
    assert (await keys.get_signing_key())[0] == before, "a new key is published before it signs"
    active_kid = await rotate(app, lead=timedelta())
    await wait_until_published(people.api, active_kid)
    assert (await keys.get_signing_key())[0] == active_kid
    assert await read_status(people.api, person.token) == 200
    assert await read_status(people.api, await refresh(person)) == 200


async def test_tokens_of_a_dropped_key_are_refused_at_once(app: FastAPI, people: People) -> None:
    leaked = await rotate(app, lead=timedelta())
    await wait_until_published(people.api, leaked)
    person = await people.register(verified=False, party=False)
    assert await read_status(people.api, person.token) == 200
    await rotate(app, lead=timedelta())
    async with ENGINE.get(app).begin() as db:
        assert await drop_signing_key(db, Actor(), leaked)
    await wait_until_published(people.api, leaked, present=False)
    assert await read_status(people.api, person.token) == 401
    assert await read_status(people.api, await refresh(person)) == 200


async def test_old_keys_are_deleted_after_their_last_token_expires(
    app: FastAPI, people: People, db: AsyncConnection
) -> None:
    first = await rotate(app, lead=timedelta())
    second = await rotate(app, lead=timedelta())
    for kid, minutes in ((first, 30), (second, 20)):
        await db.execute(
            text("UPDATE signing_keys SET active_from = now() - CAST(:ago AS interval) WHERE kid = :kid"),
            {"ago": timedelta(minutes=minutes), "kid": kid},
        )
    third = await rotate(app, lead=timedelta())
    await wait_until_published(people.api, third)
    kids = await list_published(people.api)
    assert first not in kids
    assert {second, third} <= kids


async def test_processes_that_start_together_create_one_key(settings: Settings, db: AsyncConnection) -> None:
    await db.execute(text("DELETE FROM signing_keys"))
    apps = [create_app(settings) for _ in range(4)]

    async def kids(application: FastAPI) -> set[str]:
        async with application.router.lifespan_context(application):
            ring = SIGNING_KEYS.get(application)
            return {key["kid"] for key in (await ring.build_jwks())["keys"]}

    seen = await asyncio.gather(*(kids(application) for application in apps))
    assert len(set.union(*seen)) == 1


async def test_private_key_is_stored_encrypted(app: FastAPI, db: AsyncConnection) -> None:
    kid = await rotate(app, lead=timedelta())
    encrypted = await db.scalar(text("SELECT private_cipher FROM signing_keys WHERE kid = :kid"), {"kid": kid})
    assert encrypted is not None
    assert b"PRIVATE" not in encrypted
    assert CIPHER.get(app).decrypt(encrypted, kid).startswith(b"-----BEGIN PRIVATE KEY-----")
