"""Exports over HTTP: request, job, permission to read, and expiry."""

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
from app.exports.kinds import Column, ExportKind, ExportRequest, Sheet
from app.exports.queries import stream_content
from app.members import export as member_export
from app.queue.jobs import Busy, Worker
from app.sheets.layout import Cell
from tests.acts import Json, add_admin, add_member, add_unit, certify, get_body, get_refusal, list_all
from tests.members.sheets import Work, open_xlsx
from tests.people import People, Person, fresh_phone
from tests.retention import clean_up


@pytest.fixture(scope="module")
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture(scope="module")
async def org(admin: Person) -> Json:
    return await admin.create_org()


async def request_export(admin: Person, org: Json, **body: Any) -> Json:
    export: Json = get_body(await admin.post(f"/v1/orgs/{org['id']}/members/exports", json=body), 202)
    return export


async def export_files(admin: Person, org: Json, worker: Work, *bodies: Json) -> list[bytes]:
    """Request exports, run the worker and return the files."""
    waiting = [await request_export(admin, org, **body) for body in bodies]
    await worker()
    return [await download_export(admin, org, export["id"]) for export in waiting]


async def download_export(admin: Person, org: Json, export_id: str) -> bytes:
    found = get_body(await admin.get(f"/v1/orgs/{org['id']}/exports/{export_id}"))
    assert found["state"] == "done", found
    assert found["rows_done"] == found["rows_total"]
    answer = await admin.get(found["content"])
    assert answer.status_code == 200
    assert len(answer.content) == found["size"]
    assert answer.headers["cache-control"] == "no-store"
    assert found["file_name"] in answer.headers["content-disposition"]
    return answer.content


def read_csv_rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def read_xlsx_rows(content: bytes) -> list[list[Any]]:
    return [list(row) for row in open_xlsx(content).active.iter_rows(values_only=True)]


async def test_directory_export_has_masked_phones(people: People, worker: Work) -> None:
    admin = await people.register()
    org = await admin.create_org()
    general = await add_unit(admin, org, "机关党总支", kind="general-branch")
    branch = await add_unit(admin, org, "第一支部", general)
    phone = fresh_phone()
    await add_member(admin, org, branch, general, name="解晓东", phone=phone)
    subordinate = {"unit_id": general["id"], "units_below": True}
    in_csv = [{"format": "csv"} | query for query in ({"q": "jxd"}, {"q": "xxd"}, subordinate, {"active": True})]
    by_time = {"order": "added"}
    content, nothing, found, under, active = await export_files(admin, org, worker, by_time, *in_csv)
    head, first, second = read_xlsx_rows(content)
    assert head[:4] == ["Name", "Phone number", "Unit name", "Party member"]
    assert first[0] == admin.name
    assert first[2] == "Management group"
    masked = f"{phone[:3]}****{phone[7:]}"
    never = "The number was never registered"
    assert second[:7] == ["解晓东", masked, "机关党总支; 机关党总支/第一支部", "Yes", "Inactive", never, "No"]
    assert second[7].year >= 2026
    assert nothing.startswith(b"\xef\xbb\xbf")
    assert read_csv_rows(nothing) == [head]
    assert read_csv_rows(found)[1][:2] == ["解晓东", masked]
    assert [row[0] for row in read_csv_rows(under)[1:]] == ["解晓东"]
    assert [row[0] for row in read_csv_rows(active)[1:]] == [admin.name]


async def test_rows_of_an_export_are_in_the_order_of_the_list(
    people: People, worker: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member_export, "BATCH_ROWS", 2)
    admin = await people.register()
    org = await admin.create_org()
    branch = await add_unit(admin, org, "第一支部")
    zhang, *_ = [await add_member(admin, org, branch, name=name) for name in ("张三", "安然", "李四")]
    path = f"/v1/orgs/{org['id']}/members/{zhang['id']}/units/{branch['id']}/position"
    get_body(await admin.put(path, json={"position": 1}))
    in_branch = {"format": "csv", "unit_id": branch["id"]}
    orders = [in_branch, *({**in_branch, "order": order} for order in ("added", "name", "position"))]
    everybody, *in_unit = await export_files(admin, org, worker, {"format": "csv"}, *orders)
    names = [[row[0] for row in read_csv_rows(content)[1:]] for content in in_unit]
    by_place = ["张三", "安然", "李四"]
    assert names == [by_place, ["张三", "安然", "李四"], ["安然", "李四", "张三"], by_place]
    listed = get_body(await admin.get(f"/v1/orgs/{org['id']}/members", params={"order": "name"}))["items"]
    assert [row[0] for row in read_csv_rows(everybody)[1:]] == [person["name"] for person in listed]
    refused = await admin.post(f"/v1/orgs/{org['id']}/members/exports", json={"order": "position"})
    assert refused.status_code == 422


async def test_headings_are_in_the_language_of_the_request(admin: Person, org: Json, worker: Work) -> None:
    path = f"/v1/orgs/{org['id']}/members/exports"
    languages = ("zh", "en")
    exports = [
        get_body(await admin.post(path, json={"format": "csv"}, headers={"Accept-Language": language}), 202)
        for language in languages
    ]
    await worker()
    heads = [read_csv_rows(await download_export(admin, org, export["id"]))[0][:3] for export in exports]
    assert heads == [["姓名", "手机号码", "支部名称"], ["Name", "Phone number", "Unit name"]]


async def test_export_with_full_phones_is_audited_and_encrypted(
    admin: Person, org: Json, worker: Work, db: AsyncConnection
) -> None:
    phone = fresh_phone()
    await add_member(admin, org, phone=phone)
    export = await request_export(admin, org, format="csv", phones="full", q=phone[-4:])
    entries = await list_all(admin, f"/v1/orgs/{org['id']}/audit")
    entries_by_action = {entry["action"]: entry for entry in entries if entry["subject_id"] == export["id"]}
    assert entries_by_action.keys() == {"export.created", "member.phones_disclosed"}
    assert entries_by_action["export.created"]["after"] == {"kind": "members", "format": "csv", "phones": "full"}
    await worker()
    content = (await admin.get(f"/v1/orgs/{org['id']}/exports/{export['id']}/content")).content
    assert phone in content.decode()
    # The database contains the file and the search text in encrypted form only.
    stored = "SELECT e.question_cipher || p.content_cipher FROM exports e JOIN export_parts p ON p.export_id = e.id"
    encrypted = await db.scalar(text(f"{stored} WHERE e.id = :id"), {"id": export["id"]})
    assert encrypted
    assert phone[-4:].encode() not in encrypted
    assert phone not in str([entry["after"] for entry in entries])


async def test_export_is_visible_to_its_permitted_requester_only(people: People, worker: Work) -> None:
    admin, other, superior = [await people.register() for _ in range(3)]
    org, superior_admin = await admin.create_org(), await superior.create_org()
    await add_admin(admin, org, other)
    export = await request_export(other, org)
    await worker()
    path = f"/v1/orgs/{org['id']}/exports"
    elsewhere = f"/v1/orgs/{superior_admin['id']}/exports/{export['id']}"
    assert (await admin.get(f"{path}/{export['id']}/content")).status_code == 404
    assert get_body(await admin.get(path))["items"] == []
    assert (await superior.get(elsewhere)).status_code == 404
    assert (await other.get(f"{path}/{export['id']}/content")).status_code == 200
    # The org is now certified under an org that the requester administers. The requester still has access to the
    # exports of this org, but not to its people.
    await certify(superior, superior_admin, admin, org)
    await add_admin(superior, superior_admin, other)
    get_body(await admin.delete(f"/v1/orgs/{org['id']}/admins/{other.user_id}"), 204)
    assert get_body(await other.get(path))["items"] == []
    for call in ("", "/content"):
        assert (await other.get(f"{path}/{export['id']}{call}")).status_code == 404
    assert (await other.delete(f"{path}/{export['id']}")).status_code == 404


async def test_deleted_export_is_cancelled_and_loses_its_file(
    admin: Person, org: Json, worker: Work, db: AsyncConnection
) -> None:
    waiting, finished = await request_export(admin, org), None
    path = f"/v1/orgs/{org['id']}/exports"
    early = await admin.get(f"{path}/{waiting['id']}/content")
    assert (get_refusal(early), early.json()["state"]) == ((409, "export-not-ready"), "waiting")
    get_body(await admin.delete(f"{path}/{waiting['id']}"), 204)
    await worker()
    assert (await admin.get(f"{path}/{waiting['id']}")).status_code == 404
    finished = await request_export(admin, org)
    await worker()
    get_body(await admin.delete(f"{path}/{finished['id']}"), 204)
    assert (await admin.get(f"{path}/{finished['id']}/content")).status_code == 404
    assert await db.scalar(text("SELECT count(*) FROM export_parts WHERE export_id = :id"), finished) == 0
    assert (await admin.delete(f"{path}/{finished['id']}")).status_code == 404


async def test_export_file_expires_after_a_day(
    admin: Person, org: Json, worker: Work, db: AsyncConnection, engine: AsyncEngine
) -> None:
    export = await request_export(admin, org)
    await worker()
    path = f"/v1/orgs/{org['id']}/exports/{export['id']}"
    await db.execute(text("UPDATE exports SET expires_at = now() - interval '1 second' WHERE id = :id"), export)
    assert get_refusal(await admin.get(path)) == (410, "export-expired")
    assert get_refusal(await admin.get(f"{path}/content")) == (410, "export-expired")
    await clean_up(engine)
    assert (await admin.get(path)).status_code == 404
    assert await db.scalar(text("SELECT count(*) FROM export_parts WHERE export_id = :id"), export) == 0


async def test_export_beyond_twenty_per_user_and_org_is_refused(people: People) -> None:
    admin = await people.register()
    org = await admin.create_org()
    for _ in range(20):
        last = await request_export(admin, org)
    path = f"/v1/orgs/{org['id']}"
    assert get_refusal(await admin.post(f"{path}/members/exports", json={})) == (409, "too-many-exports")
    get_body(await admin.delete(f"{path}/exports/{last['id']}"), 204)
    await request_export(admin, org)
    for export in await list_all(admin, f"{path}/exports"):
        get_body(await admin.delete(f"{path}/exports/{export['id']}"), 204)


# The following tests use a kind of their own.

COLUMNS = (Column("name", "名"), Column("figure", "数"))


@pytest.fixture
def export_worker(app: FastAPI, settings: Settings, engine: AsyncEngine) -> Worker:
    return Worker(settings, engine, CIPHER.get(app))


def make_paused_kind(started: asyncio.Event, resume: asyncio.Event) -> ExportKind:
    """Return a kind that waits between its first row and its last one."""

    async def build_sheet(request: ExportRequest) -> Sheet:
        async def yield_batches() -> AsyncIterator[Sequence[Sequence[Cell]]]:
            yield [("a", 1)]
            started.set()
            await resume.wait()
            yield [("b", 2)]

        return Sheet("表", COLUMNS, 2, yield_batches())

    return ExportKind("members", Permission.MEMBERS_READ, build_sheet)


async def test_running_export_is_locked_for_one_worker_and_cancellable(
    admin: Person, org: Json, export_worker: Worker, worker: Work, db: AsyncConnection
) -> None:
    export = await request_export(admin, org, format="csv")
    payload = {"org_id": org["id"], "export_id": export["id"]}
    started, resume = asyncio.Event(), asyncio.Event()
    kind = make_paused_kind(started, resume)
    running = asyncio.create_task(jobs.make_export(kind, export_worker, payload))
    await started.wait()
    running_export = get_body(await admin.get(f"/v1/orgs/{org['id']}/exports/{export['id']}"))
    assert (running_export["state"], running_export["rows_total"]) == ("running", 2)
    with pytest.raises(Busy):
        await jobs.make_export(kind, export_worker, payload)
    get_body(await admin.delete(f"/v1/orgs/{org['id']}/exports/{export['id']}"), 204)
    resume.set()
    await running
    assert await db.scalar(text("SELECT count(*) FROM exports WHERE id = :id"), export) == 0
    await worker()


async def test_killed_export_is_written_again_whole(
    admin: Person, org: Json, export_worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "PART_BYTES", 8)
    export = await request_export(admin, org, format="csv")
    payload = {"org_id": org["id"], "export_id": export["id"]}
    started, resume = asyncio.Event(), asyncio.Event()
    killed = asyncio.create_task(jobs.make_export(make_paused_kind(started, resume), export_worker, payload))
    await started.wait()
    killed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killed
    resume.set()
    await jobs.make_export(make_paused_kind(started, resume), export_worker, payload)
    answer = await admin.get(f"/v1/orgs/{org['id']}/exports/{export['id']}/content")
    assert read_csv_rows(answer.content) == [["名", "数"], ["a", "1"], ["b", "2"]]
    # Another run of the job of a finished export changes nothing.
    await jobs.make_export(make_paused_kind(started, resume), export_worker, payload)
    assert (await admin.get(f"/v1/orgs/{org['id']}/exports/{export['id']}/content")).content == answer.content


async def test_part_of_another_export_is_not_decrypted(
    admin: Person, org: Json, worker: Work, db: AsyncConnection, app: FastAPI, engine: AsyncEngine
) -> None:
    first, second = await request_export(admin, org), await request_export(admin, org)
    await worker()
    swap = "UPDATE export_parts SET content_cipher = (SELECT content_cipher FROM export_parts WHERE export_id = :first)"
    await db.execute(
        text(f"{swap} WHERE export_id = :second"), {"first": UUID(first["id"]), "second": UUID(second["id"])}
    )
    content = stream_content(engine, CIPHER.get(app), UUID(org["id"]), UUID(second["id"]))
    with pytest.raises(Undecryptable):
        await anext(content)
    # The test deletes the export, because a part that cannot be decrypted would make a rotation of the keys fail.
    assert (await admin.delete(f"/v1/orgs/{org['id']}/exports/{second['id']}")).status_code == 204


async def test_export_that_failed_too_often_is_failed(
    admin: Person, org: Json, export_worker: Worker, worker: Work
) -> None:
    export = await request_export(admin, org)
    await jobs.mark_failed(export_worker, {"org_id": org["id"], "export_id": export["id"]})
    found = get_body(await admin.get(f"/v1/orgs/{org['id']}/exports/{export['id']}"))
    assert (found["state"], found["failure"], found["content"]) == ("failed", "failed", None)
    assert get_refusal(await admin.get(f"/v1/orgs/{org['id']}/exports/{export['id']}/content")) == (
        409,
        "export-not-ready",
    )
    await worker()
