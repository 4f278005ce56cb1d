"""The main job through pages, in two real browsers: the console on the desk and the phone in the hand."""

import io
import re

import pytest
import zxingcpp
from PIL import Image

from tests.browser import HAND, Screen
from tests.console.conftest import OpenScreen
from tests.people import fresh_id_number, fresh_name, fresh_org_name, fresh_phone

pytestmark = pytest.mark.browser


async def read_qr(shown: Screen) -> str:
    """What a phone's camera would read off the screen."""
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
    await page.fill("[name=id_number]", fresh_id_number())
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


async def scan(phone: Screen, link: str) -> None:
    await phone.go("/phone/scan")
    await phone.page.fill("#code", link)
    await phone.page.click("button:text-is('继续')")
    await phone.page.wait_for_selector("#number")


async def test_an_administrator_comes_in_by_scan(open_screen: OpenScreen) -> None:
    async with open_screen() as console, open_screen(HAND) as phone:
        name, org = fresh_name(), fresh_org_name()
        await register(phone, name=name)
        await create_org(phone, org)
        await console.go("/console/")
        await scan(phone, await read_qr(console))
        await console.page.wait_for_selector(f"text={name[0]}** 已扫码")
        assert "Linux" in await phone.text("main")
        await phone.page.fill("#number", await console.page.inner_text(".match"))
        await phone.page.click("text=确认登录")
        await phone.page.wait_for_selector("text=已确认")
        await console.page.click(f"text={org}")
        await console.page.wait_for_selector(".figures")
        await console.page.click("text=通讯录")
        assert name in await console.text("table")
        await console.page.click("text=退出登录")
        await console.page.wait_for_selector(".qr")
        await console.page.go_back()
        await console.page.wait_for_selector(".qr")
        assert name not in await console.text()


async def test_a_refused_scan_is_told_and_can_be_tried_again(open_screen: OpenScreen) -> None:
    async with open_screen() as console, open_screen(HAND) as phone:
        await register(phone, name=fresh_name())
        await console.go("/console/")
        first = await read_qr(console)
        await scan(phone, first)
        await phone.page.click("button:text-is('拒绝')")
        await console.page.wait_for_selector("text=手机上拒绝了登录")
        await console.page.click("button:text-is('换一个二维码')")
        await console.page.wait_for_selector(".qr")
        assert await read_qr(console) != first
