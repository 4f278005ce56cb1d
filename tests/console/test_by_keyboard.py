"""The main paths without a mouse: Tab, Enter, Space and Escape only, with the focus checked at each step."""

import pytest
from playwright.async_api import Page

from tests.acts import add_member, add_unit
from tests.console.conftest import OpenScreen, SignIn
from tests.people import People

pytestmark = pytest.mark.browser

_FOCUSED = """() => {
  const at = document.activeElement;
  const name = at.getAttribute("aria-label") || at.labels?.[0]?.innerText || at.innerText || at.value || at.id;
  return name.trim().replace(/\\s+/g, " ");
}"""


async def read_focused_name(page: Page) -> str:
    """Return the name of the focused element."""
    name: str = await page.evaluate(_FOCUSED)
    return name


async def tab_to(page: Page, name: str, *, back: bool = False) -> None:
    """Press Tab until the element with this name has the focus."""
    passed = []
    for _ in range(60):
        await page.keyboard.press("Shift+Tab" if back else "Tab")
        passed.append(await read_focused_name(page))
        if passed[-1] == name:
            return
    pytest.fail(f"{name} is not reached, but {passed}")


async def follow(page: Page) -> None:
    """Press Enter on a link."""
    async with page.expect_navigation():
        await page.keyboard.press("Enter")


async def has_focus_within(page: Page, selector: str) -> bool:
    """Return whether the focus is inside."""
    found: bool = await page.evaluate("at => document.activeElement.closest(at) !== null", selector)
    return found


async def test_directory_can_be_used_with_the_keyboard_alone(
    people: People, open_screen: OpenScreen, signed_in: SignIn
) -> None:
    admin = await people.register(name="王建国")
    org = await admin.create_org()
    general = await add_unit(admin, org, "机关党总支")
    branch = await add_unit(admin, org, "第一党支部", general)
    for name in ("解晓东", "单田芳"):
        await add_member(admin, org, branch, name=name)
    async with open_screen() as desk:
        page = desk.page
        press = page.keyboard.press
        await signed_in(desk, admin)
        await desk.go(f"/console/orgs/{org['id']}/members")
        # Past the menu and the tabs, into the tree.
        await press("Tab")
        assert await read_focused_name(page) == "跳到正文"
        await press("Enter")
        assert await has_focus_within(page, "#main")
        await tab_to(page, "展开 机关党总支")
        await press("Enter")
        await page.wait_for_selector("#units a:text-is('第一党支部')")
        assert await read_focused_name(page) == "展开 机关党总支"
        await tab_to(page, "第一党支部")
        await press("Enter")
        await page.wait_for_selector("#members >> text=共 2 人")
        assert await read_focused_name(page) == "第一党支部"
        # The focus enters a person's drawer, stays in it, and returns.
        await tab_to(page, "解晓东")
        await press("Enter")
        await page.wait_for_selector("#drawer h2:focus")
        await tab_to(page, "修改")
        await press("Enter")
        await page.wait_for_selector("#edit-name:focus")
        await press("Control+a")
        await page.keyboard.type("解小东")
        await press("Enter")
        await page.wait_for_selector("#drawer h2:text-is('解小东')")
        await page.wait_for_selector("#members >> text=解小东")
        for _ in range(12):
            await press("Tab")
            assert await has_focus_within(page, "#drawer, body:not(:has(#drawer :focus))")
        await press("Escape")
        await page.wait_for_selector("#members button:text-is('解小东'):focus")
        # Several people at once.
        await tab_to(page, "选择 解小东", back=True)
        await press("Space")
        await tab_to(page, "选择 单田芳")
        await press("Space")
        await tab_to(page, "移动", back=True)
        await press("Enter")
        await page.wait_for_selector("#dialog[open]")
        assert await has_focus_within(page, "#dialog")
        await press("Escape")
        await page.wait_for_selector("button[value=move]:focus")
        await tab_to(page, "移除")
        await press("Enter")
        await page.wait_for_selector("#confirm-count:focus")
        await page.keyboard.type("2")
        await press("Enter")
        await page.wait_for_selector("#dialog >> text=已移除 2 人")
        await tab_to(page, "撤销移除", back=True)
        await press("Enter")
        await page.wait_for_selector("#notices >> text=已恢复 2 人")
        await page.wait_for_selector("#members >> text=解小东")
        assert await page.evaluate("document.activeElement !== document.body")


async def test_settings_and_certification_can_be_used_with_the_keyboard_alone(
    people: People, open_screen: OpenScreen, signed_in: SignIn
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    async with open_screen() as desk:
        page = desk.page
        press = page.keyboard.press
        await signed_in(desk, admin)
        await desk.go("/console/")
        await page.keyboard.press("Tab")
        await press("Enter")
        await press("Tab")
        assert org["name"] in await read_focused_name(page)
        await follow(page)
        await tab_to(page, "认证")
        await follow(page)
        await tab_to(page, "邀请下级")
        await follow(page)
        await tab_to(page, "创建邀请")
        await press("Enter")
        await page.wait_for_selector("#max-uses:focus")
        await press("Enter")
        await page.wait_for_selector(".invitation .qr svg")
        await tab_to(page, "撤销邀请")
        await press("Enter")
        await page.wait_for_selector("#dialog[open] #confirm-typed:focus")
        await page.keyboard.type(org["name"])
        await tab_to(page, "撤销")
        await press("Enter")
        await page.wait_for_selector("#notices >> text=邀请已撤销")
        # The element that opened the dialog was removed with the invitation, so the focus goes to the page.
        await page.wait_for_selector("#main >> text=此链接和二维码已不能用于申请认证")
        assert await has_focus_within(page, "#main")
        await tab_to(page, "登录与密钥", back=True)
        await follow(page)
        await tab_to(page, "退出登录")
        assert not await has_focus_within(page, "#main")
        await follow(page)
        await page.wait_for_selector(".qr svg")
