"""The country or region beside every phone on the pages: the number goes to the API with its code."""

import random
import re

import httpx
import pytest
from fastapi import FastAPI

from app.console.frame.templates import _environment
from devtools.phone import site
from tests.acts import add_unit, get_body
from tests.console.conftest import ORIGIN
from tests.console.desk import OpenDesk
from tests.people import People, fresh_name
from tests.phone_codes import find_handles


def make_national_number(prefix: str) -> str:
    return f"{prefix}{random.randrange(10**6):06d}"


async def test_person_is_added_and_edited_with_the_chosen_country(people: People, open_desk: OpenDesk) -> None:
    admin = await people.register()
    org = await admin.create_org()
    at, desk = f"/console/orgs/{org['id']}/members", await open_desk(admin)
    number = make_national_number("96")
    form = {"name": fresh_name(), "party": "yes", "phone": f"{number[:4]} {number[4:]}", "phone_country": "852"}
    assert "已添加" in await desk.send(at, **form)
    (member,) = get_body(await admin.get(f"/v1/orgs/{org['id']}/members", params={"q": form["name"]}))["items"]
    assert member["phone"] == f"+852****{number[-4:]}"
    taiwan = make_national_number("0912")
    await desk.next(f"{at}/{member['id']}", **form | {"phone": taiwan, "phone_country": "886"})
    path = f"/v1/orgs/{org['id']}/members/{member['id']}/phone-disclosures"
    assert get_body(await admin.post(path))["phone"] == f"+886{taiwan[1:]}"


@pytest.mark.parametrize("typed", ["+853 6212 3456", "0085362123456", "＋853 62123456"])
async def test_typed_code_counts_more_than_the_chosen_country(people: People, open_desk: OpenDesk, typed: str) -> None:
    admin = await people.register()
    org = await admin.create_org()
    desk = await open_desk(admin)
    await desk.send(f"/console/orgs/{org['id']}/members", name="何厚铧", party="yes", phone=typed)
    (member,) = get_body(await admin.get(f"/v1/orgs/{org['id']}/members", params={"q": "何厚铧"}))["items"]
    assert member["phone"] == "+853****3456"


async def test_number_that_is_not_of_the_chosen_country_is_refused_and_shown_again(
    people: People, open_desk: OpenDesk
) -> None:
    admin = await people.register()
    org = await admin.create_org()
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}/members"
    shown = await desk.send(at, 422, name="何厚铧", phone="13800138000", phone_country="852")
    assert "请输入有效的手机号码，并核对国家或地区" in shown
    assert '<option value="852" selected>中国香港 +852</option>' in shown
    assert 'value="13800138000"' in shown
    for unknown in ("", "999999", "<script>alert(1)</script>"):
        await desk.send(at, 422, name="何厚铧", phone="1", phone_country=unknown)


async def test_admin_is_invited_and_a_promotion_offered_to_a_foreign_phone(people: People, open_desk: OpenDesk) -> None:
    admin = await people.register()
    org = await admin.create_org()
    unit = await add_unit(admin, org, "第一党支部")
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}"
    phone = {"phone": make_national_number("96"), "phone_country": "852"}
    invited = await people.register(phone=f"+852{phone['phone']}")
    await desk.send(f"{at}/settings/admin-invitations", **phone)
    assert "已发出" in await desk.send(
        f"{at}/certification/promotions", unit_id=unit["id"], new_name="中共某某公司第一支部委员会", **phone
    )
    kinds = {waiting["kind"] for waiting in get_body(await invited.get("/v1/inbox"))["items"]}
    assert kinds == {"admin-invitation", "promotion"}


async def test_sign_in_with_the_chosen_country_registers_the_number_with_its_code(
    app: FastAPI, visitor: httpx.AsyncClient
) -> None:
    number = make_national_number("96")
    sent = await visitor.post("/phone/codes", data={"phone": number, "phone_country": "852"}, headers=ORIGIN)
    assert sent.status_code == 200
    assert f'name="phone" value="+852{number}"' in sent.text
    outbox = await visitor.get("/v1/simulator/sms", params={"phone": f"+852{number}"})
    form = {"phone": f"+852{number}", "code": outbox.json()["items"][0]["code"]} | find_handles(sent.text)
    assert (await visitor.post("/phone/session", data=form, headers=ORIGIN)).status_code == 303
    assert f"+852{number}" in (await visitor.get("/phone/")).text
    wrong = await visitor.post("/phone/codes", data={"phone": "123", "phone_country": "853"}, headers=ORIGIN)
    assert wrong.status_code == 422
    assert '<option value="853" selected>' in wrong.text


async def test_every_phone_of_a_form_has_its_country() -> None:
    assert site.routers
    loader = _environment.loader
    assert loader is not None
    for name in loader.list_templates():
        source = loader.get_source(_environment, name)[0]
        assert name == "frame/phone_fields.html" or not re.search(r"type=.tel", source), name
