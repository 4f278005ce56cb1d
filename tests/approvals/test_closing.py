"""What somebody requests of an org while it is being closed, and what its audit then has of it."""

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
from tests.acts import Json, add_member, done, refusal
from tests.people import People, Person, fresh_phone

Ask = Callable[[], Awaitable[httpx.Response]]


class Pause:
    """Stops one operation before it commits, at its last audit entry."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any) -> None:
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        monkeypatch.setattr(module, "record", self._record)

    async def _record(self, *arguments: Any, **options: Any) -> None:
        await record(*arguments, **options)
        self.reached.set()
        await self.go_on.wait()


class Scene:
    """An org that is being closed, and somebody who requests something of it."""

    def __init__(self, kind: str, founder: Person, org: Json, path: str, ask: Ask) -> None:
        self.table, self.founder, self.org = kind, founder, org
        self.path, self.ask = path, ask

    @classmethod
    async def make(cls, people: People, kind: str) -> "Scene":
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
async def test_a_request_to_an_org_that_is_being_closed_waits_and_finds_it_closed(
    people: People, db: AsyncConnection, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    scene = await Scene.make(people, kind)
    pause = Pause(monkeypatch, closure)
    async with asyncio.timeout(20):
        closing = asyncio.create_task(scene.close())
        await pause.reached.wait()
        asking = asyncio.ensure_future(scene.ask())
        await asyncio.wait({asking}, timeout=0.3)
        waited = not asking.done()
        pause.go_on.set()
        done(await closing)
        answer = await asking
    assert waited
    assert answer.status_code == 422
    assert refusal(answer) == (422, "unknown-org")
    assert await scene.states(db) == []


@pytest.mark.parametrize("kind", ["link_requests", "person_transfers"])
async def test_closing_waits_for_a_request_that_is_being_made_and_declines_it(
    people: People, db: AsyncConnection, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    scene = await Scene.make(people, kind)
    pause = Pause(monkeypatch, links if kind == "link_requests" else transfers)
    async with asyncio.timeout(20):
        asking = asyncio.ensure_future(scene.ask())
        await pause.reached.wait()
        closing = asyncio.create_task(scene.close())
        await asyncio.wait({closing}, timeout=0.3)
        waited = not closing.done()
        pause.go_on.set()
        done(await asking, 201)
        done(await closing)
    assert waited
    assert await scene.states(db) == ["declined"]


async def test_the_audit_of_a_closed_org_has_the_link_requests_that_fitted_a_row_and_no_other(
    people: People, db: AsyncConnection
) -> None:
    founder, known, stranger = [await people.register() for _ in range(3)]
    org = await founder.create_org()
    await add_member(founder, org, name=known.name, phone=fresh_phone())
    ids = [
        done(await person.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)["id"]
        for person in (known, stranger)
    ]
    done(await founder.put(f"/v1/orgs/{org['id']}/closure"))
    for person in (known, stranger):
        (mine,) = done(await person.get("/v1/me/link-requests"))["items"]
        assert (mine["state"], mine["reason"]) == ("declined", gettext_in("en", ORG_CLOSED))
    entries = "SELECT subject_id::text FROM audit_entries WHERE org_id = :id AND action = 'link_request.declined'"
    assert list((await db.scalars(text(entries), org)).all()) == [ids[0]]
