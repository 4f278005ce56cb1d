"""The directory in a real browser: units, search while typing, people added, edited, moved and removed."""

import pytest

from tests.browser import Screen
from tests.console.conftest import OpenScreen, SignIn
from tests.people import People, Person, fresh_phone

pytestmark = pytest.mark.browser


async def create_directory(admin: Person) -> str:
    """Create two nested units and three people."""
    org_id: str = (await admin.create_org())["id"]
    units = f"/v1/orgs/{org_id}/units"
    general = (await admin.post(units, json={"name": "机关党总支", "kind": "general-branch"})).json()["id"]
    branch = (await admin.post(units, json={"name": "第一党支部", "parent_id": general})).json()["id"]
    for name, unit in (("解晓东", branch), ("单田芳", branch), ("欧阳修", general)):
        body = {"name": name, "phone": fresh_phone(), "unit_ids": [unit]}
        assert (await admin.post(f"/v1/orgs/{org_id}/members", json=body)).status_code == 201
    return org_id


async def rows(shown: Screen) -> list[str]:
    return await shown.page.locator("#members tbody button.name").all_inner_texts()


async def test_units_open_level_by_level_and_search_runs_while_typing(
    people: People, open_screen: OpenScreen, signed_in: SignIn
) -> None:
    admin = await people.register(name="王建国")
    org_id = await create_directory(admin)
    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, admin)
        await desk.go(f"/console/orgs/{org_id}/members")
        assert await rows(desk) == ["欧阳修", "单田芳", "王建国", "解晓东"]
        await page.click("[aria-label='展开 机关党总支']")
        await page.click("#units a:text-is('第一党支部')")
        await page.wait_for_selector("text=机关党总支/第一党支部")
        assert await rows(desk) == ["单田芳", "解晓东"]
        await page.reload()
        assert await page.get_attribute("#units a:text-is('第一党支部')", "aria-current") == "true"
        await page.type("#q", "xie")
        await page.wait_for_selector("text=共 1 人")
        assert await rows(desk) == ["解晓东"]
        await page.fill("#q", "")
        await page.select_option("#filter-active", "yes")
        await page.wait_for_selector("text=没有符合条件的人员")
        await page.go_back()
        await page.wait_for_selector("#members tbody tr:nth-child(4)")
        await page.fill("#unit-search", "第一")
        await page.click("#units-found a")
        await page.wait_for_selector("text=共 2 人")


async def test_person_is_added_copied_edited_shown_and_removed(
    people: People, open_screen: OpenScreen, signed_in: SignIn
) -> None:
    admin = await people.register(name="王建国")
    org_id = await create_directory(admin)
    phone = fresh_phone()
    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, admin)
        await desk.go(f"/console/orgs/{org_id}/members")
        await page.click("text=添加人员")
        await page.fill("#new-name", "曾国藩")
        await page.fill("#new-phone", "12345")
        await page.check("#choices-list >> text=第一党支部")
        desk.watched.expect(422)
        await page.click("dialog button:text-is('添加')")
        await page.wait_for_selector("text=请输入有效的手机号码")
        assert await page.input_value("#new-name") == "曾国藩"
        assert await page.is_checked("#choices-list label:has-text('第一党支部') input")
        await page.fill("#new-phone", phone)
        await page.click("dialog button:text-is('添加')")
        await page.wait_for_selector("text=已添加 曾国藩")
        await page.wait_for_selector("button.name:text-is('曾国藩')")

        await page.click("text=添加人员")
        await page.fill("#new-name", "曾国藩")
        await page.fill("#new-phone", phone)
        await page.check("#choices-list label:has-text('机关党总支') input")
        desk.watched.expect(409)
        await page.click("dialog button:text-is('添加')")
        await page.click("text=复制到本组织")
        await page.wait_for_selector("tr:has-text('曾国藩') .tag:text-is('机关党总支')")
        assert "第一党支部" in await desk.text("tr:has-text('曾国藩')")

        await page.click("button.name:text-is('曾国藩')")
        await page.wait_for_selector("#drawer h2:text-is('曾国藩')")
        assert "从未注册" in await desk.text("#drawer")
        assert phone not in await desk.text("#drawer")
        await page.click("text=显示完整号码")
        await page.wait_for_selector(f"text={phone}")
        audit = (await admin.get(f"/v1/orgs/{org_id}/audit")).json()["items"]
        assert "phone" in audit[0]["action"]
        await page.click("#drawer button:text-is('修改')")
        await page.fill("#edit-name", "曾文正")
        await page.click("#drawer button:text-is('保存')")
        await page.wait_for_selector("#drawer h2:text-is('曾文正')")
        await page.wait_for_selector("button.name:text-is('曾文正')")
        await page.click("#drawer button:text-is('移除')")
        await page.fill("#confirm-typed", "曾国藩")
        await page.click("#drawer button:text-is('移除')")
        await page.wait_for_selector("text=与名称不一致")
        await page.fill("#confirm-typed", "曾文正")
        await page.click("#drawer button:text-is('移除')")
        await page.wait_for_selector("text=已移除 曾文正")
        await page.wait_for_selector("button.name:text-is('曾文正')", state="detached")
        await page.click("#notices >> text=撤销移除")
        await page.wait_for_selector("#notices >> text=已恢复 曾文正")
        await page.wait_for_selector("button.name:text-is('曾文正')")
        await page.wait_for_selector("#notices >> text=撤销移除", state="detached")


async def test_several_people_get_units_at_once(people: People, open_screen: OpenScreen, signed_in: SignIn) -> None:
    admin = await people.register(name="王建国")
    org_id = await create_directory(admin)
    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, admin)
        await desk.go(f"/console/orgs/{org_id}/members")
        for name in ("解晓东", "单田芳"):
            await page.check(f"[aria-label='选择 {name}']")
        assert "已选 2 人" in await desk.text(".bulk")
        await page.click("button[value=move]")
        await page.wait_for_selector("dialog .becomes strong:text-is('所选支部')")
        assert "机关党总支/第一党支部 → 改为 所选支部 解晓东、单田芳" in await desk.text("dialog")
        await page.check("#choices-list label:has-text('机关党总支') input")
        await page.wait_for_selector("dialog .becomes strong:text-is('机关党总支')")
        await page.click("dialog button:text-is('确定')")
        await page.wait_for_selector("text=已移动 2 人")
        assert "机关党总支/第一党支部 → 改为 机关党总支 解晓东、单田芳" in await desk.text("dialog")
        await page.click("dialog button:text-is('完成')")
        await page.wait_for_selector("#members .tag:text-is('第一党支部')", state="detached")
        await page.check("[data-all]")
        await page.click("button[value=removal]")
        await page.fill("#confirm-count", "3")
        desk.watched.expect(422)
        await page.click("dialog button:text-is('移除')")
        await page.wait_for_selector("text=与人数不一致")
        await page.fill("#confirm-count", "4")
        await page.click("dialog button:text-is('移除')")
        await page.wait_for_selector("text=已移除 3 人")
        assert "此人是本组织的管理员" in await desk.text("dialog")
        await page.wait_for_selector("#members >> text=共 1 人")
        assert await rows(desk) == ["王建国"]
        await page.click("dialog button:text-is('撤销移除')")
        await page.wait_for_selector("#notices >> text=已恢复 3 人")
        await page.wait_for_selector("#members >> text=共 4 人")

        # All people of a unit at once.
        await page.click("#units a:text-is('机关党总支')")
        await page.click("#people >> text=移动全部人员")
        await page.click("dialog button:text-is('移动')")
        assert await page.eval_on_selector("[name=to_unit_id]", "field => field.matches(':invalid')")
        await page.check("dialog label:has-text('管理组') input")
        await page.click("dialog button:text-is('移动')")
        await page.wait_for_selector("#notices >> text=已将“机关党总支”的")
        await page.wait_for_selector("#people >> text=还没有人员")
        await page.click("#notices >> text=撤销移动")
        await page.wait_for_selector("#notices >> text=已移回 3 人")
        await page.wait_for_selector("#people >> text=共 3 人")


async def test_units_are_created_renamed_and_removed(
    people: People, open_screen: OpenScreen, signed_in: SignIn
) -> None:
    admin = await people.register()
    org_id = await create_directory(admin)
    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, admin)
        await desk.go(f"/console/orgs/{org_id}/members")
        await page.click("text=添加支部")
        await page.fill("#unit-name", "离退休党支部")
        await page.click("dialog button:text-is('保存')")
        await page.click("#units a:text-is('离退休党支部')")
        await page.click("#people button:text-is('修改')")
        await page.fill("#unit-name", "机关党总支")
        desk.watched.expect(409)
        await page.click("dialog button:text-is('保存')")
        await page.wait_for_selector("text=同级已有同名支部")
        await page.fill("#unit-name", "离退休干部党支部")
        await page.click("dialog button:text-is('保存')")
        await page.wait_for_selector("#units a:text-is('离退休干部党支部')")
        await page.click("#units a:text-is('机关党总支')")
        await page.wait_for_selector("#people h2:text-is('机关党总支')")
        await page.click("#people button:text-is('删除')")
        await page.check("dialog label:has-text('离退休干部党支部') input")  # its people need a target
        await page.fill("#confirm-unit", "机关党总支")
        await page.click("dialog button:text-is('删除')")
        await page.wait_for_selector("text=该支部下还有支部")
        await page.click("dialog button:text-is('取消')")
        await page.click("#units a:text-is('离退休干部党支部')")
        await page.wait_for_selector("#people h2:text-is('离退休干部党支部')")
        await page.click("#people button:text-is('删除')")
        await page.fill("#confirm-unit", "离退休干部党支部")
        await page.click("dialog button:text-is('删除')")
        await page.wait_for_url(f"**/console/orgs/{org_id}/members")
        await page.wait_for_selector("#units a:text-is('机关党总支')")
        assert "离退休干部党支部" not in await desk.text("#units")


async def test_whole_phone_in_the_search_field_is_never_in_an_address(
    people: People, open_screen: OpenScreen, signed_in: SignIn
) -> None:
    admin = await people.register(name="王建国")
    org_id = await create_directory(admin)
    phone = fresh_phone()
    body = {"name": "李小龙", "phone": phone, "unit_ids": []}
    assert (await admin.post(f"/v1/orgs/{org_id}/members", json=body)).status_code == 201
    async with open_screen() as desk:
        page, requests = desk.page, list[tuple[str, str]]()
        await signed_in(desk, admin)
        await desk.go(f"/console/orgs/{org_id}/members")
        page.on("request", lambda request: requests.append((request.method, request.url)))
        await page.select_option("#filter-active", "yes")
        await page.wait_for_selector("text=共 1 人")
        await page.fill("#q", f"+86 {phone[:3]}-{phone[3:7]}-{phone[7:]}")
        await page.wait_for_selector("#members button:text-is('李小龙')")
        assert await rows(desk) == ["李小龙"]
        await page.click("text=导出")
        await page.wait_for_selector("dialog[open] >> text=导出现在筛选出的")
        await page.keyboard.press("Escape")
        await page.fill("#q", phone[:9])
        await page.wait_for_selector("text=没有符合条件的人员")
        assert page.url.endswith(f"/console/orgs/{org_id}/members")
        await page.fill("#q", "小龙")
        await page.wait_for_selector("text=没有符合条件的人员")
        await page.wait_for_url("**/members?*q=*")
    posts = [url for method, url in requests if method == "POST"]
    assert posts == [f"{desk.watched.site}/console/orgs/{org_id}/members/phone-searches"] * 2
    assert not [url for _, url in requests if phone[3:7] in url.partition("?")[2]]
    entries = (await admin.get(f"/v1/orgs/{org_id}/audit")).json()["items"]
    assert [entry["action"] for entry in entries].count("member.searched_by_phone") == 1
