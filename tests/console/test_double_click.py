"""A form that is sent twice is one act: by a double click in a real browser, and by two requests with one key."""

import asyncio
from typing import NamedTuple

import pytest
from playwright.async_api import Page, Request, expect
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import add_unit, certify, invite
from tests.console.conftest import ORIGIN, OpenScreen, SignIn
from tests.console.desk import OpenDesk
from tests.people import People, fresh_org_name, fresh_phone


class Dialog(NamedTuple):
    """A dialog that creates a row of `table`, with the selectors of the element that opens it and of its fields."""

    table: str
    path: str
    opener: str
    fields: dict[str, str]
    button: str
    is_checked_first: bool = False
    """A step before it checks what is filled in."""


async def count_rows(db: AsyncConnection, table: str, org_id: str) -> int:
    count: int = await db.scalar(text(f"SELECT count(*) FROM {table} WHERE org_id = :org_id"), {"org_id": org_id})
    return count


def list_dialogs(unit_id: str, link: str) -> list[Dialog]:
    """Return the dialogs that create something, in an order in which each is possible."""
    unit_page = f"members?unit={unit_id}"
    promoted = {"#new-name": fresh_org_name(), "#promoted-phone": fresh_phone()}
    return [
        Dialog("members", "members", "text=添加人员", {"#new-name": "曾国藩", "#new-phone": fresh_phone()}, "添加"),
        Dialog("units", "members", "text=添加支部", {"#unit-name": "第九党支部"}, "保存"),
        Dialog("exports", "members", ".head button:has-text('导出')", {}, "导出"),
        Dialog("exports", "reports", ".head button:has-text('导出')", {}, "导出"),
        Dialog("invitations", "certification/invitations", "text=创建邀请", {}, "创建"),
        Dialog("admin_invitations", "settings/admins", "#invite-admin", {"#admin-phone": fresh_phone()}, "邀请"),
        Dialog("promotions", unit_page, "text=改设为学习组织", promoted, "发出"),
        Dialog("change_requests", "settings", "#ask-rename", {"#new-name": fresh_org_name()}, "提交"),
        Dialog("transfers", "certification/transfers", "#ask-transfer", {"#invitation-link": link}, "提交申请", True),
    ]


async def open_and_fill(page: Page, dialog: Dialog) -> None:
    await page.click(dialog.opener)
    await page.wait_for_selector("dialog[open]")
    for selector, value in dialog.fields.items():
        await page.fill(selector, value)
    if dialog.is_checked_first:
        await page.click("dialog button[type=submit]")


@pytest.mark.browser
async def test_double_click_on_the_button_of_any_dialog_creates_one_row(
    people: People, open_screen: OpenScreen, signed_in: SignIn, db: AsyncConnection
) -> None:
    above, admin, other = [await people.register() for _ in range(3)]
    superior, org, target = [await person.create_org() for person in (above, admin, other)]
    await certify(above, superior, admin, org)
    unit = await add_unit(admin, org, "第一党支部")
    link = (await invite(other, target))["link"]
    sent: list[str] = []

    def record(request: Request) -> None:
        if request.method == "POST":
            sent.append(request.url)

    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, admin)
        page.on("request", record)
        for dialog in list_dialogs(unit["id"], link):
            await desk.go(f"/console/orgs/{org['id']}/{dialog.path}")
            await open_and_fill(page, dialog)
            button = page.locator(f"dialog button:text-is('{dialog.button}')")
            await expect(button).to_be_visible()
            before = await count_rows(db, dialog.table, org["id"])
            sent.clear()
            async with page.expect_response(lambda answer: answer.request.method == "POST"):
                await button.dblclick()
            await expect(page.locator(".htmx-request")).to_have_count(0)
            assert len(sent) == 1, (dialog, sent)
            assert await count_rows(db, dialog.table, org["id"]) == before + 1, dialog
            assert await page.locator("#notices .bad, dialog .bad").count() == 0, dialog


@pytest.mark.browser
async def test_second_click_of_a_double_click_does_not_hit_what_the_dialog_covered(
    people: People, open_screen: OpenScreen, signed_in: SignIn
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    async with open_screen() as desk:
        page = desk.page
        await signed_in(desk, admin)
        await desk.go(f"/console/orgs/{org['id']}/members")
        await page.click("text=添加人员")
        await page.fill("#new-name", "曾国藩")
        await page.fill("#new-phone", fresh_phone())
        box = await page.locator("dialog button:text-is('添加')").bounding_box()
        assert box is not None
        at = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        await page.mouse.click(*at)
        await page.wait_for_selector("#notices >> text=已添加 曾国藩")
        await page.evaluate("document.addEventListener('click', () => (window.isHit = true))")
        await page.mouse.down(click_count=2)
        await page.mouse.up(click_count=2)
        assert await page.evaluate("window.isHit") is None
        await page.mouse.click(*at)
        assert await page.evaluate("window.isHit")


async def test_form_sent_twice_with_one_key_creates_one_row_and_gets_one_answer(
    people: People, open_desk: OpenDesk, db: AsyncConnection
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    desk = await open_desk(admin)
    path = f"/console/orgs/{org['id']}/members"
    form = {"name": "曾国藩", "phone": fresh_phone(), "party": "yes"}
    headers = ORIGIN | {"HX-Request": "true", "Idempotency-Key": "k-1"}
    first = await desk.visitor.post(path, data=form, headers=headers)
    again = await desk.visitor.post(path, data=form, headers=headers)
    assert first.status_code == 200, first.text
    assert (again.status_code, again.text) == (200, first.text)
    for name in ("HX-Retarget", "HX-Reswap", "HX-Trigger", "Cache-Control", "Content-Security-Policy"):
        assert again.headers[name] == first.headers[name], name
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await count_rows(db, "members", org["id"]) == 2
    form = {"name": "左宗棠", "phone": fresh_phone(), "party": "yes"}
    headers["Idempotency-Key"] = "k-2"
    answers = await asyncio.gather(*(desk.visitor.post(path, data=form, headers=headers) for _ in range(5)))
    assert {answer.status_code for answer in answers} <= {200, 204}, "no refusal beside the success"
    assert await count_rows(db, "members", org["id"]) == 3


async def test_repeated_call_gets_the_headers_of_the_first_answer(people: People) -> None:
    admin = await people.register()
    org = await admin.create_org()
    body = {"name": "曾国藩", "phone": fresh_phone()}
    path = f"/v1/orgs/{org['id']}/members"
    first, again = [await admin.post(path, json=body, headers={"Idempotency-Key": "k-3"}) for _ in range(2)]
    assert again.status_code == 201
    assert again.headers["Location"] == first.headers["Location"]
