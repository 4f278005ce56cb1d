"""A pending person transfer is stored as superseded in the transaction in which the person leaves in another way."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import Json, add_admin, add_member, add_unit, get_body, get_refusal
from tests.auth.test_accounts import close_account
from tests.members.sheets import Work, merge, xlsx
from tests.people import People, Person, fresh_name, fresh_org_name, fresh_phone


async def request_transfer(giver: Person, org: Json, member: Json, to: Json) -> str:
    path = f"/v1/orgs/{org['id']}/members/{member['id']}/transfers"
    return str(get_body(await giver.post(path, json={"org_id": to["id"]}), 201)["id"])


async def get_stored_state(db: AsyncConnection, transfer_id: str) -> str:
    state = "SELECT state FROM person_transfers WHERE id = :id"
    return str(await db.scalar(text(state), {"id": transfer_id}))


@pytest.mark.parametrize("way", ["removed", "not in the sheet", "into the org that the unit becomes"])
async def test_person_transfer_is_stored_as_superseded_when_the_person_leaves(
    people: People, worker: Work, db: AsyncConnection, way: str
) -> None:
    giver, taker, leader = [await people.register() for _ in range(3)]
    org, to = await giver.create_org(), await taker.create_org()
    unit, other = await add_unit(giver, org, "一支部"), await add_unit(giver, org, "二支部")
    leaving, staying = await add_member(giver, org, unit), await add_member(giver, org, other)
    requested, pending = [await request_transfer(giver, org, member, to) for member in (leaving, staying)]
    if way == "removed":
        get_body(await giver.delete(f"/v1/orgs/{org['id']}/members/{leaving['id']}"), 204)
    elif way == "not in the sheet":
        disclosed = f"/v1/orgs/{org['id']}/members/{staying['id']}/phone-disclosures"
        phone = get_body(await giver.post(disclosed))["phone"]
        sheet = xlsx([(staying["name"], phone, "二支部")])
        assert (await merge(giver, org["id"], worker, sheet, mode="replace-all", leaving=1))["counts"]["left"] == 1
    else:
        body = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": leader.phone}}
        offered = get_body(await giver.post(f"/v1/orgs/{org['id']}/promotions", json=body), 201)["id"]
        get_body(await leader.put(f"/v1/me/promotions/{offered}/acceptance"))
    assert (await get_stored_state(db, requested), await get_stored_state(db, pending)) == ("superseded", "pending")
    for person, place in ((giver, org), (taker, to)):
        seen = get_body(await person.get(f"/v1/orgs/{place['id']}/person-transfers/{requested}"))
        assert (seen["state"], seen["name"], seen["decided_at"] is not None) == ("superseded", None, True)
    assert [entry["id"] for entry in get_body(await taker.get("/v1/inbox"))["items"]] == [pending]


async def test_transfer_of_a_restored_person_stays_superseded(people: People) -> None:
    giver, taker = await people.register(), await people.register()
    org, to = await giver.create_org(), await taker.create_org()
    member = await add_member(giver, org, name=fresh_name(), phone=fresh_phone())
    requested = await request_transfer(giver, org, member, to)
    get_body(await giver.delete(f"/v1/orgs/{org['id']}/members/{member['id']}"), 204)
    get_body(await giver.post(f"/v1/orgs/{org['id']}/members/{member['id']}/restorations"), 201)
    at = f"/v1/orgs/{to['id']}/person-transfers"
    assert get_body(await taker.get(f"{at}/{requested}"))["state"] == "superseded"
    assert get_body(await taker.get("/v1/inbox"))["items"] == []
    for answer, body in (("acceptance", None), ("refusal", {"reason": "编制已满"})):
        assert get_refusal(await taker.put(f"{at}/{requested}/{answer}", json=body)) == (409, "person-transfer-decided")
    again = await request_transfer(giver, org, member, to)
    get_body(await taker.put(f"{at}/{again}/acceptance"))


async def test_person_transfer_of_a_closed_account_can_be_read(people: People, db: AsyncConnection) -> None:
    founder, second, taker = [await people.register() for _ in range(3)]
    org, to = await founder.create_org(), await taker.create_org()
    member = await add_member(founder, org)
    await add_admin(founder, org, second)
    requested = await request_transfer(second, org, member, to)
    get_body(await second.delete(f"/v1/orgs/{org['id']}/admins/me"), 204)
    await close_account(second)
    for person, place in ((founder, org), (taker, to)):
        path = f"/v1/orgs/{place['id']}/person-transfers"
        assert get_body(await person.get(f"{path}/{requested}"))["requested_by"] is None
        assert [item["id"] for item in get_body(await person.get(path))["items"]] == [requested]
