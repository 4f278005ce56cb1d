"""The access tokens' keys: rotated without signing anybody out, and gone at once where one has leaked."""

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


async def published(api: httpx.AsyncClient) -> set[str]:
    return {key["kid"] for key in (await api.get("/oauth/jwks")).json()["keys"]}


async def until_published(api: httpx.AsyncClient, kid: str, there: bool = True) -> None:
    for _ in range(50):
        if (kid in await published(api)) is there:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the change was not heard of")


async def rotate(app: FastAPI, **options: timedelta) -> str:
    async with ENGINE.of(app).begin() as db:
        return await rotate_signing_key(db, CIPHER.of(app), Actor(), **options)


async def refreshed(person: Person) -> str:
    form = {"grant_type": "refresh_token", "client_id": "xuezu-app", "refresh_token": person.refresh_token}
    tokens = (await person.api.post("/oauth/token", data=form)).json()
    person.refresh_token = tokens["refresh_token"]
    return str(tokens["access_token"])


async def status(api: httpx.AsyncClient, token: str) -> int:
    return (await api.get("/v1/me", headers={"Authorization": f"Bearer {token}"})).status_code


async def test_rotation_signs_nobody_out(app: FastAPI, people: People) -> None:
    person = await people.register(verified=False, party=False)
    keys = SIGNING_KEYS.of(app)
    before, _ = await keys.signing()
    coming = await rotate(app)
    await until_published(people.api, coming)
    assert (await keys.signing())[0] == before, "a new key is published before it signs"
    now = await rotate(app, lead=timedelta())
    await until_published(people.api, now)
    assert (await keys.signing())[0] == now
    assert await status(people.api, person.token) == 200
    assert await status(people.api, await refreshed(person)) == 200


async def test_a_dropped_key_takes_its_tokens_along_at_once(app: FastAPI, people: People) -> None:
    leaked = await rotate(app, lead=timedelta())
    await until_published(people.api, leaked)
    person = await people.register(verified=False, party=False)
    assert await status(people.api, person.token) == 200
    await rotate(app, lead=timedelta())
    async with ENGINE.of(app).begin() as db:
        assert await drop_signing_key(db, Actor(), leaked)
    await until_published(people.api, leaked, there=False)
    assert await status(people.api, person.token) == 401
    assert await status(people.api, await refreshed(person)) == 200


async def test_old_keys_go_when_nothing_they_signed_can_live(app: FastAPI, people: People, db: AsyncConnection) -> None:
    first = await rotate(app, lead=timedelta())
    second = await rotate(app, lead=timedelta())
    for kid, minutes in ((first, 30), (second, 20)):
        await db.execute(
            text("UPDATE signing_keys SET active_from = now() - CAST(:ago AS interval) WHERE kid = :kid"),
            {"ago": timedelta(minutes=minutes), "kid": kid},
        )
    third = await rotate(app, lead=timedelta())
    await until_published(people.api, third)
    kids = await published(people.api)
    assert first not in kids
    assert {second, third} <= kids


async def test_processes_that_start_together_make_one_key(settings: Settings, db: AsyncConnection) -> None:
    await db.execute(text("DELETE FROM signing_keys"))
    apps = [create_app(settings) for _ in range(4)]

    async def kids(application: FastAPI) -> set[str]:
        async with application.router.lifespan_context(application):
            ring = SIGNING_KEYS.of(application)
            return {key["kid"] for key in (await ring.jwks())["keys"]}

    seen = await asyncio.gather(*(kids(application) for application in apps))
    assert len(set.union(*seen)) == 1


async def test_a_private_key_is_never_stored_in_clear(app: FastAPI, db: AsyncConnection) -> None:
    kid = await rotate(app, lead=timedelta())
    sealed = await db.scalar(text("SELECT private_cipher FROM signing_keys WHERE kid = :kid"), {"kid": kid})
    assert sealed is not None
    assert b"PRIVATE" not in sealed
    assert CIPHER.of(app).decrypt(sealed, kid).startswith(b"-----BEGIN PRIVATE KEY-----")
