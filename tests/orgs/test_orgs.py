"""Creating and reading orgs over HTTP (S2, S4, S19)."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.people import People, fresh_org_name


async def test_org_creator_is_the_main_admin_and_a_member(people: People, db: AsyncConnection) -> None:
    founder = await people.register()
    org = await founder.create_org(region_code="320102")
    assert org["main_admin_id"] == founder.user_id
    assert org["level"] == "county"
    assert org["region"] == "江苏省南京市玄武区"
    own_orgs = (await founder.get("/v1/me/orgs")).json()["items"]
    assert [(row["id"], set(row["roles"])) for row in own_orgs] == [(org["id"], {"main-admin", "admin", "member"})]
    audit = (await founder.get(f"/v1/orgs/{org['id']}/audit")).json()["items"]
    created = [entry for entry in audit if entry["action"] == "org.created"]
    assert [(entry["user_id"], entry["user_name"]) for entry in created] == [(founder.user_id, founder.name)]
    events = await db.execute(text("SELECT type FROM outgoing_events WHERE org_id = :org"), {"org": org["id"]})
    assert "org.created" in events.scalars().all()


async def test_org_creation_without_real_name_is_refused(people: People) -> None:
    stranger = await people.register(verified=False)
    refused = await stranger.post("/v1/orgs", json={"name": fresh_org_name(), "region_code": "320102"})
    assert refused.status_code == 403
    assert refused.json()["type"] == "/problems/real-name-required"


async def test_party_org_of_a_non_party_member_is_refused_and_outside_party_org_allowed(people: People) -> None:
    person = await people.register(party=False)
    refused = await person.post("/v1/orgs", json={"name": fresh_org_name(), "region_code": "320102"})
    assert refused.json()["type"] == "/problems/party-member-required"
    await person.create_org(name=f"{fresh_org_name()[2:]}党外人士学习组织", kind="outside-party")


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ({"region_code": "999999"}, 422, "unknown-region"),
        ({"region_code": "32"}, 422, "invalid"),
        ({"name": "中共南京市委学习管理组"}, 422, "name-suffix-typed"),
        ({"name": "南京市党外人士学习组织"}, 422, "name-kind-mismatch"),
        ({"name": "中共\u202e南京市委"}, 422, "name-unshowable"),
        ({"name": "中共\x00南京市委"}, 422, "name-unshowable"),
        ({"name": ""}, 422, "invalid"),
        ({"owner": "another person"}, 422, "invalid"),
    ],
)
async def test_invalid_org_body_is_refused_and_creates_nothing(
    people: People, body: dict[str, str], status: int, slug: str
) -> None:
    founder = await people.register()
    refused = await founder.post("/v1/orgs", json={"name": fresh_org_name(), "region_code": "320102"} | body)
    assert (refused.status_code, refused.json()["type"]) == (status, f"/problems/{slug}")
    assert (await founder.get("/v1/me/orgs")).json()["items"] == []


async def test_existing_name_in_the_region_gives_advice_only(people: People) -> None:
    founder, other = await people.register(), await people.register()
    org = await founder.create_org()
    same = {"name": org["name"].replace("测试", " 测试 "), "region_code": org["region_code"]}
    checked = await other.post("/v1/name-checks", json=same)
    assert (checked.json()["errors"], checked.json()["advice"][0]["code"]) == ([], "name-exists")
    assert checked.json()["advice"][0]["org_id"] == org["id"]
    created = await other.create_org(**same)
    assert [advice["code"] for advice in created["advice"]] == ["name-exists"]


async def test_name_check_returns_errors_and_advice_and_creates_nothing(people: People) -> None:
    founder = await people.register()
    name = "中国共产党中国石化集团南京化学工业有限公司委员会"
    checked = (await founder.post("/v1/name-checks", json={"name": name, "region_code": "320102"})).json()
    assert checked["errors"] == []
    assert checked["advice"][0]["proposed_name"] == "中国石化集团南京化学工业有限公司党委"
    wrong = (await founder.post("/v1/name-checks", json={"name": name + "学习管理组", "region_code": "320102"})).json()
    assert [error["code"] for error in wrong["errors"]] == ["name-suffix-typed"]
    assert (await founder.get("/v1/me/orgs")).json()["items"] == []


async def test_org_of_others_looks_like_an_unknown_org(people: People) -> None:
    founder, stranger = await people.register(), await people.register()
    org = await founder.create_org()
    nowhere = "00000000-0000-7000-8000-000000000000"
    seen, unseen = await stranger.get(f"/v1/orgs/{org['id']}"), await stranger.get(f"/v1/orgs/{nowhere}")
    assert seen.status_code == unseen.status_code == 404
    assert seen.json() | {"request_id": None} == unseen.json() | {"request_id": None}


async def test_repeated_idempotency_key_returns_the_stored_answer(people: People) -> None:
    founder = await people.register()
    body = {"name": fresh_org_name(), "region_code": "320102"}
    headers = {"Idempotency-Key": "k-1"}
    first = await founder.post("/v1/orgs", json=body, headers=headers)
    again = await founder.post("/v1/orgs", json=body, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await founder.post("/v1/orgs", json=body | {"region_code": "320100"}, headers=headers)
    assert other.json()["type"] == "/problems/idempotency-key-reused"
    assert len((await founder.get("/v1/me/orgs")).json()["items"]) == 1


async def test_concurrent_requests_with_one_idempotency_key_create_one_org(people: People) -> None:
    founder = await people.register()
    body = {"name": fresh_org_name(), "region_code": "320102"}
    answers = await asyncio.gather(
        *(founder.post("/v1/orgs", json=body, headers={"Idempotency-Key": "k-1"}) for _ in range(10))
    )
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert len((await founder.get("/v1/me/orgs")).json()["items"]) == 1


async def test_deleting_the_main_admin_is_refused_by_the_database(people: People, engine: AsyncEngine) -> None:
    founder = await people.register()
    org = await founder.create_org()
    with pytest.raises(IntegrityError, match="orgs_main_admin_fkey"):
        async with engine.begin() as connection:
            await connection.execute(text("DELETE FROM org_admins WHERE org_id = :org"), {"org": org["id"]})


@pytest.mark.parametrize("table", ["audit_entries", "outgoing_events"])
async def test_audit_rows_are_append_only_even_for_the_table_owner(engine: AsyncEngine, table: str) -> None:
    for statement in (f"UPDATE {table} SET subject_type = 'x'", f"DELETE FROM {table}", f"TRUNCATE {table}"):
        with pytest.raises(IntegrityError, match="append-only"):
            async with engine.begin() as connection:
                await connection.execute(text(statement))
