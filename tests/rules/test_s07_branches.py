"""S7 Branches · 党支部"""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from app.core.calendar import today
from app.orgs.retention import CLEAN_UPS
from app.worker.retention import run_clean_up
from tests.acts import add_member, add_unit, get_body, get_refusal, list_all
from tests.people import People, fresh_org_name
from tests.rules.world import World, create_pair, find_superior_id


async def test_large_branch_is_an_org_of_its_own_under_its_superior(people: People) -> None:
    """A large branch, an independent unit or a lower committee is an org of its own, certified under its superior."""
    superior_admin, superior, founder, org = await create_pair(people)
    assert await find_superior_id(founder, org) == superior["id"]
    assert [item["id"] for item in await list_all(superior_admin, f"/v1/orgs/{superior['id']}/subordinates")] == [
        org["id"]
    ]


async def test_small_and_general_branch_party_group_and_department_are_nested_units(people: People) -> None:
    """A small branch, a general branch, a party group or a department is a unit in the org's own tree; units nest."""
    founder = await people.register()
    org = await founder.create_org()
    general = await add_unit(founder, org, "机关总支", kind="general-branch")
    branch = await add_unit(founder, org, "第一支部", general, kind="branch")
    await add_unit(founder, org, "办公室", branch, kind="department")
    await add_unit(founder, org, "第一党小组", branch, kind="party-group")
    units = await list_all(founder, f"/v1/orgs/{org['id']}/units")
    assert [(unit["path"], unit["kind"]) for unit in units] == [
        ("机关总支", "general-branch"),
        ("机关总支/第一支部", "branch"),
        ("机关总支/第一支部/办公室", "department"),
        ("机关总支/第一支部/第一党小组", "party-group"),
    ]


async def test_temporary_branch_has_a_last_day_and_keeps_its_people_after_it(
    people: People, engine: AsyncEngine
) -> None:
    """A temporary branch has a last day (422 `last-day-mismatch`): after it the branch is shown as ended, its admins
    get a message, and its people stay in it.
    """
    founder = await people.register()
    org = await founder.create_org()
    path = f"/v1/orgs/{org['id']}"
    endless = await founder.post(f"{path}/units", json={"name": "工地临时党支部", "kind": "temporary-branch"})
    assert get_refusal(endless) == (422, "last-day-mismatch")
    yesterday = str(today() - timedelta(days=1))
    unit = await add_unit(founder, org, "展会临时党支部", kind="temporary-branch", last_day=yesterday)
    member = await add_member(founder, org, unit)
    clean_up = next(job for job in CLEAN_UPS if job.name == "ended-temporary-branches")
    await run_clean_up(engine, clean_up)
    assert get_body(await founder.get(f"{path}/units/{unit['id']}"))["ended"] is True
    assert "unit-ended" in {message["kind"] for message in await list_all(founder, "/v1/messages")}
    assert [place["id"] for place in get_body(await founder.get(f"{path}/members/{member['id']}"))["units"]] == [
        unit["id"]
    ]


async def test_unit_lists_its_people_in_its_own_order(world: World) -> None:
    """A unit lists its people in its own order, by post for example: the post is in the member's row."""
    unit = await add_unit(world.admin, world.org, "排序支部")
    await add_member(world.admin, world.org, unit, name="安然")
    secretary = await add_member(world.admin, world.org, unit, name="赵敏", post="支部书记")
    place = f"{world.path}/members/{secretary['id']}/units/{unit['id']}/position"
    assert get_body(await world.admin.put(place, json={"position": 1}))["post"] == "支部书记"
    listed = await list_all(world.admin, f"{world.path}/units/{unit['id']}/members")
    assert [row["name"] for row in listed] == ["赵敏", "安然"]


async def test_promoted_unit_is_a_certified_org_with_its_people(world: World, people: People) -> None:
    """A unit that has grown can become an org and keep its people (promotion): the org's admin offers it, a named
    verified person accepts and is its main admin, and it is certified under the org in the same transaction.
    """
    leader = await people.register()
    unit = await add_unit(world.admin, world.org, "已壮大的支部")
    member = await add_member(world.admin, world.org, unit)
    offer = {"unit_id": unit["id"], "name": fresh_org_name(), "to": {"phone": leader.phone}}
    promotion = get_body(await world.admin.post(f"{world.path}/promotions", json=offer), 201)
    org = get_body(await leader.put(f"/v1/me/promotions/{promotion['id']}/acceptance"))
    assert (org["name"], org["main_admin_id"], org["superior_id"]) == (offer["name"], leader.user_id, world.org["id"])
    people_there = {row["id"] for row in await list_all(leader, f"/v1/orgs/{org['id']}/members")}
    assert member["id"] in people_there
    assert unit["id"] not in {item["id"] for item in await list_all(world.admin, f"{world.path}/units")}
