"""Posts, probationary party members and the order within a unit: by hand, in sheets, in lists (S7, S17)."""

import pytest

from tests.acts import Json, add_member, add_unit, get_body, get_refusal, list_actions, list_all
from tests.members.sheets import Work, list_members, merge, open_xlsx, rows_of, xlsx
from tests.people import People, Person, fresh_phone
from tests.promotions.test_promotions import acceptance_path, offer_promotion

HEADER = ("姓名", "手机号码", "支部名称", "是否党员", "党员类型", "职务")


@pytest.fixture(scope="module")
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture
async def org(admin: Person) -> Json:
    return await admin.create_org()


async def test_post_and_probationary_flag_are_set_edited_and_removed(admin: Person, org: Json) -> None:
    member = await add_member(admin, org, post="组织委员", probationary=True)
    assert (member["post"], member["probationary"], member["party"]) == ("组织委员", True, True)
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    edited = get_body(await admin.patch(path, json={"post": "支部书记", "probationary": False}))
    assert (edited["post"], edited["probationary"], edited["party"]) == ("支部书记", False, True)
    entry = (await list_all(admin, f"/v1/orgs/{org['id']}/audit"))[0]
    assert (entry["before"], entry["after"]) == (
        {"post": "组织委员", "probationary": True},
        {"post": "支部书记", "probationary": False},
    )
    assert get_body(await admin.patch(path, json={"name": "王大明"}))["post"] == "支部书记"
    assert get_body(await admin.patch(path, json={"post": None}))["post"] is None


async def test_probationary_member_is_in_the_party(admin: Person, people: People) -> None:
    outside = await admin.create_org(kind="outside-party", name=f"测试区{fresh_phone()}街道党外人士学习组织")
    member = await add_member(admin, outside, probationary=True)
    assert member["party"]
    path = f"/v1/orgs/{outside['id']}/members/{member['id']}"
    assert (await admin.patch(path, json={"party": False, "probationary": True})).status_code == 422
    left = get_body(await admin.patch(path, json={"party": False}))
    assert (left["party"], left["probationary"]) == (False, False)
    joined = get_body(await admin.patch(path, json={"probationary": True}))
    assert (joined["party"], joined["probationary"]) == (True, True)


async def test_unit_lists_its_people_by_their_place_and_then_by_name(admin: Person, org: Json) -> None:
    unit, other = await add_unit(admin, org, "甲支部"), await add_unit(admin, org, "乙支部")
    people = {name: await add_member(admin, org, unit, name=name) for name in ("张一", "赵二", "安三", "王四")}
    await add_member(admin, org, other, name="外人")

    async def place(name: str, position: int | None) -> Json:
        path = f"/v1/orgs/{org['id']}/members/{people[name]['id']}/units/{unit['id']}/position"
        changed: Json = get_body(await admin.put(path, json={"position": position}))
        return changed

    first = await place("王四", 1)
    assert first["units"] == [{"id": unit["id"], "name": "甲支部", "position": 1}]
    assert first["version"] == people["王四"]["version"] + 1
    assert (await place("王四", 1))["version"] == first["version"]
    await place("赵二", 2)
    path = f"/v1/orgs/{org['id']}/units/{unit['id']}/members"
    for limit in (1, 3, 50):
        assert [row["name"] for row in await list_all(admin, path, limit=limit)] == ["王四", "赵二", "安三", "张一"]
    await place("王四", None)
    assert [row["name"] for row in await list_all(admin, path)] == ["赵二", "安三", "王四", "张一"]
    assert (await list_actions(admin, org)).count("member.ordered") == 3
    elsewhere = f"/v1/orgs/{org['id']}/members/{people['王四']['id']}/units/{other['id']}/position"
    assert get_refusal(await admin.put(elsewhere, json={"position": 1})) == (404, "not-found")
    assert (await admin.put(elsewhere, json={"position": 0})).status_code == 422


async def test_place_and_post_move_with_a_promoted_unit_and_return_with_a_restored_person(
    admin: Person, org: Json, people: People
) -> None:
    leader = await people.register()
    unit = await add_unit(admin, org, "总支", kind="general-branch")
    below = await add_unit(admin, org, "甲支部", unit)
    member = await add_member(admin, org, below, name="李书记", post="支部书记", probationary=True)
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    get_body(await admin.put(f"{path}/units/{below['id']}/position", json={"position": 1}))
    get_body(await admin.delete(path), 204)
    restored = get_body(await admin.post(f"{path}/restorations"), 201)
    assert restored["units"][0]["position"] == 1
    promotion = await offer_promotion(admin, org, unit, leader)
    new = get_body(await leader.put(acceptance_path(promotion)))
    (row,) = [row for row in await list_members(leader, new["id"]) if row["name"] == "李书记"]
    assert (row["post"], row["probationary"], row["units"][0]["position"]) == ("支部书记", True, 1)


async def test_sheet_sets_posts_and_kinds_and_a_repeated_sheet_changes_nothing(
    admin: Person, org: Json, worker: Work
) -> None:
    wang_phone, li_phone, zhao_phone = fresh_phone(), fresh_phone(), fresh_phone()
    rows = [
        ("王一", wang_phone, "甲支部", "是", "预备党员", "组织委员"),
        ("李二", li_phone, "甲支部", "", "正式党员", "支部书记"),
        ("赵三", zhao_phone, "甲支部", "预备党员", "", ""),
    ]
    added = await merge(admin, org["id"], worker, xlsx(rows, HEADER), unknown_units="create")
    assert added["counts"]["added"] == 3

    async def read() -> dict[str, tuple[bool, str | None]]:
        return {row["name"]: (row["probationary"], row["post"]) for row in await list_members(admin, org["id"])}

    imported = await read()
    assert (imported["王一"], imported["李二"], imported["赵三"]) == (
        (True, "组织委员"),
        (False, "支部书记"),
        (True, None),
    )
    again = await merge(admin, org["id"], worker, xlsx(rows, HEADER))
    assert again["counts"]["unchanged"] == 3
    # What a sheet does not say stays.
    silent = await merge(admin, org["id"], worker, xlsx([("王一", wang_phone, "甲支部")]))
    assert silent["counts"]["unchanged"] == 1
    changed = await merge(
        admin, org["id"], worker, xlsx([("王一", wang_phone, "甲支部", "", "正式党员", "纪检委员")], HEADER)
    )
    assert (changed["counts"]["changed"], (await read())["王一"]) == (1, (False, "纪检委员"))


async def test_contradicting_or_unreadable_cells_are_refused_and_returned(
    admin: Person, org: Json, worker: Work
) -> None:
    twice = fresh_phone()
    rows = [
        ("王一", fresh_phone(), "甲支部", "否", "预备党员", ""),
        ("李二", fresh_phone(), "甲支部", "", "什么", "=1+1"),
        ("赵三", twice, "甲支部", "", "", "书记"),
        ("赵三", twice, "乙支部", "", "", "委员"),
    ]
    found = await merge(admin, org["id"], worker, xlsx(rows, HEADER), unknown_units="create")
    codes = [[code["code"] for code in row["problems"]] for row in await rows_of(admin, org["id"], found["id"])]
    assert codes == [
        ["party-members-only", "party-kind-contradiction"][::-1],
        ["party-kind-unreadable", "post-unreadable"],
        ["post-contradiction"],
        ["post-contradiction"],
    ]
    failed = await admin.get(f"/v1/orgs/{org['id']}/imports/{found['id']}/failed-rows.xlsx")
    cells = [[cell.value for cell in row] for row in open_xlsx(failed.content).worksheets[0].iter_rows(min_row=2)]
    assert [row[4:6] for row in cells] == [["预备党员", None], ["什么", "=1+1"], [None, "书记"], [None, "委员"]]
