"""The inbox: the requests that wait for a user, and the calls that answer them."""

from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import (
    Json,
    add_admin,
    add_member,
    add_unit,
    certify,
    get_body,
    invite,
    invite_admin,
    list_all,
    send_application,
    send_change_request,
)
from tests.auth.authenticator import forget_key_proof, prove_key
from tests.people import People, Person, fresh_org_name


async def read_inbox(person: Person) -> Json:
    found: Json = get_body(await person.get("/v1/inbox"))
    return found


async def answer(person: Person, entry: Json, name: str, body: Json | None = None) -> None:
    action = entry["actions"][name]
    answered = await person.request(action["method"], action["href"], json=body)
    assert answered.status_code in (200, 204), answered.text


async def test_inbox_has_each_waiting_request_once_with_working_actions(people: People) -> None:
    superior_admin, founder, second, leader = [await people.register() for _ in range(4)]
    superior, org = await superior_admin.create_org(), await founder.create_org()
    assert await read_inbox(superior_admin) == {"items": [], "next_cursor": None, "counts": {}, "total": 0}

    application = get_body(await send_application(founder, org, (await invite(superior_admin, superior))["token"]), 201)
    waiting = await read_inbox(superior_admin)
    assert [(entry["kind"], entry["id"], entry["subject"]) for entry in waiting["items"]] == [
        ("application", application["id"], org["name"])
    ]
    assert (waiting["counts"], waiting["total"]) == ({"application": 1}, 1)
    read = get_body(await superior_admin.get(waiting["items"][0]["href"]))
    assert (read["id"], read["subordinate_name"], read["applicant_name"]) == (
        application["id"],
        org["name"],
        founder.name,
    )
    await answer(superior_admin, waiting["items"][0], "approval")
    assert (await read_inbox(superior_admin))["total"] == 0

    await invite_admin(founder, org, second)
    entry = (await read_inbox(second))["items"][0]
    assert (entry["kind"], entry["org_id"], entry["subject"]) == ("admin-invitation", None, org["name"])
    get_body(await second.get(entry["href"]))
    await answer(second, entry, "acceptance")

    name = fresh_org_name()
    get_body(await send_change_request(second, org, kind="rename", name=name), 201)
    get_body(await send_change_request(second, org, kind="recovery"), 201)
    waiting = await read_inbox(superior_admin)
    assert waiting["counts"] == {"change-request": 2}
    assert [entry["detail"] for entry in waiting["items"]] == ["recovery", name]
    get_body(await superior_admin.get(waiting["items"][1]["href"]))
    await answer(superior_admin, waiting["items"][1], "refusal", {"reason": "名称不规范"})
    own_items = (await read_inbox(founder))["items"]
    assert [entry["kind"] for entry in own_items] == ["recovery"]  # the main admin, whom it would replace, can object
    assert (await read_inbox(second))["items"] == []
    await answer(founder, own_items[0], "withdrawal")
    assert (await read_inbox(superior_admin))["total"] == 0

    unit = await add_unit(founder, org, "第一支部")
    body = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": leader.phone}}
    get_body(await founder.post(f"/v1/orgs/{org['id']}/promotions", json=body), 201)
    entry = (await read_inbox(leader))["items"][0]
    assert (entry["kind"], entry["subject"], entry["detail"]) == ("promotion", org["name"], "第一支部")
    get_body(await leader.get(entry["href"]))
    await answer(leader, entry, "acceptance")
    assert (await read_inbox(leader))["total"] == 0


async def test_transfer_is_in_the_inbox_of_the_present_and_then_of_the_new_superior(people: People) -> None:
    old_admin, new_admin, founder = [await people.register() for _ in range(3)]
    old, new, org = await old_admin.create_org(), await new_admin.create_org(), await founder.create_org()
    await certify(old_admin, old, founder, org)
    token = (await invite(new_admin, new))["token"]
    created = await founder.post(f"/v1/orgs/{org['id']}/transfers", json={"invitation_token": token})
    body = {"preview": get_body(created, 201)["preview"]["version"]}
    assert (await read_inbox(new_admin))["items"] == []
    entry = (await read_inbox(old_admin))["items"][0]
    assert (entry["kind"], entry["subject"], entry["detail"]) == ("transfer", org["name"], new["name"])
    await answer(old_admin, entry, "release", body)
    assert (await read_inbox(old_admin))["items"] == []
    entry = (await read_inbox(new_admin))["items"][0]
    assert (entry["subject"], entry["detail"], set(entry["actions"])) == (
        org["name"],
        old["name"],
        {"acceptance", "refusal"},
    )
    get_body(await new_admin.get(entry["href"]))
    await answer(new_admin, entry, "acceptance", body)
    assert (await read_inbox(new_admin))["items"] == []


async def test_inbox_pages_contain_each_entry_once_and_count_all(people: People) -> None:
    superior_admin, founder = await people.register(), await people.register()
    superior = await superior_admin.create_org()
    invitation = await invite(superior_admin, superior, max_uses=5)
    waiting = []
    for _ in range(5):
        org = await founder.create_org()
        waiting.append(get_body(await send_application(founder, org, invitation["token"]), 201)["id"])
    items = await list_all(superior_admin, "/v1/inbox", limit=2)
    assert [item["id"] for item in items] == waiting[::-1]
    assert get_body(await superior_admin.get("/v1/inbox", params={"limit": 2}))["counts"] == {"application": 5}


async def test_inbox_of_a_former_admin_is_empty(people: People) -> None:
    superior_admin, helper, founder = [await people.register() for _ in range(3)]
    superior, org = await superior_admin.create_org(), await founder.create_org()
    await add_admin(superior_admin, superior, helper)
    get_body(await send_application(founder, org, (await invite(superior_admin, superior))["token"]), 201)
    assert (await read_inbox(helper))["total"] == 1
    get_body(await helper.delete(f"/v1/orgs/{superior['id']}/admins/me"), 204)
    assert (await read_inbox(helper))["total"] == 0


async def test_inbox_of_a_provincial_org_masks_names_until_a_key_is_proved(people: People, db: AsyncConnection) -> None:
    admin, learner, clerk = await people.register(), await people.register(name="欧阳修远"), await people.register()
    province, subordinate = await admin.create_org(region_code="320000"), await clerk.create_org()
    key = await prove_key(admin)
    await add_member(admin, province, name=learner.name)
    link_request = get_body(await learner.post("/v1/me/link-requests", json={"org_id": province["id"]}), 201)
    leaving = await add_member(clerk, subordinate, name="王安石")
    path = f"/v1/orgs/{subordinate['id']}/members/{leaving['id']}/transfers"
    get_body(await clerk.post(path, json={"org_id": province["id"]}), 201)
    entries = {entry["kind"]: entry for entry in (await read_inbox(admin))["items"]}
    assert (entries["link-request"]["subject"], entries["person-transfer"]["detail"]) == (learner.name, "王安石")
    assert entries["person-transfer"]["subject"] == subordinate["name"]
    await forget_key_proof(db, admin)
    entries = {entry["kind"]: entry for entry in (await read_inbox(admin))["items"]}
    assert (entries["link-request"]["subject"], entries["person-transfer"]["detail"]) == ("欧***", "王**")
    assert entries["person-transfer"]["subject"] == "中" + "*" * (len(subordinate["name"]) - 1)
    await prove_key(admin, key)
    assert get_body(await admin.get(entries["link-request"]["href"]))["name"] == learner.name
    assert entries["link-request"]["id"] == link_request["id"]
