"""S9 Bulk import · 批量导入"""

import io
from dataclasses import dataclass

import pytest

from tests.acts import Json, add_member, add_unit, get_body, get_refusal
from tests.exports.test_exports import download_export
from tests.members.hostile import AT_UPLOAD
from tests.members.sheets import Work, check, list_members, merge, open_xlsx, read, rows_of, upload, xlsx
from tests.people import People, Person, fresh_phone
from tests.rules.world import World

FILES = {case.label: case for case in AT_UPLOAD}


@dataclass
class Scene:
    """An import of the template with eight rows, of which four are refused, after the check and after the merge."""

    admin: Person
    org_id: str
    content: bytes
    checked: Json
    members_after_check: int
    done: Json
    rows: list[Json]


@pytest.fixture(scope="module")
async def scene(people: People, worker: Work) -> Scene:
    admin = await people.register()
    org_id = str((await admin.create_org())["id"])
    path = f"/v1/orgs/{org_id}/imports"
    book = open_xlsx((await admin.get(f"{path}/template")).content)
    sheet = [
        ("王伟", fresh_phone(), "第一支部"),
        ("", fresh_phone(), "第一支部"),
        ("李娜", "", "第一支部"),
        ("赵敏", fresh_phone(), ""),
        ("钱进", "02584567890", "第一支部"),
        ("王桂英", "无手机", "第一支部"),
        ("王桂英", "无手机", "第一支部"),
        ("王桂英", "无手机", "第二支部"),
    ]
    for number, row in enumerate(sheet, 3):
        for column, value in enumerate(row, 1):
            book["人员"].cell(number, column, value)
    content = io.BytesIO()
    book.save(content)
    checked = await check(admin, org_id, worker, content.getvalue(), unknown_units="create")
    members = len(await list_members(admin, org_id))
    assert (await admin.put(f"{path}/{checked['id']}/confirmation", json={"preview": 1})).status_code == 202
    await worker()
    done = await read(admin, org_id, checked["id"])
    return Scene(admin, org_id, content.getvalue(), checked, members, done, await rows_of(admin, org_id, done["id"]))


def list_counts(found: Json) -> dict[str, int]:
    return {name: count for name, count in found["counts"].items() if count}


def list_problems(scene: Scene) -> list[list[str]]:
    return [[problem["code"] for problem in row["problems"]] for row in scene.rows]


async def test_row_without_name_phone_or_unit_is_refused(scene: Scene) -> None:
    """Name, phone and unit name are required."""
    assert list_problems(scene)[1:4] == [["name-missing"], ["phone-missing"], ["unit-missing"]]


async def test_filled_template_is_previewed_and_then_imported_with_a_result_for_each_row(scene: Scene) -> None:
    """Template (xlsx), upload, a preview that changes nothing, then a job with progress and one result a row."""
    assert (scene.checked["state"], scene.checked["rows_total"]) == ("ready", 8)
    assert scene.members_after_check == 1
    assert (scene.done["state"], scene.done["rows_done"]) == ("done", 8)
    assert list_counts(scene.done) == list_counts(scene.checked) == {"added": 3, "refused": 4}
    assert [row["outcome"] for row in scene.rows][:2] == ["added", "refused"]
    (member,) = await list_members(scene.admin, scene.org_id, q="王伟")
    assert [unit["name"] for unit in member["units"]] == ["第一支部"]


async def test_failed_rows_are_mended_and_uploaded_again(scene: Scene, worker: Work) -> None:
    """The failed rows come back as a sheet that can be mended and uploaded again."""
    failed = await scene.admin.get(f"/v1/orgs/{scene.org_id}/imports/{scene.done['id']}/failed-rows.xlsx")
    book = open_xlsx(failed.content)
    assert book.worksheets[0].cell(5, 2).value == "02584567890"
    book.worksheets[0].cell(5, 2, fresh_phone())
    content = io.BytesIO()
    book.save(content)
    mended = await merge(scene.admin, scene.org_id, worker, content.getvalue())
    assert list_counts(mended) == {"added": 1, "refused": 3}


async def test_same_file_twice_changes_nothing_the_second_time(scene: Scene, worker: Work) -> None:
    """The same file twice changes nothing the second time."""
    before = await list_members(scene.admin, scene.org_id)
    again = await merge(scene.admin, scene.org_id, worker, scene.content)
    assert list_counts(again) == {"unchanged": 3, "refused": 4}
    assert await list_members(scene.admin, scene.org_id) == before


async def test_import_that_removes_many_waits_for_the_admins_consent(people: People, worker: Work) -> None:
    """An import that would remove many people waits for consent (409 `removals-need-consent`)."""
    admin = await people.register()
    org = await admin.create_org()
    unit = await add_unit(admin, org, "甲")
    phones = [fresh_phone() for _ in range(5)]
    for phone in phones:
        await add_member(admin, org, unit, name="王小明", phone=phone)
    sheet = xlsx([("王小明", phones[0], "甲")])
    checked = await check(admin, org["id"], worker, sheet, mode="replace-all")
    path = f"/v1/orgs/{org['id']}/imports/{checked['id']}/confirmation"
    assert get_refusal(await admin.put(path, json={"preview": 1})) == (409, "removals-need-consent")
    assert len(await list_members(admin, org["id"])) == 6
    assert (await admin.put(path, json={"preview": 1, "leaving": 4})).status_code == 202
    await worker()
    assert len(await list_members(admin, org["id"])) == 2


async def test_people_without_a_phone_are_one_person_where_name_and_unit_are_the_same(scene: Scene) -> None:
    """A person without a mobile phone has 无手机 in the cell of the phone; such rows are about one person if name and
    unit are the same.
    """
    found = await list_members(scene.admin, scene.org_id, q="王桂英")
    assert sorted((row["units"][0]["name"], row["phone"]) for row in found) == [("第一支部", None), ("第二支部", None)]


@pytest.mark.parametrize(
    ("label", "refusal"),
    [
        ("empty", (422, "file-empty")),
        ("csv as xlsx", (422, "file-renamed")),
        ("truncated", (422, "file-damaged")),
        ("encrypted xlsx", (422, "file-encrypted")),
        ("claims 4 GB", (422, "file-bomb")),
    ],
)
async def test_broken_or_hostile_file_is_refused_and_changes_nothing(
    world: World, label: str, refusal: tuple[int, str]
) -> None:
    """A broken or hostile file is refused with a clear error (422 `file-empty`, `file-renamed`, `file-damaged`,
    `file-encrypted`, `file-bomb`) and has no partial effect.
    """
    uploaded = await upload(world.admin, world.org["id"], FILES[label].make(), FILES[label].file_name)
    assert get_refusal(uploaded) == refusal
    assert uploaded.json()["detail"]
    assert get_body(await world.admin.get(f"{world.path}/imports"))["items"] == []


async def test_usual_headings_are_read_and_shown_with_the_skipped_rows(scene: Scene, worker: Work) -> None:
    """The usual headings of rosters are read, and the import shows what each column was read as and which rows were
    skipped."""
    header = ("序号", "党员姓名", "联系电话", "所在党支部")
    sheet = xlsx([("1", "王伟", fresh_phone(), "第一支部"), ("合计", "1", "", "")], header)
    checked = await check(scene.admin, scene.org_id, worker, sheet)
    (read_sheet,) = checked["reading"]["sheets"]
    assert [column["field"] for column in read_sheet["columns"]] == [None, "name", "phone", "unit"]
    assert [(skipped["cause"], skipped["count"]) for skipped in checked["reading"]["skipped"]] == [("total", 1)]


async def test_file_is_read_in_another_way_until_the_import_is_confirmed(scene: Scene, worker: Work) -> None:
    """The file is read in another way without a new upload, until the import is confirmed (409
    `import-not-rereadable`)."""
    sheet = xlsx([("李娜", fresh_phone(), "第一支部"), ("赵敏", fresh_phone(), "")])
    checked = await check(scene.admin, scene.org_id, worker, sheet)
    path = f"/v1/orgs/{scene.org_id}/imports/{checked['id']}/reading"
    get_body(await scene.admin.put(path, json={"fill_units": True}), 202)
    await worker()
    assert (await read(scene.admin, scene.org_id, checked["id"]))["counts"]["added"] == 2
    path = f"/v1/orgs/{scene.org_id}/imports/{scene.done['id']}/reading"
    assert get_refusal(await scene.admin.put(path, json={})) == (409, "import-not-rereadable")


async def test_too_large_file_is_refused_with_the_limit(scene: Scene) -> None:
    """A file that is too large is refused with the limit (413 `file-too-large`)."""
    refused = await upload(scene.admin, scene.org_id, bytes(22 << 20))
    assert get_refusal(refused) == (413, "file-too-large")
    assert refused.json()["limit"] == 20


async def test_own_export_uploaded_again_changes_nothing(scene: Scene, worker: Work) -> None:
    """The directory's own export, uploaded again, changes nothing."""
    path = f"/v1/orgs/{scene.org_id}/members/exports"
    export = get_body(await scene.admin.post(path, json={}), 202)
    await worker()
    content = await download_export(scene.admin, {"id": scene.org_id}, export["id"])
    checked = await check(scene.admin, scene.org_id, worker, content)
    assert list_counts(checked) == {"unchanged": checked["people"]}
