"""Units as clerks write them in a sheet, and the re-import of an export (S9, S10)."""

import io
from typing import Any

import pytest

from tests.acts import Json, add_admin, add_member, add_unit, get_body, get_refusal
from tests.exports.test_exports import download_export
from tests.members.sheets import Work, check, list_members, merge, open_xlsx, rows_of, xlsx
from tests.people import People, Person, fresh_name, fresh_phone


@pytest.fixture
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture
async def org(admin: Person) -> Json:
    return await admin.create_org()


async def test_every_value_of_the_drop_down_of_the_template_is_found(admin: Person, org: Json, worker: Work) -> None:
    top = await add_unit(admin, org, "机关 党总支", kind="general-branch")
    for name in (
        "一支部",
        "产／销支部",
        "+1支部",
        "=2支部",
        "@3支部",
        "-4支部",
        "(老干部）支部",
        "第 5 支部",
        "ＱＣ小组",
    ):
        await add_unit(admin, org, name, top)
    for name in ("+6支部", "七／八支部"):
        await add_unit(admin, org, name)
    template = await admin.get(f"/v1/orgs/{org['id']}/imports/template")
    book = open_xlsx(template.content)
    choices = [cell.value for cell in book["支部"]["A"]]
    assert len(choices) == 12
    for row_no, choice in enumerate(choices, 3):
        for column, value in enumerate((fresh_name(), fresh_phone(), choice), 1):
            book["人员"].cell(row_no, column, value).data_type = "s"
    content = io.BytesIO()
    book.save(content)
    checked = await check(admin, org["id"], worker, content.getvalue(), unknown_units="create")
    assert (checked["counts"]["added"], checked["counts"]["refused"], checked["new_units"]) == (12, 0, [])


async def test_unit_is_found_by_an_end_of_its_path_that_only_one_unit_has(
    admin: Person, org: Json, worker: Work
) -> None:
    for name in ("南京", "北京"):
        top = await add_unit(admin, org, name)
        branch = await add_unit(admin, org, "一支部", top)
        await add_unit(admin, org, f"{name}一组", branch, kind="party-group")
        await add_unit(admin, org, "一组", branch, kind="party-group")
    cells = ("一支部/南京一组", "南京一组", "南京 / 一支部", "一组", "一支部／一组", "支部")
    checked = await check(admin, org["id"], worker, xlsx([(fresh_name(), fresh_phone(), cell) for cell in cells]))
    rows = await rows_of(admin, org["id"], checked["id"])
    found: list[str] = []
    ambiguous, unknown = ["unit-ambiguous"], ["unit-unknown"]
    codes = [[problem["code"] for problem in row["problems"]] for row in rows]
    assert codes == [found, found, found, ambiguous, ambiguous, unknown]


async def test_name_of_the_org_is_the_org_itself(admin: Person, org: Json, worker: Work) -> None:
    await add_unit(admin, org, "一支部")
    cells = (
        "管理组",
        "学习管理组",
        org["name"],
        f"{org['name']}学习管理组",
        f"{org['name']}/一支部",
        f"{org['name']}／二支部",
    )
    people = [(fresh_name(), fresh_phone(), cell) for cell in cells]
    done = await merge(admin, org["id"], worker, xlsx(people), unknown_units="create")
    assert (done["counts"]["added"], done["new_units"]) == (6, ["二支部"])
    members = {member["name"]: member for member in await list_members(admin, org["id"])}
    places = [(members[name]["at_org"], [unit["name"] for unit in members[name]["units"]]) for name, _, _ in people]
    assert places == [(True, [])] * 4 + [(False, ["一支部"]), (False, ["二支部"])]


async def test_siblings_that_differ_by_width_blanks_or_case_are_one_name(admin: Person, org: Json) -> None:
    await add_unit(admin, org, "（机关）QC 支部")
    for name in ("(机关)QC支部", "（机关)ＱＣ支部", "（机关）qc支部", "【机关】QC支部"):
        refused = await admin.post(f"/v1/orgs/{org['id']}/units", json={"name": name})
        assert get_refusal(refused) == (409, "unit-name-taken"), name


async def test_cell_with_brackets_of_any_kind_is_the_unit(admin: Person, org: Json, worker: Work) -> None:
    await add_unit(admin, org, "（机关）支部")
    cells = ("(机关)支部", "（机关)支部", "(机关） 支部")
    checked = await check(admin, org["id"], worker, xlsx([(fresh_name(), fresh_phone(), cell) for cell in cells]))
    assert checked["counts"]["added"] == 3


@pytest.mark.parametrize("language", ["zh", "en"])
async def test_export_that_is_imported_again_changes_nothing(
    admin: Person, org: Json, worker: Work, people: People, language: str
) -> None:
    top = await add_unit(admin, org, "机关党总支", kind="general-branch")
    units = [await add_unit(admin, org, name, top) for name in ("一支部", "+2支部", "产／销支部")]
    await add_admin(admin, org, await people.register())
    await add_member(admin, org, units[0], name=fresh_name(), post="书记")
    await add_member(admin, org, units[0], units[1], name=fresh_name(), probationary=True)
    await add_member(admin, org, units[2], top, name="阿卜杜拉·买买提")
    await add_member(admin, org, name=fresh_name())
    await add_member(admin, org, units[1], name=fresh_name(), phone=None, no_phone=True)
    await add_member(admin, org, units[1], name=fresh_name(), phone="+85291234567")
    before = await list_members(admin, org["id"])
    path = f"/v1/orgs/{org['id']}/members/exports"
    bodies: list[dict[str, Any]] = [
        {"format": file_format, "phones": phones} for file_format in ("xlsx", "csv") for phones in ("masked", "full")
    ]
    headers = {"Accept-Language": language}
    exports = [get_body(await admin.post(path, json=body, headers=headers), 202) for body in bodies]
    await worker()
    for body, export in zip(bodies, exports, strict=True):
        content = await download_export(admin, org, export["id"])
        for mode in ("add-and-update", "replace-all"):
            checked = await check(admin, org["id"], worker, content, name=f"a.{body['format']}", mode=mode)
            expected = {"unchanged": len(before), "refused": 0, "added": 0, "changed": 0, "moved": 0, "left": 0}
            counts = {key: checked["counts"][key] for key in expected}
            assert (counts, checked["new_units"]) == (expected, []), (body, mode)
            assert not [row["warnings"] for row in await rows_of(admin, org["id"], checked["id"]) if row["warnings"]]
    assert await list_members(admin, org["id"]) == before
