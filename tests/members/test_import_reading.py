"""What an import says of its file over HTTP, and reading the file in another way."""

import os
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.acts import get_refusal, list_actions
from tests.members.hostile import part
from tests.members.sheets import Work, check, merge, open_xlsx, read, rows_of, xlsx
from tests.members.workbooks import HEAD, Rows, by_openpyxl, csv
from tests.people import People, Person, fresh_name, fresh_phone


@pytest.fixture
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture
async def org_id(admin: Person) -> str:
    return str((await admin.create_org())["id"])


def make_person(unit: str = "一支部") -> tuple[str, str, str]:
    return fresh_name(), fresh_phone(), unit


async def reread(admin: Person, org_id: str, worker: Work, import_id: str, **body: Any) -> dict[str, Any]:
    answer = await admin.put(f"/v1/orgs/{org_id}/imports/{import_id}/reading", json=body)
    assert (answer.status_code, answer.json()["state"]) == (202, "uploaded"), answer.text
    await worker()
    return await read(admin, org_id, import_id)


async def count_file_parts(engine: AsyncEngine, import_id: str) -> int:
    async with engine.connect() as db:
        found = await db.execute(text("SELECT count(*) FROM import_files WHERE import_id = :id"), {"id": import_id})
        return int(found.scalar_one())


async def test_import_says_what_was_read_and_the_sum_of_its_rows_closes(
    admin: Person, org_id: str, worker: Work
) -> None:
    first, second, bad = make_person(), make_person(), make_person()
    header = (*HEAD, "籍贯")
    sheets: dict[str, Rows] = {
        "一支部": [("花名册",), header, first, (), ("合计", "1"), header, (bad[0], "025-83312345", "一支部")],
        "二支部": [HEAD[:2], ("示例：张三", "13800138000"), second[:2], ("制表人：", "王丽")],
        "说明": [("请填写",)],
    }
    checked = await check(admin, org_id, worker, by_openpyxl(sheets), unknown_units="create")
    assert checked["rows"] == {"total": 8, "accepted": 2, "undecided": 0, "skipped": 5, "refused": 1}
    assert checked["rows_total"] == 3
    reading = checked["reading"]
    assert [(sheet["name"], sheet["header_row"], sheet["rows"], sheet["unit"]) for sheet in reading["sheets"]] == [
        ("一支部", 2, 2, None),
        ("二支部", 1, 1, "二支部"),
    ]
    assert [(column["column"], column["field"]) for column in reading["sheets"][0]["columns"]] == [
        ("A", "name"),
        ("B", "phone"),
        ("C", "unit"),
        ("D", None),
    ]
    assert [(sheet["name"], sheet["reason"]) for sheet in reading["sheets_not_read"]] == [("说明", "no-header")]
    assert {skipped["cause"]: skipped["rows"] for skipped in reading["skipped"]} == {
        "blank": [{"sheet": "一支部", "row_no": 4}],
        "total": [{"sheet": "一支部", "row_no": 5}],
        "repeated-header": [{"sheet": "一支部", "row_no": 6}],
        "example": [{"sheet": "二支部", "row_no": 2}],
        "note": [{"sheet": "二支部", "row_no": 4}],
    }
    rows = await rows_of(admin, org_id, checked["id"])
    assert [(row["sheet"], row["row_no"], row["unit"]) for row in rows] == [
        ("一支部", 3, "一支部"),
        ("一支部", 7, "一支部"),
        ("二支部", 3, "二支部"),
    ]
    assert rows[1]["typed"]["phone"] == "025-83312345"
    failed = await admin.get(f"/v1/orgs/{org_id}/imports/{checked['id']}/failed-rows.xlsx")
    (line,) = open_xlsx(failed.content).worksheets[0].iter_rows(min_row=2, values_only=True)
    assert line[6] == "“一支部”, row 7"


async def test_row_has_all_its_reasons_and_the_cells_of_the_clerk(admin: Person, org_id: str, worker: Work) -> None:
    sheet = xlsx(
        [("王\ufffd", "1390000001", "", "也许"), (fresh_name(), "13900000001/13900000002", "甲", "")],
        header=(*HEAD, "政治面貌"),
    )
    checked = await check(admin, org_id, worker, sheet, unknown_units="create")
    first, second = await rows_of(admin, org_id, checked["id"])
    codes = ["name-damaged", "phone-too-short", "unit-missing", "party-unreadable"]
    assert [problem["code"] for problem in first["problems"]] == codes
    assert first["problems"][1]["title"] == "Digits missing in the phone number: 1"
    cells = {"name": "王\ufffd", "phone": "1390000001", "unit": "", "party": "也许", "party_kind": "", "post": ""}
    assert first["typed"] == cells
    assert second["typed"]["phone"] == "139****0001/139****0002"


async def test_torn_csv_is_refused_with_its_row(admin: Person, org_id: str, worker: Work) -> None:
    lines = (",".join((*HEAD, "备注")), '张伟,13900000001,一支部,"在职', "李娜,13900000002,一支部,")
    checked = await check(admin, org_id, worker, "\r\n".join(lines).encode(), name="a.csv")
    refusal = checked["refusal"]
    assert (checked["state"], refusal["code"], refusal["row"]) == ("refused", "file-damaged", 2)
    assert "row 2" in refusal["detail"]
    path = f"/v1/orgs/{org_id}/imports/{checked['id']}/reading"
    assert get_refusal(await admin.put(path, json={})) == (409, "import-not-rereadable")


async def test_advice_about_too_many_rows_depends_on_the_mode(admin: Person, org_id: str, worker: Work) -> None:
    content = csv([HEAD]) + b"\r\na,1,b" * 200_001
    for mode, advised in (("add-and-update", True), ("replace-all", False)):
        checked = await check(admin, org_id, worker, content, name="a.csv", mode=mode)
        detail = checked["refusal"]["detail"]
        assert (checked["refusal"]["code"], "200,000" in detail) == ("too-many-rows", True)
        assert ("Split the file" in detail) is advised


async def test_columns_are_chosen_without_a_new_upload_and_remembered(
    admin: Person, org_id: str, worker: Work, engine: AsyncEngine
) -> None:
    person, other = make_person(), make_person()
    header = ("人", "联系电话", "联系方式", "组")
    sheet = xlsx([(person[0], "1", *person[1:])], header=header)
    refused = await check(admin, org_id, worker, sheet, unknown_units="create")
    assert (refused["state"], refused["refusal"]["code"]) == ("refused", "header-missing")
    assert [column["heading"] for column in refused["refusal"]["headings"]] == list(header)
    assert await count_file_parts(engine, refused["id"]) > 0
    columns = [
        {"heading": "人", "field": "name"},
        {"heading": "联系方式", "field": "phone"},
        {"heading": "组", "field": "unit"},
    ]
    ready = await reread(admin, org_id, worker, refused["id"], columns=columns)
    assert (ready["state"], ready["refusal"], ready["counts"]["added"]) == ("ready", None, 1)
    shown = ready["reading"]["sheets"][0]["columns"]
    assert [column["heading"] for column in shown if column["chosen"]] == ["人", "联系方式", "组"]
    assert (await list_actions(admin, {"id": org_id}))[0] == "import.reread"
    # A later file of the org is read in the same way. Another org does not know the words.
    later = xlsx([(other[0], "1", *other[1:])], header=header)
    again = await check(admin, org_id, worker, later, unknown_units="create")
    assert (again["state"], again["counts"]["added"]) == ("ready", 1)
    elsewhere = str((await admin.create_org())["id"])
    assert (await check(admin, elsewhere, worker, sheet))["state"] == "refused"


async def test_units_are_filled_down_by_choice(admin: Person, org_id: str, worker: Work, engine: AsyncEngine) -> None:
    people = [make_person(), make_person(""), make_person("二支部"), make_person("")]
    checked = await check(admin, org_id, worker, xlsx(people), unknown_units="create")
    assert (checked["counts"]["added"], checked["counts"]["refused"]) == (2, 2)
    at_once = await check(admin, org_id, worker, xlsx(people), unknown_units="create", fill_units="true")
    assert at_once["counts"]["added"] == 4
    filled = await reread(admin, org_id, worker, checked["id"], fill_units=True)
    assert (filled["counts"]["added"], filled["counts"]["refused"], filled["reading"]["fill_units"]) == (4, 0, True)
    rows = await rows_of(admin, org_id, checked["id"])
    assert [row["unit"] for row in rows] == ["一支部", "一支部", "二支部", "二支部"]
    assert [warning["code"] for warning in rows[1]["warnings"]] == ["unit-filled-down"]
    path = f"/v1/orgs/{org_id}/imports/{checked['id']}"
    assert (await admin.put(f"{path}/confirmation", json={"preview": filled["preview"]})).status_code == 202
    assert get_refusal(await admin.put(f"{path}/reading", json={})) == (409, "import-not-rereadable")
    await worker()
    assert await count_file_parts(engine, checked["id"]) == 0


async def test_chosen_sheets_are_read(admin: Person, org_id: str, worker: Work) -> None:
    people = [make_person(), make_person("二支部")]
    content = by_openpyxl({"甲": [HEAD, people[0]], "乙": [HEAD, people[1]]})
    checked = await check(admin, org_id, worker, content, unknown_units="create")
    assert checked["counts"]["added"] == 2
    one = await reread(admin, org_id, worker, checked["id"], sheets=["乙"])
    assert (one["counts"]["added"], one["reading"]["sheets_not_read"][0]["reason"]) == (1, "not-chosen")
    none = await reread(admin, org_id, worker, checked["id"], sheets=["丙"])
    assert (none["state"], await rows_of(admin, org_id, checked["id"])) == ("refused", [])
    assert (await reread(admin, org_id, worker, checked["id"]))["counts"]["added"] == 2


async def test_reading_of_another_org_is_not_found(admin: Person, org_id: str, worker: Work, people: People) -> None:
    checked = await check(admin, org_id, worker, xlsx([make_person()]), unknown_units="create")
    stranger = await people.register()
    own = (await stranger.create_org())["id"]
    for org in (org_id, own):
        assert (await stranger.put(f"/v1/orgs/{org}/imports/{checked['id']}/reading", json={})).status_code == 404


async def test_workbook_with_many_pictures_is_read(admin: Person, org_id: str, worker: Work) -> None:
    content = part(*(f"xl/media/image{number}.png" for number in range(1500)))(lambda _: os.urandom(1000))
    checked = await check(admin, org_id, worker, content, unknown_units="create")
    assert (checked["state"], checked["counts"]["added"]) == ("ready", 1)


async def test_number_of_a_member_remains_in_the_failed_rows(admin: Person, org_id: str, worker: Work) -> None:
    person = make_person()
    await merge(admin, org_id, worker, xlsx([person]), unknown_units="create")
    members = await admin.get(f"/v1/orgs/{org_id}/members", params={"q": person[0]})
    number = members.json()["items"][0]["id"]
    sheet = xlsx([(*person[:2], "没有的支部", number)], header=(*HEAD, "编号"))
    checked = await check(admin, org_id, worker, sheet)
    failed = await admin.get(f"/v1/orgs/{org_id}/imports/{checked['id']}/failed-rows.xlsx")
    heading, *lines = open_xlsx(failed.content).worksheets[0].iter_rows(values_only=True)
    assert [dict(zip(heading, line, strict=True))["Xuezu number"] for line in lines] == [number]
