"""The copy of a person's data: complete, theirs alone, and gone after a day."""

import asyncio
import io
import zipfile
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.personal_data.jobs import INDEX
from app.personal_data.sections import LEFT_OUT, SECTIONS
from app.schema import metadata
from tests.acts import get_body, get_refusal
from tests.people import People, Person, fresh_name, fresh_phone
from tests.points.services import event, sign_in_service

RunWorker = Callable[[], Awaitable[None]]
PATH = "/v1/me/data-copies"


def test_every_table_with_a_user_is_in_the_copy_or_left_out_with_a_reason() -> None:
    named = {table.name for table in metadata.sorted_tables if table.name == "users" or _list_user_columns(table)}
    read = set().union(*(section.tables for section in SECTIONS))
    assert named - read == set(LEFT_OUT)
    assert not read & set(LEFT_OUT)


def _list_user_columns(table: Any) -> list[str]:
    return [
        column.name
        for column in table.columns
        if "user_id" in column.name or any(key.column.table.name == "users" for key in column.foreign_keys)
    ]


async def make_copy(person: Person, worker: RunWorker) -> tuple[str, dict[str, Any]]:
    """Return the address of a finished copy, and its JSON by the name of the section."""
    requested = await person.post(PATH)
    copy = get_body(requested, 202)
    assert (copy["state"], copy["content"]) == ("waiting", None)
    address = requested.headers["Location"]
    assert address == f"{PATH}/{copy['id']}"
    assert get_refusal(await person.get(f"{address}/content")) == (409, "export-not-ready")
    await worker()
    done = get_body(await person.get(address))
    downloaded = await person.get(done["content"])
    assert downloaded.headers["Content-Type"] == "application/zip"
    assert downloaded.headers["Cache-Control"] == "no-store"
    assert len(downloaded.content) == done["size"]
    with zipfile.ZipFile(io.BytesIO(downloaded.content)) as archive:
        names = archive.namelist()
        assert names == [INDEX, *(f"{section.name}.json" for section in SECTIONS)]
        listed = archive.read(INDEX).decode("utf-8-sig")
        assert all(name in listed for name in names[1:])
        return address, {name.removesuffix(".json"): orjson.loads(archive.read(name)) for name in names[1:]}


async def test_copy_has_all_data_of_the_person_and_none_of_others(
    people: People, worker: RunWorker, db: AsyncConnection, engine: AsyncEngine
) -> None:
    admin, person = await people.register(), await people.register()
    org = await admin.create_org()
    unit = get_body(await admin.post(f"/v1/orgs/{org['id']}/units", json={"name": "第一支部", "kind": "branch"}), 201)
    body = {"name": person.name, "phone": person.phone, "unit_ids": [unit["id"]]}
    get_body(await admin.post(f"/v1/orgs/{org['id']}/members", json=body), 201)
    other = {"name": fresh_name(), "phone": fresh_phone()}
    get_body(await admin.post(f"/v1/orgs/{org['id']}/members", json=other), 201)
    elsewhere = await admin.create_org()
    requested = await person.post("/v1/me/link-requests", json={"org_id": elsewhere["id"]})
    get_body(requested, 201)
    service = await sign_in_service(people.api, engine)
    assert await service.outcomes(event(user_id=person.user_id, points=7)) == ["counted"]
    await worker()

    address, data = await make_copy(person, worker)
    (account,) = data["account"]
    assert (account["phone"], account["verified_name"]) == (person.phone, person.name)
    (row,) = data["directories"]
    assert (row["org"], row["phone"], row["units"][0]["unit"]) == (org["name"], person.phone, "第一支部")
    assert [item["method"] for item in data["verifications"]] == ["alipay"]
    assert data["sessions"][0]["address"] == "127.0.0.1"
    assert [(item["kind"], item["org"]) for item in data["requests"]] == [("link-request", elsewhere["name"])]
    assert [item["points"] for item in data["points"]] == [7]
    assert {"session.started", "data_copy.requested"} <= {item["action"] for item in data["acts"]}
    assert all(item["text"] for item in data["messages"])
    assert other["phone"] not in str(data)
    assert other["name"] not in str(data)
    assert admin.name not in str(data)

    _, of_admin = await make_copy(admin, worker)
    assert [item["org"] for item in of_admin["offices"]] == [org["name"], elsewhere["name"]]
    assert {item["kind"] for item in of_admin["created"]} == {"org", "data-copy"}
    assert other["phone"] not in str(of_admin)
    for path in (address, f"{address}/content"):
        assert get_refusal(await admin.get(path)) == (404, "not-found")
    assert get_refusal(await admin.delete(address)) == (404, "not-found")
    readable = "SELECT position(decode('504b0304', 'hex') IN content_cipher) > 0 FROM data_copies WHERE user_id = :id"
    assert await db.scalar(text(readable), {"id": person.user_id}) is False


async def test_newer_copy_replaces_the_older_one_and_few_are_allowed(people: People, worker: RunWorker) -> None:
    person = await people.register(verified=False)
    first, _ = await make_copy(person, worker)
    second = get_body(await person.post(PATH), 202)["id"]
    assert get_refusal(await person.get(first)) == (404, "not-found")
    assert (await person.delete(f"{PATH}/{second}")).status_code == 204
    await worker()
    assert get_refusal(await person.get(f"{PATH}/{second}")) == (404, "not-found")
    assert (await person.post(PATH)).status_code == 202
    limited = await person.post(PATH)
    assert get_refusal(limited) == (429, "too-many-requests")
    assert 28_000 < int(limited.headers["Retry-After"]) <= 28_800


async def test_concurrent_requests_leave_one_copy(people: People, worker: RunWorker, db: AsyncConnection) -> None:
    person = await people.register(verified=False)
    requested = await asyncio.gather(person.post(PATH), person.post(PATH))
    assert [answer.status_code for answer in requested] == [202, 202]
    await worker()
    answers = [await person.get(answer.headers["Location"]) for answer in requested]
    assert sorted(answer.status_code for answer in answers) == [200, 404]
    states = (await db.execute(text("SELECT state FROM data_copies WHERE user_id = :id"), {"id": person.user_id})).all()
    assert [row.state for row in states] == ["done"]


async def test_copy_expires_and_goes_with_the_account(people: People, worker: RunWorker, db: AsyncConnection) -> None:
    person = await people.register(verified=False)
    address, _ = await make_copy(person, worker)
    await db.execute(text("UPDATE data_copies SET expires_at = now() WHERE user_id = :id"), {"id": person.user_id})
    for path in (address, f"{address}/content"):
        assert get_refusal(await person.get(path)) == (410, "export-expired")
    sent = get_body(await person.post("/v1/me/closing-codes"), 202)
    received = get_body(await person.api.get("/v1/simulator/sms", params={"phone": person.phone}))["items"]
    code = {"code": received[0]["code"], "handle": sent["handle"]}
    assert (await person.put("/v1/me/closure", json=code)).status_code == 204
    assert await db.scalar(text("SELECT count(*) FROM data_copies WHERE user_id = :id"), {"id": person.user_id}) == 0


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_copy_is_not_for_programs_of_others(people: People, method: str) -> None:
    """The test of the matrix shows it for each call: only the app and the console have `account:manage`."""
    path = PATH if method == "POST" else f"{PATH}/019b0000-0000-7000-8000-000000000000"
    assert get_refusal(await people.api.request(method, path))[0] == 401
