"""The preview of an import: rows corrected, columns and units chosen, causes first, and who leaves now."""

import re
from html import unescape
from uuid import uuid4

import pytest

from tests.acts import Json, add_member, add_unit, get_body
from tests.console.desk import HOSTILE, Desk, OpenDesk
from tests.members.sheets import Work, check, merge, read, rows_of, xlsx
from tests.members.workbooks import by_openpyxl
from tests.people import People, Person, fresh_name, fresh_phone


@pytest.fixture
async def admin(people: People) -> Person:
    return await people.register()


@pytest.fixture
async def org(admin: Person) -> Json:
    return await admin.create_org()


async def read_part(desk: Desk, path: str) -> str:
    """Return the markup of a part of a page, not unescaped."""
    return (await desk.visitor.get(path, headers={"HX-Request": "true"})).text


def get_hidden(markup: str, name: str) -> list[str]:
    """Return the values of the hidden fields with the name."""
    return list(map(unescape, re.findall(rf'<input type="hidden" name="{name}" value="([^"]*)"', markup)))


async def read_row(desk: Desk, path: str) -> dict[str, str]:
    """Return the fields of the dialog of a row that say what it showed."""
    markup = await read_part(desk, path)
    return {name: get_hidden(markup, name)[0] for name in ("seen_name", "seen_phone", "seen_unit")}


async def test_refused_row_is_corrected_in_the_page_and_checked_at_once(
    admin: Person, org: Json, open_desk: OpenDesk, worker: Work
) -> None:
    await add_unit(admin, org, "甲")
    phone = fresh_phone()
    rows = [(f"解{HOSTILE}", "025-83212345", f"乙{HOSTILE}"), ("张伟", phone, "丙")]
    checked = await check(admin, org["id"], worker, xlsx(rows))
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}/imports/{checked['id']}"
    listed = await desk.part(f"{at}/rows?outcome=refused")
    assert f'hx-get="{at}/rows/2/edit"' in listed
    assert f"解{HOSTILE}" in listed
    # The phone is masked in the form. It stays what it is, since the clerk does not change it.
    seen = await read_row(desk, f"{at}/rows/3/edit")
    assert seen == {"seen_name": "张伟", "seen_phone": f"{phone[:3]}****{phone[7:]}", "seen_unit": "丙"}
    form = {name.removeprefix("seen_"): value for name, value in seen.items()} | seen
    assert "已修改第 3 行，该行可以导入" in await desk.send(f"{at}/rows/3/edit", **form | {"unit": "甲"})
    row = (await rows_of(admin, org["id"], checked["id"]))[1]
    assert (row["outcome"], row["phone"], row["unit"]) == ("added", seen["seen_phone"], "甲")
    # A row that is still refused is shown again with its reasons.
    seen = await read_row(desk, f"{at}/rows/2/edit")
    shown = await desk.send(f"{at}/rows/2/edit", 422, name="解晓东", phone="1380013800", unit=seen["seen_unit"], **seen)
    assert "手机号码少 1 位" in shown
    assert "固定电话" not in shown
    # Another tab still has the row as it was. What it does not change remains; what was changed is not overwritten.
    await desk.send(f"{at}/rows/2/edit", 422, name=seen["seen_name"], phone=seen["seen_phone"], unit="甲", **seen)
    shown = await desk.send(f"{at}/rows/2/edit", 409, name="谢晓东", **seen)
    assert "该行已被他人修改" in shown
    assert 'value="解晓东"' in shown
    seen = await read_row(desk, f"{at}/rows/2/edit")
    assert "该行可以导入" in await desk.send(f"{at}/rows/2/edit", phone=fresh_phone(), **seen)
    assert (await read(admin, org["id"], checked["id"]))["rows"]["refused"] == 0
    await desk.send(f"{at}/rows/9/edit", 404)


async def test_unknown_units_get_choices_by_name_and_as_a_whole(
    admin: Person, org: Json, open_desk: OpenDesk, worker: Work
) -> None:
    unit = await add_unit(admin, org, "第一研究院党支部")
    rows = [
        (fresh_name(), fresh_phone(), name) for name in ("研究院党支部", "研究院党支部", "总支/一", "总支/二", HOSTILE)
    ]
    checked = await check(admin, org["id"], worker, xlsx(rows))
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}/imports/{checked['id']}"
    shown = await desk.page(at)
    assert shown.index("研究院党支部") < shown.index(HOSTILE)
    assert "就是“第一研究院党支部”" in shown
    assert "很可能就是" in shown
    markup = await read_part(desk, f"{at}/units")
    paths, choices = get_hidden(markup, "path"), get_hidden(markup, "shown")
    assert (len(paths), choices) == (4, [""] * 4)
    # Only a choice that was changed counts, so another tab does not undo it.
    first = [f"use:{unit['id']}", *choices[1:]]
    assert "已重新检查" in await desk.send(f"{at}/units", path=paths, shown=choices, choice=first)
    second = ["create" if path == "总支/一" else "" for path in paths]
    await desk.send(f"{at}/units", path=paths, shown=choices, choice=second)
    found = await read(admin, org["id"], checked["id"])
    assert (found["counts"]["added"], found["new_units"]) == (3, ["总支", "总支/一"])
    assert f'<option value="use:{unit["id"]}" selected>' in await desk.part(f"{at}/units")
    existing = f"{at}/units/existing"
    assert "“总支/二”是哪个支部？" in await desk.part(f"{existing}?path=总支/二")
    for wrong in ("", "x", str(uuid4())):
        again = await desk.send(existing, 422, path="总支/二", unit_id=wrong)
        assert ('name="unit_id"' in again, "总支/二" in again) == (True, True)
    assert "已重新检查" in await desk.send(existing, path="总支/二", unit_id=unit["id"])
    assert (await read(admin, org["id"], checked["id"]))["counts"]["added"] == 4
    assert "就是“第一研究院党支部”" in await desk.part(f"{at}/units")
    await desk.send(f"{at}/units", all="create", path=paths, shown=choices, choice=choices)
    preview = await desk.part(f"{at}/preview")
    new_units = (await read(admin, org["id"], checked["id"]))["new_units"]
    assert f"将新建 {len(new_units)} 个支部" in preview
    assert re.search(r"<li>总支 ?<ul [^>]+> <li>一", preview)
    await desk.send(f"{at}/units", all="skip")
    assert (await read(admin, org["id"], checked["id"]))["counts"]["refused"] == 5
    for wrong in ("use", "use:1", f"use:{uuid4()}", "x"):
        again = await desk.send(f"{at}/units", 422, path=paths[:1], shown="", choice=wrong)
        assert 'name="choice"' in again


async def test_causes_come_first_and_link_to_their_rows(
    admin: Person, org: Json, open_desk: OpenDesk, worker: Work
) -> None:
    await add_unit(admin, org, "甲")
    rows = [(fresh_name(), fresh_phone(), "甲"), (fresh_name(), "1380013800", "甲")]
    rows += [(fresh_name(), fresh_phone(), f"乙{HOSTILE}")] * 1 + [
        (fresh_name(), fresh_phone(), "丙") for _ in range(2)
    ]
    checked = await check(admin, org["id"], worker, xlsx(rows))
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}/imports/{checked['id']}"
    assert f'hx-get="{at}/rows?outcome=refused"' in await desk.page(at)
    shown = await desk.part(f"{at}/rows?outcome=refused")
    for tab in ("未通过 4", "新增 1", "全部 5"):
        assert f">{tab}</a>" in shown
    assert "待确认 0" not in shown
    assert shown.index("本组织没有这个支部</a> <strong>3 行") < shown.index("手机号码少几位</a> <strong>1 行")
    assert f'丙 2</span> <span class="tag">乙{HOSTILE} 1</span>' in shown
    assert f'hx-get="{at}/rows?outcome=refused&problem=phone-too-short"' in shown
    of_cause = await desk.part(f"{at}/rows?outcome=refused&problem=phone-too-short")
    assert re.findall(r'hx-get="[^"]+/rows/(\d+)/edit"', of_cause) == ["3"]
    # After the last row of a cause is corrected, the other refused rows are shown.
    seen = await read_row(desk, f"{at}/rows/3/edit")
    await desk.send(f"{at}/rows/3/edit", phone=fresh_phone(), **seen)
    rest = await desk.part(f"{at}/rows?outcome=refused&problem=phone-too-short")
    assert re.findall(r'hx-get="[^"]+/rows/(\d+)/edit"', rest) == ["4", "5", "6"]
    assert f'hx-get="{at}/rows?outcome=refused" hx-trigger="preview-changed' in rest


async def test_columns_are_chosen_in_the_preview_and_remembered(
    admin: Person, org: Json, open_desk: OpenDesk, worker: Work
) -> None:
    header = ("人", "联系电话", "联系方式", f"组{HOSTILE}")
    rows = [(fresh_name(), "83212345", fresh_phone(), "甲")]
    refused = await check(admin, org["id"], worker, xlsx(rows, header=header), unknown_units="create")
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}/imports/{refused['id']}"
    assert f'hx-get="{at}/reading"' in await desk.page(at)
    markup = await read_part(desk, f"{at}/reading")
    form: dict[str, object] = {name: get_hidden(markup, name) for name in ("heading", "letters")}
    assert form == {"heading": list(header), "letters": [""] * 4}
    doubled = await desk.send(f"{at}/reading", 422, **form, field=["name", "phone", "phone", "unit"])
    assert "“手机号码”只能选一列" in doubled
    assert doubled.count('<option value="phone" selected>') == 2
    sent = await desk.send(f"{at}/reading", **form, field=["name", "phone", "", "unit"])
    assert "正在重新读取表格" in sent
    await worker()
    assert (await read(admin, org["id"], refused["id"]))["rows"]["refused"] == 1
    # The choice made first remains when another column is changed.
    await desk.send(f"{at}/reading", **form, field=["name", "", "phone", "unit"], fill_units="yes")
    await worker()
    found = await read(admin, org["id"], refused["id"])
    assert (found["state"], found["counts"]["added"], found["reading"]["fill_units"]) == ("ready", 1, True)
    assert "没有读取的列：联系电话" in await desk.page(at)
    later = [(fresh_name(), "83212345", fresh_phone(), "甲")]
    again = await check(admin, org["id"], worker, xlsx(later, header=header), unknown_units="create")
    assert (again["state"], again["counts"]["added"]) == ("ready", 1)
    await desk.post(f"{at}/confirmation", preview=str(found["preview"]))
    assert "该导入不能重新读取" in await desk.send(f"{at}/reading", 409, **form, field=["name", "", "phone", "unit"])


async def test_sheets_are_chosen_in_the_preview(admin: Person, org: Json, open_desk: OpenDesk, worker: Work) -> None:
    head = ["姓名", "手机号码", "职务"]
    # The second sheet has another heading for the phone, and one heading twice.
    other = ["姓名", "手机", "职务", "职务"]
    sheets = {
        "甲": [head, [fresh_name(), fresh_phone(), "书记"]],
        "乙": [other, [fresh_name(), fresh_phone(), "书记", "处长"]],
    }
    checked = await check(admin, org["id"], worker, by_openpyxl(sheets), unknown_units="create")
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}/imports/{checked['id']}"
    markup = await read_part(desk, f"{at}/reading")
    form: dict[str, object] = {name: get_hidden(markup, name) for name in ("heading", "letters")}
    assert form == {
        "heading": ["姓名", "手机号码", "职务", "手机", "职务", "职务"],
        "letters": ["", "", "", "", "C", "D"],
    }
    fields = ["name", "phone", "post", "phone", "", "post"]
    assert "请至少选择一个工作表" in await desk.send(f"{at}/reading", 422, **form, field=fields)
    await desk.send(f"{at}/reading", **form, field=fields, sheet=["甲", "乙"])
    await worker()
    rows = await rows_of(admin, org["id"], checked["id"])
    assert [(row["sheet"], row["outcome"]) for row in rows] == [("甲", "added"), ("乙", "added")]
    await desk.send(f"{at}/reading", **form, field=fields, sheet=["乙"])
    await worker()
    found = await read(admin, org["id"], checked["id"])
    read_sheets = [sheet["name"] for sheet in found["reading"]["sheets"]]
    assert (read_sheets, [sheet["reason"] for sheet in found["reading"]["sheets_not_read"]]) == (["乙"], ["not-chosen"])
    chosen = [column["column"] for column in found["reading"]["sheets"][0]["columns"] if column["chosen"]]
    assert chosen == ["D"]
    # Without another choice of sheets the first one remains.
    await desk.send(f"{at}/reading", heading=["姓名"], letters=[""], field=["name"], sheet=["乙"], fill_units="yes")
    await worker()
    found = await read(admin, org["id"], checked["id"])
    assert [sheet["name"] for sheet in found["reading"]["sheets"]] == ["乙"]
    assert [column["column"] for column in found["reading"]["sheets"][0]["columns"] if column["chosen"]] == ["D"]


async def test_dialog_of_a_stale_confirmation_shows_who_leaves_now(
    admin: Person, org: Json, open_desk: OpenDesk, worker: Work
) -> None:
    rows = [(fresh_name(), fresh_phone(), "甲") for _ in range(4)]
    await merge(admin, org["id"], worker, xlsx(rows), unknown_units="create")
    checked = await check(admin, org["id"], worker, xlsx(rows[3:]), mode="replace-all")
    at = f"/console/orgs/{org['id']}/imports/{checked['id']}/removals"
    desk = await open_desk(admin)
    shown = await desk.part(at)
    assert "移除 3 人并导入" in shown
    for name, *_ in rows[:3]:
        assert f'{name} <span class="muted">甲</span>' in shown
    fields = {name: get_hidden(shown, name)[0] for name in ("preview", "leaving")}
    (unit,) = get_body(await admin.get(f"/v1/orgs/{org['id']}/units"))["items"]
    added = await add_member(admin, org, unit, name=f"后来{HOSTILE}")
    for _ in range(2):  # the second time the preview itself is another one
        stale = await desk.send(at, 409, name=org["name"], **fields)
        assert "预览之后情况有变化" in stale
        assert "移除 4 人并导入" in stale
        assert "移除 3 人" not in stale
        assert added["name"] in stale
        assert get_hidden(stale, "leaving") == ["4"]
        assert org["name"] not in re.findall(r'name="name"[^>]+value="([^"]*)"', stale)
    fields = {name: get_hidden(stale, name)[0] for name in ("preview", "leaving")}
    assert "已确认，正在导入" in await desk.send(at, name=org["name"], **fields)


async def test_decisions_remain_while_other_rows_are_corrected(
    admin: Person, org: Json, open_desk: OpenDesk, worker: Work
) -> None:
    phones = [fresh_phone() for _ in range(2)]
    await merge(
        admin, org["id"], worker, xlsx([("刘成", phones[0], "甲"), ("苏轼", phones[1], "甲")]), unknown_units="create"
    )
    rows = [("黄颖", phones[0], "甲"), ("苏辙", phones[1], "甲"), ("单田芳", "025-83212345", "甲")]
    checked = await check(admin, org["id"], worker, xlsx(rows))
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}/imports/{checked['id']}"
    tab = await desk.part(f"{at}/rows?outcome=undecided")
    assert "card flush decides" in tab
    assert "<select" not in tab
    shown = await desk.part(f"{at}/undecided?row-3=accepted&row-9=separate&row-x=accepted&row-2=other")
    (row_2, row_3) = re.findall(r'<select name="row-[23]".+?</select>', shown)
    assert ("selected" in row_2, 'value="accepted" selected' in row_3) == (False, True)
    assert get_hidden(shown, "row-9") == ["separate"]
    assert "row-x" not in shown
    assert "selected" not in await desk.part(f"{at}/undecided?row-2=other")


async def test_import_of_another_org_is_not_found(
    people: People, admin: Person, org: Json, open_desk: OpenDesk, worker: Work
) -> None:
    stranger = await people.register()
    elsewhere = await stranger.create_org()
    checked = await check(admin, org["id"], worker, xlsx([(fresh_name(), "1", "甲")]))
    desk = await open_desk(stranger)
    at = f"/console/orgs/{elsewhere['id']}/imports/{checked['id']}"
    for part in (
        "preview",
        "reading",
        "units",
        "units/existing?path=x",
        "rows",
        "rows/2/edit",
        "undecided",
        "removals",
    ):
        await desk.part(f"{at}/{part}", 404)
        await desk.part(f"/console/orgs/{org['id']}/imports/{checked['id']}/{part}", 404)
    for part, form in (
        ("reading", {}),
        ("units", {"all": "create"}),
        ("rows/2/edit", {"name": "王伟"}),
        ("removals", {}),
    ):
        await desk.send(f"{at}/{part}", 404, **form)
