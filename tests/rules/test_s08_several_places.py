"""S8 One person in several places · 一人在多处"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import Json, add_admin, add_member, add_unit, get_body, get_refusal, list_actions, list_all
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


@dataclass
class Branches:
    """A general branch of the org with two branches under it, and a branch beside it."""

    world: World
    general: Json
    first: Json
    second: Json
    beside: Json

    @classmethod
    async def create(cls, world: World, name: str) -> "Branches":
        general = await add_unit(world.admin, world.org, f"{name}总支")
        first, second = [await add_unit(world.admin, world.org, f"{name}{number}", general) for number in "一二"]
        return cls(world, general, first, second, await add_unit(world.admin, world.org, f"{name}机关"))

    @property
    def body(self) -> Json:
        """Return the move of all people below the general branch to the second branch."""
        return {"from_unit_id": self.general["id"], "units_below": True, "to_unit_id": self.second["id"]}

    async def list_unit_ids(self, member: Json) -> set[str]:
        found = get_body(await self.world.admin.get(f"{self.world.path}/members/{member['id']}"))
        return {unit["id"] for unit in found["units"]}


async def test_move_out_of_a_unit_ends_the_units_under_it_and_no_other(world: World) -> None:
    """A move out of a unit with the units under it takes people out of all of these, and their other units stay."""
    units = await Branches.create(world, "移出")
    member = await add_member(world.admin, world.org, units.general, units.first, units.beside)
    get_body(await world.admin.post(f"{world.path}/moves", json=units.body))
    assert await units.list_unit_ids(member) == {units.second["id"], units.beside["id"]}


async def test_preview_of_a_move_says_before_and_after(world: World) -> None:
    """A preview says of each person where they are before and after the move, and changes nothing."""
    units = await Branches.create(world, "预览")
    member = await add_member(world.admin, world.org, units.first, units.beside)
    (shown,) = get_body(await world.admin.post(f"{world.path}/moves/previews", json=units.body))["members"]
    assert (shown["id"], shown["name"]) == (member["id"], member["name"])
    assert set(shown["before_unit_ids"]) == await units.list_unit_ids(member) == {units.first["id"], units.beside["id"]}
    assert set(shown["after_unit_ids"]) == {units.second["id"], units.beside["id"]}


async def test_answer_to_a_move_says_who_left_which_units(world: World) -> None:
    """The answer to a move says how many people have left which units."""
    units = await Branches.create(world, "移动")
    for _ in range(2):
        await add_member(world.admin, world.org, units.first)
    await add_member(world.admin, world.org, units.general)
    moved = get_body(await world.admin.post(f"{world.path}/moves", json=units.body))
    assert moved["people"] == 3
    assert moved["groups"] == [
        {"from_unit_ids": [units.first["id"]], "people": 2},
        {"from_unit_ids": [units.general["id"]], "people": 1},
    ]


async def test_move_is_undone_for_24_hours(world: World, db: AsyncConnection) -> None:
    """For 24 hours a move is undone in one call: people who are still in its target return to the units that they left,
    each to their place in it.
    """
    units = await Branches.create(world, "撤销")
    secretary, gone = [await add_member(world.admin, world.org, units.first) for _ in range(2)]
    place = f"{world.path}/members/{secretary['id']}/units/{units.first['id']}/position"
    get_body(await world.admin.put(place, json={"position": 1}))
    moved = get_body(await world.admin.post(f"{world.path}/moves", json=units.body))
    elsewhere = {"unit_ids": [units.beside["id"]]}
    get_body(await world.admin.put(f"{world.path}/members/{gone['id']}/units", json=elsewhere))
    undo = {"moved_at": moved["moved_at"], "to_unit_id": units.second["id"]}
    assert get_body(await world.admin.post(f"{world.path}/moves/reversals", json=undo)) == {"people": 1}
    (back,) = get_body(await world.admin.get(f"{world.path}/members/{secretary['id']}"))["units"]
    assert (back["id"], back["position"]) == (units.first["id"], 1)
    assert await units.list_unit_ids(gone) == {units.beside["id"]}
    moved = get_body(await world.admin.post(f"{world.path}/moves", json=units.body))
    earlier = datetime.fromisoformat(moved["moved_at"]) - timedelta(hours=25)
    shift = "SET since = since - interval '25 h', until = until - interval '25 h' WHERE member_id = :id"
    await db.execute(text(f"UPDATE unit_memberships {shift}"), {"id": secretary["id"]})
    await db.commit()
    late = undo | {"moved_at": earlier.isoformat()}
    assert get_body(await world.admin.post(f"{world.path}/moves/reversals", json=late)) == {"people": 0}
    assert await units.list_unit_ids(secretary) == {units.second["id"]}


async def test_search_by_the_whole_phone_finds_the_person_and_is_audited(world: World) -> None:
    """An admin finds a person by the whole phone; the search is in the audit."""
    path = f"{world.path}/members/phone-searches"
    found = get_body(await world.admin.post(path, json={"phone": world.learner.phone}))["items"]
    assert [row["id"] for row in found] == [world.member["id"]]
    assert (await list_actions(world.admin, world.org))[0] == "member.searched_by_phone"
