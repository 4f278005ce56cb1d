"""Exports as anybody gets them: asked, made by the worker, read by their asker alone, gone after a day."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.authz.permissions import Permission
from app.core.cipher import CIPHER, Undecryptable
from app.core.settings import Settings
from app.exports import jobs
from app.exports.kinds import Asked, Column, ExportKind, Sheet
from app.exports.queries import stream_content
from app.queue.jobs import Busy, Worker
from app.sheets.layout import Cell
from tests.acts import Json, add_admin, add_member, add_unit, certify, done, list_all, refusal
from tests.members.sheets import Work, open_xlsx
from tests.people import People, Person, fresh_phone
from tests.retention import clean_up


@pytest.fixture(scope="module")
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture(scope="module")
async def org(admin: Person) -> Json:
    return await admin.create_org()


async def ask(admin: Person, org: Json, **body: Any) -> Json:
    asked: Json = done(await admin.post(f"/v1/orgs/{org['id']}/members/exports", json=body), 202)
    return asked


async def made(admin: Person, org: Json, worker: Work, *asked: Json) -> list[bytes]:
    """Ask for exports, have them made, read the files."""
    waiting = [await ask(admin, org, **body) for body in asked]
    await worker()
    return [await content_of(admin, org, export["id"]) for export in waiting]


async def content_of(admin: Person, org: Json, export_id: str) -> bytes:
    found = done(await admin.get(f"/v1/orgs/{org['id']}/exports/{export_id}"))
    assert found["state"] == "done", found
    assert found["rows_done"] == found["rows_total"]
    answer = await admin.get(found["content"])
    assert answer.status_code == 200
    assert len(answer.content) == found["size"]
    assert answer.headers["cache-control"] == "no-store"
    assert found["file_name"] in answer.headers["content-disposition"]
    return answer.content


def rows_of_csv(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def rows_of_xlsx(content: bytes) -> list[list[Any]]:
    return [list(row) for row in open_xlsx(content).active.iter_rows(values_only=True)]


async def test_a_directory_becomes_a_file_with_masked_phones(people: People, worker: Work) -> None:
    admin = await people.register()
    org = await admin.create_org()
    general = await add_unit(admin, org, "机关党总支", kind="general_branch")
    branch = await add_unit(admin, org, "第一支部", general)
    phone = fresh_phone()
    await add_member(admin, org, branch, general, name="解晓东", phone=phone)
    below = {"unit_id": general["id"], "units_below": True}
    in_csv = [{"format": "csv"} | query for query in ({"q": "jxd"}, {"q": "xxd"}, below, {"active": True})]
    content, none, one, under, active = await made(admin, org, worker, {}, *in_csv)
    head, first, second = rows_of_xlsx(content)
    assert head[:4] == ["Name", "Phone number", "Unit name", "Party member"]
    assert first[0] == admin.name
    assert first[2] == "Management group"
    masked = f"{phone[:3]}****{phone[7:]}"
    never = "The number was never registered"
    assert second[:7] == ["解晓东", masked, "机关党总支; 机关党总支/第一支部", "Yes", "Inactive", never, "No"]
    assert second[7].year >= 2026
    assert none.startswith(b"\xef\xbb\xbf")
    assert rows_of_csv(none) == [head]
    assert rows_of_csv(one)[1][:2] == ["解晓东", masked]
    assert [row[0] for row in rows_of_csv(under)[1:]] == ["解晓东"]
    assert [row[0] for row in rows_of_csv(active)[1:]] == [admin.name]


async def test_headings_follow_the_language_of_whoever_asks(admin: Person, org: Json, worker: Work) -> None:
    path = f"/v1/orgs/{org['id']}/members/exports"
    languages = ("zh", "en")
    asked = [
        done(await admin.post(path, json={"format": "csv"}, headers={"Accept-Language": language}), 202)
        for language in languages
    ]
    await worker()
    heads = [rows_of_csv(await content_of(admin, org, one["id"]))[0][:3] for one in asked]
    assert heads == [["姓名", "手机号码", "支部名称"], ["Name", "Phone number", "Unit name"]]


async def test_whole_phones_are_audited_where_they_are_asked_for(
    admin: Person, org: Json, worker: Work, db: AsyncConnection
) -> None:
    phone = fresh_phone()
    await add_member(admin, org, phone=phone)
    asked = await ask(admin, org, format="csv", phones="full", q=phone[-4:])
    entries = await list_all(admin, f"/v1/orgs/{org['id']}/audit")
    mine = {entry["action"]: entry for entry in entries if entry["subject_id"] == asked["id"]}
    assert mine.keys() == {"export.created", "member.phones_disclosed"}
    assert mine["export.created"]["after"] == {"kind": "members", "format": "csv", "phones": "full"}
    await worker()
    content = (await admin.get(f"/v1/orgs/{org['id']}/exports/{asked['id']}/content")).content
    assert phone in content.decode()
    # Neither the file nor what was searched for is readable in the database.
    stored = "SELECT e.question_cipher || p.content_cipher FROM exports e JOIN export_parts p ON p.export_id = e.id"
    sealed = await db.scalar(text(f"{stored} WHERE e.id = :id"), {"id": asked["id"]})
    assert sealed
    assert phone[-4:].encode() not in sealed
    assert phone not in str([entry["after"] for entry in entries])


async def test_an_export_is_its_askers_alone_and_only_while_they_may_see_it(people: People, worker: Work) -> None:
    admin, other, above = [await people.register() for _ in range(3)]
    org, superior = await admin.create_org(), await above.create_org()
    await add_admin(admin, org, other)
    asked = await ask(other, org)
    await worker()
    path = f"/v1/orgs/{org['id']}/exports"
    elsewhere = f"/v1/orgs/{superior['id']}/exports/{asked['id']}"
    assert (await admin.get(f"{path}/{asked['id']}/content")).status_code == 404
    assert done(await admin.get(path))["items"] == []
    assert (await above.get(elsewhere)).status_code == 404
    assert (await other.get(f"{path}/{asked['id']}/content")).status_code == 200
    # Certified under an org that the asker administers: they still reach the exports of this org, but not its people.
    await certify(above, superior, admin, org)
    await add_admin(above, superior, other)
    done(await admin.delete(f"/v1/orgs/{org['id']}/admins/{other.user_id}"), 204)
    assert done(await other.get(path))["items"] == []
    for call in ("", "/content"):
        assert (await other.get(f"{path}/{asked['id']}{call}")).status_code == 404
    assert (await other.delete(f"{path}/{asked['id']}")).status_code == 404


async def test_deleting_cancels_and_takes_the_file_along(
    admin: Person, org: Json, worker: Work, db: AsyncConnection
) -> None:
    waiting, finished = await ask(admin, org), None
    path = f"/v1/orgs/{org['id']}/exports"
    early = await admin.get(f"{path}/{waiting['id']}/content")
    assert (refusal(early), early.json()["state"]) == ((409, "export-not-ready"), "waiting")
    done(await admin.delete(f"{path}/{waiting['id']}"), 204)
    await worker()
    assert (await admin.get(f"{path}/{waiting['id']}")).status_code == 404
    finished = await ask(admin, org)
    await worker()
    done(await admin.delete(f"{path}/{finished['id']}"), 204)
    assert (await admin.get(f"{path}/{finished['id']}/content")).status_code == 404
    assert await db.scalar(text("SELECT count(*) FROM export_parts WHERE export_id = :id"), finished) == 0
    assert (await admin.delete(f"{path}/{finished['id']}")).status_code == 404


async def test_a_file_is_gone_after_a_day(
    admin: Person, org: Json, worker: Work, db: AsyncConnection, engine: AsyncEngine
) -> None:
    asked = await ask(admin, org)
    await worker()
    path = f"/v1/orgs/{org['id']}/exports/{asked['id']}"
    await db.execute(text("UPDATE exports SET expires_at = now() - interval '1 second' WHERE id = :id"), asked)
    assert refusal(await admin.get(path)) == (410, "export-expired")
    assert refusal(await admin.get(f"{path}/content")) == (410, "export-expired")
    await clean_up(engine)
    assert (await admin.get(path)).status_code == 404
    assert await db.scalar(text("SELECT count(*) FROM export_parts WHERE export_id = :id"), asked) == 0


async def test_one_person_has_no_more_than_twenty_in_an_org(people: People) -> None:
    admin = await people.register()
    org = await admin.create_org()
    for _ in range(20):
        last = await ask(admin, org)
    path = f"/v1/orgs/{org['id']}"
    assert refusal(await admin.post(f"{path}/members/exports", json={})) == (409, "too-many-exports")
    done(await admin.delete(f"{path}/exports/{last['id']}"), 204)
    await ask(admin, org)
    for export in await list_all(admin, f"{path}/exports"):
        done(await admin.delete(f"{path}/exports/{export['id']}"), 204)


# The mechanism, with a kind of the test's own.

COLUMNS = (Column("name", "名"), Column("figure", "数"))


@pytest.fixture
def at_work(app: FastAPI, settings: Settings, engine: AsyncEngine) -> Worker:
    return Worker(settings, engine, CIPHER.of(app))


def holding(begun: asyncio.Event, go_on: asyncio.Event) -> ExportKind:
    """A kind whose rows wait in the middle."""

    async def sheet(asked: Asked) -> Sheet:
        async def batches() -> AsyncIterator[Sequence[Sequence[Cell]]]:
            yield [("a", 1)]
            begun.set()
            await go_on.wait()
            yield [("b", 2)]

        return Sheet("表", COLUMNS, 2, batches())

    return ExportKind("members", Permission.MEMBERS_READ, sheet)


async def test_an_export_is_cancelled_while_it_runs_and_made_by_one_worker_at_a_time(
    admin: Person, org: Json, at_work: Worker, worker: Work, db: AsyncConnection
) -> None:
    asked = await ask(admin, org, format="csv")
    payload = {"org_id": org["id"], "export_id": asked["id"]}
    begun, go_on = asyncio.Event(), asyncio.Event()
    kind = holding(begun, go_on)
    running = asyncio.create_task(jobs.make_export(kind, at_work, payload))
    await begun.wait()
    seen = done(await admin.get(f"/v1/orgs/{org['id']}/exports/{asked['id']}"))
    assert (seen["state"], seen["rows_total"]) == ("running", 2)
    with pytest.raises(Busy):
        await jobs.make_export(kind, at_work, payload)
    done(await admin.delete(f"/v1/orgs/{org['id']}/exports/{asked['id']}"), 204)
    go_on.set()
    await running
    assert await db.scalar(text("SELECT count(*) FROM exports WHERE id = :id"), asked) == 0
    await worker()


async def test_a_killed_export_is_made_again_whole(
    admin: Person, org: Json, at_work: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PART", 8)
    asked = await ask(admin, org, format="csv")
    payload = {"org_id": org["id"], "export_id": asked["id"]}
    begun, go_on = asyncio.Event(), asyncio.Event()
    killed = asyncio.create_task(jobs.make_export(holding(begun, go_on), at_work, payload))
    await begun.wait()
    killed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killed
    go_on.set()
    await jobs.make_export(holding(begun, go_on), at_work, payload)
    answer = await admin.get(f"/v1/orgs/{org['id']}/exports/{asked['id']}/content")
    assert rows_of_csv(answer.content) == [["名", "数"], ["a", "1"], ["b", "2"]]
    # Once it is done, being run again changes nothing.
    await jobs.make_export(holding(begun, go_on), at_work, payload)
    assert (await admin.get(f"/v1/orgs/{org['id']}/exports/{asked['id']}/content")).content == answer.content


async def test_a_part_of_one_export_is_no_part_of_another(
    admin: Person, org: Json, worker: Work, db: AsyncConnection, app: FastAPI, engine: AsyncEngine
) -> None:
    one, two = await ask(admin, org), await ask(admin, org)
    await worker()
    swap = "UPDATE export_parts SET content_cipher = (SELECT content_cipher FROM export_parts WHERE export_id = :one)"
    await db.execute(text(f"{swap} WHERE export_id = :two"), {"one": UUID(one["id"]), "two": UUID(two["id"])})
    content = stream_content(engine, CIPHER.of(app), UUID(org["id"]), UUID(two["id"]))
    with pytest.raises(Undecryptable):
        await anext(content)
    # What nothing decrypts would be in the way of a rotation of the keys.
    assert (await admin.delete(f"/v1/orgs/{org['id']}/exports/{two['id']}")).status_code == 204


async def test_what_failed_too_often_says_so(admin: Person, org: Json, at_work: Worker, worker: Work) -> None:
    asked = await ask(admin, org)
    await jobs.give_up(at_work, {"org_id": org["id"], "export_id": asked["id"]})
    found = done(await admin.get(f"/v1/orgs/{org['id']}/exports/{asked['id']}"))
    assert (found["state"], found["failure"], found["content"]) == ("failed", "failed", None)
    assert refusal(await admin.get(f"/v1/orgs/{org['id']}/exports/{asked['id']}/content")) == (409, "export-not-ready")
    await worker()
