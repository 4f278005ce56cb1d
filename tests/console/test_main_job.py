"""The main job through pages, in real browsers: a console and two phones."""

import io
import re
from collections.abc import Awaitable, Callable

import pytest
import zxingcpp
from PIL import Image
from playwright.async_api import FilePayload
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import add_admin, get_body
from tests.auth.authenticator import forget_key_proof
from tests.browser import HAND, Screen
from tests.console.conftest import OpenScreen, SignIn
from tests.members.sheets import xlsx
from tests.people import People, fresh_id_card_number, fresh_name, fresh_org_name, fresh_phone

pytestmark = pytest.mark.browser

Worker = Callable[[], Awaitable[None]]


async def read_qr(shown: Screen) -> str:
    """Return the text of the QR code on the screen."""
    picture = Image.open(io.BytesIO(await shown.page.screenshot()))
    (found,) = zxingcpp.read_barcodes(picture)
    return found.text


async def register(phone: Screen, *, name: str) -> None:
    """Register by phone code, verify the real name at Alipay, declare party membership."""
    page = phone.page
    await phone.go("/phone/")
    await page.fill("#phone", fresh_phone())
    await page.click("text=获取验证码")
    message = await page.inner_text(".bubble")
    code = re.search(r"\d{6}", message)
    assert code is not None
    await page.fill("#code", code[0])
    await page.click("button:text-is('登录')")
    await page.click("text=支付宝认证")
    await page.fill("[name=name]", name)
    await page.fill("[name=id_number]", fresh_id_card_number())
    await page.click("text=下一步")
    await page.click("text=同意")
    await page.wait_for_selector("text=已完成")
    await phone.go("/phone/")
    await page.click("text=声明为党员")
    await page.wait_for_selector(".tag:text-is('党员')")


async def create_org(phone: Screen, name: str) -> None:
    page = phone.page
    await phone.go("/phone/orgs/new")
    await page.fill("#name", name)
    await page.type("#region", "玄武区")
    await page.check("text='江苏省南京市玄武区'")
    await page.click("text=确认创建")
    await page.wait_for_selector(f"text={name}")


async def sign_in_by_scan(console: Screen, phone: Screen, name: str) -> None:
    """Sign in to the console by phone: read the code from the screen and match the number."""
    await console.go("/console/")
    await scan(phone, await read_qr(console))
    await console.page.wait_for_selector(f"text={name[0]}** 已扫码")
    assert "Linux" in await phone.text("main")
    await phone.page.fill("#number", await console.page.inner_text(".match"))
    await phone.page.click("text=确认登录")
    await phone.page.wait_for_selector("text=已确认")
    await console.page.wait_for_selector("text=您好")


async def scan(phone: Screen, link: str) -> None:
    await phone.go("/phone/scan")
    await phone.page.fill("#code", link)
    await phone.page.click("button:text-is('继续')")
    await phone.page.wait_for_selector("#number")


async def import_sheet(console: Screen, worker: Worker, names: list[str]) -> None:
    """Import a real sheet with the wizard: upload, preview, confirm."""
    page = console.page
    await page.click("nav >> text=通讯录")
    await page.click("text=批量导入")
    content = xlsx([[name, fresh_phone(), "第一党支部"] for name in names])
    sheet = FilePayload(name="党员.xlsx", mimeType="application/octet-stream", buffer=content)
    await page.set_input_files("[name=file]", files=sheet)
    await page.check("text=创建这些支部")
    await page.click("text=上传并检查")
    await page.wait_for_url("**/imports/*")
    await worker()
    await page.click("text=确认导入")
    await page.wait_for_selector("text=正在导入")
    await worker()
    await page.wait_for_selector("text=导入完成")
    await page.click("text=查看通讯录")
    table = await console.text("table.people")
    assert all(name in table for name in names)


async def certify(console: Screen, phone: Screen, subordinate: str) -> None:
    """The console shows an invitation, another user's phone reads it and applies, and the console approves."""
    page = console.page
    await page.click("nav >> text=认证")
    await page.click("nav.tabs >> text=邀请")
    await page.click("text=创建邀请")
    await page.click("#dialog button[type=submit]")
    await page.wait_for_selector(".qr")
    picture = FilePayload(name="码.png", mimeType="image/png", buffer=await page.screenshot())
    await phone.go("/phone/scan")
    await phone.page.set_input_files("[data-picture]", files=picture)
    await phone.page.click(f"li:has-text('{subordinate}') >> button")
    await phone.page.wait_for_selector("text=申请已提交")
    await page.click("nav.tabs >> text=申请")
    await page.click(f"tr:has-text('{subordinate}') >> text=通过")
    await page.click("#dialog button[type=submit]")
    await page.wait_for_selector("text=没有等待确认的申请")


@pytest.mark.long
async def test_daily_work_of_an_admin_succeeds_on_the_pages(
    open_screen: OpenScreen, worker: Worker, no_stored_days: None
) -> None:
    async with open_screen() as console, open_screen(HAND) as phone, open_screen(HAND) as other:
        name, org, subordinate = fresh_name(), fresh_org_name(), fresh_org_name()
        learner, second = fresh_name(), fresh_name()
        await register(phone, name=name)
        await create_org(phone, org)
        await sign_in_by_scan(console, phone, name)
        await console.page.click(f".org-card:has-text('{org}')")
        await import_sheet(console, worker, [learner, fresh_name()])
        await register(other, name=second)
        await create_org(other, subordinate)
        await certify(console, other, subordinate)

        await console.page.click("nav >> text=学习报表")
        await console.page.wait_for_selector(".chart svg")
        assert "学员总数 3" in await console.text("main")  # the two of the sheet and their main admin
        assert f"{subordinate} 人数过少，不显示" in await console.text("#subordinates")
        await console.page.click(f"#subordinates >> text={subordinate}")
        await console.page.wait_for_selector(f".crumbs >> text={org}")
        assert second not in await console.text()
        await phone.go("/phone/")
        await phone.page.click("text=组内排名")
        await phone.page.wait_for_selector("text=我的名次：第 1 名")
        assert name in await phone.text("table")
        await console.page.click("nav >> text=操作记录")
        assert "完成导入" in await console.text("table")

        await console.page.click("text=退出登录")
        await console.page.wait_for_selector(".qr")
        await console.page.go_back()
        await console.page.wait_for_selector(".qr")
        assert name not in await console.text()


async def test_refused_scan_is_shown_and_can_be_repeated(
    open_screen: OpenScreen, signed_in_phone: SignIn, people: People
) -> None:
    async with open_screen() as console, open_screen(HAND) as phone:
        await signed_in_phone(phone, await people.register())
        await console.go("/console/")
        first = await read_qr(console)
        await scan(phone, first)
        await phone.page.click("button:text-is('拒绝')")
        await console.page.wait_for_selector("text=已在手机上拒绝登录")
        await console.page.click("button:text-is('更换二维码')")
        await console.page.wait_for_selector(".qr")
        assert await read_qr(console) != first


async def test_removed_admin_sees_a_message_in_mid_session(
    open_screen: OpenScreen, signed_in: SignIn, people: People
) -> None:
    main, other = await people.register(), await people.register()
    org = await main.create_org()
    await add_admin(main, org, other)
    async with open_screen() as console:
        await signed_in(console, other)
        await console.go(f"/console/orgs/{org['id']}/members")
        get_body(await main.delete(f"/v1/orgs/{org['id']}/admins/{other.user_id}"), 204)
        console.watched.expect(404)
        await console.page.fill("#q", "王")
        await console.page.wait_for_selector("#notices >> text=未找到")
        await console.go("/console/")
        assert org["name"] not in await console.text(".grid, .empty")
        await other.delete("/v1/me/sessions")
        await console.page.click("text=登录与密钥")
        await console.page.wait_for_selector(".qr")


async def test_provincial_page_requires_a_security_key_and_continues_what_was_begun(
    open_screen: OpenScreen, signed_in: SignIn, people: People, db: AsyncConnection
) -> None:
    person = await people.register()
    org = await person.create_org(region_code="320000")
    async with open_screen() as console:
        page = console.page
        devices = await console.context.new_cdp_session(page)
        await devices.send("WebAuthn.enable")
        key = {"protocol": "ctap2", "transport": "usb", "automaticPresenceSimulation": True}
        await devices.send("WebAuthn.addVirtualAuthenticator", {"options": key})
        await signed_in(console, person)
        console.watched.expect(403)
        assert await console.go(f"/console/orgs/{org['id']}/members") == 403
        async with console.context.expect_page() as opened:
            await page.click("text=去登记")
        assert (await opened.value).url.endswith("/console/security")
        await (await opened.value).close()
        await console.go("/console/security")
        await page.fill("#key-name", "办公室的钥匙")
        await page.click("button:text-is('登记安全密钥')")
        await page.wait_for_selector(".entries >> text=办公室的钥匙")
        await console.go(f"/console/orgs/{org['id']}/members")
        await page.click("button:text-is('使用安全密钥')")
        await page.wait_for_selector("#people")
        assert page.url.endswith(f"/console/orgs/{org['id']}/members")

        await page.click("button:text-is('添加人员')")
        await page.fill("#new-name", "王小明")
        await page.check("[name=no_phone]")
        await forget_key_proof(db, person)
        await db.commit()
        await page.click("#dialog button:text-is('添加')")
        await page.wait_for_selector("#key-dialog[open]")
        await page.keyboard.press("Escape")
        assert await page.input_value("#new-name") == "王小明"
        await page.click("#dialog button:text-is('添加')")
        await page.click("#key-dialog >> text=使用安全密钥")
        await page.wait_for_selector("#people >> text=王小明")
        assert await page.locator("dialog[open]").count() == 0

        await page.click("text=登录与密钥")
        await page.click("summary:has-text('删除')")
        await page.fill("details[open] [name=name]", "办公室的钥匙")
        await page.click("details[open] >> text=删除密钥")
        await page.wait_for_selector("text=还没有安全密钥")
