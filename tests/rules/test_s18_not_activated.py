"""S18 Not activated · 未激活"""

from tests.acts import Json, add_member, get_body, list_all
from tests.members.sheets import Work, check, xlsx
from tests.people import People, fresh_name, fresh_phone
from tests.rules.world import World


async def read_member(world: World, member: Json) -> Json:
    found: Json = get_body(await world.admin.get(f"{world.path}/members/{member['id']}"))
    return found


async def test_row_is_inactive_until_a_user_registers_with_its_phone(world: World, people: People) -> None:
    """A member row is inactive until a registered user has its phone."""
    name, phone = fresh_name(), fresh_phone()
    member = await add_member(world.admin, world.org, name=name, phone=phone)
    assert member["active"] is False
    await people.register(name=name, phone=phone)
    assert (await read_member(world, member))["active"] is True


async def test_new_user_of_a_number_is_linked_by_consent_only(world: World, people: People) -> None:
    """Numbers are given to new people: where the user's verified name differs from the row's, nothing is linked without
    an admin's consent.
    """
    new_user = await people.register(name="新机主")
    member = await add_member(world.admin, world.org, name="前机主", phone=new_user.phone)
    assert member["active"] is False
    request = get_body(await new_user.post("/v1/me/link-requests", json={"org_id": world.org["id"]}), 201)
    assert (await read_member(world, member))["active"] is False
    get_body(await world.admin.put(f"{world.path}/link-requests/{request['id']}/acceptance"))
    assert (await read_member(world, member))["active"] is True


async def test_inactive_row_shows_its_reason_and_a_link_request_that_can_be_accepted(
    world: World, people: People
) -> None:
    """The reason is shown: no registered user has the phone; the user with the phone has another verified name; or a
    user with another phone requests the link, which an admin can accept.
    """
    person, other = await people.register(), await people.register()
    member = await add_member(world.admin, world.org, name=person.name, phone=fresh_phone())
    assert member["inactive_reason"] == "never-registered"
    recycled = await add_member(world.admin, world.org, name="前机主", phone=other.phone)
    assert recycled["inactive_reason"] == "name-mismatch"
    request = get_body(await person.post("/v1/me/link-requests", json={"org_id": world.org["id"]}), 201)
    shown = await read_member(world, member)
    assert (shown["inactive_reason"], shown["link_request_id"]) == ("phone-mismatch", request["id"])
    accepted = await world.admin.put(f"{world.path}/link-requests/{request['id']}/acceptance")
    assert (get_body(accepted)["active"], get_body(accepted)["inactive_reason"]) == (True, None)


async def test_link_request_shows_the_users_phone_to_no_admin_and_the_rows_to_no_user(
    world: World, people: People
) -> None:
    """No other phone number is ever shown."""
    person, row_phone = await people.register(), fresh_phone()
    await add_member(world.admin, world.org, name=person.name, phone=row_phone)
    request = get_body(await person.post("/v1/me/link-requests", json={"org_id": world.org["id"]}), 201)
    path = f"{world.path}/link-requests/{request['id']}"
    to_admin = [
        await world.admin.get(path),
        await world.admin.get("/v1/inbox"),
        await world.admin.put(f"{path}/acceptance"),
    ]
    to_user = [await person.get("/v1/me/link-requests"), await person.get("/v1/me/orgs")]
    for answers, phone in ((to_admin, person.phone), (to_user, row_phone)):
        assert [answer.status_code for answer in answers if phone[-4:] in answer.text] == []


async def test_row_without_a_phone_is_matched_by_no_user_request_or_sheet(
    world: World, people: People, worker: Work
) -> None:
    """A row without a phone is never active, and no user, request or sheet is matched to it by a name alone."""
    name = fresh_name() + "桂"
    member = await add_member(world.admin, world.org, world.unit, name=name, phone=None, no_phone=True)
    person = await people.register(name=name)
    await person.post("/v1/me/link-requests", json={"org_id": world.org["id"]})
    received = await list_all(world.admin, f"{world.path}/link-requests")
    assert name not in {request["name"] for request in received}
    sheet = xlsx([(name, fresh_phone(), world.unit["name"])])
    checked = await check(world.admin, world.org["id"], worker, sheet)
    # The admin decides whether the row of the sheet is this person.
    assert (checked["counts"]["undecided"], checked["counts"]["changed"]) == (1, 0)
    shown = await read_member(world, member)
    assert (shown["active"], shown["inactive_reason"]) == (False, "no-phone")
