"""Requests whose decider or whose subject changes before the decision."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.acts import (
    add_admin,
    add_member,
    add_unit,
    get_body,
    get_refusal,
    invite_admin,
    list_all,
    send_change_request,
)
from tests.people import People, fresh_name, fresh_org_name, fresh_phone


async def test_admin_invitation_can_be_withdrawn_by_the_next_main_admin(people: People) -> None:
    founder, second, accepting, invited = [await people.register() for _ in range(4)]
    org = await founder.create_org()
    await add_admin(founder, org, second)
    accepted, withdrawn = [await invite_admin(founder, org, person) for person in (accepting, invited)]
    get_body(await send_change_request(founder, org, kind="hand-over", main_admin_id=second.user_id), 201)
    get_body(await second.delete(f"/v1/orgs/{org['id']}/admins/{founder.user_id}"), 204)
    path = f"/v1/orgs/{org['id']}/admin-invitations"
    assert get_refusal(await founder.delete(f"{path}/{withdrawn['id']}"))[0] in (403, 404)
    get_body(await second.delete(f"{path}/{withdrawn['id']}"), 204)
    assert get_refusal(await invited.put(f"/v1/me/admin-invitations/{withdrawn['id']}/acceptance")) == (
        409,
        "admin-invitation-decided",
    )
    get_body(await accepting.put(f"/v1/me/admin-invitations/{accepted['id']}/acceptance"))
    assert {item["id"]: item["state"] for item in await list_all(second, path)}[accepted["id"]] == "accepted"


async def test_offer_of_a_unit_is_superseded_when_the_unit_moves_to_another_org(people: People) -> None:
    founder, leader, other = [await people.register() for _ in range(3)]
    org = await founder.create_org()
    top = await add_unit(founder, org, "第一党总支", kind="general-branch")
    subordinate = await add_unit(founder, org, "第一支部", top)
    path = f"/v1/orgs/{org['id']}/promotions"

    async def offer(unit_id: str, phone: str) -> str:
        body = {"unit_id": unit_id, "name": fresh_org_name(), "to": {"phone": phone}}
        return str(get_body(await founder.post(path, json=body), 201)["id"])

    of_top, of_below = await offer(top["id"], leader.phone), await offer(subordinate["id"], other.phone)
    get_body(await leader.put(f"/v1/me/promotions/{of_top}/acceptance"))
    states = {item["id"]: item["state"] for item in await list_all(founder, path)}
    assert states == {of_top: "accepted", of_below: "superseded"}
    assert get_refusal(await other.put(f"/v1/me/promotions/{of_below}/acceptance")) == (409, "promotion-decided")
    assert get_body(await other.get("/v1/inbox"))["items"] == []


async def test_link_request_whose_row_has_left_stays_pending_and_hidden_from_admins(
    people: People, engine: AsyncEngine
) -> None:
    admin, next_admin, person = [await people.register(name=fresh_name()) for _ in range(3)]
    org, next_org = await admin.create_org(), await next_admin.create_org()
    member = await add_member(admin, org, name=person.name, phone=fresh_phone())
    link_request = get_body(await person.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)
    assert get_body(await admin.get("/v1/inbox"))["total"] == 1
    path = f"/v1/orgs/{org['id']}/members/{member['id']}/transfers"
    moving = get_body(await admin.post(path, json={"org_id": next_org["id"]}), 201)
    get_body(await next_admin.put(f"/v1/orgs/{next_org['id']}/person-transfers/{moving['id']}/acceptance"))
    # The request no longer matches a row of its org. The org that now has the row did not receive the request.
    for other, place in ((admin, org), (next_admin, next_org)):
        assert get_body(await other.get("/v1/inbox"))["items"] == []
        assert await list_all(other, f"/v1/orgs/{place['id']}/link-requests") == []
        answer = await other.put(f"/v1/orgs/{place['id']}/link-requests/{link_request['id']}/acceptance")
        assert get_refusal(answer) == (404, "not-found")
    (own,) = await list_all(person, "/v1/me/link-requests")
    assert own["state"] == "pending"
    async with engine.begin() as connection:
        past = "UPDATE link_requests SET expires_at = now() - interval '1 second' WHERE id = :id"
        await connection.execute(text(past), {"id": link_request["id"]})
    (own,) = await list_all(person, "/v1/me/link-requests")
    assert own["state"] == "expired"


async def test_person_transfer_is_superseded_when_the_person_is_removed(people: People) -> None:
    giver, taker = await people.register(), await people.register()
    org, to = await giver.create_org(), await taker.create_org()
    member = await add_member(giver, org)
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    transfer = get_body(await giver.post(f"{path}/transfers", json={"org_id": to["id"]}), 201)
    assert get_body(await taker.get("/v1/inbox"))["total"] == 1
    get_body(await giver.delete(path), 204)
    assert get_body(await taker.get("/v1/inbox"))["total"] == 0
    seen = get_body(await taker.get(f"/v1/orgs/{to['id']}/person-transfers/{transfer['id']}"))
    assert (seen["state"], seen["name"]) == ("superseded", None)
    answer = await taker.put(f"/v1/orgs/{to['id']}/person-transfers/{transfer['id']}/acceptance")
    assert get_refusal(answer) == (409, "person-transfer-decided")
