"""People without a mobile phone: never active, matched by nothing, counted as people (S8, S9, S18)."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.acts import Json, add_admin, add_member, add_unit, get_body, get_refusal, list_actions, list_all
from tests.members.sheets import Work, check, list_members, merge, rows_of, xlsx
from tests.people import People, Person, fresh_name, fresh_phone
from tests.promotions.test_promotions import acceptance_path, offer_promotion


@pytest.fixture
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture
async def org(admin: Person) -> Json:
    return await admin.create_org()


async def add_without_phone(admin: Person, org: Json, *units: Json, **body: str) -> Json:
    return await add_member(admin, org, *units, phone=None, no_phone=True, **body)


async def test_person_without_phone_is_never_active_and_in_several_units(admin: Person, org: Json) -> None:
    first, second = await add_unit(admin, org, "甲支部"), await add_unit(admin, org, "乙支部")
    member = await add_without_phone(admin, org, first, name="王桂英")
    assert (member["phone"], member["active"], member["inactive_reason"]) == (None, False, "no-phone")
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    copied = get_body(await admin.post(f"{path}/copies", json={"unit_id": second["id"]}), 201)
    assert [unit["name"] for unit in copied["units"]] == ["甲支部", "乙支部"]
    # A person without a phone is never matched with a row: the same name is another person.
    assert (await add_without_phone(admin, org, first, name="王桂英"))["id"] != member["id"]
    assert get_refusal(await admin.post(f"{path}/phone-disclosures")) == (409, "member-without-phone")
    invited = await admin.post(f"/v1/orgs/{org['id']}/admin-invitations", json={"member_id": member["id"]})
    assert get_refusal(invited) == (409, "member-without-phone")
    get_body(await admin.delete(path), 204)
    removed = await list_all(admin, f"/v1/orgs/{org['id']}/members/removed")
    assert [(row["id"], row["phone"]) for row in removed] == [(member["id"], None)]
    restored = get_body(await admin.post(f"{path}/restorations"), 201)
    assert len(restored["units"]) == 2


@pytest.mark.parametrize("body", [{}, {"no_phone": False}, {"phone": "13800138000", "no_phone": True}])
async def test_addition_with_neither_phone_nor_no_phone_or_with_both_is_refused(
    admin: Person, org: Json, body: dict[str, object]
) -> None:
    refused = await admin.post(f"/v1/orgs/{org['id']}/members", json={"name": "王桂英"} | body)
    assert refused.status_code == 422


async def test_phone_is_removed_and_given_again(admin: Person, org: Json, people: People) -> None:
    person = await people.register()
    member = await add_member(admin, org, name=person.name, phone=person.phone)
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    assert member["active"]
    without = get_body(await admin.patch(path, json={"no_phone": True}))
    assert (without["phone"], without["active"], without["inactive_reason"]) == (None, False, "no-phone")
    again = get_body(await admin.patch(path, json={"no_phone": True}))
    assert again["version"] == without["version"]
    entry = (await list_all(admin, f"/v1/orgs/{org['id']}/audit"))[0]
    assert entry["after"] == {"phone": "removed"}
    # The user verifies and changes nothing: the row has no phone to be found by.
    assert not get_body(await admin.get(path))["active"]
    given = get_body(await admin.patch(path, json={"phone": person.phone}))
    assert given["active"]


async def test_phone_of_an_admin_is_not_removed(admin: Person, org: Json, people: People) -> None:
    other = await people.register()
    await add_admin(admin, org, other)
    (row,) = [row for row in await list_members(admin, org["id"]) if row["name"] == other.name]
    path = f"/v1/orgs/{org['id']}/members/{row['id']}"
    assert get_refusal(await admin.patch(path, json={"no_phone": True})) == (409, "member-is-admin")


async def test_link_request_by_name_does_not_match_a_row_without_phone(
    admin: Person, org: Json, people: People
) -> None:
    person = await people.register()
    member = await add_without_phone(admin, org, name=person.name)
    request = get_body(await person.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)
    assert await list_all(admin, f"/v1/orgs/{org['id']}/link-requests") == []
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    shown = get_body(await admin.get(path))
    assert (shown["inactive_reason"], shown["link_request_id"]) == ("no-phone", None)
    accepted = await admin.put(
        f"/v1/orgs/{org['id']}/link-requests/{request['id']}/approval", json={"member_id": member["id"]}
    )
    assert accepted.status_code == 404
    get_body(await admin.patch(path, json={"phone": fresh_phone()}))
    (received,) = await list_all(admin, f"/v1/orgs/{org['id']}/link-requests")
    assert [row["id"] for row in received["candidates"]] == [member["id"]]


async def test_person_without_phone_is_transferred_and_promoted(admin: Person, org: Json, people: People) -> None:
    unit = await add_unit(admin, org, "大支部")
    moving = await add_without_phone(admin, org, unit, name="李桂兰")
    staying = await add_without_phone(admin, org, unit, name="王桂英")
    receiver, leader = await people.register(), await people.register()
    other = await receiver.create_org()
    path = f"/v1/orgs/{org['id']}/members/{moving['id']}/transfers"
    transfer = get_body(await admin.post(path, json={"org_id": other["id"]}), 201)
    acceptance = f"/v1/orgs/{other['id']}/person-transfers/{transfer['id']}/acceptance"
    get_body(await receiver.put(acceptance, json={"unit_ids": []}))
    (row,) = [row for row in await list_members(receiver, other["id"]) if row["name"] == "李桂兰"]
    assert (row["phone"], row["inactive_reason"]) == (None, "no-phone")
    promotion = await offer_promotion(admin, org, unit, leader)
    new = get_body(await leader.put(acceptance_path(promotion)))
    (row,) = [row for row in await list_members(leader, new["id"]) if row["name"] == "王桂英"]
    assert (row["id"], row["phone"]) == (staying["id"], None)


def counted(found: Json) -> dict[str, int]:
    return {name: count for name, count in found["counts"].items() if count}


async def test_repeated_import_of_people_without_phone_changes_nothing(admin: Person, org: Json, worker: Work) -> None:
    sheet = xlsx(
        [
            ("王桂英", "无手机", "甲支部"),
            ("王桂英", "无手机", "乙支部"),
            ("李桂兰", "没有手机", "甲支部"),
            ("张三", fresh_phone(), "甲支部"),
        ]
    )
    done_first = await merge(admin, org["id"], worker, sheet, unknown_units="create")
    assert counted(done_first) == {"added": 4}
    members = {(row["name"], *(unit["name"] for unit in row["units"])) for row in await list_members(admin, org["id"])}
    assert members >= {("王桂英", "甲支部"), ("王桂英", "乙支部"), ("李桂兰", "甲支部")}
    assert counted(await merge(admin, org["id"], worker, sheet)) == {"unchanged": 4}
    assert counted(await check(admin, org["id"], worker, sheet, mode="replace-all")) == {"unchanged": 4}
    missing = xlsx([("王桂英", "无手机", "甲支部"), ("李桂兰", "无手机", "没有的支部")])
    checked = await check(admin, org["id"], worker, missing, mode="replace-all")
    # 李桂兰 stays because the row is refused; the other 王桂英 and 张三 would leave.
    assert counted(checked) == {"unchanged": 1, "refused": 1, "left": 2}


async def test_rows_without_phone_with_the_name_and_units_of_one_member_match_this_member(
    admin: Person, org: Json, worker: Work
) -> None:
    first, second = await add_unit(admin, org, "甲支部"), await add_unit(admin, org, "乙支部")
    member = await add_without_phone(admin, org, first, second, name="王桂英")
    twin = await add_without_phone(admin, org, first, name="王桂英")
    both = xlsx([("王 桂英", "无手机", "甲支部"), ("王桂英", "无手机", "乙支部"), ("王桂英", "无手机", "甲支部")])
    checked = await check(admin, org["id"], worker, both, mode="replace-all")
    assert counted(checked) == {"unchanged": 1}
    rows = await rows_of(admin, org["id"], checked["id"])
    assert {row["member_id"] for row in rows} == {member["id"]}
    assert [warning["code"] for row in rows for warning in row["warnings"]] == ["row-repeated"]
    await merge(admin, org["id"], worker, xlsx([("王桂英", "无手机", "甲支部")]), units="replace")
    units = {row["id"]: len(row["units"]) for row in await list_members(admin, org["id"])}
    assert (units[member["id"]], units[twin["id"]]) == (1, 1)


async def test_import_removes_the_phone_of_an_active_person_as_decided_and_is_undone(
    admin: Person, org: Json, worker: Work, people: People
) -> None:
    unit, user = await add_unit(admin, org, "甲"), await people.register()
    member = await add_member(admin, org, unit, name=user.name, phone=user.phone)
    assert member["active"]
    done = await merge(admin, org["id"], worker, xlsx([(user.name, "无手机", "甲")]), decisions={"accepted_rows": [2]})
    assert (done["state"], done["counts"]["changed"]) == ("done", 1)
    path = f"/v1/orgs/{org['id']}/members/{member['id']}"
    found = get_body(await admin.get(path))
    assert (found["phone"], found["active"], found["inactive_reason"]) == (None, False, "no-phone")
    reversal = f"/v1/orgs/{org['id']}/imports/{done['id']}/reversal"
    get_body(await admin.put(reversal, json={}))
    await worker()
    found = get_body(await admin.get(path))
    assert (found["phone"], found["active"]) == (member["phone"], True)


async def test_empty_phone_cell_is_refused_and_a_refused_row_says_so_again(
    admin: Person, org: Json, worker: Work
) -> None:
    checked = await check(admin, org["id"], worker, xlsx([("王桂英", "", "甲"), ("李桂兰", "无手机", "甲")]))
    rows = await rows_of(admin, org["id"], checked["id"])
    assert [[code["code"] for code in row["problems"]] for row in rows] == [
        ["phone-missing", "unit-unknown"],
        ["unit-unknown"],
    ]
    refused = await admin.get(f"/v1/orgs/{org['id']}/imports/{checked['id']}/failed-rows.xlsx")
    assert refused.status_code == 200
    again = await check(admin, org["id"], worker, refused.content, unknown_units="create")
    assert (counted(again)["added"], counted(again)["refused"]) == (1, 1)


async def test_database_refuses_a_part_of_a_phone_and_an_active_row_without_one(
    admin: Person, org: Json, engine: AsyncEngine
) -> None:
    member = await add_member(admin, org, name=fresh_name())
    for change in (
        "phone_index = NULL",
        f"phone_cipher = NULL, phone_index = NULL, phone_last4_index = NULL, user_id = '{admin.user_id}'",
    ):
        with pytest.raises(Exception, match=r"members_(phone|without_phone_inactive)_check"):
            async with engine.begin() as db:
                await db.execute(text(f"UPDATE members SET {change} WHERE id = '{member['id']}'"))
    assert "member.added" in await list_actions(admin, org)
