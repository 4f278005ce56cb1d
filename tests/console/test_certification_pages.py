"""Certification over HTTP as a browser sends it: invitations, applications, transfers, promotions (S6, S14, S20)."""

import io
import re

import zxingcpp
from PIL import Image

from tests.acts import add_admin, add_unit, certify, get_body, invite, send_application
from tests.console.desk import HOSTILE, Desk, OpenDesk
from tests.people import People, fresh_org_name, fresh_phone


async def create_invitation(desk: Desk, org_id: str, **form: str) -> str:
    """Create an invitation at its page and return the page's address."""
    at = f"/console/orgs/{org_id}/certification/invitations"
    made = await desk.post(at, **form)
    assert made.status_code == 204, made.text
    address: str = made.headers["HX-Redirect"]
    return address


async def find_link(desk: Desk, address: str) -> str:
    found = re.search(r'id="link" value="([^"]+)"', await desk.page(address))
    assert found is not None
    return found[1]


async def test_invited_org_applies_is_approved_found_and_released(people: People, open_desk: OpenDesk) -> None:
    chief, clerk = await people.register(), await people.register()
    superior = await chief.create_org(name=f"{fresh_org_name()}{HOSTILE}")
    subordinate = await clerk.create_org(name=f"{fresh_org_name()}{HOSTILE}")
    theirs, mine = await open_desk(chief), await open_desk(clerk)
    top, at = (f"/console/orgs/{org['id']}/certification" for org in (superior, subordinate))
    assert "还没有邀请" in await theirs.page(f"{top}/invitations")
    wrong = await theirs.send(f"{top}/invitations", 422, max_uses="0", expires_in_hours="24")
    assert "请填写 1 至 10000 的整数" in wrong
    assert 'value="24" selected' in wrong
    spare = await create_invitation(theirs, superior["id"], max_uses="3", expires_in_hours="24")
    address = await create_invitation(theirs, superior["id"], max_uses="1")
    link, revoked = await find_link(theirs, address), await find_link(theirs, spare)
    picture = await theirs.visitor.get(f"{address}/qr.png")
    assert "attachment" in picture.headers["content-disposition"]
    (code,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(picture.content)))
    assert code.text == link
    assert "与名称不一致" in await theirs.send(f"{spare}/revocation", 422)
    assert "邀请已撤销" in await theirs.send(f"{spare}/revocation", name=superior["name"])
    over = await theirs.page(spare)
    assert "已撤销" in over
    assert "<svg" not in over.partition("<main")[2].partition("有效期至")[2]
    assert revoked not in over

    for given, expected in (
        ("x", "邀请不存在或已撤销"),
        (revoked, "邀请不存在或已撤销"),
        (HOSTILE, "邀请"),
    ):
        refused = await mine.send(f"{at}/applications/check", 404, link=given)
        assert expected in refused
        assert given in refused
    checked = await mine.next(f"{at}/applications/check", link=link)
    assert "上级（认证方）" in checked
    assert "您同时管理" not in checked
    assert "申请已提交" in await mine.send(f"{at}/applications", link=link)
    shown = await mine.page(at)
    assert f"已向“{superior['name']}”申请认证" in shown
    assert "次数已用完" in await mine.send(f"{at}/applications", 409, link=link)
    (withdrawal,) = re.findall(r'hx-get="([^"]+/withdrawal)"', shown)
    assert "申请已撤回" in await mine.confirm(withdrawal)
    assert "该申请已处理或已撤回" in await mine.confirm(withdrawal, 409)
    await mine.send(f"{at}/applications", link=await find_link(theirs, await create_invitation(theirs, superior["id"])))

    assert f'href="{top}/applications"' in await theirs.page("/console/")
    shown = await theirs.page(f"{top}/applications")
    assert subordinate["name"] in shown
    assert "江苏省南京市玄武区" in shown
    (approval,) = re.findall(r'hx-get="([^"]+/approval)"', shown)
    refusal = approval.replace("/approval", "/refusal")
    assert "请填写 1 至 200 个字符" in await theirs.send(refusal, 422, reason="")
    assert HOSTILE in await theirs.part(approval)
    assert "认证已通过" in await theirs.send(approval)
    assert "该申请已处理或已撤回" in await theirs.confirm(refusal, 409, reason="晚了")
    assert "没有等待确认的申请" in await theirs.page(f"{top}/applications")
    assert subordinate["name"] in await theirs.page(f"{top}/applications?state=live")
    shown = await mine.page(at)
    assert "直接上级" in shown
    assert "至今" in shown
    assert "这段时间没有认证记录" in await mine.page(f"{at}?since=&until=2020-01-01")
    assert "至今" in await mine.page(f"{at}?since=2020-01-01&until=")
    await mine.page(f"{at}?since=yesterday", 422)

    found = await theirs.page(f"{top}/subordinates?wanted={subordinate['name'][4:10]}")
    assert subordinate["name"] in found
    assert "没有找到组织" in await theirs.page(f"{top}/subordinates?wanted=无此组织")
    release = f"{top}/subordinates/{subordinate['id']}/release"
    assert "与名称不一致" in await theirs.send(release, 422, name="x")
    assert "已解除" in await theirs.send(release, name=subordinate["name"])
    await theirs.send(release, 404, name=subordinate["name"])
    assert "已解除" in await mine.page(at)


async def test_chosen_applications_are_decided_together_and_the_others_are_named(
    people: People, open_desk: OpenDesk
) -> None:
    chief, clerk = await people.register(), await people.register()
    superior, name = await chief.create_org(), f"{fresh_org_name()}{HOSTILE}"
    token = (await invite(chief, superior, max_uses=4))["token"]
    orgs = [await clerk.create_org(name=each) for each in (name, name, fresh_org_name(), fresh_org_name())]
    ids = [get_body(await send_application(clerk, org, token), 201)["id"] for org in orgs]
    desk, at = await open_desk(chief), f"/console/orgs/{superior['id']}/certification"
    shown = await desk.page(f"{at}/applications")
    assert [f'name="application_id" value="{each}"' in shown for each in ids] == [True] * 4
    dialog = await desk.next(f"{at}/application-decisions", act="approval", application_id=ids[:2])
    assert "通过 2 个组织的认证" in dialog
    assert dialog.count(HOSTILE) == 2
    assert get_body(await chief.get(f"/v1/orgs/{superior['id']}/subordinates"))["items"] == []
    decided = await desk.next(f"{at}/application-decisions/approval", application_id=ids[:2])
    for expected in ("已通过 1 个组织的认证", "1 个组织未能处理", "同一上级下已有"):
        assert expected in decided

    refusing = f"{at}/application-decisions/refusal"
    wrong = await desk.send(refusing, 422, application_id=ids[2:], count="1")
    for expected in ("与组织数不一致", "请填写 1 至 200 个字符", f"拒绝“{orgs[2]['name']}”"[3:-1]):
        assert expected in wrong
    refused = await desk.next(refusing, application_id=ids[2:], count="2", reason="不归本级管理")
    assert "已拒绝 2 个组织的申请" in refused
    assert "未能处理" not in refused
    read = get_body(await clerk.get(f"/v1/orgs/{orgs[3]['id']}/certifications/{ids[3]}"))
    assert (read["state"], read["reason"]) == ("declined", "不归本级管理")
    assert ids[0] not in await desk.page(f"{at}/applications")
    await desk.send(f"{at}/application-decisions", 422, act="release", application_id=ids)


async def test_wrong_direction_is_reported_and_a_cycle_is_refused(people: People, open_desk: OpenDesk) -> None:
    admin = await people.register()
    city = await admin.create_org(region_code="320100")
    county = await admin.create_org(region_code="320102")
    desk = await open_desk(admin)
    down = (await invite(admin, county))["link"]
    at = f"/console/orgs/{city['id']}/certification/applications"
    assert "您还管理其他组织" in await desk.part(f"{at}/new")
    refused = await desk.send(at, 422, link=down)
    for words in ("您同时管理这两个组织", "上下级方向可能有误", "与名称不一致"):
        assert words in refused
    outside = await admin.create_org(name=f"{fresh_org_name()[2:]}党外人士学习组织", kind="outside-party")
    refused = await desk.send(at, 422, link=(await invite(admin, outside))["link"])
    assert "上级是党外人士学习组织，下级是党组织" in refused
    up = (await invite(admin, city))["link"]
    at = f"/console/orgs/{county['id']}/certification/applications"
    refused = await desk.send(at, 422, link=up, name="x")
    assert "您同时管理这两个组织" in refused
    assert "上下级方向可能有误" not in refused
    assert "申请已提交" in await desk.send(at, link=up, name=city["name"])
    shown = await desk.page(f"/console/orgs/{city['id']}/certification/applications")
    (approval,) = re.findall(r'hx-get="([^"]+/approval)"', shown)
    await desk.send(approval)
    circle = await desk.send(
        f"/console/orgs/{city['id']}/certification/applications", 409, link=down, name=county["name"]
    )
    assert "上级组织不能同时是自己的下级" in circle


async def test_org_transfer_to_another_superior_passes_all_steps(people: People, open_desk: OpenDesk) -> None:
    old, new, clerk, helper = [await people.register() for _ in range(4)]
    origin, target = await old.create_org(), await new.create_org(name=f"{fresh_org_name()}{HOSTILE}")
    root = await old.create_org()
    moving, under = await clerk.create_org(name=f"{fresh_org_name()}{HOSTILE}"), await clerk.create_org()
    await certify(old, origin, clerk, moving)
    await certify(clerk, moving, clerk, under)
    await add_admin(clerk, moving, helper)
    mine, theirs, yonder = await open_desk(clerk), await open_desk(old), await open_desk(new)
    at, left, came = (f"/console/orgs/{org['id']}/certification/transfers" for org in (moving, origin, target))
    link = (await invite(new, target, max_uses=9))["link"]
    assert "由主管理员申请" in await (await open_desk(helper)).page(at)
    checked = await mine.next(f"{at}/check", link=link)
    assert re.search(r"一同转移的组织</dt>\s*<dd>2</dd>", checked)
    assert "申请已提交" in await mine.send(at, link=link)
    assert "已有进行中的整体转移" in await mine.send(at, 409, link=link)
    (address,) = set(re.findall(rf'href="({at}/[0-9a-f-]+)"', await mine.page(at)))
    transfer = address.rpartition("/")[2]
    shown = await mine.page(address)
    assert f"等待“{origin['name']}”处理" in shown
    assert "撤回申请" in shown
    assert "同意转出</button>" not in shown

    # The present superior reads the preview. Then it is certified under another org itself: the preview is stale.
    assert f'href="{left}/{transfer}"' in await theirs.page("/console/")
    form = await theirs.part(f"{left}/{transfer}/release")
    preview = re.search(r'name="preview" value="([0-9a-f]+)"', form)
    assert preview is not None
    await theirs.part(f"{left}/{transfer}/acceptance", 404)
    await certify(old, root, old, origin)
    sent = {"preview": preview[1], "name": moving["name"]}
    stale = await theirs.send(f"{left}/{transfer}/release", 409, **sent)
    assert "预览已过时" in stale
    assert root["name"] in stale
    fresh = re.search(r'name="preview" value="([0-9a-f]+)"', stale)
    assert fresh is not None
    assert fresh[1] != preview[1]
    assert "与名称不一致" in await theirs.send(f"{left}/{transfer}/release", 422, preview=fresh[1], name="x")
    assert "现上级尚未同意转出" in await yonder.send(
        f"{came}/{transfer}/acceptance", 409, preview=fresh[1], name=moving["name"]
    )
    assert "已同意转出" in await theirs.send(f"{left}/{transfer}/release", preview=fresh[1], name=moving["name"])

    assert f'href="{came}/{transfer}"' in await yonder.page("/console/")
    assert "接收</button>" in await yonder.page(f"{came}/{transfer}")
    assert "已转入" in await yonder.send(f"{came}/{transfer}/acceptance", preview=fresh[1], name=moving["name"])
    assert "该转移已办结" in await theirs.confirm(f"{left}/{transfer}/refusal", 409, reason="晚了")
    assert "已完成" in await mine.page(address)
    assert target["name"] in await mine.page(f"/console/orgs/{moving['id']}/certification")

    # Transfer back: refused with a reason, then requested again and withdrawn.
    back = (await invite(old, origin, max_uses=9))["link"]
    await mine.send(at, link=back)
    second = re.findall(rf'href="{at}/([0-9a-f-]+)"', await mine.page(at))[0]
    assert "已拒绝" in await yonder.confirm(f"{came}/{second}/refusal", reason=f"不同意{HOSTILE}")
    assert HOSTILE in await mine.page(f"{at}/{second}")
    await mine.send(at, link=back)
    third = re.findall(rf'href="{at}/([0-9a-f-]+)"', await mine.page(at))[0]
    assert "申请已撤回" in await mine.confirm(f"{at}/{third}/withdrawal")
    await theirs.send(f"{left}/{third}/withdrawal", 404)
    await yonder.page(f"{came}/{'0' * 8}-0000-7000-8000-{'0' * 12}", 404)


async def test_promoted_unit_becomes_an_org(people: People, open_desk: OpenDesk) -> None:
    main, heir = await people.register(), await people.register()
    org = await main.create_org()
    unit = await add_unit(main, org, f"第一{HOSTILE.replace('/', '')}支部")
    mine, theirs = await open_desk(main), await open_desk(heir)
    at = f"/console/orgs/{org['id']}/certification/promotions"
    form = await mine.part(f"{at}/new?unit={unit['id']}")
    assert f'value="{unit["id"]}" checked' in form
    named = f"{fresh_org_name()}{HOSTILE}"
    wrong = await mine.send(at, 422, new_name=named, phone="1")
    for words in ("请选择支部", "请输入有效的手机号码", f'value="{named}"'):
        assert words in wrong
    fields = {"unit_id": unit["id"], "new_name": named}
    assert "名称不需要加" in await mine.send(at, 422, unit_id=unit["id"], new_name="某学习管理组", phone=heir.phone)
    assert "已发出" in await mine.send(at, **fields, phone=fresh_phone())
    (withdrawal,) = re.findall(r'hx-get="([^"]+/withdrawal)"', await mine.page(at))
    assert "已有待接受的改设" in await mine.send(at, 409, **fields, phone=heir.phone)
    assert "改设已撤回" in await mine.confirm(withdrawal)
    await mine.send(at, **fields, phone=heir.phone)
    (offer,) = re.findall(r'href="(/console/offers/promotion/[^"]+)"', await theirs.page("/console/"))
    shown = await theirs.page(offer)
    assert named in shown
    assert unit["name"] in shown
    accepted = await theirs.post(f"{offer}/acceptance")
    assert accepted.status_code == 303
    assert named in await theirs.page(accepted.headers["location"])
    assert named in await mine.page(f"/console/orgs/{org['id']}/certification/subordinates")
    get_body(await main.get(f"/v1/orgs/{org['id']}/units"))
