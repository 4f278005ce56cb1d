"""What an import changes: shown before and after, decided by the admin, listed, and recorded for each person (S9)."""

from typing import Any

import pytest

from tests.acts import Json, add_admin, add_member, add_unit, get_body, get_refusal, list_all
from tests.members.sheets import Work, check, list_members, merge, open_xlsx, read, rows_of, upload, xlsx
from tests.people import People, Person, fresh_name, fresh_phone


@pytest.fixture
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture
async def org(admin: Person) -> Json:
    return await admin.create_org()


def show(changes: list[Json]) -> dict[str, tuple[Any, Any]]:
    return {change["field"]: (change["before"], change["after"]) for change in changes}


async def list_changes(admin: Person, org: Json, found: Json, **query: str) -> dict[str, Json]:
    answer = await admin.get(f"/v1/orgs/{org['id']}/imports/{found['id']}/changes", params=query)
    return {change["name"]: change for change in get_body(answer)["items"]}


def counted(found: Json) -> dict[str, int]:
    return {name: count for name, count in found["counts"].items() if count}


async def get_units(admin: Person, org: Json) -> dict[str, list[str]]:
    return {row["name"]: sorted(unit["name"] for unit in row["units"]) for row in await list_members(admin, org["id"])}


async def test_changes_are_the_same_in_preview_rows_result_and_audit(admin: Person, org: Json, worker: Work) -> None:
    first = await add_unit(admin, org, "生产一部")
    await add_unit(admin, org, "机关第二")
    renamed = await add_member(admin, org, first, name="刘成", phone=fresh_phone())
    phone = fresh_phone()
    await add_member(admin, org, first, name="王伟", phone=phone)
    disclosed = await admin.post(f"/v1/orgs/{org['id']}/members/{renamed['id']}/phone-disclosures")
    sheet = xlsx(
        [
            ("黄颖", get_body(disclosed, disclosed.status_code)["phone"], "机关第二", ""),
            ("王伟", phone, "机关第二", "书记"),
        ],
        ("姓名", "手机号码", "支部名称", "职务"),
    )
    checked = await check(admin, org["id"], worker, sheet)
    assert counted(checked) == {"changed": 1, "undecided": 1}
    moved = (["生产一部"], ["机关第二"])
    rows = await rows_of(admin, org["id"], checked["id"])
    assert [show(row["changes"]) for row in rows] == [
        {"name": ("刘成", "黄颖"), "units": moved},
        {"units": moved, "post": (None, "书记")},
    ]
    assert [code["code"] for code in rows[0]["problems"]] == ["name-differs"]
    before = await list_changes(admin, org, checked)
    assert {name: change["outcome"] for name, change in before.items()} == {"刘成": "undecided", "王伟": "changed"}
    done = await merge(admin, org["id"], worker, sheet, decisions={"accepted_rows": [2]})
    assert counted(done) == {"changed": 2}
    after = await list_changes(admin, org, done, outcome="changed")
    assert {name: show(change["changes"]) for name, change in after.items()} == {
        name: show(change["changes"]) for name, change in before.items()
    }
    file = await admin.get(f"/v1/orgs/{org['id']}/imports/{done['id']}/changes.xlsx", params={"outcome": "changed"})
    lines = list(open_xlsx(file.content).worksheets[0].iter_rows(min_row=2, values_only=True))
    assert ("刘成", "Changed", "Name", "刘成", "黄颖", "2") in lines
    assert [line[2] for line in lines] == ["Name", "Unit", "Unit", "Post"]
    entries = await list_all(admin, f"/v1/orgs/{org['id']}/audit")
    (entry,) = [one for one in entries if one["subject_id"] == renamed["id"] and one["action"] == "member.edited"]
    assert entry["before"] == {"name": "刘成", "units": ["生产一部"]}
    told_of = {"import_id": done["id"], "file_name": "members.xlsx"}
    assert entry["after"] == {"name": "黄颖", "units": ["机关第二"]} | told_of


async def test_new_name_that_is_not_accepted_changes_nothing(admin: Person, org: Json, worker: Work) -> None:
    unit = await add_unit(admin, org, "甲")
    await add_unit(admin, org, "乙")
    phone = fresh_phone()
    await add_member(admin, org, unit, name="刘成", phone=phone)
    done = await merge(admin, org["id"], worker, xlsx([("黄颖", phone, "乙")]))
    assert counted(done) == {"refused": 1}
    assert (await get_units(admin, org))["刘成"] == ["甲"]
    (row,) = await rows_of(admin, org["id"], done["id"])
    assert (row["outcome"], [code["code"] for code in row["problems"]]) == ("refused", ["name-differs"])
    wrong = await check(admin, org["id"], worker, xlsx([("黄颖", phone, "乙")]))
    path = f"/v1/orgs/{org['id']}/imports/{wrong['id']}/confirmation"
    for rows in ({"accepted_rows": [3]}, {"separate_rows": [2]}, {"accepted_rows": [2], "separate_rows": [2]}):
        assert get_refusal(await admin.put(path, json={"preview": 1} | rows)) == (409, "row-not-undecided")


async def test_name_of_an_admin_is_not_changed(admin: Person, org: Json, worker: Work) -> None:
    checked = await check(admin, org["id"], worker, xlsx([("别的名", admin.phone, "甲")]), unknown_units="create")
    (row,) = await rows_of(admin, org["id"], checked["id"])
    assert [code["code"] for code in row["problems"]] == ["name-verified"]
    assert counted(checked) == {"refused": 1}


async def test_person_in_two_units_keeps_the_one_that_the_sheet_does_not_name(
    admin: Person, org: Json, worker: Work
) -> None:
    first, second = await add_unit(admin, org, "甲"), await add_unit(admin, org, "乙")
    await add_unit(admin, org, "丙")
    phone = fresh_phone()
    await add_member(admin, org, first, second, name="王伟", phone=phone)
    assert counted(await merge(admin, org["id"], worker, xlsx([("王伟", phone, "甲")]))) == {"unchanged": 1}
    third = await check(admin, org["id"], worker, xlsx([("王伟", phone, "丙")]))
    (change,) = (await list_changes(admin, org, third)).values()
    assert show(change["changes"])["units"][1] == sorted("甲乙丙")
    sheet = xlsx([("王伟", phone, "甲")])
    assert counted(await merge(admin, org["id"], worker, sheet, units="replace")) == {"moved": 1}
    assert (await get_units(admin, org))["王伟"] == ["甲"]


async def test_refused_row_keeps_the_person_whose_name_and_unit_it_has(admin: Person, org: Json, worker: Work) -> None:
    unit, other = await add_unit(admin, org, "甲"), await add_unit(admin, org, "乙")
    named = {name: fresh_phone() for name in ("王伟", "李娜", "赵敏", "钱进")}
    for name, phone in named.items():
        await add_member(admin, org, other if name == "钱进" else unit, name=name, phone=phone)
    rows = [("王伟", named["王伟"], "甲"), ("李娜", "1380", "甲"), ("赵敏", "1380", "没有"), ("钱进", "1380", "甲")]
    checked = await check(admin, org["id"], worker, xlsx(rows), mode="replace-all")
    left = await list_changes(admin, org, checked, outcome="left")
    assert set(left) == {"钱进"}  # whose unit is another one
    assert show(left["钱进"]["changes"]) == {"units": (["乙"], []), "in-directory": (True, False)}
    assert (checked["counts"]["left"], checked["leaving_needs_consent"]) == (1, False)
    # A refused row that does not say whom it is about: one of those who leave, perhaps.
    unclear = await check(admin, org["id"], worker, xlsx([*rows, ("", "1380", "甲")]), mode="replace-all")
    assert (unclear["counts"]["left"], unclear["leaving_needs_consent"]) == (1, True)


async def test_known_person_with_a_new_phone_is_one_person_or_two_as_the_admin_decides(
    admin: Person, org: Json, worker: Work, people: People
) -> None:
    unit = await add_unit(admin, org, "甲")
    user = await people.register()
    member = await add_member(admin, org, unit, name=user.name, phone=user.phone)
    assert member["active"]
    new = fresh_phone()
    sheet = xlsx([(user.name, new, "甲")])
    checked = await check(admin, org["id"], worker, sheet, mode="replace-all")
    assert counted(checked) == {"undecided": 1}
    (row,) = await rows_of(admin, org["id"], checked["id"])
    assert row["member_id"] == member["id"]
    masked = [f"{phone[:3]}****{phone[7:]}" for phone in (user.phone, new)]
    assert show(row["changes"]) == {"phone": tuple(masked), "active": (True, False)}
    neither = await merge(admin, org["id"], worker, sheet, mode="replace-all")
    assert counted(neither) == {"refused": 1}
    assert len(await list_members(admin, org["id"])) == 2
    both = await merge(admin, org["id"], worker, sheet, decisions={"separate_rows": [2]})
    assert counted(both) == {"added": 1}
    twins = await list_members(admin, org["id"], q=user.name)
    assert [twin["id"] == member["id"] for twin in twins] == [True, False]
    get_body(await admin.delete(f"/v1/orgs/{org['id']}/members/{twins[1]['id']}"), 204)
    one = await merge(admin, org["id"], worker, sheet, decisions={"accepted_rows": [2]})
    assert counted(one) == {"changed": 1}
    (found,) = await list_members(admin, org["id"], q=user.name)
    assert (found["id"], found["phone"], found["active"]) == (member["id"], masked[1], False)
    assert get_body(await admin.post(f"/v1/orgs/{org['id']}/members/{found['id']}/phone-disclosures"), 200)[
        "phone"
    ].endswith(new)


async def test_new_phone_is_not_given_to_two_people(admin: Person, org: Json, worker: Work) -> None:
    unit = await add_unit(admin, org, "甲")
    two = [await add_member(admin, org, unit, name=fresh_name()) for _ in range(2)]
    new = fresh_phone()
    rows = [(member["id"], member["name"], new, "甲") for member in two]
    checked = await check(admin, org["id"], worker, xlsx(rows, ("编号", "姓名", "手机号码", "支部名称")))
    assert counted(checked) == {"refused": 2}
    for row in await rows_of(admin, org["id"], checked["id"]):
        assert [code["code"] for code in row["problems"]] == ["phone-taken"]


async def test_new_unit_is_a_change_of_people_who_keep_their_places(admin: Person, org: Json, worker: Work) -> None:
    units = [await add_unit(admin, org, name) for name in ("甲", "乙")]
    phones = {name: fresh_phone() for name in ("在两处", "在组织")}
    await add_member(admin, org, *units, name="在两处", phone=phones["在两处"])
    await add_member(admin, org, name="在组织", phone=phones["在组织"])
    sheet = xlsx([(name, phone, "新支部") for name, phone in phones.items()])
    checked = await check(admin, org["id"], worker, sheet, unknown_units="create")
    assert counted(checked) == {"moved": 2}
    assert counted(await merge(admin, org["id"], worker, sheet, unknown_units="create")) == {"moved": 2}
    found = await get_units(admin, org)
    assert (found["在两处"], found["在组织"]) == (["乙", "新支部", "甲"], ["新支部"])


async def test_decision_about_any_row_of_a_person_counts(admin: Person, org: Json, worker: Work) -> None:
    """A person has a row for each unit. What the admin decides in the second one is no unseen change."""
    one, other = [await add_unit(admin, org, name) for name in ("甲", "乙")]
    name, new = fresh_name(), fresh_phone()
    member = await add_member(admin, org, one, other, name=name)
    sheet = xlsx([(name, new, "甲"), (name, new, "乙")])
    done = await merge(admin, org["id"], worker, sheet, decisions={"separate_rows": [3]})
    assert (done["state"], counted(done)) == ("done", {"added": 1})
    (twin,) = [row for row in await list_members(admin, org["id"], q=name) if row["id"] != member["id"]]
    get_body(await admin.delete(f"/v1/orgs/{org['id']}/members/{twin['id']}"), 204)
    done = await merge(admin, org["id"], worker, sheet, decisions={"accepted_rows": [3]})
    assert (done["state"], counted(done)) == ("done", {"changed": 1})


async def test_phone_of_an_admin_and_a_taken_phone_are_not_changed_by_number(
    admin: Person, org: Json, worker: Work, people: People
) -> None:
    unit = await add_unit(admin, org, "甲")
    other = await people.register()
    await add_admin(admin, org, other)
    numbers = {row["name"]: row["id"] for row in await list_members(admin, org["id"])}
    taken = fresh_phone()
    await add_member(admin, org, unit, name="王伟", phone=taken)
    member = await add_member(admin, org, unit, name="李娜", phone=fresh_phone())
    fresh = fresh_phone()
    header = ("编号", "姓名", "手机号码", "支部名称")
    rows = [(numbers[other.name], other.name, fresh_phone(), "甲"), (member["id"], "李娜", taken, "甲")]
    checked = await check(admin, org["id"], worker, xlsx(rows, header))
    codes = [[code["code"] for code in row["problems"]] for row in await rows_of(admin, org["id"], checked["id"])]
    assert codes == [["phone-of-admin"], ["phone-taken"]]
    done = await merge(admin, org["id"], worker, xlsx([(member["id"], "李娜", fresh, "甲")], header))
    assert counted(done) == {"changed": 1}
    for shown, outcome in ((f"{fresh[:3]}****{fresh[7:]}", "unchanged"), (member["phone"], "refused")):
        masked = xlsx([(member["id"], "李娜", shown, "甲")], header)
        assert counted(await check(admin, org["id"], worker, masked)) == {outcome: 1}


async def test_one_unit_is_replaced_and_places_elsewhere_remain(admin: Person, org: Json, worker: Work) -> None:
    general = await add_unit(admin, org, "总支")
    under = await add_unit(admin, org, "一支部", parent=general)
    other = await add_unit(admin, org, "乙")
    phones = {name: fresh_phone() for name in ("留下", "移出", "两处", "别处", "新来")}
    await add_member(admin, org, under, name="留下", phone=phones["留下"])
    await add_member(admin, org, under, name="移出", phone=phones["移出"])
    await add_member(admin, org, under, other, name="两处", phone=phones["两处"])
    await add_member(admin, org, other, name="别处", phone=phones["别处"])
    rows = [(name, phones[name], "总支/一支部") for name in ("留下", "新来", "别处")]
    option = {"mode": "replace-unit", "unit_id": general["id"]}
    outside = await check(admin, org["id"], worker, xlsx([*rows, ("某人", fresh_phone(), "乙")]), **option)
    (refused,) = await rows_of(admin, org["id"], outside["id"], outcome="refused")
    assert [code["code"] for code in refused["problems"]] == ["unit-outside"]
    checked = await check(admin, org["id"], worker, xlsx(rows), **option)
    assert (counted(checked), checked["people"]) == ({"added": 1, "moved": 1, "left": 2, "unchanged": 1}, 3)
    left = await list_changes(admin, org, checked, outcome="left")
    assert show(left["两处"]["changes"]) == {"units": (["乙", "总支/一支部"], ["乙"])}
    assert show(left["移出"]["changes"])["in-directory"] == (True, False)
    path = f"/v1/orgs/{org['id']}/imports/{checked['id']}"
    get_body(await admin.put(f"{path}/confirmation", json={"preview": 1, "leaving": 2}), 202)
    await worker()
    assert (await read(admin, org["id"], checked["id"]))["state"] == "done"
    del phones["移出"]
    assert await get_units(admin, org) == {
        admin.name: [],
        "留下": ["一支部"],
        "两处": ["乙"],
        "别处": ["一支部", "乙"],
        "新来": ["一支部"],
    }
    for options, code in (({"unit_id": org["id"]}, "unknown-unit"), ({}, "invalid")):
        answer = await upload(admin, org["id"], xlsx(rows), mode="replace-unit", **options)
        assert get_refusal(answer) == (422, code)


async def test_place_elsewhere_that_a_person_has_is_no_problem_where_one_unit_is_replaced(
    admin: Person, org: Json, worker: Work
) -> None:
    """An export of one unit names all places of its people. A place that would be new is refused."""
    one, other = [await add_unit(admin, org, name) for name in ("甲", "乙")]
    phones = {name: fresh_phone() for name in ("两处", "一处", "新来")}
    await add_member(admin, org, one, other, name="两处", phone=phones["两处"])
    await add_member(admin, org, one, name="一处", phone=phones["一处"])
    option = {"mode": "replace-unit", "unit_id": one["id"], "unknown_units": "create"}
    rows = [
        ("两处", phones["两处"], "甲;乙"),
        ("一处", phones["一处"], "甲;乙"),
        ("新来", phones["新来"], "甲;管理组"),
        (admin.name, admin.phone, "管理组;甲"),
        (fresh_name(), fresh_phone(), "甲;丙"),
        (fresh_name(), fresh_phone(), "乙"),
    ]
    checked = await check(admin, org["id"], worker, xlsx(rows), **option)
    assert counted(checked) == {"unchanged": 1, "moved": 1, "refused": 4}
    shown = await rows_of(admin, org["id"], checked["id"])
    assert [row["outcome"] for row in shown] == ["unchanged", "refused", "refused", "moved", "refused", "refused"]
    assert {code["code"] for row in shown for code in row["problems"]} == {"unit-outside"}


async def test_people_of_one_name_and_unit_with_two_phones_are_pointed_out(
    admin: Person, org: Json, worker: Work
) -> None:
    rows = [("王伟", fresh_phone(), "甲"), (fresh_name(), fresh_phone(), "甲"), ("王伟", fresh_phone(), "甲")]
    checked = await check(admin, org["id"], worker, xlsx(rows), unknown_units="create")
    assert counted(checked) == {"added": 3}
    shown = await rows_of(admin, org["id"], checked["id"])
    assert [[code["code"] for code in row["warnings"]] for row in shown] == [
        ["same-name-in-unit"],
        [],
        ["same-name-in-unit"],
    ]
    assert [row["related_rows"][0]["row_no"] for row in (shown[0], shown[2])] == [4, 2]
