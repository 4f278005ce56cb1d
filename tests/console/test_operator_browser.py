"""An operator in a real browser with a USB key: first key, sign-in, an ID card, and a key proof that ends meanwhile."""

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import get_body
from tests.auth.authenticator import forget_key_proof
from tests.auth.operator_accounts import add_operator_account
from tests.browser import DESK, HAND
from tests.console.conftest import OpenScreen, SignIn
from tests.console.test_every_page import list_axe_violations, list_overflows, resize
from tests.people import People, fresh_phone, name_person

pytestmark = pytest.mark.browser

HOME = "/console/operators"


async def test_operator_with_a_usb_key_decides_an_id_card_although_the_key_proof_ends_meanwhile(
    app: FastAPI, people: People, open_screen: OpenScreen, signed_in: SignIn, db: AsyncConnection
) -> None:
    phone = fresh_phone()
    code = await add_operator_account(app, phone)
    operator = await people.register(phone=phone, verified=False, party=False)
    applicant = await people.register(verified=False, party=False)
    card = name_person(applicant.name, method="id-card")
    verification = get_body(await applicant.post("/v1/me/verifications", json=card), 201)

    async with open_screen() as desk:
        page, finds = desk.page, list[str]()
        devices = await desk.context.new_cdp_session(page)
        await devices.send("WebAuthn.enable")
        key = {"protocol": "ctap2", "transport": "usb", "automaticPresenceSimulation": True}
        await devices.send("WebAuthn.addVirtualAuthenticator", {"options": key})
        await signed_in(desk, operator)
        await desk.go("/console/security")
        await page.fill("#key-name", "USB-KEY")
        await page.fill("#enrolment-code", code)
        finds += await list_axe_violations(desk, "first key")
        await page.click("button:text-is('登记安全密钥')")
        await page.wait_for_selector(".entries >> text=USB-KEY")

        desk.watched.expect(403)
        assert await desk.go(HOME) == 403
        await page.click("button:text-is('使用安全密钥')")
        await page.wait_for_selector("h1:text-is('平台管理')")
        assert page.url.endswith(HOME)
        await page.click(".card >> text=身份证审核")
        await page.click("text=审核下一张")
        await page.wait_for_selector("#review-title")
        while applicant.name not in await page.inner_text("#review"):  # an ID card of another test
            await page.click("text=暂不决定，返回")
            await page.click("text=审核下一张")
            await page.wait_for_selector("#review-title")
        for size in (HAND, DESK):
            await resize(desk, size)
            finds += await list_overflows(desk, "review") + await list_axe_violations(desk, "review")

        await page.select_option("#reason", "not-the-person")
        await forget_key_proof(db, operator)
        await db.commit()
        await page.click("button:text-is('驳回')")
        await page.wait_for_selector("#key-dialog[open]")
        for size in (HAND, DESK):
            await resize(desk, size)
            finds += await list_overflows(desk, "key dialog") + await list_axe_violations(
                desk, "key dialog", "#key-dialog"
            )
        await page.keyboard.press("Escape")
        assert await page.input_value("#reason") == "not-the-person"
        await page.click("button:text-is('驳回')")
        await page.click("#key-dialog >> text=使用安全密钥")
        await page.wait_for_selector("#notices >> text=已驳回")
        assert await page.locator("dialog[open]").count() == 0
        assert not finds, "\n".join(finds)
    decided = get_body(await applicant.get(f"/v1/me/verifications/{verification['id']}"))
    assert (decided["state"], decided["reason"]) == ("rejected", "not-the-person")
