"""S5 Renaming, replacing the main admin · 更名与更换主管理员"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import Json, add_admin, get_body, get_refusal, list_all, send_change_request
from tests.people import People, Person, fresh_org_name
from tests.rules.world import create_pair, find_main_admin_id, move_org


async def read_name(person: Person, org: Json) -> str:
    return str(get_body(await person.get(f"/v1/orgs/{org['id']}"))["name"])


def approval_path(superior: Json, request: Json) -> str:
    return f"/v1/orgs/{superior['id']}/change-requests/{request['id']}/approval"


async def test_new_name_and_new_main_admin_take_effect_with_the_superiors_approval(people: People) -> None:
    """Both are change requests that the superior decides."""
    superior_admin, superior, founder, org = await create_pair(people)
    second = await people.register()
    await add_admin(founder, org, second)
    name = fresh_org_name()
    requests = [
        get_body(await send_change_request(founder, org, kind="rename", name=name), 201),
        get_body(await send_change_request(founder, org, kind="hand-over", main_admin_id=second.user_id), 201),
    ]
    assert [request["state"] for request in requests] == ["pending", "pending"]
    assert (await read_name(founder, org), await find_main_admin_id(founder, org)) == (org["name"], founder.user_id)
    for request in requests:
        get_body(await superior_admin.put(approval_path(superior, request)))
    assert (await read_name(founder, org), await find_main_admin_id(founder, org)) == (name, second.user_id)


async def test_changes_without_a_superior_take_effect_at_once(people: People) -> None:
    """Without a superior they take effect at once."""
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    await add_admin(founder, org, second)
    name = fresh_org_name()
    for body in ({"kind": "rename", "name": name}, {"kind": "hand-over", "main_admin_id": second.user_id}):
        assert get_body(await send_change_request(founder, org, **body), 201)["state"] == "accepted"
    assert (await read_name(founder, org), await find_main_admin_id(founder, org)) == (name, second.user_id)


async def test_new_main_admin_who_is_no_admin_is_refused(people: People) -> None:
    """The new main admin is already an admin (409 `not-an-admin`); an org whose only admin is the main admin cannot
    hand over (409 `sole-admin`).
    """
    founder, second, stranger = [await people.register() for _ in range(3)]
    org = await founder.create_org()
    hand_over = {"kind": "hand-over", "main_admin_id": stranger.user_id}
    assert get_refusal(await send_change_request(founder, org, **hand_over)) == (409, "sole-admin")
    await add_admin(founder, org, second)
    assert get_refusal(await send_change_request(founder, org, **hand_over)) == (409, "not-an-admin")


async def read_state(person: Person, org: Json, request: Json) -> str:
    return str(get_body(await person.get(f"/v1/orgs/{org['id']}/change-requests/{request['id']}"))["state"])


async def test_rename_is_superseded_after_the_name_has_changed(people: People, db: AsyncConnection) -> None:
    """A rename is superseded at its decision if the name has changed since (409 `change-request-stale`)."""
    superior_admin, superior, founder, org = await create_pair(people)
    rename = get_body(await send_change_request(founder, org, kind="rename", name=fresh_org_name()), 201)
    await db.execute(text("UPDATE orgs SET name = :name WHERE id = :id"), {"name": fresh_org_name(), "id": org["id"]})
    decided = await superior_admin.put(approval_path(superior, rename))
    assert get_refusal(decided) == (409, "change-request-stale")
    assert await read_state(founder, org, rename) == "superseded"


async def test_other_requests_for_a_main_admin_are_superseded_by_a_new_one(people: People) -> None:
    """A new main admin supersedes the other requests for one (409 `change-request-decided`)."""
    superior_admin, superior, founder, org = await create_pair(people)
    second, third = await people.register(), await people.register()
    for person in (second, third):
        await add_admin(founder, org, person)
    hand_over = get_body(await send_change_request(founder, org, kind="hand-over", main_admin_id=second.user_id), 201)
    rename = get_body(await send_change_request(founder, org, kind="rename", name=fresh_org_name()), 201)
    recovery = get_body(await send_change_request(third, org, kind="recovery"), 201)
    get_body(await superior_admin.put(approval_path(superior, recovery)))
    assert await read_state(third, org, hand_over) == "superseded"
    assert await read_state(third, org, rename) == "pending"
    decided = await superior_admin.put(approval_path(superior, hand_over))
    assert get_refusal(decided) == (409, "change-request-decided")


async def test_pending_request_goes_to_the_new_superior_and_takes_effect_at_a_release(people: People) -> None:
    """A pending request goes to the new superior when the org is transferred, and takes effect when the org is
    released.
    """
    old_admin, old, founder, org = await create_pair(people)
    new_admin = await people.register()
    new = await new_admin.create_org()
    name = fresh_org_name()
    request = get_body(await send_change_request(founder, org, kind="rename", name=name), 201)
    await move_org(founder, org, (old_admin, old), (new_admin, new))
    assert get_refusal(await old_admin.put(approval_path(old, request))) == (404, "not-found")
    received = await list_all(new_admin, f"/v1/orgs/{new['id']}/change-requests", side="received")
    assert [item["id"] for item in received] == [request["id"]]
    assert await read_name(founder, org) == org["name"]
    get_body(await new_admin.delete(f"/v1/orgs/{new['id']}/subordinates/{org['id']}"), 204)
    assert await read_name(founder, org) == name
