"""Settings over HTTP as a browser sends them: rename, hand-over, recovery, admins, closure (S3, S4, S5)."""

import re

import pytest

from tests.acts import add_admin, certify, get_body, send_change_request
from tests.console.conftest import OpenScreen, SignIn
from tests.console.desk import HOSTILE, OpenDesk
from tests.people import People, fresh_org_name, fresh_phone


async def test_rename_is_advised_requested_refused_and_approved(people: People, open_desk: OpenDesk) -> None:
    chief, clerk = await people.register(), await people.register()
    superior = await chief.create_org(name=f"{fresh_org_name()}{HOSTILE}")
    subordinate = await clerk.create_org(name=f"{fresh_org_name()}{HOSTILE}")
    await certify(chief, superior, clerk, subordinate)
    mine, theirs = await open_desk(clerk), await open_desk(chief)
    at, received = f"/console/orgs/{subordinate['id']}", f"/console/orgs/{superior['id']}/settings/received"
    assert "修改名称" in await mine.page(f"{at}/settings")
    form = await mine.part(f"{at}/settings/renames/new")
    assert f"提交后由上级“{superior['name']}”同意才生效" in form

    # The name is checked while the user types: errors refuse it, advice does not.
    for typed, expected in (
        ("中共测试县委员会学习管理组", "名称不需要加"),
        ("测试县党外人士学习组织", "名称与组织类型不一致"),
        ("中国共产党江苏省南京市玄武区示范街道第一社区工作委员会", "改用“"),
        ("中共测试县第九委员会", "名称符合要求"),
        (subordinate["name"], "建议"),
    ):
        helped = await mine.part(f"{at}/name-check?new_name={typed.replace('&', '')}")
        assert expected in helped, (typed, helped)
        assert "(S3)" not in helped

    named = f"{fresh_org_name()}{HOSTILE}"
    for wrong, expected, status in (
        ("中共某县委员会学习管理组", "名称不需要加", 422),
        ("名" * 500, "名称为 1 至 100 个字符", 422),
        ("中共\u202e县委员会", "名称含有", 422),
        ("", "名称为 1 至 100 个字符", 422),
        (subordinate["name"], "名称没有变化", 409),
    ):
        refused = await mine.send(f"{at}/settings/renames", status, new_name=wrong, reason="街道合并")
        assert expected in refused
        assert 'value="街道合并"' in refused
        assert wrong in refused
    assert "申请已提交" in await mine.send(f"{at}/settings/renames", new_name=named, reason=HOSTILE)
    assert "已有同类申请等待上级处理" in await mine.send(f"{at}/settings/renames", 409, new_name=fresh_org_name())
    shown = await mine.page(f"{at}/settings")
    for words in (named, "等待处理", HOSTILE, superior["name"], "有效期至"):
        assert words in shown

    inbox = await theirs.page("/console/")
    assert f'href="{received}"' in inbox
    assert f"名称改为“{named}”" in inbox
    shown = await theirs.page(received)
    assert HOSTILE in shown
    (request_id,) = re.findall(rf"{received}/([0-9a-f-]+)/refusal", shown)
    assert "请填写 1 至 200 个字符" in await theirs.send(f"{received}/{request_id}/refusal", 422, reason=" ")
    too_long = await theirs.send(f"{received}/{request_id}/refusal", 422, reason="理" * 201)
    assert "理" * 201 in too_long
    assert "已拒绝" in await theirs.confirm(f"{received}/{request_id}/refusal", reason="名称过长")
    # A page opened before the change reports that it is too late.
    assert "该申请已处理或已撤回" in await theirs.send(f"{received}/{request_id}/approval", 409)
    assert "名称过长" in await mine.page(f"{at}/settings")

    again = get_body(await send_change_request(clerk, subordinate, kind="rename", name=named), 201)
    assert f"的名称立即改为“{named}”" in await theirs.part(f"{received}/{again['id']}/approval")
    assert "已同意" in await theirs.send(f"{received}/{again['id']}/approval")
    assert f'<h1>设置</h1> <p id="main-org">{named}</p>' in await mine.page(f"{at}/settings")
    assert "没有等待处理的申请" in await theirs.page(received)


async def test_main_admin_hands_over_and_an_unavailable_one_is_replaced(people: People, open_desk: OpenDesk) -> None:
    main, other = await people.register(), await people.register(name="解晓东")
    org = await main.create_org()
    at = f"/console/orgs/{org['id']}/settings"
    mine = await open_desk(main)
    assert "管理组中仅有主管理员一人" in await mine.part(f"{at}/hand-overs/new")
    await add_admin(main, org, other)
    theirs = await open_desk(other)
    assert "解晓东" in await mine.part(f"{at}/hand-overs/new")
    shown_again = await mine.send(f"{at}/hand-overs", 422, reason="退休")
    assert "请选择接任者" in shown_again
    assert 'value="退休"' in shown_again
    assert "只有主管理员可以移交" in await theirs.send(f"{at}/hand-overs", 403, main_admin_id=other.user_id)

    # Another admin requests to replace a main admin who is still active.
    shown = await theirs.page(at)
    assert "主管理员无法履职" in shown
    assert "移交主管理员</button>" not in shown
    assert "申请已提交" in await theirs.send(f"{at}/recoveries", main_admin_id=other.user_id, reason="联系不上")
    assert "平台管理员" in await theirs.page(at)
    shown = await mine.page(at)
    assert "有管理员申请更换主管理员" in shown
    assert "申请更换主管理员" in await mine.page("/console/")
    (withdrawal,) = re.findall(r'hx-get="([^"]+/withdrawal)"', shown)
    assert "申请已撤回" in await mine.confirm(withdrawal)
    assert "该申请已处理或已撤回" in await theirs.confirm(withdrawal, 409)

    # Without a superior the change takes effect at once.
    assert "已生效" in await mine.send(f"{at}/hand-overs", main_admin_id=other.user_id)
    assert "主管理员无法履职" in await mine.page(at)
    assert "移交主管理员</button>" in await theirs.page(at)


async def test_admins_are_invited_accept_resign_and_are_removed(people: People, open_desk: OpenDesk) -> None:
    main, other = await people.register(), await people.register(name=f"解{HOSTILE}")
    org = await main.create_org(name=f"{fresh_org_name()}{HOSTILE}")
    at = f"/console/orgs/{org['id']}/settings"
    mine, theirs = await open_desk(main), await open_desk(other)
    wrong = await mine.send(f"{at}/admin-invitations", 422, phone="12345")
    assert "请输入有效的手机号码" in wrong
    assert 'value="12345"' in wrong
    stranger = fresh_phone()
    assert "已发出邀请" in await mine.send(f"{at}/admin-invitations", phone=stranger)
    assert "已邀请该手机号码" in await mine.send(f"{at}/admin-invitations", 409, phone=stranger)
    shown = await mine.page(f"{at}/admins")
    assert stranger not in shown
    assert f"{stranger[:3]}****{stranger[-4:]}" in shown
    (withdrawal,) = re.findall(r'hx-get="([^"]+/withdrawal)"', shown)
    assert "邀请已撤回" in await mine.confirm(withdrawal)
    assert "该邀请已答复或已撤回" in await mine.confirm(withdrawal, 409)

    assert "已发出邀请" in await mine.send(f"{at}/admin-invitations", phone=other.phone)
    (offer,) = re.findall(r'href="(/console/offers/[^"]+)"', await theirs.page("/console/"))
    assert org["name"] in await theirs.page(offer)
    await mine.page(offer, 404)
    accepted = await theirs.post(f"{offer}/acceptance")
    assert (accepted.status_code, accepted.headers["location"]) == (303, f"/console/orgs/{org['id']}")
    await theirs.page(offer, 404)
    shown = await theirs.page(f"{at}/admins")
    assert "退出管理组" in shown
    assert "添加管理员" not in shown
    await theirs.part(f"{at}/admin-invitations/new", 403)

    removal = f"{at}/admins/{other.user_id}/removal"
    assert other.name in await mine.part(removal)
    assert "与名称不一致" in await mine.send(removal, 422, name="解")
    assert "不再是管理员" in await mine.send(removal, name=other.name)
    await mine.send(removal, 404, name=other.name)
    await theirs.page(f"{at}/admins", 404)

    await add_admin(main, org, other)
    resignation = f"{at}/admins/me/resignation"
    assert "与名称不一致" in await theirs.send(resignation, 422, name="")
    assert "您已退出" in await theirs.send(resignation, name=org["name"])
    assert "主管理员不能退出" in await mine.send(resignation, 409, name=org["name"])


async def test_offer_is_declined_and_unverified_users_see_the_reason(people: People, open_desk: OpenDesk) -> None:
    main, other = await people.register(), await people.register(verified=False)
    org = await main.create_org()
    invited = get_body(await main.post(f"/v1/orgs/{org['id']}/admin-invitations", json={"phone": other.phone}), 201)
    theirs = await open_desk(other)
    offer = f"/console/offers/admin-invitation/{invited['id']}"
    assert "您还没有实名认证" in await theirs.page(offer)
    refused = await theirs.post(f"{offer}/acceptance")
    assert refused.status_code == 403
    assert "实名认证" in refused.text
    assert "已谢绝" in await theirs.confirm(f"{offer}/refusal")
    await theirs.part(f"{offer}/refusal", 404)
    assert "没有等待您处理的事项" in await theirs.page("/console/")


async def test_org_closed_by_name_remains_readable(people: People, open_desk: OpenDesk) -> None:
    main, under = await people.register(), await people.register()
    org, subordinate = await main.create_org(name=f"{fresh_org_name()}{HOSTILE}"), await under.create_org()
    await certify(main, org, under, subordinate)
    mine = await open_desk(main)
    at = f"/console/orgs/{org['id']}/settings"
    assert HOSTILE in await mine.part(f"{at}/closure")
    assert "与名称不一致" in await mine.send(f"{at}/closure", 422, name="x")
    refused = await mine.send(f"{at}/closure", 409, name=org["name"])
    assert "下级" in refused
    get_body(await main.delete(f"/v1/orgs/{org['id']}/subordinates/{subordinate['id']}"), 204)
    assert "已关闭" in await mine.send(f"{at}/closure", name=org["name"])
    shown = await mine.page(at)
    assert "关闭时间" in shown
    assert "修改名称" not in shown
    for tab in ("/admins", "/received"):
        assert f'hx-get="/console/orgs/{org["id"]}/settings/admin-invitations' not in await mine.page(f"{at}{tab}")
    await mine.send(f"{at}/renames", 409, new_name=fresh_org_name())


@pytest.mark.parametrize(
    "path", ["settings", "settings/admins", "settings/received", "certification", "certification/transfers"]
)
async def test_settings_are_hidden_from_other_users(people: People, open_desk: OpenDesk, path: str) -> None:
    chief, clerk, member = [await people.register() for _ in range(3)]
    superior, subordinate = await chief.create_org(), await clerk.create_org()
    await certify(chief, superior, clerk, subordinate)
    added = {"name": member.name, "phone": member.phone, "party": True}
    get_body(await clerk.post(f"/v1/orgs/{subordinate['id']}/members", json=added), 201)
    for person in (chief, member):
        assert "未找到" in await (await open_desk(person)).page(f"/console/orgs/{subordinate['id']}/{path}", 404)


@pytest.mark.browser
async def test_typed_name_is_corrected_and_the_page_updates(
    people: People, open_screen: OpenScreen, signed_in: SignIn
) -> None:
    main = await people.register()
    org = await main.create_org()
    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, main)
        await desk.go(f"/console/orgs/{org['id']}/settings")
        await page.focus("#ask-rename")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#new-name:focus")
        await page.keyboard.press("Escape")
        await page.wait_for_selector("#ask-rename:focus")
        await page.keyboard.press("Enter")
        await page.fill("#new-name", "中共江苏省南京市玄武区新街口街道公园路社区委员会学习管理组")
        await page.wait_for_selector("#name-help .wrong")
        await page.fill("#new-name", "中共江苏省南京市玄武区新街口街道公园路社区委员会")
        await page.click("#name-help button")
        shorter = await page.input_value("#new-name")
        assert "党委" in shorter
        await page.click("dialog button[type=submit]")
        await page.wait_for_selector(f"#side-org:has-text('{shorter}')")
        assert await page.inner_text("#main-org") == shorter
        await page.wait_for_selector("#notices >> text=已生效")
        await page.wait_for_selector(f"#live tbody >> text={shorter}")

        await desk.go(f"/console/orgs/{org['id']}/certification/invitations")
        await page.click("text=创建邀请")
        await page.click("dialog button[type=submit]")
        await page.wait_for_selector(".invitation .qr svg")
        await page.click("text=复制链接")
        await page.wait_for_selector("[role=status]:text-is('已复制')")
        await page.emulate_media(media="print")
        assert not await page.is_visible("nav")
        assert await page.is_visible(".qr")
