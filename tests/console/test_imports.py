"""The import wizard in a real browser, with a sheet dropped on it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Route

from tests.acts import get_body
from tests.console.conftest import OpenScreen, SignIn
from tests.members.sheets import xlsx
from tests.people import People, fresh_phone

pytestmark = pytest.mark.browser

_DROP = """
async ([selector, name, bytes]) => {
  const input = document.querySelector(selector);
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], name));
  input.closest("[data-drop]").dispatchEvent(new DragEvent("dragover", {bubbles: true, dataTransfer: transfer}));
  input.files = transfer.files;
  input.dispatchEvent(new Event("change", {bubbles: true}));
}
"""


async def test_dropped_sheet_is_previewed_and_imported(
    people: People, open_screen: OpenScreen, signed_in: SignIn, worker: Callable[[], Awaitable[None]]
) -> None:
    admin = await people.register()
    org_id = (await admin.create_org())["id"]
    sheet = xlsx(
        [
            ["解晓东", fresh_phone(), "第一党支部"],
            ["<script>alert(1)</script>", fresh_phone(), "第一党支部"],
            ["单田芳", "025-83212345", "第一党支部"],
        ]
    )
    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, admin)
        await desk.go(f"/console/orgs/{org_id}/imports")
        async with page.expect_download() as template:
            await page.click("a:has-text('下载模板')")
        assert (await template.value).suggested_filename.endswith(".xlsx")
        await page.evaluate(_DROP, ["[name=file]", "党员.xlsx", list(sheet)])
        assert "党员.xlsx" in await desk.text("[data-drop]")
        await page.check("[value=create]")
        await page.click("text=上传并检查")
        await page.wait_for_selector("progress")
        await worker()
        await page.wait_for_selector("text=确认后将会")
        await page.wait_for_selector("text=固定电话")
        assert "新增 2" in await desk.text("dl.figures")
        assert "共 3 行：可导入 2，待确认 0，跳过 0，未通过 1。" in await desk.text("#import")
        async with page.expect_download() as refused:
            await page.click("a:has-text('下载未通过的行')")
        assert (await refused.value).suggested_filename == "failed-rows.xlsx"
        # The refused row is corrected in the page. The counts and the rows follow.
        await page.click("#rows button:has-text('修改')")
        await page.fill("dialog [name=phone]", "1380013800")
        desk.watched.expect(422)
        await page.click("text=保存并检查")
        await page.wait_for_selector("dialog >> text=手机号码少 1 位")
        await page.fill("dialog [name=phone]", fresh_phone())
        await page.click("text=保存并检查")
        await page.wait_for_selector("#rows .tabs >> text=新增 3")
        assert "共 3 行：可导入 3，待确认 0，跳过 0，未通过 0。" in await desk.text("#preview")
        assert await page.locator("dialog[open]").count() == 0
        await page.click("button:text-is('确认导入')")
        await page.wait_for_selector("progress")
        await worker()
        await page.wait_for_selector("text=导入完成")
        await page.click("text=查看通讯录")
        await page.wait_for_selector("button.name:text-is('<script>alert(1)</script>')")


async def test_file_that_is_no_sheet_is_refused_with_a_reason(
    people: People, open_screen: OpenScreen, signed_in: SignIn
) -> None:
    admin = await people.register()
    org_id = (await admin.create_org())["id"]
    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, admin)
        await desk.go(f"/console/orgs/{org_id}/imports")
        await page.set_input_files("[name=file]", {"name": "a.xlsx", "mimeType": "", "buffer": b"%PDF-1.7"})
        desk.watched.expect(422)
        desk.watched.expect(415)
        await page.click("text=上传并检查")
        await page.wait_for_selector(".notice.bad")


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
async def test_press_of_a_button_during_a_page_reload_counts_as_a_click(
    people: People, open_screen: OpenScreen, signed_in: SignIn, by: str
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    sheet = {"file": ("党员.csv", "姓名,手机号码,支部名称\n".encode())}
    path = f"/orgs/{org['id']}/imports"
    made = get_body(await admin.post(f"/v1{path}", files=sheet), 202)
    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, admin)
        await desk.go(f"/console{path}/{made['id']}")

        async def polled() -> None:
            async with page.expect_response(lambda answer: answer.url.endswith(f"{path}/{made['id']}")) as poll:
                pass
            await (await poll.value).finished()
            await page.evaluate("() => new Promise((done) => setTimeout(done, 100))")

        if by == "mouse":
            await page.hover("text=取消导入")
            await page.mouse.down()
            await polled()
            await page.mouse.up()
        else:
            await page.focus("text=取消导入")
            # A key released in another window sends no event. The page still reloads its state.
            await page.keyboard.down("Shift")
            await page.evaluate("() => { dispatchEvent(new Event('blur')); window.before = document.activeElement }")
            await page.wait_for_function("() => !window.before.isConnected")
            await page.keyboard.up("Shift")
            await polled()
            await page.keyboard.down("Space")
            await polled()
            await page.keyboard.up("Space")
        await page.wait_for_selector("text=已取消，通讯录没有改动")


async def test_press_of_a_button_while_figures_arrive_counts_as_a_click(
    people: People, open_screen: OpenScreen, signed_in: SignIn
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    arrived = asyncio.Event()

    async def late(route: Route) -> None:
        await arrived.wait()
        await route.continue_()

    async with open_screen() as desk:
        page = desk.page
        await page.route("**/glance", late)
        await signed_in(desk, admin)
        await desk.go("/console/")
        waiting = await page.locator(".glance").bounding_box()
        assert waiting is not None
        await page.mouse.move(waiting["x"] + 20, waiting["y"] + 10)
        await page.mouse.down()
        arrived.set()
        await page.wait_for_selector(".glance:not([aria-busy])")
        await page.mouse.up()
        await page.wait_for_url(f"**/console/orgs/{org['id']}")
