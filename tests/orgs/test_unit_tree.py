"""Renaming, moving, ordering and removing units (S7, S10, S11)."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.acts import Json, add_member, add_unit, get_body, get_refusal, list_actions, list_all
from tests.people import People, Person


async def list_paths(person: Person, org: Json) -> list[str]:
    return [unit["path"] for unit in await list_all(person, f"/v1/orgs/{org['id']}/units", limit=2)]


def unit_path(org: Json, unit: Json) -> str:
    return f"/v1/orgs/{org['id']}/units/{unit['id']}"


async def test_unit_is_renamed_and_moved_with_its_sub_units(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    general = await add_unit(founder, org, "机关党总支", kind="general-branch")
    other = await add_unit(founder, org, "离退休党总支", kind="general-branch")
    branch = await add_unit(founder, org, "第一支部", general)
    await add_unit(founder, org, "第一小组", branch, kind="department")
    moved = get_body(await founder.patch(unit_path(org, branch), json={"name": "老干部支部", "parent_id": other["id"]}))
    assert moved["path"] == "离退休党总支/老干部支部"
    assert await list_paths(founder, org) == [
        "机关党总支",
        "离退休党总支",
        "离退休党总支/老干部支部",
        "离退休党总支/老干部支部/第一小组",
    ]
    get_body(await founder.patch(unit_path(org, branch), json={"parent_id": None, "kind": "department"}))
    assert await list_paths(founder, org) == ["机关党总支", "离退休党总支", "老干部支部", "老干部支部/第一小组"]
    assert (await list_actions(founder, org))[:2] == ["unit.updated", "unit.updated"]


async def test_sibling_units_are_listed_by_position(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    units = {name: await add_unit(founder, org, name) for name in ("丙", "甲", "丁", "乙")}
    assert await list_paths(founder, org) == ["丙", "甲", "丁", "乙"]
    await add_unit(founder, org, "丙下", units["丙"])

    async def set_position(name: str, position: int) -> list[str]:
        get_body(await founder.patch(unit_path(org, units[name]), json={"position": position}))
        return [path for path in await list_paths(founder, org) if "/" not in path]

    assert await set_position("甲", 0) == ["甲", "丙", "丁", "乙"]
    assert await set_position("乙", 1) == ["甲", "乙", "丙", "丁"]
    assert await set_position("甲", 99) == ["乙", "丙", "丁", "甲"]
    assert (await list_paths(founder, org))[1:3] == ["丙", "丙/丙下"]
    before = await list_actions(founder, org)
    assert await set_position("甲", 3) == ["乙", "丙", "丁", "甲"]
    assert await list_actions(founder, org) == before  # an edit that changes nothing has no audit entry


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"name": "第二支部"}, (409, "unit-name-taken")),
        ({"parent_id": "00000000-0000-7000-8000-000000000000"}, (422, "unknown-unit")),
        ({"name": "第一/第二支部"}, (422, "invalid")),
        ({"name": "第一\u202e支部"}, (422, "invalid")),
        ({"kind": "committee"}, (422, "invalid")),
        ({"position": -1}, (422, "invalid")),
        ({"position": 10**20}, (422, "invalid")),
        ({"org_id": "…"}, (422, "invalid")),
    ],
)
async def test_invalid_unit_edit_is_refused(people: People, body: dict[str, Any], answer: tuple[int, str]) -> None:
    founder = await people.register()
    org = await founder.create_org()
    unit = await add_unit(founder, org, "第一支部")
    await add_unit(founder, org, "第二支部")
    assert get_refusal(await founder.patch(unit_path(org, unit), json=body)) == answer


async def test_unit_move_under_itself_is_refused(people: People, engine: AsyncEngine) -> None:
    founder = await people.register()
    org = await founder.create_org()
    top = await add_unit(founder, org, "党总支")
    middle = await add_unit(founder, org, "支部", top)
    low = await add_unit(founder, org, "小组", middle)
    for parent in (top, middle, low):
        answer = await founder.patch(unit_path(org, top), json={"parent_id": parent["id"]})
        assert get_refusal(answer) == (409, "unit-under-itself")
    with pytest.raises(IntegrityError, match="under itself"):
        async with engine.begin() as connection:
            move = "UPDATE units SET parent_id = :low WHERE org_id = :org AND id = :top"
            await connection.execute(text(move), {"org": org["id"], "low": low["id"], "top": top["id"]})


async def test_crossing_unit_moves_do_not_make_a_circle(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    for turn in range(8):
        left = await add_unit(founder, org, f"甲{turn}")
        right = await add_unit(founder, org, f"乙{turn}")
        answers = await asyncio.gather(
            founder.patch(unit_path(org, left), json={"parent_id": right["id"]}),
            founder.patch(unit_path(org, right), json={"parent_id": left["id"]}),
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409]


async def test_unit_tree_deeper_than_the_limit_is_refused(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    parent = None
    for depth in range(6):
        parent = await add_unit(founder, org, f"第{depth}级", parent)
    assert parent is not None
    deeper = await founder.post(f"/v1/orgs/{org['id']}/units", json={"name": "太深", "parent_id": parent["id"]})
    assert get_refusal(deeper) == (409, "unit-too-deep")
    (top, *_) = get_body(await founder.get(f"/v1/orgs/{org['id']}/units"))["items"]
    answer = await founder.patch(unit_path(org, top), json={"parent_id": parent["id"]})
    assert get_refusal(answer) == (409, "unit-under-itself")  # this error comes before `unit-too-deep`
    pair = await add_unit(founder, org, "上")
    await add_unit(founder, org, "下", pair)
    fifth = (await founder.get(unit_path(org, parent))).json()["parent_id"]
    assert get_refusal(await founder.patch(unit_path(org, pair), json={"parent_id": fifth})) == (409, "unit-too-deep")


async def test_unit_edit_with_an_old_etag_is_refused(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    unit = await add_unit(founder, org, "第一支部")
    path = unit_path(org, unit)
    tag = (await founder.get(path)).headers["ETag"]
    get_body(await founder.patch(path, json={"name": "一支部"}, headers={"If-Match": tag}))
    for stale in (
        await founder.patch(path, json={"name": "壹支部"}, headers={"If-Match": tag}),
        await founder.delete(path, headers={"If-Match": tag}),
    ):
        assert get_refusal(stale) == (412, "edited-meanwhile")
    assert await list_paths(founder, org) == ["一支部"]


async def test_unit_with_people_is_removed_only_if_they_move(people: People, db: AsyncConnection) -> None:
    founder = await people.register()
    org = await founder.create_org()
    leaving = await add_unit(founder, org, "撤销支部")
    staying = await add_unit(founder, org, "保留支部")
    single = await add_member(founder, org, leaving)
    both = await add_member(founder, org, leaving, staying)
    empty = await add_unit(founder, org, "空支部")
    assert get_refusal(await founder.delete(unit_path(org, leaving))) == (409, "unit-has-people")
    for unit in (leaving, empty):
        for unknown in (unit["id"], "00000000-0000-7000-8000-000000000000"):
            answer = await founder.delete(unit_path(org, unit), params={"move_people_to": unknown})
            assert get_refusal(answer) == (422, "unknown-unit")
    get_body(await founder.delete(unit_path(org, empty), params={"move_people_to": staying["id"]}), 204)
    get_body(await founder.delete(unit_path(org, leaving), params={"move_people_to": staying["id"]}), 204)
    for member in (single, both):
        read = get_body(await founder.get(f"/v1/orgs/{org['id']}/members/{member['id']}"))
        assert [unit["id"] for unit in read["units"]] == [staying["id"]]
        assert read["version"] > member["version"]
    # The ended unit memberships stay in the table.
    past = "SELECT count(*) FROM unit_memberships WHERE org_id = :org AND unit_id = :unit AND until IS NOT NULL"
    assert (await db.scalar(text(past), {"org": org["id"], "unit": leaving["id"]})) == 2
    assert await list_paths(founder, org) == ["保留支部"]
    assert get_refusal(await founder.get(unit_path(org, leaving))) == (404, "not-found")


async def test_unit_with_sub_units_cannot_be_removed_and_a_removed_name_is_free(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    top = await add_unit(founder, org, "党总支")
    low = await add_unit(founder, org, "支部", top)
    assert get_refusal(await founder.delete(unit_path(org, top))) == (409, "unit-has-units")
    get_body(await founder.delete(unit_path(org, low)), 204)
    get_body(await founder.delete(unit_path(org, top)), 204)
    assert get_refusal(await founder.delete(unit_path(org, top))) == (404, "not-found")
    again = await add_unit(founder, org, "党总支")
    assert again["id"] != top["id"]
    under_removed = await founder.post(f"/v1/orgs/{org['id']}/units", json={"name": "支部", "parent_id": top["id"]})
    assert get_refusal(under_removed) == (422, "unknown-unit")


async def test_copy_into_a_removed_unit_is_refused(people: People) -> None:
    founder = await people.register()
    org = await founder.create_org()
    for turn in range(6):
        unit = await add_unit(founder, org, f"支部{turn}")
        member = await add_member(founder, org)
        copies = f"/v1/orgs/{org['id']}/members/{member['id']}/copies"
        copied, removed = await asyncio.gather(
            founder.post(copies, json={"unit_id": unit["id"]}), founder.delete(unit_path(org, unit))
        )
        assert (copied.status_code, removed.status_code) in ((201, 409), (422, 204))
        if removed.status_code == 204:
            assert get_refusal(await founder.post(copies, json={"unit_id": unit["id"]})) == (422, "unknown-unit")


async def test_members_of_a_removed_unit_are_refused_by_the_database(people: People, engine: AsyncEngine) -> None:
    founder = await people.register()
    org = await founder.create_org()
    full, empty = await add_unit(founder, org, "有人"), await add_unit(founder, org, "无人")
    member = await add_member(founder, org, full)
    get_body(await founder.delete(unit_path(org, empty)), 204)
    values = {"org": org["id"], "full": full["id"], "empty": empty["id"], "member": member["id"]}
    for statement, refused in (
        ("UPDATE units SET removed_at = now() WHERE org_id = :org AND id = :full", "the unit has members"),
        (
            "INSERT INTO unit_memberships (org_id, member_id, unit_id) VALUES (:org, :member, :empty)",
            "the unit was removed",
        ),
    ):
        with pytest.raises(IntegrityError, match=refused):
            async with engine.begin() as connection:
                await connection.execute(text(statement), values)


async def test_unit_admin_creation_is_refused(people: People) -> None:
    founder, other = await people.register(), await people.register()
    org = await founder.create_org()
    unit = await add_unit(founder, org, "第一支部")
    answer = await founder.post(f"{unit_path(org, unit)}/admins", json={"phone": other.phone})
    assert get_refusal(answer) == (409, "unit-has-no-admins")
    assert "turn the unit into one of its own" in answer.json()["detail"]
    assert (await other.post(f"{unit_path(org, unit)}/admins")).status_code == 404
