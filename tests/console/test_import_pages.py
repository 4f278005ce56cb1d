"""The pages of an import: the form, the history, the result, and undoing it."""

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import Json, add_member, add_unit, get_body, list_all
from tests.console.conftest import ORIGIN, OpenScreen, SignIn
from tests.console.desk import HOSTILE, OpenDesk, normalize_text
from tests.members.sheets import list_members, merge, read, xlsx
from tests.people import People, Person, fresh_phone

Work = Callable[[], Awaitable[None]]


@pytest.fixture
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture
async def org(admin: Person) -> Json:
    return await admin.create_org(name=f"党委{HOSTILE}")


async def import_changes(admin: Person, org: Json, worker: Work) -> Json:
    """Return an import that moves 王安石, adds 曾巩 and removes 苏轼."""
    unit = await add_unit(admin, org, "甲")
    await add_unit(admin, org, "乙")
    phone = fresh_phone()
    await add_member(admin, org, unit, name="王安石", phone=phone)
    await add_member(admin, org, unit, name="苏轼", phone=fresh_phone())
    rows = [("王安石", phone, "乙"), ("曾巩", fresh_phone(), "甲"), ("单田芳", "025-83212345", "甲")]
    return await merge(admin, org["id"], worker, xlsx(rows), mode="replace-all", leaving=1)


async def list_names(admin: Person, org: Json) -> dict[str, list[str]]:
    return {row["name"]: [unit["name"] for unit in row["units"]] for row in await list_members(admin, org["id"])}


async def test_import_is_undone_once_and_the_result_names_the_admin(
    admin: Person, org: Json, open_desk: OpenDesk, worker: Work
) -> None:
    before = await list_names(admin, org)
    done = await import_changes(admin, org, worker)
    at = f"/console/orgs/{org['id']}/imports/{done['id']}"
    desk = await open_desk(admin)
    result = await desk.page(at)
    assert "1 行未通过，没有导入" in result
    assert f'hx-get="{at}/reversal"' in result
    assert f'href="{at}/changes.xlsx"' in result
    dialog = await desk.part(f"{at}/reversal")
    assert "3 人恢复为导入之前" in dialog
    assert "blocked-people" not in dialog
    assert "已撤销导入，3 人恢复为导入之前" in await desk.confirm(f"{at}/reversal", blocked="0")
    assert await list_names(admin, org) == before | {"王安石": ["甲"], "苏轼": ["甲"]}
    result = await desk.page(at)
    assert "导入已撤销" in result
    assert f"{admin.name} 于 <time" in result
    assert f"{at}/reversal" not in result
    assert "撤销之前的结果" in result
    # Another tab still shows the button.
    assert "该导入不能撤销" in await desk.part(f"{at}/reversal", 409)
    sent = await desk.visitor.post(
        f"{at}/reversal", data={"name": org["name"], "blocked": "0"}, headers=ORIGIN | {"HX-Request": "true"}
    )
    assert (sent.status_code, "该导入不能撤销" in sent.text) == (409, True)


async def test_import_that_is_undone_twice_at_once_is_undone_once(
    admin: Person, org: Json, open_desk: OpenDesk, worker: Work
) -> None:
    done = await import_changes(admin, org, worker)
    path = f"/console/orgs/{org['id']}/imports/{done['id']}/reversal"
    desk = await open_desk(admin)
    form, headers = {"name": org["name"], "blocked": "0"}, ORIGIN | {"HX-Request": "true"}
    sent = await asyncio.gather(*(desk.visitor.post(path, data=form, headers=headers) for _ in range(3)))
    assert sorted(answer.status_code for answer in sent) == [200, 409, 409]
    entries = await list_all(admin, f"/v1/orgs/{org['id']}/audit")
    assert [entry["action"] for entry in entries].count("import.reversed") == 1


async def test_people_edited_since_are_listed_and_a_changed_list_is_shown_before_undoing(
    admin: Person, org: Json, open_desk: OpenDesk, worker: Work
) -> None:
    done = await import_changes(admin, org, worker)
    at = f"/console/orgs/{org['id']}/imports/{done['id']}"
    desk = await open_desk(admin)
    await desk.part(f"{at}/reversal")
    members = {row["name"]: row["id"] for row in await list_members(admin, org["id"])}

    async def edit(name: str) -> None:
        path = f"/v1/orgs/{org['id']}/members/{members[name]}"
        get_body(await admin.patch(path, json={"post": f"书记{HOSTILE}"[:50]}))

    for number, name in enumerate(("王安石", "曾巩")):
        await edit(name)
        refused = await desk.send(f"{at}/reversal", 409, name=org["name"], blocked=str(number))
        assert "有人员在导入之后又被修改" in refused
        assert "partial" not in refused
        assert f'name="blocked" value="{number + 1}"' in refused
        assert f'hx-get="{at}/blocked-people"' in refused
    assert (await read(admin, org["id"], done["id"]))["reversed_at"] is None
    blocked = await desk.part(f"{at}/blocked-people")
    assert blocked.count("导入之后又被修改") == 2
    assert "曾巩" in blocked
    first = await desk.part(f"{at}/blocked-people?limit=1")
    (more,) = re.findall(r'hx-get="([^"]+/blocked-people[?]cursor=[^"]+)"', first)
    rest = await desk.part(more)
    assert (first.count("<tr>"), rest.count("<tr>"), "<table" in rest) == (2, 1, False)
    notice = await desk.send(f"{at}/reversal", name=org["name"], blocked="2")
    assert "已撤销导入，1 人恢复为导入之前" in notice
    assert (await list_names(admin, org))["苏轼"] == ["甲"]


async def test_import_of_another_org_is_not_found(
    admin: Person, org: Json, open_desk: OpenDesk, people: People, worker: Work
) -> None:
    done = await import_changes(admin, org, worker)
    stranger = await people.register()
    own = await stranger.create_org()
    desk = await open_desk(stranger)
    for at in (f"/console/orgs/{org['id']}/imports", f"/console/orgs/{own['id']}/imports"):
        await desk.page(f"{at}/{done['id']}", 404)
        for part in ("reversal", "blocked-people"):
            await desk.part(f"{at}/{done['id']}/{part}", 404)
        await desk.send(f"{at}/{done['id']}/reversal", 404, name=org["name"], blocked="0")
    await desk.page(f"/console/orgs/{org['id']}/imports/history", 404)
    assert (await read(admin, org["id"], done["id"]))["reversed_at"] is None


async def test_history_shows_who_imported_what_and_when(
    admin: Person, org: Json, open_desk: OpenDesk, worker: Work, db: AsyncConnection
) -> None:
    done = await import_changes(admin, org, worker)
    at = f"/console/orgs/{org['id']}/imports"
    desk = await open_desk(admin)
    assert f'href="/console/orgs/{org["id"]}/imports/history"' in await desk.page(f"/console/orgs/{org['id']}/members")
    history = await desk.page(f"{at}/history")
    (row,) = re.findall(r"<tbody.*?>(.*)</tbody>", history)
    assert f'href="{at}/{done["id"]}"' in row
    assert admin.name in row
    assert re.findall(r'class="number wide-only">(\d+)<', row) == ["3", "1", "0", "1", "1", "1"]
    assert "every 2s" not in history
    await desk.confirm(f"{at}/{done['id']}/reversal", blocked="0")
    history = await desk.page(f"{at}/history")
    assert f"{admin.name} 于 <time" in history
    assert (">已撤销<" in history, ">已完成<" in history) == (True, False)
    # The rows of an old import are deleted, and its counts stay.
    await db.execute(
        text("UPDATE imports SET created_at = now() - interval '31 days' WHERE id = :id"), {"id": done["id"]}
    )
    result = await desk.page(f"{at}/{done['id']}")
    assert "逐行结果只保留 30 天，已经删除" in result
    assert f'"{at}/{done["id"]}/rows' not in result


async def test_form_replaces_one_unit_and_takes_the_options(
    admin: Person, org: Json, open_desk: OpenDesk, worker: Work
) -> None:
    unit, other = await add_unit(admin, org, "甲"), await add_unit(admin, org, "乙")
    await add_member(admin, org, unit, name="苏轼", phone=fresh_phone())
    phone = fresh_phone()
    await add_member(admin, org, unit, other, name="王安石", phone=phone)
    at = f"/console/orgs/{org['id']}/imports"
    desk = await open_desk(admin)
    form = await desk.page(at)
    assert [words for words in ("覆盖一个支部", "以表格为准", "与上一行相同") if words not in form] == []
    sheet = {"file": ("名单.xlsx", xlsx([("王安石", phone, "甲"), ("曾巩", fresh_phone(), "")]))}

    async def send(**fields: str) -> tuple[int, str]:
        fields = {"units": "keep", "unknown_units": "refuse", "wanted": ""} | fields
        answer = await desk.visitor.post(at, data=fields, files=sheet, headers=ORIGIN)
        return answer.status_code, answer.headers.get("HX-Redirect") or normalize_text(answer.text)

    status, shown = await send(mode="replace-unit", units="replace", fill_units="true")
    assert (status, "请选择支部" in shown) == (422, True)
    assert shown.count('value="replace-unit" checked') == shown.count('value="replace" checked') == 1
    assert 'value="true" checked' in shown
    # The page sends the unit that was chosen also with another mode.
    all_options = {"unit_id": unit["id"], "units": "replace", "unknown_units": "create", "fill_units": "true"}
    for mode, words, counts in (
        ("add-and-update", ("新增和更新", "所在支部以表格为准", "创建没有的支部"), {"added": 1, "moved": 1}),
        ("replace-unit", ("覆盖支部：甲", "创建没有的支部"), {"added": 1, "left": 1, "unchanged": 1}),
    ):
        status, path = await send(mode=mode, **all_options)
        assert status == 204
        await worker()
        preview = await desk.page(path)
        assert [word for word in words if word not in preview] == []
        found = await read(admin, org["id"], path.rpartition("/")[2])
        assert {name: count for name, count in found["counts"].items() if count} == counts


async def test_numbers_of_the_result_add_up_and_skipped_rows_are_listed(
    admin: Person, org: Json, open_desk: OpenDesk, worker: Work
) -> None:
    unit = await add_unit(admin, org, "甲")
    known = fresh_phone()
    await add_member(admin, org, unit, name="刘成", phone=known)
    rows = [
        ("曾巩", fresh_phone(), "甲"),
        ("", "", ""),
        ("黄颖", known, "甲"),
        ("单田芳", "025-83212345", "甲"),
        ("合计", "", ""),
    ]
    done = await merge(admin, org["id"], worker, xlsx(rows))
    at = f"/console/orgs/{org['id']}/imports/{done['id']}"
    desk = await open_desk(admin)
    result = await desk.page(at)
    assert "共 5 行：导入 1，跳过 2，未通过 2。" in result
    assert "2 行未通过，没有导入" in result
    assert f'hx-get="{at}/rows?outcome=refused"' in result
    # The result comes before the reading of the sheet, and the failures before the other rows.
    assert result.index("导入完成") < result.index('id="rows"') < result.index("表格的读取")
    tabs = re.findall(r'hx-target="#rows"(?: aria-current="true")?>(\w+ \d+)</a>', await desk.part(f"{at}/rows"))
    assert tabs == ["未通过 2", "新增 1", "全部 3", "跳过 2"]
    skipped = await desk.part(f"{at}/skipped-rows")
    assert re.findall(r'<th scope="row">(\S+)</th> <td class="number">(\d+)</td> <td>(\d+)</td>', skipped) == [
        ("空行", "1", "3"),
        ("合计", "1", "6"),
    ]


@pytest.mark.browser
async def test_double_click_undoes_an_import_and_the_page_shows_it(
    admin: Person, org: Json, open_screen: OpenScreen, signed_in: SignIn, worker: Work
) -> None:
    done = await import_changes(admin, org, worker)
    members = {row["name"]: row["id"] for row in await list_members(admin, org["id"])}
    path = f"/v1/orgs/{org['id']}/members/{members['王安石']}"
    get_body(await admin.patch(path, json={"post": "书记"}))
    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, admin)
        await desk.go(f"/console/orgs/{org['id']}/imports/{done['id']}")
        await page.click("text=撤销导入…")
        await page.wait_for_selector("dialog[open] td:text-is('导入之后又被修改')")
        await page.fill("dialog [name=name]", org["name"])
        await page.dblclick("dialog button:text-is('撤销其余人员的导入')")
        await page.wait_for_selector("#import >> text=导入已撤销")
        assert "已撤销导入，2 人恢复为导入之前" in await desk.text("#notices")
        assert await page.locator("#notices .notice").count() == 1
