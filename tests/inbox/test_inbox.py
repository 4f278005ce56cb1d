"""One list of what waits for a person, and the calls that answer it."""

from tests.acts import Json, add_admin, add_member, add_unit, apply, ask, certify, done, invite, invite_admin, list_all
from tests.auth.authenticator import prove_key
from tests.people import People, Person, fresh_org_name


async def inbox(person: Person) -> Json:
    found: Json = done(await person.get("/v1/inbox"))
    return found


async def answer(person: Person, entry: Json, name: str, body: Json | None = None) -> None:
    action = entry["actions"][name]
    answered = await person.request(action["method"], action["href"], json=body)
    assert answered.status_code in (200, 204), answered.text


async def test_everything_that_waits_is_there_once_and_its_action_answers_it(people: People) -> None:
    superior, founder, second, leader = [await people.register() for _ in range(4)]
    above, org = await superior.create_org(), await founder.create_org()
    assert await inbox(superior) == {"items": [], "next_cursor": None, "counts": {}, "total": 0}

    application = done(await apply(founder, org, (await invite(superior, above))["token"]), 201)
    waiting = await inbox(superior)
    assert [(entry["kind"], entry["id"], entry["subject"]) for entry in waiting["items"]] == [
        ("application", application["id"], org["name"])
    ]
    assert (waiting["counts"], waiting["total"]) == ({"application": 1}, 1)
    read = done(await superior.get(waiting["items"][0]["href"]))
    assert (read["id"], read["subordinate_name"], read["applicant_name"]) == (
        application["id"],
        org["name"],
        founder.name,
    )
    await answer(superior, waiting["items"][0], "approval")
    assert (await inbox(superior))["total"] == 0

    await invite_admin(founder, org, second)
    entry = (await inbox(second))["items"][0]
    assert (entry["kind"], entry["org_id"], entry["subject"]) == ("admin-invitation", None, org["name"])
    done(await second.get(entry["href"]))
    await answer(second, entry, "acceptance")

    name = fresh_org_name()
    done(await ask(second, org, kind="rename", name=name), 201)
    done(await ask(second, org, kind="recovery"), 201)
    waiting = await inbox(superior)
    assert waiting["counts"] == {"change-request": 2}
    assert [entry["detail"] for entry in waiting["items"]] == ["recovery", name]
    done(await superior.get(waiting["items"][1]["href"]))
    await answer(superior, waiting["items"][1], "refusal", {"reason": "名称不规范"})
    mine = (await inbox(founder))["items"]
    assert [entry["kind"] for entry in mine] == ["recovery"]  # asked about the main admin: who may object
    assert (await inbox(second))["items"] == []
    await answer(founder, mine[0], "withdrawal")
    assert (await inbox(superior))["total"] == 0

    unit = await add_unit(founder, org, "第一支部")
    body = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": leader.phone}}
    done(await founder.post(f"/v1/orgs/{org['id']}/promotions", json=body), 201)
    entry = (await inbox(leader))["items"][0]
    assert (entry["kind"], entry["subject"], entry["detail"]) == ("promotion", org["name"], "第一支部")
    done(await leader.get(entry["href"]))
    await answer(leader, entry, "acceptance")
    assert (await inbox(leader))["total"] == 0


async def test_a_transfer_waits_for_one_after_the_other(people: People) -> None:
    old_admin, new_admin, founder = [await people.register() for _ in range(3)]
    old, new, org = await old_admin.create_org(), await new_admin.create_org(), await founder.create_org()
    await certify(old_admin, old, founder, org)
    token = (await invite(new_admin, new))["token"]
    asked = await founder.post(f"/v1/orgs/{org['id']}/transfers", json={"invitation_token": token})
    body = {"preview": done(asked, 201)["preview"]["version"]}
    assert (await inbox(new_admin))["items"] == []
    entry = (await inbox(old_admin))["items"][0]
    assert (entry["kind"], entry["subject"], entry["detail"]) == ("transfer", org["name"], new["name"])
    await answer(old_admin, entry, "release", body)
    assert (await inbox(old_admin))["items"] == []
    entry = (await inbox(new_admin))["items"][0]
    assert (entry["subject"], entry["detail"], set(entry["actions"])) == (
        org["name"],
        old["name"],
        {"acceptance", "refusal"},
    )
    done(await new_admin.get(entry["href"]))
    await answer(new_admin, entry, "acceptance", body)
    assert (await inbox(new_admin))["items"] == []


async def test_pages_hold_each_entry_once_and_count_all(people: People) -> None:
    superior, founder = await people.register(), await people.register()
    above = await superior.create_org()
    invitation = await invite(superior, above, max_uses=5)
    waiting = []
    for _ in range(5):
        org = await founder.create_org()
        waiting.append(done(await apply(founder, org, invitation["token"]), 201)["id"])
    items = await list_all(superior, "/v1/inbox", limit=2)
    assert [item["id"] for item in items] == waiting[::-1]
    assert done(await superior.get("/v1/inbox", params={"limit": 2}))["counts"] == {"application": 5}


async def test_a_former_admin_s_inbox_is_empty(people: People) -> None:
    superior, helper, founder = [await people.register() for _ in range(3)]
    above, org = await superior.create_org(), await founder.create_org()
    await add_admin(superior, above, helper)
    done(await apply(founder, org, (await invite(superior, above))["token"]), 201)
    assert (await inbox(helper))["total"] == 1
    done(await helper.delete(f"/v1/orgs/{above['id']}/admins/me"), 204)
    assert (await inbox(helper))["total"] == 0


async def test_names_of_people_at_a_province_are_told_only_by_the_key(people: People) -> None:
    admin, learner, clerk = await people.register(), await people.register(name="欧阳修远"), await people.register()
    province, below = await admin.create_org(region_code="320000"), await clerk.create_org()
    await prove_key(admin)
    await add_member(admin, province, name=learner.name)
    asked = done(await learner.post("/v1/me/link-requests", json={"org_id": province["id"]}), 201)
    leaving = await add_member(clerk, below, name="王安石")
    path = f"/v1/orgs/{below['id']}/members/{leaving['id']}/transfers"
    done(await clerk.post(path, json={"org_id": province["id"]}), 201)
    told = {entry["kind"]: entry for entry in (await inbox(admin))["items"]}
    assert (told["link-request"]["subject"], told["person-transfer"]["detail"]) == ("欧***", "王**")
    assert done(await admin.get(told["link-request"]["href"]))["name"] == learner.name
    assert told["link-request"]["id"] == asked["id"]
