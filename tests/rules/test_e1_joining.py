"""E1 Asking to join · 申请加入"""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.acts import Json, add_member, get_body, get_refusal, list_all
from tests.people import People, Person
from tests.rules.world import World

MINE = "/v1/me/join-requests"


async def send_join_request(person: Person, **body: Any) -> Json:
    request: Json = get_body(await person.post(MINE, json=body), 201)
    return request


@pytest.mark.parametrize("way", ["link", "unit-link", "id", "name"])
async def test_person_asks_with_a_link_by_id_or_by_name_and_region(world: World, people: People, way: str) -> None:
    """A person asks an org to be in its directory: with a link or QR code of the org or of a unit, by the org's id, or
    by its full name and region.
    """
    person = await people.register()
    body = {"org_id": world.org["id"]}
    if way == "name":
        body = {"org_name": world.org["name"], "region_code": world.org["region_code"]}
    elif way != "id":
        unit_id = world.unit["id"] if way == "unit-link" else None
        link = get_body(await world.admin.post(f"{world.path}/join-links", json={"unit_id": unit_id}), 201)
        picture = await world.admin.get(f"{world.path}/join-links/{link['id']}/qr.svg")
        assert (picture.headers["Content-Type"], link["link"].endswith(link["token"])) == ("image/svg+xml", True)
        body = {"link_token": link["token"]}
    request = await send_join_request(person, **body)
    expected = world.unit["name"] if way == "unit-link" else None
    assert (request["org_id"], request["unit_name"], request["state"]) == (world.org["id"], expected, "pending")
    received = {item["id"] for item in await list_all(world.admin, f"{world.path}/join-requests")}
    assert request["id"] in received


async def test_admins_accept_with_units_or_decline_with_a_reason(world: World, people: People) -> None:
    """Its admins accept with units, or decline with a reason, within 30 days."""
    accepted, declined = await people.register(), await people.register()
    requests = [await send_join_request(person, org_id=world.org["id"]) for person in (accepted, declined)]
    days = [datetime.fromisoformat(requests[0][name]) for name in ("requested_at", "expires_at")]
    assert days[1] - days[0] == timedelta(days=30)
    paths = [f"{world.path}/join-requests/{request['id']}" for request in requests]
    row = get_body(await world.admin.put(f"{paths[0]}/acceptance", json={"unit_ids": [world.unit["id"]]}))
    assert (row["active"], [unit["id"] for unit in row["units"]]) == (True, [world.unit["id"]])
    get_body(await world.admin.put(f"{paths[1]}/refusal", json={"reason": "请到所在支部申请"}), 204)
    mine = get_body(await declined.get(f"{MINE}/{requests[1]['id']}"))
    assert (mine["state"], mine["reason"]) == ("declined", "请到所在支部申请")


async def test_row_has_the_verified_name_or_else_the_given_one(world: World, people: People) -> None:
    """A verified name is used for the row; without one the person gives a name (422 `name-needed`)."""
    verified, unverified = await people.register(), await people.register(verified=False)
    nameless = await unverified.post(MINE, json={"org_id": world.org["id"]})
    assert get_refusal(nameless) == (422, "name-needed")
    for person, name in ((verified, verified.name), (unverified, "解晓东")):
        request = await send_join_request(person, org_id=world.org["id"], name="解晓东")
        row = get_body(await world.admin.put(f"{world.path}/join-requests/{request['id']}/acceptance"))
        assert row["name"] == name


async def test_phone_is_not_shown_before_the_acceptance(world: World, people: People) -> None:
    """Admins do not see the phone before the acceptance."""
    person = await people.register()
    path = f"{world.path}/join-requests/{(await send_join_request(person, org_id=world.org['id']))['id']}"
    for shown in (await world.admin.get(path), await world.admin.get("/v1/inbox")):
        assert (shown.status_code, person.phone[-4:] in shown.text) == (200, False)
    row = get_body(await world.admin.put(f"{path}/acceptance"))
    assert row["phone"] == f"{person.phone[:3]}****{person.phone[-4:]}"


async def test_person_in_the_directory_is_refused_with_the_place(world: World) -> None:
    """A person who is in the directory is refused with the place (409 `already-member`)."""
    refused = await world.learner.post(MINE, json={"org_id": world.org["id"]})
    assert get_refusal(refused) == (409, "already-member")
    assert refused.json()["units"] == [world.unit["name"]]


async def test_sixth_waiting_request_is_refused(world: World, people: People) -> None:
    """At most five requests of one user wait at a time (409 `too-many-join-requests`)."""
    founder, person = await people.register(), await people.register()
    for _ in range(5):
        await send_join_request(person, org_id=(await founder.create_org())["id"])
    sixth = await person.post(MINE, json={"org_id": world.org["id"]})
    assert get_refusal(sixth) == (409, "too-many-join-requests")


async def test_person_outside_the_party_is_refused_by_a_party_org(world: World, people: People) -> None:
    """Only party members may ask a party org (409 `party-members-only`)."""
    outsider = await people.register(party=False)
    refused = await outsider.post(MINE, json={"org_id": world.org["id"]})
    assert get_refusal(refused) == (409, "party-members-only")


async def test_person_sees_the_own_orgs_and_units_and_what_is_written_there(world: World, people: People) -> None:
    """A person sees in which orgs and units they are, and what is written there about them."""
    person = await people.register()
    assert await list_all(person, "/v1/me/memberships") == []
    await add_member(world.admin, world.org, world.unit, name=person.name, phone=person.phone, post="组织委员")
    (own,) = await list_all(person, "/v1/me/memberships")
    assert (own["org_id"], own["name"], own["post"]) == (world.org["id"], person.name, "组织委员")
    assert [unit["path"] for unit in own["units"]] == [world.unit["name"]]


async def test_person_asks_to_be_removed(world: World, people: People) -> None:
    """A person can ask an org to remove them from its directory."""
    person = await people.register()
    await add_member(world.admin, world.org, name=person.name, phone=person.phone)
    answer = await person.post("/v1/me/removal-requests", json={"org_id": world.org["id"]})
    request = get_body(answer, 201)
    received = await list_all(world.admin, f"{world.path}/removal-requests")
    assert (request["id"], person.name) in [(item["id"], item["name"]) for item in received]


async def test_admins_remove_the_person_or_decline_with_a_reason(world: World, people: People) -> None:
    """Its admins remove the person, or decline with a reason, within 30 days."""
    person = await people.register()
    await add_member(world.admin, world.org, name=person.name, phone=person.phone)
    for decision, body, state in (("refusal", {"reason": "请先转接"}, "declined"), ("acceptance", None, "accepted")):
        answer = await person.post("/v1/me/removal-requests", json={"org_id": world.org["id"]})
        request = get_body(answer, 201)
        days = [datetime.fromisoformat(request[name]) for name in ("requested_at", "expires_at")]
        assert days[1] - days[0] == timedelta(days=30)
        get_body(await world.admin.put(f"{world.path}/removal-requests/{request['id']}/{decision}", json=body), 204)
        mine = get_body(await person.get(f"/v1/me/removal-requests/{request['id']}"))
        assert (mine["state"], mine["reason"]) == (state, (body or {}).get("reason"))
    assert await list_all(person, "/v1/me/memberships") == []


async def test_admin_cannot_ask_to_be_removed(world: World) -> None:
    """An admin resigns before asking (409 `admin-must-resign`)."""
    refused = await world.admin.post("/v1/me/removal-requests", json={"org_id": world.org["id"]})
    assert get_refusal(refused) == (409, "admin-must-resign")


async def test_blocked_org_has_an_inactive_row_until_the_person_asks(world: World, people: People) -> None:
    """While a person blocks an org, its row of them stays and is not activated; asking the org lifts the block."""
    person = await people.register()
    member = await add_member(world.admin, world.org, name=person.name, phone=person.phone)
    get_body(await person.put(f"/v1/me/blocked-orgs/{world.org['id']}"), 204)
    row = get_body(await world.admin.get(f"{world.path}/members/{member['id']}"))
    assert (row["active"], row["inactive_reason"]) == (False, "blocked")
    await send_join_request(person, org_id=world.org["id"])
    assert await list_all(person, "/v1/me/blocked-orgs") == []
