"""Expiry in front of a user: a code without a scan, and a session in use."""

import base64
import io
import time

import pytest
import zxingcpp
from PIL import Image
from playwright.async_api import Route, expect
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.authz.cookies import CookieSession
from app.core.cipher import Cipher
from app.core.settings import Settings
from tests.browser import Screen
from tests.console.conftest import OpenScreen, SignIn
from tests.people import People, fresh_org_name

pytestmark = pytest.mark.browser

_EXPIRES = text("UPDATE device_authorizations SET expires_at = now() + interval '1 second' WHERE user_code = :code")


async def read_user_code(shown: Screen) -> str:
    await expect(shown.page.locator(".qr svg")).to_be_visible()
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(await shown.page.screenshot())))
    return found.text


async def test_unscanned_code_is_replaced_by_a_new_one(
    open_screen: OpenScreen, people: People, db: AsyncConnection
) -> None:
    person = await people.register()
    async with open_screen() as console:

        async def shorten_expiry(route: Route) -> None:
            """Make the first code expire one second after its page begins to wait."""
            await db.execute(_EXPIRES, {"code": route.request.url.split("/")[-2]})
            await route.continue_()

        await console.page.route("**/console/sign-in/*/events", shorten_expiry, times=1)
        await console.go("/console/")
        first = await read_user_code(console)
        await console.page.wait_for_selector("text=二维码已过期")
        second = await read_user_code(console)
        assert second != first
        # The old code is invalid, the new one is valid.
        refused = await person.post("/v1/scans", json={"code": first.rpartition("=")[2]})
        assert refused.status_code in {404, 410}, refused.text
        # A part without an answer, as when the network fails for a moment, is requested again.
        console.watched.expect(503)

        async def fail(route: Route) -> None:
            await route.fulfill(status=503, headers={"HX-Reswap": "none"})

        await console.page.route("**/console/sign-in/*?renewals=*", fail, times=1)
        scanned = await person.post("/v1/scans", json={"code": second.rpartition("=")[2]})
        assert scanned.status_code == 201, scanned.text
        await console.page.wait_for_selector(f"text={person.name[0]}")
        await console.page.wait_for_selector("text=已扫码")


async def test_browser_without_script_support_shows_a_message(open_screen: OpenScreen) -> None:
    async def too_new(route: Route) -> None:
        await route.fulfill(body="", content_type="text/javascript")

    async with open_screen() as console:
        await console.go("/console/")
        await expect(console.page.locator("[data-stuck]")).to_have_count(0)
        await console.page.route("**/console.js", too_new)
        await console.go("/console/")
        message = console.page.locator("text=此浏览器无法使用管理后台")
        await expect(message).not_to_be_visible()  # at first: a slow browser may still start
        await console.page.evaluate("document.getAnimations().forEach((one) => one.finish())")
        await expect(message).to_be_visible()


async def test_failed_request_shows_a_notice_and_ends_the_wait(
    open_screen: OpenScreen, signed_in: SignIn, people: People
) -> None:
    person = await people.register()
    org = await person.create_org()
    async with open_screen() as console:
        page = console.page
        await signed_in(console, person)
        console.watched.expected += ["net::ERR_FAILED", "htmx:sendError", "htmx:afterRequest"]
        # The first answer takes the notice away, so the frame's own request must not have one.
        await page.route("**/console/badges*", lambda route: route.abort())
        await page.route("**/reports/trend?*", lambda route: route.abort(), times=1)
        await console.go(f"/console/orgs/{org['id']}")
        await page.wait_for_selector("#notices >> text=无法连接服务器")
        assert await page.locator("#trend >> text=未能载入").count() == 4
        # Once the server answers again, the notice disappears.
        await page.unroute("**/console/badges*")
        await page.click("nav >> text=通讯录")
        await page.route("**/members?*", lambda route: route.abort(), times=1)
        await page.fill("#q", "王")
        await page.wait_for_selector("[data-unreached]")
        await page.fill("#q", person.name)
        await page.wait_for_selector("text=共 1 人")
        await expect(page.locator("[data-unreached]")).to_have_count(0)


async def expire_session(shown: Screen, settings: Settings) -> None:
    """Make the session expire now, by changing the cookie's content."""
    (cookie,) = [cookie for cookie in await shown.context.cookies() if cookie["name"] == "xuezu-console"]
    cipher, value = Cipher(settings), cookie["value"]
    raw = cipher.decrypt(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)), "xuezu-console")
    carried = CookieSession.model_validate_json(raw).model_copy(update={"ends_at": int(time.time()) - 1})
    sealed = base64.urlsafe_b64encode(cipher.encrypt(carried.model_dump_json(), "xuezu-console")).rstrip(b"=")
    await shown.context.add_cookies([{"name": "xuezu-console", "value": sealed.decode(), "url": shown.watched.site}])


async def test_expired_session_in_use_leads_to_the_sign_in_and_back(
    open_screen: OpenScreen, signed_in: SignIn, people: People, settings: Settings
) -> None:
    person = await people.register()
    org = await person.create_org()
    at = f"/console/orgs/{org['id']}/settings"
    async with open_screen() as console:
        page = console.page
        await signed_in(console, person)
        # In an open dialog nothing is written, and the sign-in replaces the page.
        await console.go(at)
        await page.click("#ask-rename")
        wanted = fresh_org_name()
        await page.fill("#new-name", wanted)
        await page.wait_for_selector("#name-help .good, #name-help .hint")
        await expire_session(console, settings)
        await page.click("dialog button[type=submit]")
        await page.wait_for_selector(".qr svg")
        assert org["name"] not in await console.text()
        await page.go_back()
        assert org["name"] not in await console.text()
        # After the sign-in the same page is shown.
        await signed_in(console, person)
        await console.go(at)
        assert await page.inner_text("#main-org") == org["name"]
        # Both by a link and by a part that the page loads itself.
        await expire_session(console, settings)
        await page.click("nav >> text=学习报表")
        await page.wait_for_selector(".qr svg")
