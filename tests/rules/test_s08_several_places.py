"""S8 One person in several places · 一人在多处"""

from tests.acts import add_admin, add_member, add_unit, get_body, get_refusal, list_actions, list_all
from tests.people import People, fresh_phone
from tests.rules.world import World


async def test_admin_is_in_units_and_in_the_management_group(people: People) -> None:
    """A member can be in several units and in the management group: every admin has a row placed at the org itself."""
    founder, second = await people.register(), await people.register()
    org = await founder.create_org()
    units = [await add_unit(founder, org, name) for name in ("第一支部", "第二支部")]
    await add_member(founder, org, *units, name=second.name, phone=second.phone)
    await add_admin(founder, org, second)
    rows = {row["name"]: row for row in await list_all(founder, f"/v1/orgs/{org['id']}/members")}
    assert all(rows[admin.name]["at_org"] for admin in (founder, second))
    assert {unit["id"] for unit in rows[second.name]["units"]} == {unit["id"] for unit in units}


async def test_units_of_a_member_are_set_in_one_call(world: World) -> None:
    """The units of a member are set in one call."""
    first, second, third = [await add_unit(world.admin, world.org, f"勾选{number}支部") for number in "一二三"]
    member = await add_member(world.admin, world.org, first, second)
    path = f"{world.path}/members/{member['id']}/units"
    placed = get_body(await world.admin.put(path, json={"unit_ids": [second["id"], third["id"]]}))
    assert {unit["id"] for unit in placed["units"]} == {second["id"], third["id"]}


async def test_known_phone_is_refused_with_the_member_and_the_copy_action(world: World) -> None:
    """Adding a known phone is refused (409 `phone-exists`); the answer contains the existing member and the copy
    action.
    """
    phone = fresh_phone()
    member = await add_member(world.admin, world.org, world.unit, phone=phone)
    target = await add_unit(world.admin, world.org, "复制到的支部")
    body = {"name": "王小明", "phone": phone, "unit_ids": [target["id"]]}
    refused = await world.admin.post(f"{world.path}/members", json=body)
    assert get_refusal(refused) == (409, "phone-exists")
    problem = refused.json()
    assert problem["member"]["id"] == member["id"]
    action = problem["copy"]
    copied = get_body(await world.admin.request(action["method"], action["href"], json={"unit_id": target["id"]}), 201)
    assert {unit["id"] for unit in copied["units"]} == {world.unit["id"], target["id"]}


async def test_search_by_the_whole_phone_finds_the_person_and_is_audited(world: World) -> None:
    """An admin finds a person by the whole phone; the search is in the audit."""
    path = f"{world.path}/members/phone-searches"
    found = get_body(await world.admin.post(path, json={"phone": world.learner.phone}))["items"]
    assert [row["id"] for row in found] == [world.member["id"]]
    assert (await list_actions(world.admin, world.org))[0] == "member.searched_by_phone"
