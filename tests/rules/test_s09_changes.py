"""S9 Bulk import · 批量导入"""

import pytest

from tests.acts import Json, add_member, add_unit, get_body, get_refusal
from tests.members.sheets import Work, check, list_members, merge, rows_of, xlsx
from tests.people import People, Person, fresh_phone


@pytest.fixture
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture
async def org(admin: Person) -> Json:
    return await admin.create_org()


async def read_units(admin: Person, org: Json, name: str) -> list[str]:
    (member,) = await list_members(admin, org["id"], q=name)
    return sorted(unit["name"] for unit in member["units"])


def get_path(org: Json, found: Json) -> str:
    return f"/v1/orgs/{org['id']}/imports/{found['id']}"


async def test_changes_are_shown_before_and_after_and_leavers_are_listed(
    admin: Person, org: Json, worker: Work
) -> None:
    """Each change of a person is shown before and after, and everybody who would leave is listed."""
    unit = await add_unit(admin, org, "生产一部")
    await add_unit(admin, org, "机关第二")
    phone = fresh_phone()
    await add_member(admin, org, unit, name="刘成", phone=phone)
    await add_member(admin, org, unit, name="黄颖")
    checked = await check(admin, org["id"], worker, xlsx([("刘成", phone, "机关第二")]), mode="replace-all")
    (row,) = await rows_of(admin, org["id"], checked["id"])
    assert row["changes"] == [{"field": "units", "before": ["生产一部"], "after": ["机关第二"]}]
    path = f"{get_path(org, checked)}/changes"
    left = get_body(await admin.get(path, params={"outcome": "left"}))["items"]
    assert [(one["name"], one["changes"][0]["before"]) for one in left] == [("黄颖", ["生产一部"])]


async def test_import_that_would_do_something_else_has_a_new_preview(admin: Person, org: Json, worker: Work) -> None:
    """The admin confirms what was shown: where the import would now do something else, there is a new preview (409
    `import-preview-stale`)."""
    unit = await add_unit(admin, org, "甲")
    phone = fresh_phone()
    sheet = xlsx([("王伟", phone, "甲")])
    checked = await check(admin, org["id"], worker, sheet, mode="replace-all")
    path = f"{get_path(org, checked)}/confirmation"
    await add_member(admin, org, unit, name="李娜")
    stale = await admin.put(path, json={"preview": 1})
    assert get_refusal(stale) == (409, "import-preview-stale")
    assert (stale.json()["preview"], stale.json()["leaving"]) == (2, 1)
    get_body(await admin.put(path, json={"preview": 2, "leaving": 1}), 202)


async def test_new_name_and_other_phone_wait_for_a_decision(admin: Person, org: Json, worker: Work) -> None:
    """A new name on a known phone and a known person with another phone wait for the admin's decision (409
    `row-not-undecided` for any other row)."""
    unit = await add_unit(admin, org, "甲")
    phone = fresh_phone()
    await add_member(admin, org, unit, name="刘成", phone=phone)
    await add_member(admin, org, unit, name="黄颖")
    rows = [("王伟", phone, "甲"), ("黄颖", fresh_phone(), "甲"), ("新人", fresh_phone(), "甲")]
    checked = await check(admin, org["id"], worker, xlsx(rows))
    outcomes = [row["outcome"] for row in await rows_of(admin, org["id"], checked["id"])]
    assert outcomes == ["undecided", "undecided", "added"]
    path = f"{get_path(org, checked)}/confirmation"
    decided = await admin.put(path, json={"preview": 1, "accepted_rows": [4]})
    assert get_refusal(decided) == (409, "row-not-undecided")
    get_body(await admin.put(path, json={"preview": 1, "accepted_rows": [2, 3]}), 202)
    await worker()
    assert {row["name"] for row in await list_members(admin, org["id"])} == {admin.name, "王伟", "黄颖", "新人"}


async def test_name_of_a_verified_person_remains(admin: Person, org: Json, worker: Work, people: People) -> None:
    """The name of a verified person is not changed by a sheet."""
    user = await people.register()
    await add_member(admin, org, name=user.name, phone=user.phone)
    sheet = xlsx([("别的名", user.phone, "甲")])
    done = await merge(admin, org["id"], worker, sheet, unknown_units="create")
    assert [one["code"] for one in (await rows_of(admin, org["id"], done["id"]))[0]["problems"]] == ["name-verified"]
    assert [row["name"] for row in await list_members(admin, org["id"], q=user.name)] == [user.name]


async def test_other_units_remain_unless_the_sheet_decides(admin: Person, org: Json, worker: Work) -> None:
    """A person in several units keeps those that the sheet does not name, unless the sheet is to decide."""
    units = [await add_unit(admin, org, name) for name in ("甲", "乙")]
    phone = fresh_phone()
    await add_member(admin, org, *units, name="王伟", phone=phone)
    sheet = xlsx([("王伟", phone, "甲")])
    await merge(admin, org["id"], worker, sheet)
    assert await read_units(admin, org, "王伟") == ["乙", "甲"]
    await merge(admin, org["id"], worker, sheet, units="replace")
    assert await read_units(admin, org, "王伟") == ["甲"]


async def test_person_of_a_refused_row_remains(admin: Person, org: Json, worker: Work) -> None:
    """A refused row never removes the person whose name and unit it has."""
    unit = await add_unit(admin, org, "甲")
    await add_member(admin, org, unit, name="王伟")
    done = await merge(admin, org["id"], worker, xlsx([("王伟", "1380", "甲")]), mode="replace-all")
    assert (done["counts"]["refused"], done["counts"]["left"]) == (1, 0)
    assert await read_units(admin, org, "王伟") == ["甲"]


async def test_rows_and_unknown_units_are_mended_in_the_preview(admin: Person, org: Json, worker: Work) -> None:
    """A refused row is corrected in the preview, and units that the org does not have are created, replaced or left out
    by choice."""
    unit = await add_unit(admin, org, "甲")
    rows = [("王伟", "1380", "新支部"), ("李娜", fresh_phone(), "甲支部"), ("赵敏", fresh_phone(), "外单位")]
    checked = await check(admin, org["id"], worker, xlsx(rows))
    path = get_path(org, checked)
    get_body(await admin.patch(f"{path}/rows/2", json={"phone": fresh_phone()}))
    items = [{"path": "甲支部", "choice": "use", "unit_id": unit["id"]}, {"path": "外单位", "choice": "skip"}]
    found = get_body(await admin.put(f"{path}/units", json={"items": items, "others": "create"}))
    assert (found["counts"]["added"], found["counts"]["refused"], found["new_units"]) == (2, 1, ["新支部"])


async def test_import_is_undone_for_a_day(admin: Person, org: Json, worker: Work) -> None:
    """An import can be undone for a day (409 `import-not-reversible`); people edited since stay as they are (409
    `import-edited-since`)."""
    rows = [("王伟", fresh_phone(), "甲"), ("李娜", fresh_phone(), "甲")]
    done = await merge(admin, org["id"], worker, xlsx(rows), unknown_units="create")
    (edited,) = await list_members(admin, org["id"], q="王伟")
    get_body(await admin.patch(f"/v1/orgs/{org['id']}/members/{edited['id']}", json={"post": "书记"}))
    path = f"{get_path(org, done)}/reversal"
    assert get_refusal(await admin.put(path, json={})) == (409, "import-edited-since")
    assert get_body(await admin.put(path, json={"partial": True})) == {"people": 1, "blocked": 1}
    assert {row["name"] for row in await list_members(admin, org["id"])} == {admin.name, "王伟"}
    assert get_refusal(await admin.put(path, json={})) == (409, "import-not-reversible")
