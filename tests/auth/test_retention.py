"""Retention of sign-in data: expired data is deleted, valid data stays."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.auth import sessions
from tests.auth.consoles import Console
from tests.people import People, Person
from tests.retention import clean_up


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


async def refresh(api: httpx.AsyncClient, token: str) -> httpx.Response:
    form = {"grant_type": "refresh_token", "client_id": "xuezu-app", "refresh_token": token}
    return await api.post("/oauth/token", data=form)


async def test_clean_up_leaves_valid_data(engine: AsyncEngine, person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "REPEAT_WINDOW", timedelta(minutes=-1))
    console = await Console.request(person.api)
    tokens = (await refresh(person.api, person.refresh_token)).json()
    await clean_up(engine)
    assert await console.error() == "authorization_pending"
    assert (await person.get("/v1/me")).status_code == 200
    assert (await refresh(person.api, person.refresh_token)).status_code == 400
    assert (await person.get("/v1/me")).status_code == 401, "the replay is still known"
    assert (await refresh(person.api, tokens["refresh_token"])).status_code == 400


async def test_device_authorization_is_deleted_a_day_after_expiry(
    engine: AsyncEngine, person: Person, db: AsyncConnection
) -> None:
    consoles = [await Console.request(person.api) for _ in range(2)]
    for console, hours in zip(consoles, (23, 25), strict=True):
        await db.execute(
            text(
                "UPDATE device_authorizations SET expires_at = now() - CAST(:ago AS interval) WHERE user_code = :code"
            ),
            {"ago": timedelta(hours=hours), "code": console.user_code},
        )
    await clean_up(engine)
    assert [(await console.poll()).json()["error"] for console in consoles] == ["expired_token", "invalid_grant"]


async def test_refresh_token_used_over_a_week_ago_is_unknown(
    engine: AsyncEngine, person: Person, db: AsyncConnection
) -> None:
    tokens = (await refresh(person.api, person.refresh_token)).json()
    await db.execute(
        text(
            "UPDATE refresh_tokens SET used_at = used_at - interval '8 days' FROM sessions"
            " WHERE sessions.id = session_id AND user_id = :id"
        ),
        {"id": person.user_id},
    )
    await clean_up(engine)
    assert (await refresh(person.api, person.refresh_token)).status_code == 400
    assert (await refresh(person.api, tokens["refresh_token"])).status_code == 200
