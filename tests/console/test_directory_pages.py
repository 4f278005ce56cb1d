"""The directory over HTTP as a browser sends it: links, those removed, exports, hostile names, inbox entries."""

import re
from collections.abc import Awaitable, Callable
from typing import get_args

from app.console.home import pages as home
from app.inbox.schemas import Kind
from tests.acts import actions, add_member, add_unit, done
from tests.console.desk import HOSTILE, SitDown
from tests.members.sheets import check, list_members, merge, xlsx
from tests.people import People, fresh_name, fresh_org_name, fresh_phone


async def test_a_link_request_is_found_accepted_and_undone(people: People, desk_of: SitDown) -> None:
    admin, learner, other = await people.register(), await people.register(name="欧阳修"), await people.register()
    org = await admin.create_org()
    branch = await add_unit(admin, org, "第一党支部")
    row = await add_member(admin, org, branch, name="欧阳修")
    for person in (learner, other):
        done(await person.post("/v1/me/link-requests", json={"org_id": org["id"]}), 201)
    desk = await desk_of(admin)
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


async def test_a_sheet_that_removes_many_is_confirmed_by_name(
    people: People, desk_of: SitDown, worker: Callable[[], Awaitable[None]]
) -> None:
    admin = await people.register()
    org = await admin.create_org(name=f"党委{HOSTILE}")
    rows = [(fresh_name(), fresh_phone(), "甲") for _ in range(5)]
    await merge(admin, org["id"], worker, xlsx(rows), unknown_units="create")
    checked = await check(admin, org["id"], worker, xlsx(rows[3:]), mode="replace-all")
    at = f"/console/orgs/{org['id']}/imports/{checked['id']}"
    desk = await desk_of(admin)
    shown = await desk.page(at)
    assert "将移除 3 人（现有 6 人）" in shown
    assert f'hx-get="{at}/removals"' in shown
    # A page without the dialog cannot get around it, and is told what to press.
    unasked = (await desk.post(f"{at}/confirmation")).text
    assert "将移除较多人员" in unasked
    assert "leaving" not in unasked
    dialog = await desk.part(f"{at}/removals")
    assert "移除 3 人并导入" in dialog
    assert f"输入名称“{org['name']}”以确认" in dialog
    assert "与名称不一致" in await desk.send(f"{at}/removals", 422, name="3", leaving="3")
    # The number that was agreed to is the one that was shown.
    stale = await desk.send(f"{at}/removals", 409, name=org["name"], leaving="2")
    assert "人数与预览时不同" in stale
    assert len(await list_members(admin, org["id"])) == 6
    assert "已确认，正在导入" in await desk.send(f"{at}/removals", name=org["name"], leaving="3")
    await worker()
    assert "导入完成" in await desk.page(at)
    assert len(await list_members(admin, org["id"])) == 3


async def test_who_was_removed_is_brought_back(people: People, desk_of: SitDown) -> None:
    admin = await people.register()
    org = await admin.create_org()
    branch = await add_unit(admin, org, "第一党支部")
    row = await add_member(admin, org, branch, name=f"解{HOSTILE}")
    desk = await desk_of(admin)
    at = f"/console/orgs/{org['id']}"
    assert "最近没有移除过人员" in await desk.page(f"{at}/removed")
    assert "30 天内可以在“最近移除”中恢复" in await desk.part(f"{at}/members/{row['id']}/removal")
    assert "已移除" in await desk.send(f"{at}/members/{row['id']}/removal", name=row["name"])
    shown = await desk.page(f"{at}/removed")
    assert row["name"] in shown
    assert "已恢复" in await desk.send(f"{at}/removed/{row['id']}/restoration")
    assert "第一党支部" in await desk.part(f"{at}/members/{row['id']}")
    await desk.send(f"{at}/removed/{row['id']}/restoration", 404)


async def test_the_people_that_are_shown_are_exported(
    people: People, desk_of: SitDown, worker: Callable[[], Awaitable[None]]
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    branch = await add_unit(admin, org, "第一党支部")
    phone = fresh_phone()
    await add_member(admin, org, branch, name="欧阳修", phone=phone)
    await add_member(admin, org, name="王安石")
    desk = await desk_of(admin)
    at = f"/console/orgs/{org['id']}/exports"
    assert "导出全部 3 人" in await desk.part(f"{at}/new?unit=&q=")
    form = await desk.part(f"{at}/new?unit={branch['id']}&active=no")
    assert "导出现在筛选出的 1 人" in form
    kept = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    assert kept == {"unit_id": branch["id"], "units_below": "True", "active": "False"}
    sent = await desk.visitor.post(
        at, data=kept | {"format": "csv", "phones": "full"}, headers={"Origin": "http://localhost:8000"}
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
    assert "member.phones_disclosed" in await actions(admin, org)
    deletion = content.replace("/content", "/deletion")
    assert "导出已删除" in await desk.confirm(deletion)
    assert "还没有导出" in await desk.page(at)
    await desk.send(deletion, 404)


async def test_a_person_goes_to_another_org_once_it_accepts(people: People, desk_of: SitDown) -> None:
    admin, chief = await people.register(), await people.register()
    org, other = await admin.create_org(), await chief.create_org(name=f"{fresh_org_name()}{HOSTILE}")
    branch = await add_unit(chief, other, "第一党支部")
    row = await add_member(admin, org, name=f"解{HOSTILE}")
    mine, theirs = await desk_of(admin), await desk_of(chief)
    at, there = (f"/console/orgs/{one['id']}/person-transfers" for one in (org, other))
    ask = f"/console/orgs/{org['id']}/members/{row['id']}/transfers"
    assert row["name"] in await mine.part(f"{ask}/new")
    assert "江苏省南京市玄武区" in await mine.part(f"{at}/regions?region=玄武区")
    kept = await mine.send(ask, 422, org_name=other["name"], region="玄武区")
    for words in ("请填写名称并选择所在地区", other["name"], "江苏省南京市玄武区"):
        assert words in kept
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
    # What both audits say of it: whom, from where to where; the other side's admin is not named.
    for desk, one, who in ((mine, org, "其他组织或系统"), (theirs, other, chief.name)):
        told = await desk.page(f"/console/orgs/{one['id']}/audit")
        in_order = (who, "接收转入的人员", row["name"], "转出", org["name"], "转入", other["name"])
        assert re.search(".{1,100}".join(map(re.escape, in_order)), told)


async def test_hostile_names_are_shown_as_they_are(people: People, desk_of: SitDown) -> None:
    admin = await people.register(name=f"王{HOSTILE}")
    org = await admin.create_org(name=f"{fresh_org_name()}{HOSTILE}")
    unit = await add_unit(admin, org, f"支部{HOSTILE.replace('/', '')}")
    await add_member(admin, org, unit, name=f"解{HOSTILE}")
    desk = await desk_of(admin)
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


def test_everything_that_waits_has_a_page_and_a_word() -> None:
    assert set(home._LINKS) == set(get_args(Kind)) == set(home.KINDS)
