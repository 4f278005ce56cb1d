"""The keyboard focus while parts of a page are replaced: it is moved by the user's own actions only."""

import asyncio

import pytest
from playwright.async_api import Page, Route

from tests.acts import add_member, add_unit, invite, invite_admin
from tests.console.conftest import OpenScreen, SignIn
from tests.console.test_by_keyboard import has_focus_within, read_focused_name, tab_to
from tests.people import People

pytestmark = pytest.mark.browser

_FOCUS_UNDO_ONCE_SHOWN = """() => {
  window.isSettled = new Promise((settle) => document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target.id === "dialog-body") settle(true);
  }));
  const body = document.getElementById("dialog-body");
  new MutationObserver((_, observer) => {
    const undo = body.querySelector("[data-undoes] button");
    if (undo) {
      observer.disconnect();
      undo.focus();
    }
  }).observe(body, { childList: true, subtree: true });
}"""

_REFRESH = """(name) => new Promise((settle) => {
  // Other parts of the page, such as the badges of the frame, may settle before it.
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.target.id === "live") settle(true);
  });
  htmx.trigger(document.body, name);
})"""

_NAMED_AGAIN = """() => {
  const all = [...document.querySelectorAll("#live :is(a, button)")];
  const at = all.at(-1);
  at.removeAttribute("id");
  at.focus();
  at.dataset.isOld = "";
}"""


class DelayedList:
    """The requests for the list of people. Each waits for `release`."""

    def __init__(self) -> None:
        self.is_released = asyncio.Event()

    async def __call__(self, route: Route) -> None:
        await self.is_released.wait()
        await route.continue_()

    async def start(self, page: Page) -> None:
        await page.route("**/members?*", self)

    def release(self) -> None:
        self.is_released.set()


async def test_focus_moved_in_a_dialog_stays_while_the_list_behind_it_loads(
    people: People, open_screen: OpenScreen, signed_in: SignIn
) -> None:
    admin = await people.register(name="王建国")
    org = await admin.create_org()
    branch = await add_unit(admin, org, "第一党支部")
    for name in ("解晓东", "单田芳"):
        await add_member(admin, org, branch, name=name)
    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, admin)
        await desk.go(f"/console/orgs/{org['id']}/members?unit={branch['id']}")
        await page.check("[data-all]")
        await page.click("button[value=removal]")
        await page.fill("#confirm-count", "2")
        delayed = DelayedList()
        await delayed.start(page)
        # A quick user moves the focus as soon as the dialog shows the outcome.
        await page.evaluate(_FOCUS_UNDO_ONCE_SHOWN)
        await page.keyboard.press("Enter")
        assert await page.evaluate("window.isSettled")
        assert await read_focused_name(page) == "撤销移除"
        delayed.release()
        await page.wait_for_selector("#members >> text=还没有人员")
        assert await read_focused_name(page) == "撤销移除"
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#notices >> text=已恢复 2 人")


async def test_focus_in_a_list_stays_while_the_list_loads_again(
    people: People, open_screen: OpenScreen, signed_in: SignIn
) -> None:
    admin = await people.register(name="王建国")
    org = await admin.create_org()
    branch = await add_unit(admin, org, "第一党支部")
    for name in ("解晓东", "单田芳"):
        await add_member(admin, org, branch, name=name)
    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, admin)
        await desk.go(f"/console/orgs/{org['id']}/members")
        delayed = DelayedList()
        await delayed.start(page)
        await page.click("button.name:text-is('解晓东')")
        await page.click("#drawer button:text-is('修改')")
        await page.fill("#edit-name", "解小东")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#drawer h2:text-is('解小东')")
        await page.keyboard.press("Escape")
        await page.wait_for_selector("button.name:text-is('解晓东'):focus")
        await tab_to(page, "选择 单田芳")
        delayed.release()
        await page.wait_for_selector("button.name:text-is('解小东')")
        assert await read_focused_name(page) == "选择 单田芳"


async def test_focus_goes_to_the_content_after_a_dialog_whose_opener_is_hidden(
    people: People, open_screen: OpenScreen, signed_in: SignIn
) -> None:
    admin = await people.register(name="王建国")
    org = await admin.create_org()
    await add_unit(admin, org, "第一党支部")
    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, admin)
        await desk.go(f"/console/orgs/{org['id']}/members")
        await page.check("[data-all]")
        await page.click("button[value=copy]")
        await page.check("#choices-list >> text=第一党支部")
        await page.click("dialog button:text-is('确定')")
        await page.wait_for_selector("#members .tag:text-is('第一党支部')")
        # No person is ticked in the new list, so its button to copy people is hidden.
        await page.focus("dialog button:text-is('完成')")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#main:focus")


async def test_focus_stays_on_its_element_when_a_page_loads_its_content_again(
    people: People, open_screen: OpenScreen, signed_in: SignIn
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    await invite(admin, org)
    await invite_admin(admin, org, await people.register())
    at = f"/console/orgs/{org['id']}"
    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, admin)
        for path in (f"{at}/certification/invitations", f"{at}/settings/admins", "/console/security"):
            await desk.go(path)
            await page.evaluate(_NAMED_AGAIN)
            name = await read_focused_name(page)
            await page.evaluate(_REFRESH, "page-changed")
            assert await page.locator("[data-is-old]").count() == 0
            assert await read_focused_name(page) == name, path
            assert await has_focus_within(page, "#live"), path


async def test_focus_goes_to_the_first_added_row_after_a_click_on_show_more(
    people: People, open_screen: OpenScreen, signed_in: SignIn
) -> None:
    admin = await people.register(name="王建国")
    org = await admin.create_org()
    branch = await add_unit(admin, org, "第一党支部")
    await asyncio.gather(*(add_member(admin, org, branch, name=f"单田芳{n}") for n in range(55)))
    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, admin)
        await desk.go(f"/console/orgs/{org['id']}/members")
        rows = page.locator("#members tbody tr:not(.more)")
        count = await rows.count()
        await page.focus("tr.more button")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("tr.more", state="detached")
        assert await rows.nth(count).locator(":focus").count() == 1
