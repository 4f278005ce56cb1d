"""Moves of chosen people out of a unit and the units under it, and their undoing (S20)."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import Json, add_member, add_unit, get_body, get_refusal, list_actions
from tests.people import People, Person


class Tree:
    """An org with a general branch, two branches and a group under it, and another branch beside it."""

    def __init__(self, admin: Person, org: Json, units: dict[str, Json]) -> None:
        self.admin, self.org, self.units = admin, org, units

    async def add(self, *units: str) -> Json:
        return await add_member(self.admin, self.org, *(self.units[unit] for unit in units))

    async def list_units(self, member: Json) -> set[str]:
        found = get_body(await self.admin.get(f"/v1/orgs/{self.org['id']}/members/{member['id']}"))
        return {unit["name"] for unit in found["units"]} | ({"org"} if found["at_org"] else set())

    async def move(self, from_unit: str | None, to: str | None, *members: Json, **more: Any) -> Json:
        body = {
            "from_unit_id": self.units[from_unit]["id"] if from_unit else None,
            "to_unit_id": self.units[to]["id"] if to else None,
            "units_below": True,
            **({"member_ids": [member["id"] for member in members]} if members else {}),
        }
        moved: Json = get_body(await self.admin.post(f"/v1/orgs/{self.org['id']}/moves", json=body | more))
        return moved

    async def undo(self, moved: Json, to: str | None, **more: Any) -> int:
        body = {"moved_at": moved["moved_at"], "to_unit_id": self.units[to]["id"] if to else None} | more
        undone = await self.admin.post(f"/v1/orgs/{self.org['id']}/moves/reversals", json=body)
        people: int = get_body(undone)["people"]
        return people


@pytest.fixture
async def tree(people: People) -> Tree:
    admin = await people.register()
    org = await admin.create_org()
    units = {"总支": await add_unit(admin, org, "总支")}
    for name in ("一支部", "二支部"):
        units[name] = await add_unit(admin, org, name, units["总支"])
    units["小组"] = await add_unit(admin, org, "小组", units["一支部"])
    units["机关"] = await add_unit(admin, org, "机关")
    return Tree(admin, org, units)


async def test_chosen_people_leave_every_unit_of_the_subtree_and_no_other(tree: Tree) -> None:
    in_two, deep = await tree.add("一支部", "小组", "机关"), await tree.add("小组")
    there, other = await tree.add("二支部", "总支"), await tree.add("一支部")
    outside = await tree.add("机关")
    moved = await tree.move("总支", "二支部", in_two, deep, there, outside)
    assert moved["people"] == 3
    assert await tree.list_units(in_two) == {"二支部", "机关"}
    assert await tree.list_units(deep) == {"二支部"}
    assert await tree.list_units(there) == {"二支部"}
    assert await tree.list_units(other) == {"一支部"}
    assert await tree.list_units(outside) == {"机关"}
    left = {frozenset(group["from_unit_ids"]): group["people"] for group in moved["groups"]}
    ids = {name: unit["id"] for name, unit in tree.units.items()}
    assert left == {
        frozenset({ids["一支部"], ids["小组"]}): 1,
        frozenset({ids["小组"]}): 1,
        frozenset({ids["总支"]}): 1,
    }
    assert (await list_actions(tree.admin, tree.org)).count("member.moved") == 3


async def test_move_is_undone_for_those_who_are_still_there(tree: Tree, db: AsyncConnection) -> None:
    ordered, there, gone = await tree.add("小组", "机关"), await tree.add("二支部", "总支"), await tree.add("一支部")
    place = f"/v1/orgs/{tree.org['id']}/members/{ordered['id']}/units/{tree.units['小组']['id']}/position"
    get_body(await tree.admin.put(place, json={"position": 3}))
    moved = await tree.move("总支", "二支部", ordered, there, gone)
    at = datetime.fromisoformat(moved["moved_at"])
    assert await tree.undo({"moved_at": (at - timedelta(microseconds=1)).isoformat()}, "二支部") == 0
    assert await tree.undo({"moved_at": (at - timedelta(days=2)).isoformat()}, "二支部") == 0
    await tree.move("二支部", "机关", gone)
    assert await tree.undo(moved, "二支部", member_ids=[there["id"]]) == 1
    assert await tree.list_units(there) == {"总支", "二支部"}
    assert await tree.undo(moved, "二支部") == 1
    assert await tree.list_units(ordered) == {"小组", "机关"}
    assert await tree.list_units(gone) == {"机关"}
    assert await tree.undo(moved, "二支部") == 0
    position = "SELECT position FROM unit_memberships WHERE member_id = :id AND unit_id = :unit AND until IS NULL"
    assert await db.scalar(text(position), {"id": ordered["id"], "unit": tree.units["小组"]["id"]}) == 3
    assert (await list_actions(tree.admin, tree.org)).count("unit.move_undone") == 2


async def test_whoever_would_be_nowhere_after_an_undo_stays(tree: Tree) -> None:
    person = await tree.add("小组")
    moved = await tree.move("总支", "机关", person)
    get_body(await tree.admin.delete(f"/v1/orgs/{tree.org['id']}/units/{tree.units['小组']['id']}"), 204)
    assert await tree.undo(moved, "机关") == 0
    assert await tree.list_units(person) == {"机关"}


async def test_admin_is_moved_and_stays_at_the_org(tree: Tree) -> None:
    rows = get_body(await tree.admin.get(f"/v1/orgs/{tree.org['id']}/members"))["items"]
    person = await tree.add()
    moved = await tree.move(None, "机关", *rows, person)
    assert moved["people"] == 2
    assert await tree.list_units(rows[0]) == {"org", "机关"}
    assert await tree.list_units(person) == {"机关"}
    assert await tree.undo(moved, "机关") == 2
    assert await tree.list_units(rows[0]) == {"org"}
    assert await tree.list_units(person) == {"org"}


async def test_move_out_of_the_management_group_leaves_units_alone(tree: Tree) -> None:
    person = await tree.add("小组")
    member = f"/v1/orgs/{tree.org['id']}/members/{person['id']}/units"
    get_body(await tree.admin.put(member, json={"unit_ids": [tree.units["小组"]["id"]], "at_org": True}))
    assert (await tree.move(None, "机关", person, units_below=False))["people"] == 1
    assert await tree.list_units(person) == {"小组", "机关"}
    assert (await tree.move(None, None, person))["people"] == 1
    assert await tree.list_units(person) == {"org"}


async def test_move_with_too_many_or_no_people_is_refused(tree: Tree) -> None:
    path = f"/v1/orgs/{tree.org['id']}/moves"
    body = {"from_unit_id": None, "to_unit_id": tree.units["机关"]["id"], "member_ids": []}
    assert get_refusal(await tree.admin.post(path, json=body)) == (422, "invalid")


async def test_preview_says_before_and_after_of_each_person_and_changes_nothing(tree: Tree) -> None:
    in_two, deep, there = await tree.add("一支部", "小组", "机关"), await tree.add("小组"), await tree.add("二支部")
    await tree.add("机关")
    names = {unit["id"]: name for name, unit in tree.units.items()} | {None: "org"}
    body = {"from_unit_id": tree.units["总支"]["id"], "units_below": True, "to_unit_id": tree.units["二支部"]["id"]}
    path = f"/v1/orgs/{tree.org['id']}/moves"
    preview = get_body(await tree.admin.post(f"{path}/previews", json=body))
    shown = {
        member["id"]: (
            {names[unit] for unit in member["before_unit_ids"]},
            {names[unit] for unit in member["after_unit_ids"]},
        )
        for member in preview["members"]
    }
    assert shown == {
        in_two["id"]: ({"一支部", "小组", "机关"}, {"机关", "二支部"}),
        deep["id"]: ({"小组"}, {"二支部"}),
    }
    assert await tree.list_units(in_two) == {"一支部", "小组", "机关"}
    moved = get_body(await tree.admin.post(path, json=body))
    assert (moved["people"], moved["groups"]) == (preview["people"], preview["groups"])
    assert await tree.list_units(in_two) == shown[in_two["id"]][1]
    assert await tree.list_units(there) == {"二支部"}
    named = get_body(await tree.admin.post(f"{path}/previews", json=body | {"member_ids": [there["id"]]}))
    assert named == {"people": 0, "groups": [], "members": []}
    unknown = body | {"to_unit_id": str(UUID(int=1))}
    assert get_refusal(await tree.admin.post(f"{path}/previews", json=unknown)) == (422, "unknown-unit")


async def test_preview_and_move_count_an_admin_who_stays_and_is_in_the_target_as_unchanged(tree: Tree) -> None:
    (admin_row,) = get_body(await tree.admin.get(f"/v1/orgs/{tree.org['id']}/members"))["items"]
    person = await tree.add()
    path = f"/v1/orgs/{tree.org['id']}/moves"
    body = {"from_unit_id": None, "to_unit_id": tree.units["机关"]["id"]}
    preview = get_body(await tree.admin.post(f"{path}/previews", json=body))
    after = {member["id"]: member["after_unit_ids"] for member in preview["members"]}
    assert after == {admin_row["id"]: [None, body["to_unit_id"]], person["id"]: [body["to_unit_id"]]}
    assert get_body(await tree.admin.post(path, json=body))["people"] == preview["people"] == 2
    assert get_body(await tree.admin.post(f"{path}/previews", json=body))["people"] == 0
    assert get_body(await tree.admin.post(path, json=body))["people"] == 0
