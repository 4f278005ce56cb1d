"""Corrections of a preview: rows, and units that the org does not have (S9)."""

import asyncio

import pytest

from tests.acts import Json, add_member, add_unit, get_body, get_refusal
from tests.members.sheets import Work, check, list_members, read, rows_of, xlsx
from tests.people import People, Person, fresh_name, fresh_phone


@pytest.fixture
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture
async def org(admin: Person) -> Json:
    return await admin.create_org()


def counted(found: Json) -> dict[str, int]:
    return {name: count for name, count in found["counts"].items() if count}


async def test_refused_row_is_corrected_in_the_preview(admin: Person, org: Json, worker: Work) -> None:
    await add_unit(admin, org, "甲")
    name, phone = fresh_name(), fresh_phone()
    checked = await check(admin, org["id"], worker, xlsx([(name, "1380", "乙"), (fresh_name(), fresh_phone(), "甲")]))
    path = f"/v1/orgs/{org['id']}/imports/{checked['id']}"
    row = get_body(await admin.patch(f"{path}/rows/2", json={"phone": phone}))
    assert (row["outcome"], [code["code"] for code in row["problems"]]) == ("refused", ["unit-unknown"])
    row = get_body(await admin.patch(f"{path}/rows/2", json={"unit": " 甲 "}))
    assert (row["outcome"], row["problems"], row["phone"]) == ("added", [], f"{phone[:3]}****{phone[7:]}")
    found = await read(admin, org["id"], checked["id"])
    assert (counted(found), found["preview"]) == ({"added": 2}, 3)
    assert get_refusal(await admin.put(f"{path}/confirmation", json={"preview": 1})) == (409, "import-preview-stale")
    get_body(await admin.put(f"{path}/confirmation", json={"preview": 3}), 202)
    assert get_refusal(await admin.patch(f"{path}/rows/2", json={"unit": "甲"})) == (409, "import-not-ready")
    await worker()
    (member,) = await list_members(admin, org["id"], q=name)
    assert member["units"][0]["name"] == "甲"
    assert get_refusal(await admin.patch(f"{path}/rows/9", json={"unit": "甲"}))[0] in {404, 409}


async def test_value_that_another_admin_has_changed_is_not_overwritten(admin: Person, org: Json, worker: Work) -> None:
    await add_unit(admin, org, "甲")
    checked = await check(admin, org["id"], worker, xlsx([("张?伟", "13800138", "甲")]))
    path = f"/v1/orgs/{org['id']}/imports/{checked['id']}/rows/2"
    seen = {"name": "张?伟", "phone": "13800138", "unit": "甲"}
    phone = fresh_phone()
    row = get_body(await admin.patch(path, json={"phone": phone, "seen": seen}))
    assert row["outcome"] == "added"
    edited = await admin.patch(path, json={"phone": fresh_phone(), "seen": seen})
    assert get_refusal(edited) == (409, "import-row-edited")
    # The name is as it was seen, so only the name changes.
    row = get_body(await admin.patch(path, json={"name": "张伟", "seen": seen}))
    assert (row["name"], row["phone"]) == ("张伟", f"{phone[:3]}****{phone[7:]}")
    # Two at once: the second one sees that the first one was there.
    edits = [admin.patch(path, json={"name": name, "seen": {"name": "张伟"}}) for name in ("张玮", "张炜")]
    assert sorted(answer.status_code for answer in await asyncio.gather(*edits)) == [200, 409]
    seen = {"phone": row["phone"]}
    assert get_body(await admin.patch(path, json={"phone": "无手机", "seen": seen}))["phone"] is None


async def test_rows_are_counted_by_outcome_and_listed_by_cause(admin: Person, org: Json, worker: Work) -> None:
    await add_unit(admin, org, "甲")
    rows = [
        (fresh_name(), fresh_phone(), "甲"),
        (fresh_name(), "138001380", "研究院"),
        (fresh_name(), fresh_phone(), "研究院"),
        (fresh_name(), fresh_phone(), "机关"),
        (fresh_name(), "1380013800", "甲"),
        ("#N/A", "#REF!", "甲"),
    ]
    checked = await check(admin, org["id"], worker, xlsx(rows))
    path = f"/v1/orgs/{org['id']}/imports/{checked['id']}"
    summary = get_body(await admin.get(f"{path}/summary"))
    causes = {cause["code"]: cause for cause in summary.pop("causes")}
    assert summary == {"added": 1, "refused": 5} | dict.fromkeys(("changed", "moved", "unchanged", "undecided"), 0)
    expected = {"unit-unknown": 3, "phone-too-short": 2, "cell-error": 1}
    assert {code: cause["rows"] for code, cause in causes.items()} == expected
    assert list(causes) == list(expected)
    named = [{"path": "研究院", "rows": 2}, {"path": "机关", "rows": 1}]
    assert (causes["unit-unknown"]["units"], causes["phone-too-short"]["units"]) == (named, [])
    for query, numbers in (
        ({"problem": "phone-too-short"}, [3, 6]),
        ({"problem": "unit-unknown", "outcome": "refused"}, [3, 4, 5]),
        ({"problem": "unit-unknown", "outcome": "added"}, []),
        ({"problem": "phone-too"}, []),
    ):
        assert [row["row_no"] for row in await rows_of(admin, org["id"], checked["id"], **query)] == numbers


async def test_unknown_units_are_created_replaced_or_left_out(admin: Person, org: Json, worker: Work) -> None:
    unit = await add_unit(admin, org, "第一研究院党支部")
    rows = [
        (fresh_name(), fresh_phone(), name) for name in ("研究院党支部", "研究院党支部", "新支部", "不要的", "外单位")
    ]
    checked = await check(admin, org["id"], worker, xlsx(rows))
    path = f"/v1/orgs/{org['id']}/imports/{checked['id']}/units"
    listed = get_body(await admin.get(path))["items"]
    assert (listed[0]["path"], listed[0]["rows"]) == ("研究院党支部", 2)
    assert (listed[0]["similar"]["id"], listed[0]["suggestion"]) == (unit["id"], "use")
    assert {one["path"]: one["suggestion"] for one in listed[1:]} == dict.fromkeys(("新支部", "不要的", "外单位"))
    items = [
        {"path": "研究院党支部", "choice": "use", "unit_id": unit["id"]},
        {"path": "新支部", "choice": "create"},
    ]
    found = get_body(await admin.put(path, json={"items": items, "others": "skip"}))
    assert (counted(found), found["new_units"], found["preview"]) == ({"added": 3, "refused": 2}, ["新支部"], 2)
    codes = [[code["code"] for code in row["problems"]] for row in await rows_of(admin, org["id"], checked["id"])]
    assert codes == [[], [], [], ["unit-skipped"], ["unit-skipped"]]
    again = get_body(await admin.put(path, json={"items": [{"path": "不要的", "choice": None}]}))
    assert counted(again) == {"added": 3, "refused": 2}
    for items, code in (
        ([{"path": "没有", "choice": "create"}], "invalid"),
        ([{"path": "新支部", "choice": "use"}], "invalid"),
        ([{"path": "新支部", "choice": "use", "unit_id": org["id"]}], "unknown-unit"),
    ):
        assert get_refusal(await admin.put(path, json={"items": items})) == (422, code)
    for field in ("all", "others"):
        assert get_refusal(await admin.put(path, json={field: "use"})) == (422, "invalid")
    found = get_body(await admin.put(path, json={"all": "create"}))
    assert (counted(found), found["new_units"]) == ({"added": 5}, ["研究院党支部", "新支部", "不要的", "外单位"])
    choice = {"all": "skip", "items": [{"path": "新支部", "choice": "create"}]}
    assert counted(get_body(await admin.put(path, json=choice))) == {"added": 1, "refused": 4}


async def test_first_import_of_an_org_proposes_to_create_its_units(admin: Person, org: Json, worker: Work) -> None:
    checked = await check(admin, org["id"], worker, xlsx([(fresh_name(), fresh_phone(), "总支/一支部")]))
    path = f"/v1/orgs/{org['id']}/imports/{checked['id']}/units"
    (listed,) = get_body(await admin.get(path))["items"]
    assert (listed["path"], listed["suggestion"], listed["choice"]) == ("总支/一支部", "create", None)
    found = get_body(await admin.put(path, json={"others": "create"}))
    assert (counted(found), found["new_units"]) == ({"added": 1}, ["总支", "总支/一支部"])


async def test_unit_is_found_by_an_end_of_its_path_and_by_the_name_of_the_org(
    admin: Person, org: Json, worker: Work
) -> None:
    committee = await add_unit(admin, org, "党委")
    general = await add_unit(admin, org, "总支", parent=committee)
    await add_unit(admin, org, "一支部", parent=general)
    phone, other = fresh_phone(), fresh_phone()
    await add_member(admin, org, name="王伟", phone=other)
    rows = [("李娜", phone, "总支/一支部;党委"), ("王伟", other, org["name"]), ("赵敏", fresh_phone(), "学习管理组")]
    checked = await check(admin, org["id"], worker, xlsx(rows))
    assert counted(checked) == {"added": 2, "unchanged": 1}
    path = f"/v1/orgs/{org['id']}/imports/{checked['id']}"
    get_body(await admin.put(f"{path}/confirmation", json={"preview": 1}), 202)
    await worker()
    found = {row["name"]: row for row in await list_members(admin, org["id"])}
    assert sorted(unit["name"] for unit in found["李娜"]["units"]) == ["一支部", "党委"]
    assert (found["赵敏"]["units"], found["赵敏"]["at_org"]) == ([], True)
