"""Sessions: refresh, list, end of one or all sessions, and end after the reuse of a refresh token."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.auth import sessions
from app.core.settings import Settings
from app.main import create_app
from tests.auth.consoles import DESKTOP, sign_in_console
from tests.people import People, Person


async def refresh(api: httpx.AsyncClient, refresh_token: str, client_id: str = "xuezu-app") -> httpx.Response:
    form = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": refresh_token}
    return await api.post("/oauth/token", data=form)


async def revoke(api: httpx.AsyncClient, token: str, client_id: str = "xuezu-app") -> httpx.Response:
    return await api.post("/oauth/revoke", data={"client_id": client_id, "token": token})


async def read_status(api: httpx.AsyncClient, token: str) -> int:
    return (await api.get("/v1/me", headers={"Authorization": f"Bearer {token}"})).status_code


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register_over_http(verified=False, party=False)


async def test_refresh_returns_new_tokens_of_the_same_session(person: Person) -> None:
    first = await refresh(person.api, person.refresh_token)
    assert first.status_code == 200
    assert first.headers["cache-control"] == "no-store"
    tokens = first.json()
    assert await read_status(person.api, tokens["access_token"]) == 200
    assert await read_status(person.api, person.token) == 200
    assert tokens["refresh_token"] != person.refresh_token
    assert (await refresh(person.api, tokens["refresh_token"])).status_code == 200
    assert len((await person.get("/v1/me/sessions")).json()["items"]) == 1


@pytest.fixture
def without_repeat_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every repeated use of a refresh token comes after the time in which a lost answer can be repeated."""
    monkeypatch.setattr(sessions, "REPEAT_WINDOW", timedelta(minutes=-1))


@pytest.mark.usefixtures("without_repeat_window")
async def test_reused_refresh_token_ends_the_session(person: Person, db: AsyncConnection) -> None:
    tokens = (await refresh(person.api, person.refresh_token)).json()
    replayed = await refresh(person.api, person.refresh_token)
    assert (replayed.status_code, replayed.json()["error"]) == (400, "invalid_grant")
    assert await read_status(person.api, person.token) == 401
    assert await read_status(person.api, tokens["access_token"]) == 401
    assert (await refresh(person.api, tokens["refresh_token"])).status_code == 400
    reasons = await db.execute(
        text(
            "SELECT after->>'reason' FROM audit_entries a JOIN sessions s ON s.id = a.subject_id"
            " WHERE action = 'session.ended' AND s.user_id = :id"
        ),
        {"id": person.user_id},
    )
    assert reasons.scalars().all() == ["refresh-token-reused"]


async def test_refresh_whose_answer_was_lost_is_repeated(person: Person) -> None:
    for _ in range(3):
        repeated = await refresh(person.api, person.refresh_token)
        assert repeated.status_code == 200
    tokens = repeated.json()
    assert await read_status(person.api, tokens["access_token"]) == 200
    assert (await refresh(person.api, tokens["refresh_token"])).status_code == 200
    assert len((await person.get("/v1/me/sessions")).json()["items"]) == 1


async def test_token_of_a_lost_answer_ends_the_session_when_it_is_used_later(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thief repeats the call of the owner in time and from the same address. The owner's next refresh ends both."""
    owner = (await refresh(person.api, person.refresh_token)).json()
    thief = (await refresh(person.api, person.refresh_token)).json()
    monkeypatch.setattr(sessions, "REPEAT_WINDOW", timedelta(minutes=-1))
    assert (await refresh(person.api, owner["refresh_token"])).status_code == 400
    assert await read_status(person.api, thief["access_token"]) == 401
    assert (await refresh(person.api, thief["refresh_token"])).status_code == 400


async def test_refresh_is_not_repeated_after_the_next_one(person: Person) -> None:
    """The token of the answer was used, so the answer was not lost."""
    tokens = (await refresh(person.api, person.refresh_token)).json()
    following = (await refresh(person.api, tokens["refresh_token"])).json()
    assert (await refresh(person.api, person.refresh_token)).status_code == 400
    assert await read_status(person.api, following["access_token"]) == 401


@pytest.mark.parametrize("address", ["203.0.113.9", "2001:db8::1"])
async def test_refresh_is_not_repeated_from_another_address(app: FastAPI, person: Person, address: str) -> None:
    tokens = (await refresh(person.api, person.refresh_token)).json()
    transport = httpx.ASGITransport(app, client=(address, 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as elsewhere:
        assert (await refresh(elsewhere, person.refresh_token)).status_code == 400
    assert await read_status(person.api, tokens["access_token"]) == 401


async def test_refresh_of_an_ended_session_is_not_repeated(person: Person) -> None:
    tokens = (await refresh(person.api, person.refresh_token)).json()
    await revoke(person.api, tokens["refresh_token"])
    assert (await refresh(person.api, person.refresh_token)).status_code == 400


@pytest.mark.usefixtures("without_repeat_window")
async def test_reused_refresh_token_is_detected_after_a_restart(settings: Settings, person: Person) -> None:
    """Another process detects the reuse too, because the state is in the database."""
    tokens = (await refresh(person.api, person.refresh_token)).json()
    restarted = create_app(settings)
    async with (
        restarted.router.lifespan_context(restarted),
        httpx.AsyncClient(transport=httpx.ASGITransport(restarted), base_url="http://localhost:8000") as api,
    ):
        assert await read_status(api, tokens["access_token"]) == 200
        assert (await refresh(api, person.refresh_token)).status_code == 400
    assert await read_status(person.api, tokens["access_token"]) == 401


async def test_refresh_by_another_client_is_refused_and_uses_no_token(person: Person) -> None:
    stolen = await refresh(person.api, person.refresh_token, DESKTOP)
    assert (stolen.status_code, stolen.json()["error"]) == (400, "invalid_grant")
    assert (await refresh(person.api, person.refresh_token)).status_code == 200


@pytest.mark.parametrize("column", ["refresh_tokens.expires_at", "sessions.expires_at"])
async def test_expired_session_or_token_is_not_refreshed(person: Person, db: AsyncConnection, column: str) -> None:
    table, name = column.split(".")
    which = "session_id = s.id" if table == "refresh_tokens" else "sessions.id = s.id"
    await db.execute(
        text(f"UPDATE {table} SET {name} = now() FROM sessions s WHERE {which} AND s.user_id = :id"),
        {"id": person.user_id},
    )
    assert (await refresh(person.api, person.refresh_token)).status_code == 400


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é", "x" * 5000])
async def test_unknown_refresh_token_is_refused(api: httpx.AsyncClient, token: str) -> None:
    answer = await refresh(api, token)
    assert answer.status_code == 400
    assert answer.json()["error"] in {"invalid_grant", "invalid_request"}


async def test_access_token_is_refused_as_refresh_token(person: Person) -> None:
    assert (await refresh(person.api, person.token)).status_code == 400


@pytest.mark.parametrize("kind", ["refresh", "access"])
async def test_revocation_of_a_token_ends_its_session(person: Person, kind: str) -> None:
    token = person.refresh_token if kind == "refresh" else person.token
    assert (await revoke(person.api, token, DESKTOP)).status_code == 200
    assert await read_status(person.api, person.token) == 200, "another client's revocation does nothing"
    for _ in range(2):
        assert (await revoke(person.api, token)).status_code == 200
    assert await read_status(person.api, person.token) == 401
    assert (await refresh(person.api, person.refresh_token)).status_code == 400


@pytest.mark.parametrize("token", ["unknown", "a.b.c", "x" * 3000])
async def test_revocation_of_an_unknown_token_is_no_error(api: httpx.AsyncClient, token: str) -> None:
    assert (await revoke(api, token)).status_code == 200


async def test_sessions_are_listed_with_client_and_device(person: Person) -> None:
    await sign_in_console(person)
    listed = (await person.get("/v1/me/sessions")).json()["items"]
    assert [(item["client"], item["device"], item["current"]) for item in listed] == [
        ("测试桌面端", "Chrome 131 · Windows", False),
        ("学组", "python-httpx 0.28.1", True),
    ]
    assert {item["address"] for item in listed} == {"127.0.0.1"}
    paged = (await person.get("/v1/me/sessions", params={"limit": 1})).json()
    rest = (await person.get("/v1/me/sessions", params={"cursor": paged["next_cursor"]})).json()
    assert paged["items"] + rest["items"] == listed


@pytest.mark.parametrize(
    ("expiry", "served"),
    [("expires_at = now() - interval '1 second'", 401), ("refreshed_at = now() - interval '31 days'", 200)],
)
async def test_expired_session_is_not_listed(person: Person, db: AsyncConnection, expiry: str, served: int) -> None:
    console = await sign_in_console(person)
    user = {"id": person.user_id}
    await db.execute(text(f"UPDATE sessions SET {expiry} WHERE user_id = :id AND client_id = '{DESKTOP}'"), user)
    listed = (await person.get("/v1/me/sessions")).json()["items"]
    assert [item["client"] for item in listed] == ["学组"]
    assert await read_status(person.api, console["access_token"]) == served


async def test_ended_session_is_refused_and_others_stay(person: Person) -> None:
    tokens = await sign_in_console(person)
    console = (await person.get("/v1/me/sessions")).json()["items"][0]
    assert (await person.delete(f"/v1/me/sessions/{console['id']}")).status_code == 204
    assert await read_status(person.api, tokens["access_token"]) == 401
    assert (await refresh(person.api, tokens["refresh_token"], DESKTOP)).status_code == 400
    assert (await person.delete(f"/v1/me/sessions/{console['id']}")).status_code == 404
    assert await read_status(person.api, person.token) == 200


async def test_session_of_another_user_is_404(people: People, person: Person) -> None:
    other = await people.register(verified=False, party=False)
    theirs = (await other.get("/v1/me/sessions")).json()["items"][0]["id"]
    assert (await person.delete(f"/v1/me/sessions/{theirs}")).status_code == 404
    assert await read_status(person.api, other.token) == 200


@pytest.mark.parametrize("keep", [True, False])
async def test_sign_out_everywhere_ends_all_sessions(person: Person, keep: bool) -> None:
    tokens = await sign_in_console(person)
    ended = await person.delete("/v1/me/sessions", params={"keep_current": str(keep).lower()})
    assert ended.status_code == 204
    assert await read_status(person.api, tokens["access_token"]) == 401
    assert await read_status(person.api, person.token) == (200 if keep else 401)


async def test_session_from_before_the_sign_in_is_not_used(people: People, person: Person) -> None:
    """A sign-in creates a new session, whatever credentials the request contains."""
    people.api.headers["Cookie"] = f"xuezu_session={person.refresh_token}; access_token={person.token}; sid=1"
    try:
        victim = await people.register(verified=False, party=False)
    finally:
        del people.api.headers["Cookie"]
    assert victim.user_id != person.user_id
    assert (await person.get("/v1/me")).json()["id"] == person.user_id
    assert len((await victim.get("/v1/me/sessions")).json()["items"]) == 1


async def test_endpoints_in_the_metadata_answer(api: httpx.AsyncClient) -> None:
    found: dict[str, Any] = (await api.get("/.well-known/oauth-authorization-server")).json()
    assert found["issuer"] == "http://localhost:8000"
    keys = (await api.get(found["jwks_uri"])).json()["keys"]
    assert {key["alg"] for key in keys} == {"ES256"}
    assert not any("d" in key for key in keys)
    for endpoint in ("token_endpoint", "device_authorization_endpoint", "revocation_endpoint"):
        assert (await api.post(found[endpoint])).json()["error"] == "invalid_request"


@pytest.mark.parametrize("endpoint", ["/oauth/token", "/oauth/revoke", "/oauth/device_authorization"])
@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b'{"grant_type": "x"}', {"Content-Type": "application/json"}),
        (b"grant_type=a&grant_type=b&client_id=xuezu-app", {}),
        (b"client_id=%ff%fe", {}),
        (b"client_id=\xff", {}),
        (b"client_id=a%00b", {}),
        (b"client_id=%ed%a0%80", {}),
        (b"&" * 100 + b"a=b&" * 100, {}),
        (b"", {}),
        (b"client_id=xuezu-app", {"Origin": "https://evil.example"}),
        (b"client_id=xuezu-app", {"Origin": "null"}),
        (b"client_id=xuezu-app", {"Authorization": "Basic !!!"}),
        (b"client_id=xuezu-app", {"Authorization": "Bearer abc"}),
        (b"client_id=xuezu-app", {"Authorization": "Basic eHV6dS1hcHA="}),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_unreadable_bodies_are_refused_in_oauths_form(
    api: httpx.AsyncClient, endpoint: str, content: bytes, headers: dict[str, str]
) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await api.post(endpoint, content=content, headers=form | headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


async def test_oversized_body_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.post("/oauth/token", data={"client_id": "x" * 20_000})
    assert (answer.status_code, answer.json()["error"]) == (413, "invalid_request")


async def test_parameter_in_the_query_string_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.post("/oauth/token?code=1", data={"client_id": "xuezu-app"})
    assert answer.json()["error"] == "invalid_request"


async def test_unknown_grant_type_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.post("/oauth/token", data={"client_id": "xuezu-app", "grant_type": "password"})
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


async def test_production_document_has_no_simulator(settings: Settings) -> None:
    changed = {
        "env": "production",
        "data_keys": SecretStr("k1:" + "A" * 43 + "="),
        "index_key": SecretStr("A" * 43 + "="),
    }
    app: FastAPI = create_app(settings.model_copy(update=changed))
    assert not any("simulator" in path for path in app.openapi()["paths"])
