"""The directory over HTTP as a browser sends it: links, removed people, exports, hostile names, inbox entries."""

import re
from collections.abc import Awaitable, Callable
from typing import get_args

from app.console.home import pages as home
from app.inbox.schemas import Kind
from tests.acts import add_admin, add_member, add_unit, get_body, list_actions, list_all
from tests.console.desk import HOSTILE, OpenDesk
from tests.members.sheets import check, list_members, merge, xlsx
from tests.people import People, fresh_name, fresh_org_name, fresh_phone


async def test_link_request_is_accepted_and_the_link_undone_on_the_page(people: People, open_desk: OpenDesk) -> None:
    admin, learner, other = await people.register(), await people.register(name="欧阳修"), await people.register()
    org = await admin.create_org()
    branch = await add_unit(admin, org, "第一党支部")
    row = await add_member(admin, org, branch, name="欧阳修")
    for person in (learner, other):
        get_body(await person.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}"
    assert f'href="{at}/link-requests"' in await desk.page("/console/")
    shown = await desk.page(f"{at}/link-requests")
    assert "欧阳修 申请关联" in shown
    assert other.name not in shown
    assert learner.phone not in shown
    drawer = await desk.part(f"{at}/members/{row['id']}")
    assert "本人使用另一号码注册" in drawer
    assert "查看关联申请" in drawer
    (acceptance,) = re.findall(r'hx-get="([^"]+/acceptance)"', shown)
    refusal = acceptance.replace("acceptance", "refusal")
    assert "请填写 1 至 200 个字符" in await desk.send(refusal, 422, reason="")
    assert "请选择人员" in await desk.send(acceptance, 422)
    stranger = await add_member(admin, org, name="王安石")
    assert "此人与该申请不符" in await desk.send(acceptance, 409, member_id=stranger["id"])
    assert "已关联" in await desk.send(acceptance, member_id=row["id"])
    assert "没有等待处理的关联申请" in await desk.page(f"{at}/link-requests")
    assert "该申请已处理" in await desk.send(refusal, 409, reason="晚了")
    unlinking = f"{at}/members/{row['id']}/unlinking"
    assert "与名称不一致" in await desk.send(unlinking, 422, name="x")
    assert "已解除关联" in await desk.send(unlinking, name="欧阳修")
    assert "未激活" in await desk.part(f"{at}/members/{row['id']}")


async def test_import_with_many_removals_is_confirmed_by_name(
    people: People, open_desk: OpenDesk, worker: Callable[[], Awaitable[None]]
) -> None:
    admin = await people.register()
    org = await admin.create_org(name=f"党委{HOSTILE}")
    rows = [(fresh_name(), fresh_phone(), "甲") for _ in range(5)]
    await merge(admin, org["id"], worker, xlsx(rows), unknown_units="create")
    checked = await check(admin, org["id"], worker, xlsx(rows[3:]), mode="replace-all")
    at = f"/console/orgs/{org['id']}/imports/{checked['id']}"
    desk = await open_desk(admin)
    shown = await desk.page(at)
    assert "将移除 3 人（现有 6 人）" in shown
    assert f'hx-get="{at}/removals"' in shown
    # A request without the dialog cannot bypass it, and its answer names the button to press.
    direct = (await desk.post(f"{at}/confirmation", preview="1")).text
    assert "将移除较多人员" in direct
    assert "leaving" not in direct
    dialog = await desk.part(f"{at}/removals")
    assert "移除 3 人并导入" in dialog
    assert f"输入名称“{org['name']}”以确认" in dialog
    numbers = {"preview": "1", "leaving": "3"}
    assert "与名称不一致" in await desk.send(f"{at}/removals", 422, **numbers, name="3")
    # The confirmed number must be the number shown.
    stale = await desk.send(f"{at}/removals", 409, name=org["name"], preview="1", leaving="2")
    assert "人数与预览时不同" in stale
    assert len(await list_members(admin, org["id"])) == 6
    assert "已确认，正在导入" in await desk.send(f"{at}/removals", name=org["name"], **numbers)
    await worker()
    assert "导入完成" in await desk.page(at)
    assert len(await list_members(admin, org["id"])) == 3


async def test_preview_shows_changes_and_an_undecided_row_is_accepted(
    people: People, open_desk: OpenDesk, worker: Callable[[], Awaitable[None]]
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    renamed, moved = fresh_phone(), fresh_phone()
    first = [("刘成", renamed, "甲"), ("王安石", moved, "甲"), ("苏轼", fresh_phone(), "乙")]
    await merge(admin, org["id"], worker, xlsx(first), unknown_units="create")
    rows = [("黄颖", renamed, "甲"), ("王安石", moved, "乙"), ("单田芳", "025-83212345", "甲")]
    checked = await check(admin, org["id"], worker, xlsx(rows), mode="replace-all")
    at = f"/console/orgs/{org['id']}/imports/{checked['id']}"
    desk = await open_desk(admin)
    shown = await desk.page(at)
    assert f'hx-get="{at}/undecided"' in shown
    assert f'hx-get="{at}/changes"' in shown
    left = await desk.part(f"{at}/changes?outcome=left")
    assert "苏轼" in left
    assert "王安石" not in left
    assert f'href="{at}/changes.xlsx?outcome=left"' in left
    assert "<span>甲</span>" in await desk.part(f"{at}/changes?outcome=moved")
    undecided = await desk.part(f"{at}/undecided")
    assert "<strong>黄颖</strong>" in undecided
    (field,) = re.findall(r'<select name="(row-[0-9]+)"', undecided)
    fields = {"preview": str(checked["preview"]), field: "accepted"}
    if checked["leaving_needs_consent"]:
        left_count = str(checked["counts"]["left"])
        dialog = await desk.part(f"{at}/removals?{field}=accepted")
        assert f'name="{field}" value="accepted"' in dialog
        await desk.send(f"{at}/removals", name=org["name"], leaving=left_count, **fields)
    else:
        await desk.post(f"{at}/confirmation", **fields)
    await worker()
    result = await desk.page(at)
    assert '<p class="notice warn"><strong>导入完成' in result
    assert result.index("failed-rows.xlsx") < result.index("查看通讯录")
    assert "黄颖" in {row["name"] for row in await list_members(admin, org["id"])}


async def test_removed_people_are_restored(people: People, open_desk: OpenDesk) -> None:
    admin = await people.register()
    org = await admin.create_org()
    branch = await add_unit(admin, org, "第一党支部")
    row = await add_member(admin, org, branch, name=f"解{HOSTILE}")
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}"
    assert "最近没有移除过人员" in await desk.page(f"{at}/removed")
    assert "30 天内可以在“最近移除”中恢复" in await desk.part(f"{at}/members/{row['id']}/removal")
    assert "已移除" in await desk.send(f"{at}/members/{row['id']}/removal", name=row["name"])
    shown = await desk.page(f"{at}/removed")
    assert row["name"] in shown
    assert "已恢复" in await desk.send(f"{at}/removed/{row['id']}/restoration")
    assert "第一党支部" in await desk.part(f"{at}/members/{row['id']}")
    await desk.send(f"{at}/removed/{row['id']}/restoration", 404)


async def test_phone_search_shows_the_person_and_other_orgs_get_404(people: People, open_desk: OpenDesk) -> None:
    admin, other = await people.register(), await people.register()
    org, elsewhere = await admin.create_org(), await other.create_org()
    phone = fresh_phone()
    row = await add_member(admin, org, name=f"解{HOSTILE}", phone=phone)
    at = f"/console/orgs/{org['id']}/members/phone-searches"
    desk, stranger = await open_desk(admin), await open_desk(other)
    found = await desk.next(at, q=f" {phone[:3]} {phone[3:]} ", active="yes")
    assert row["name"] in found
    assert phone not in found
    for wrong in (fresh_phone(), phone[:10], "解", ""):
        assert "没有符合条件的人员" in await desk.next(at, q=wrong)
    assert "没有符合条件的人员" in await stranger.next(at.replace(org["id"], elsewhere["id"]), q=phone)
    await stranger.send(at, 404, q=phone)
    entries = await list_actions(admin, org)
    assert entries.count("member.searched_by_phone") == 2


async def test_export_contains_the_filtered_people(
    people: People, open_desk: OpenDesk, worker: Callable[[], Awaitable[None]]
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    branch = await add_unit(admin, org, "第一党支部")
    phone = fresh_phone()
    await add_member(admin, org, branch, name="欧阳修", phone=phone)
    await add_member(admin, org, name="王安石")
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}/exports"
    assert "导出全部 3 人" in await desk.part(f"{at}/new?unit=&q=")
    form = await desk.part(f"{at}/new?unit={branch['id']}&active=no")
    assert "导出现在筛选出的 1 人" in form
    hidden_fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    assert hidden_fields == {"unit_id": branch["id"], "units_below": "True", "active": "False"}
    sent = await desk.visitor.post(
        at, data=hidden_fields | {"format": "csv", "phones": "full"}, headers={"Origin": "http://localhost:8000"}
    )
    assert (sent.status_code, sent.headers["HX-Redirect"]) == (204, at)
    assert "every 2s" in await desk.page(at)
    await worker()
    shown = await desk.page(at)
    assert "every 2s" not in shown
    assert "共 1 行" in shown
    (content,) = re.findall(r'href="([^"]+/content)"', shown)
    file = await desk.visitor.get(content)
    assert phone in file.text
    assert "王安石" not in file.text
    assert "member.phones_disclosed" in await list_actions(admin, org)
    deletion = content.replace("/content", "/deletion")
    assert "导出已删除" in await desk.confirm(deletion)
    assert "还没有导出" in await desk.page(at)
    await desk.send(deletion, 404)


async def test_person_moves_when_the_other_org_accepts(people: People, open_desk: OpenDesk) -> None:
    admin, chief = await people.register(), await people.register()
    org, other = await admin.create_org(), await chief.create_org(name=f"{fresh_org_name()}{HOSTILE}")
    branch = await add_unit(chief, other, "第一党支部")
    row = await add_member(admin, org, name=f"解{HOSTILE}")
    mine, theirs = await open_desk(admin), await open_desk(chief)
    at, there = (f"/console/orgs/{side['id']}/person-transfers" for side in (org, other))
    ask = f"/console/orgs/{org['id']}/members/{row['id']}/transfers"
    assert row["name"] in await mine.part(f"{ask}/new")
    assert "江苏省南京市玄武区" in await mine.part(f"/console/orgs/{org['id']}/regions?region=玄武区")
    shown_again = await mine.send(ask, 422, org_name=other["name"], region="玄武区")
    for words in ("请填写名称并选择所在地区", other["name"], "江苏省南京市玄武区"):
        assert words in shown_again
    where = {"region_code": "320102", "region": "玄武区"}
    assert "没有这个学习组织" in await mine.send(ask, 422, org_name="中共无此委员会", **where)
    assert "已提出" in await mine.send(ask, org_name=other["name"], **where)
    (withdrawal,) = re.findall(r'hx-get="([^"]+/withdrawal)"', await mine.page(at))
    assert "申请已撤回" in await mine.confirm(withdrawal)
    await mine.send(ask, org_name=other["name"], **where)

    inbox = await theirs.page("/console/")
    assert f'href="{there}"' in inbox
    assert f"申请将 {row['name']} 转入" in inbox
    (acceptance,) = re.findall(r'hx-get="([^"]+/acceptance)"', await theirs.page(there))
    await theirs.part(acceptance.replace("acceptance", "withdrawal"), 404)
    refusal = acceptance.replace("acceptance", "refusal")
    assert "请填写 1 至 200 个字符" in await theirs.send(refusal, 422, reason="")
    assert "第一党支部" in await theirs.part(acceptance)
    assert "已接收" in await theirs.send(acceptance, unit_id=branch["id"])
    await theirs.send(refusal, 409, reason="晚了")
    assert row["name"] in await theirs.page(f"/console/orgs/{other['id']}/members?unit={branch['id']}")
    assert row["name"] not in await mine.page(f"/console/orgs/{org['id']}/members")
    assert "已完成" in await mine.page(at)
    # Both audits show the person and both orgs, but not the other side's admin.
    for desk, side, who in ((mine, org, "其他组织或系统"), (theirs, other, chief.name)):
        entries = await desk.page(f"/console/orgs/{side['id']}/audit")
        in_order = (who, "接收转入的人员", row["name"], "转出", org["name"], "转入", other["name"])
        assert re.search(".{1,100}".join(map(re.escape, in_order)), entries)


async def test_hostile_names_are_shown_escaped(people: People, open_desk: OpenDesk) -> None:
    admin = await people.register(name=f"王{HOSTILE}")
    org = await admin.create_org(name=f"{fresh_org_name()}{HOSTILE}")
    unit = await add_unit(admin, org, f"支部{HOSTILE.replace('/', '')}")
    await add_member(admin, org, unit, name=f"解{HOSTILE}")
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}"
    for path in (
        "/console/",
        at,
        f"{at}/members",
        f"{at}/members?unit={unit['id']}",
        f"{at}/members?q=解",
        f"{at}/subordinates",
        f"{at}/removed",
        f"{at}/exports",
        f"{at}/link-requests",
        f"{at}/person-transfers",
        f"{at}/imports",
        *(f"{at}/certification{tab}" for tab in ("", "/invitations", "/applications", "/subordinates", "/transfers")),
        f"{at}/certification/promotions",
        *(f"{at}/settings{tab}" for tab in ("", "/admins", "/received")),
    ):
        assert HOSTILE in await desk.page(path), path


def test_inbox_kinds_have_pages_and_names() -> None:
    assert set(home._LINKS) == set(get_args(Kind)) == set(home.KINDS)


async def test_table_of_a_unit_is_in_its_own_order_and_that_of_the_org_by_name(
    people: People, open_desk: OpenDesk
) -> None:
    admin = await people.register(name="王伟")
    org = await admin.create_org()
    branch = await add_unit(admin, org, "第一党支部")
    rows = {name: await add_member(admin, org, branch, name=name) for name in ("赵书记", "陈一", "白二")}
    path = f"/v1/orgs/{org['id']}/members/{rows['赵书记']['id']}/units/{branch['id']}/position"
    get_body(await admin.put(path, json={"position": 1}))
    at, desk = f"/console/orgs/{org['id']}/members", await open_desk(admin)

    async def list_names(query: str) -> list[str]:
        seen, part = [], await desk.part(f"{at}?limit=1&{query}")
        while True:
            seen += re.findall(r'class="link name"[^>]*>([^<]+)<', part)
            more = re.findall(r'hx-get="([^"]+cursor=[^"]+)"', part)
            if not more:
                return seen
            part = await desk.part(f"{more[0]}&limit=1")

    assert await list_names("") == ["白二", "陈一", "王伟", "赵书记"]
    assert await list_names(f"unit={branch['id']}") == ["赵书记", "白二", "陈一"]
    assert await list_names(f"unit={branch['id']}&q=陈") == ["陈一"]


async def test_move_of_a_whole_unit_says_who_leaves_which_unit(people: People, open_desk: OpenDesk) -> None:
    admin = await people.register()
    org = await admin.create_org()
    general = await add_unit(admin, org, "机关总支")
    branch, target = await add_unit(admin, org, "第一党支部", general), await add_unit(admin, org, "第二党支部")
    await add_member(admin, org, general, name="赵一")
    await add_member(admin, org, branch, name="钱二")
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}/units/{general['id']}/moves"
    first = await desk.part(f"{at}/new")
    assert "机关总支" in first
    assert "赵一" in first
    assert "钱二" not in first
    shown = await desk.next(f"{at}/preview", units_below="yes", to_unit_id=target["id"])
    assert re.search(r"机关总支</span> <span[^>]*>→</span> <span[^>]*>改为</span> <strong>第二党支部", shown)
    assert re.search(r"机关总支/第一党支部</span> <span[^>]*>→</span> .{,60}<strong>第二党支部.{,90}钱二", shown)
    assert "管理组</strong>" in await desk.next(f"{at}/preview", to_unit_id="org")
    assert "已将" in await desk.send(at, units_below="yes", to_unit_id=target["id"])


async def test_chosen_people_move_together_when_the_other_org_accepts(people: People, open_desk: OpenDesk) -> None:
    admin, chief, helper = [await people.register() for _ in range(3)]
    org, other = await admin.create_org(), await chief.create_org(name=f"{fresh_org_name()}{HOSTILE}")
    await add_admin(admin, org, helper)
    branch = await add_unit(chief, other, "第一党支部")
    rows = [await add_member(admin, org, name=name) for name in (f"解{HOSTILE}", "欧阳明", "司马亮")]
    listed = await list_all(admin, f"/v1/orgs/{org['id']}/members")
    (of_helper,) = [row for row in listed if row["name"] == helper.name]
    mine, theirs = await open_desk(admin), await open_desk(chief)
    at, there = (f"/console/orgs/{side['id']}/group-transfers" for side in (org, other))
    assert f'hx-post="{at}/new"' in await mine.page(f"/console/orgs/{org['id']}/members")
    ticked = {"member_id": [of_helper["id"], *(row["id"] for row in rows)]}
    assert "将 4 人转到其他组织" in await mine.next(f"{at}/new", **ticked)
    assert "请填写名称并选择所在地区" in await mine.send(f"{at}/previews", 422, **ticked, org_name=other["name"])
    where = {"org_name": other["name"], "region_code": "320102"}
    assert "没有这个学习组织" in await mine.send(f"{at}/previews", 422, **ticked, **where | {"org_name": "无此委员会"})
    preview = await mine.next(f"{at}/previews", **ticked, **where)
    for expected in ("将申请把 3 人转到", other["name"], "1 人不能转移", helper.name, "是原组织的学习管理员"):
        assert expected in preview
    assert "已提出" in await mine.send(at, **ticked, **where)
    assert "所选人员均不能转移" in await mine.send(at, 409, **ticked, **where)
    (address,) = re.findall(
        rf'href="({at}/[0-9a-f-]+)"', await mine.page(f"/console/orgs/{org['id']}/person-transfers")
    )
    assert "申请已撤回" in await mine.confirm(f"{address}/withdrawal")
    assert "已撤回" in await mine.page(address)
    await mine.send(at, **ticked, **where)

    inbox = await theirs.page("/console/")
    assert "申请将 3 人转入" in inbox
    (address,) = set(re.findall(rf'href="({there}/[0-9a-f-]+)"', inbox))
    get_body(await admin.delete(f"/v1/orgs/{org['id']}/members/{rows[2]['id']}"), 204)
    shown = await theirs.page(address)
    for expected in (rows[0]["name"], "欧阳明", "已离开原组织", "共 3 人"):
        assert expected in shown
    refusal = f"{address}/refusal"
    assert "请填写 1 至 200 个字符" in await theirs.send(refusal, 422, reason="")
    dialog = await theirs.part(f"{address}/acceptance")
    for expected in ("接收 2 人", "第一党支部", "下列人员留在原组织", "已离开原组织"):
        assert expected in dialog
    assert "已接收 2 人" in await theirs.send(f"{address}/acceptance", unit_id=branch["id"])
    await theirs.send(refusal, 409, reason="晚了")
    assert "欧阳明" in await theirs.page(f"/console/orgs/{other['id']}/members?unit={branch['id']}")
    assert "欧阳明" not in await mine.page(f"/console/orgs/{org['id']}/members")
    done = await mine.page(address.replace(there, at))
    assert "已转移 2 人" in done
    for desk, side in ((mine, org), (theirs, other)):
        assert "接收转入的一批人员" in await desk.page(f"/console/orgs/{side['id']}/audit")
        assert "3 人" in await desk.page(f"/console/orgs/{side['id']}/group-transfers")
