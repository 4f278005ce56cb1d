"""Requests to an org that is closed at the same time, and the audit entries of these requests."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.approvals.reasons import ORG_CLOSED
from app.audit_log.entries import record
from app.core.i18n import gettext_in
from app.members.links import operations as links
from app.members.transfers import operations as transfers
from app.org_lifecycle import closure
from tests.acts import Json, add_member, get_body, get_refusal
from tests.people import People, Person, fresh_phone

Ask = Callable[[], Awaitable[httpx.Response]]


class Pause:
    """Pauses one operation at its last audit entry, before the commit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        monkeypatch.setattr(module, "record", self._record)

    async def _record(self, *arguments: Any, **options: Any) -> None:
        await record(*arguments, **options)
        self.reached.set()
        await self.go_on.wait()


class Scene:
    """An org that is closed, and a request to it by another user."""

    def __init__(self, kind: str, founder: Person, org: Json, path: str, ask: Ask) -> None:
        self.table, self.founder, self.org = kind, founder, org
        self.path, self.ask = path, ask

    @classmethod
    async def create(cls, people: People, kind: str) -> "Scene":
        founder, other = await people.register(), await people.register()
        org = await founder.create_org()
        path = "/v1/me/link-requests"
        if kind == "person_transfers":
            elsewhere = await other.create_org()
            member = await add_member(other, elsewhere)
            path = f"/v1/orgs/{elsewhere['id']}/members/{member['id']}/transfers"
        return cls(kind, founder, org, path, lambda: other.post(path, json={"org_id": org["id"]}))

    async def close(self) -> httpx.Response:
        return await self.founder.put(f"/v1/orgs/{self.org['id']}/closure")

    async def states(self, db: AsyncConnection) -> list[str]:
        org = "to_id" if self.table == "person_transfers" else "org_id"
        statement = f"SELECT state FROM {self.table} WHERE {org} = :id"
        return list((await db.scalars(text(statement), {"id": self.org["id"]})).all())


@pytest.mark.parametrize("kind", ["link_requests", "person_transfers"])
async def test_request_to_a_closing_org_waits_and_is_refused(
    people: People, db: AsyncConnection, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    scene = await Scene.create(people, kind)
    pause = Pause(monkeypatch, closure)
    async with asyncio.timeout(20):
        closing = asyncio.create_task(scene.close())
        await pause.reached.wait()
        requesting = asyncio.ensure_future(scene.ask())
        await asyncio.wait({requesting}, timeout=0.3)
        waited = not requesting.done()
        pause.go_on.set()
        get_body(await closing)
        answer = await requesting
    assert waited
    assert answer.status_code == 422
    assert get_refusal(answer) == (422, "unknown-org")
    assert await scene.states(db) == []


@pytest.mark.parametrize("kind", ["link_requests", "person_transfers"])
async def test_closing_waits_for_a_concurrent_request_and_declines_it(
    people: People, db: AsyncConnection, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    scene = await Scene.create(people, kind)
    pause = Pause(monkeypatch, links if kind == "link_requests" else transfers)
    async with asyncio.timeout(20):
        requesting = asyncio.ensure_future(scene.ask())
        await pause.reached.wait()
        closing = asyncio.create_task(scene.close())
        await asyncio.wait({closing}, timeout=0.3)
        waited = not closing.done()
        pause.go_on.set()
        get_body(await requesting, 201)
        get_body(await closing)
    assert waited
    assert await scene.states(db) == ["declined"]


async def test_audit_of_a_closed_org_contains_only_link_requests_that_match_a_row(
    people: People, db: AsyncConnection
) -> None:
    founder, known, stranger = [await people.register() for _ in range(3)]
    org = await founder.create_org()
    await add_member(founder, org, name=known.name, phone=fresh_phone())
    ids = [
        get_body(await person.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)["id"]
        for person in (known, stranger)
    ]
    get_body(await founder.put(f"/v1/orgs/{org['id']}/closure"))
    for person in (known, stranger):
        (request,) = get_body(await person.get("/v1/me/link-requests"))["items"]
        assert (request["state"], request["reason"]) == ("declined", gettext_in("en", ORG_CLOSED))
    entries = "SELECT subject_id::text FROM audit_entries WHERE org_id = :id AND action = 'link_request.declined'"
    assert list((await db.scalars(text(entries), org)).all()) == [ids[0]]
