"""The phone simulator over HTTP: ID card, inbox, and codes read from pictures."""

import io
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from PIL import Image
from sqlalchemy.ext.asyncio import AsyncConnection

from app.auth.accounts.registration import SILENCE
from app.core.qr import draw_png
from app.core.settings import Environment, Settings
from app.main import create_app
from tests.acts import (
    add_admin,
    add_member,
    add_unit,
    certify,
    get_body,
    invite,
    invite_admin,
    list_all,
    send_application,
    send_change_request,
)
from tests.auth.recovery_calls import consent, create_verified
from tests.auth.sign_in_calls import age_account
from tests.auth.test_accounts import list_messages
from tests.console.conftest import ORIGIN, sign_in_to_phone
from tests.console.desk import TO_TYPE
from tests.people import People, draw_picture, fresh_id_card_number, fresh_org_name, fresh_phone, name_person
from tests.phone_codes import change_code, find_handles


async def test_submitted_id_card_waits_for_review(visitor: httpx.AsyncClient, people: People) -> None:
    person = await people.register(verified=False)
    await sign_in_to_phone(visitor, person)
    path = "/phone/verification/id-card"
    number = fresh_id_card_number()
    wrong = number[:-1] + ("0" if number[-1] != "0" else "1")
    pictures = {side: (f"{side}.png", draw_picture(), "image/png") for side in ("front", "back")}
    refused = await visitor.post(path, data={"name": "王小明", "id_number": wrong}, files=pictures, headers=ORIGIN)
    assert refused.status_code == 422
    for files in ({"front": pictures["front"]}, pictures | {"back": ("b.png", b"no picture", "image/png")}):
        bad = await visitor.post(path, data={"name": "王小明", "id_number": number}, files=files, headers=ORIGIN)
        assert (bad.status_code, "照片" in bad.text) == (422, True)
    assert 'value="王小明"' in refused.text
    assert wrong not in refused.text
    handed_in = await visitor.post(path, data={"name": "王小明", "id_number": number}, files=pictures, headers=ORIGIN)
    assert handed_in.status_code == 303, handed_in.text
    assert "等待审核" in (await visitor.get("/phone/")).text
    again = await visitor.post(path, data={"name": "王小明", "id_number": number}, files=pictures, headers=ORIGIN)
    assert (again.status_code, "正在审核" in again.text) == (409, True)


async def test_inbox_requests_are_decided_on_the_phone(visitor: httpx.AsyncClient, people: People) -> None:
    main, person = await people.register(), await people.register()
    org, mine = await main.create_org(), await person.create_org()
    unit = await add_unit(main, org, "第九党支部")
    await add_member(main, org, unit)
    await invite_admin(main, org, person)
    offer = {"unit_id": unit["id"], "to": {"phone": person.phone}, "name": f"{org['name'][:-3]}第九支部委员会"}
    get_body(await main.post(f"/v1/orgs/{org['id']}/promotions", json=offer), 201)
    third = await people.register()
    subordinate = await third.create_org()
    get_body(await send_application(third, subordinate, (await invite(person, mine))["token"]), 201)
    await sign_in_to_phone(visitor, person)
    assert re.search(r"消息\s+<span class=\"tag red\">3<", (await visitor.get("/phone/")).text)
    shown = (await visitor.get("/phone/inbox")).text
    for name in (org["name"], "第九党支部", subordinate["name"]):
        assert name in shown
    (application,) = re.findall(r'href="(/phone/inbox/application/[^"]+)"', shown)
    assert "将成为" in (await visitor.get(application)).text
    offers = re.findall(r'href="(/phone/inbox/(?:admin-invitation|promotion)/[^"]+)"', shown)
    assert len(offers) == 2
    for offer_path in offers:
        assert "谢绝后不能再接受" in (await visitor.get(offer_path)).text
    for form in [*(f"{offer_path}/acceptance" for offer_path in offers), f"{application}/approval"]:
        answered = await visitor.post(form, headers=ORIGIN)
        assert answered.status_code == 303, answered.text
    assert "没有要处理的消息" in (await visitor.get("/phone/inbox")).text
    assert (await visitor.post(f"{offers[0]}/acceptance", headers=ORIGIN)).status_code == 404
    administered = {item["name"] for item in get_body(await person.get("/v1/me/orgs"))["items"]}
    assert {org["name"], offer["name"]} <= administered


async def test_offer_is_declined_on_the_phone_by_its_name(visitor: httpx.AsyncClient, people: People) -> None:
    main, person = await people.register(), await people.register(verified=False)
    org = await main.create_org()
    await invite_admin(main, org, person)
    await sign_in_to_phone(visitor, person)
    (offer,) = re.findall(r'href="(/phone/inbox/admin-invitation/[^"]+)"', (await visitor.get("/phone/inbox")).text)
    accepted = await visitor.post(f"{offer}/acceptance", headers=ORIGIN)
    assert (accepted.status_code, "需要先完成个人实名认证" in accepted.text) == (403, True)
    unnamed = await visitor.post(f"{offer}/refusal", headers=ORIGIN)
    assert (unnamed.status_code, "与名称不一致" in unnamed.text) == (422, True)
    assert (await visitor.post(f"{offer}/perhaps", headers=ORIGIN)).status_code == 404
    declined = await visitor.post(f"{offer}/refusal", data={"name": org["name"]}, headers=ORIGIN)
    assert (declined.status_code, declined.headers["location"]) == (303, "/phone/inbox")
    assert "没有要处理的消息" in (await visitor.get("/phone/inbox")).text
    assert (await visitor.post(f"{offer}/acceptance", headers=ORIGIN)).status_code == 404


async def test_requests_of_every_kind_are_decided_on_the_phone(visitor: httpx.AsyncClient, people: People) -> None:
    """Each kind of request that an admin can decide has a page, with a reason where it is refused."""
    chief, clerk = await people.register(), await people.register()
    superior, subordinate = await chief.create_org(), await clerk.create_org()
    await certify(chief, superior, clerk, subordinate)
    renamed = f"{fresh_org_name()}新名"
    get_body(await send_change_request(clerk, subordinate, kind="rename", name=renamed), 201)
    for _ in range(2):
        applicant = await people.register()
        get_body(
            await send_application(applicant, await applicant.create_org(), (await invite(chief, superior))["token"]),
            201,
        )
    learner = await people.register(name="欧阳修")
    row = await add_member(chief, superior, name="欧阳修")
    get_body(await learner.post("/v1/me/link-requests", json={"org_id": superior["id"]}), 201)
    leaving = await add_member(clerk, subordinate, name="王安石")
    to = {"org_name": superior["name"], "region_code": "320102"}
    get_body(await clerk.post(f"/v1/orgs/{subordinate['id']}/members/{leaving['id']}/transfers", json=to), 201)
    group = {**to, "member_ids": [(await add_member(clerk, subordinate, name=name))["id"] for name in ("鲁迅", "茅盾")]}
    get_body(await clerk.post(f"/v1/orgs/{subordinate['id']}/group-transfers", json=group), 201)
    other = await people.register()
    elsewhere = await other.create_org()
    token = (await invite(other, elsewhere))["token"]
    get_body(await clerk.post(f"/v1/orgs/{subordinate['id']}/transfers", json={"invitation_token": token}), 201)

    await sign_in_to_phone(visitor, chief)

    async def waiting() -> dict[str, str]:
        links = re.findall(r'href="(/phone/inbox/([a-z-]+)/[^"]+)"', (await visitor.get("/phone/inbox")).text)
        return {kind: link for link, kind in links}

    async def answer(link: str, name: str, status: int = 303, /, **form: str) -> str:
        sent = await visitor.post(f"{link}/{name}", data=form, headers=ORIGIN)
        assert sent.status_code == status, sent.text
        return sent.text

    links = await waiting()
    kinds = {"application", "change-request", "group-transfer", "link-request", "person-transfer", "transfer"}
    assert set(links) == kinds
    shown_again = await answer(links["application"], "refusal", 422, reason="理" * 201)
    assert "理" * 201 in shown_again
    (name,) = TO_TYPE.findall(unescape((await visitor.get(links["application"])).text))
    assert "与名称不一致" in await answer(links["application"], "refusal", 422, reason="不在本系统", name="x")
    await answer(links["application"], "refusal", reason="不在本系统", name=name)
    assert (await waiting())["application"] != links["application"]
    await answer((await waiting())["application"], "approval")

    shown = (await visitor.get(links["link-request"])).text
    assert learner.phone not in shown
    await answer(links["link-request"], row["id"])
    shown = (await visitor.get(links["person-transfer"])).text
    assert "王安石" in shown
    await answer(links["person-transfer"], "acceptance")
    assert "接收 2 人" in (await visitor.get(links["group-transfer"])).text
    await answer(links["group-transfer"], "acceptance")
    assert renamed in (await visitor.get(links["change-request"])).text
    await answer(links["change-request"], "approval")
    preview = re.findall(r'name="preview" value="([0-9a-f]{32})"', (await visitor.get(links["transfer"])).text)
    assert len(preview) == 1
    assert "与名称不一致" in await answer(links["transfer"], "release", 422, preview=preview[0], name="x")
    assert "409" not in await answer(links["transfer"], "release", 409, preview="0" * 32, name=renamed)
    await answer(links["transfer"], "release", preview=preview[0], name=renamed)
    await answer(links["transfer"], "acceptance", 404, preview=preview[0], name=renamed)
    assert await waiting() == {}
    members = await list_all(chief, f"/v1/orgs/{superior['id']}/members")
    assert {"王安石", "鲁迅", "茅盾"} <= {member["name"] for member in members}
    active = [member for member in members if member["name"] == "欧阳修"]
    assert [member["active"] for member in active] == [True]

    await sign_in_to_phone(visitor, other)
    arriving = (await waiting())["transfer"]
    (preview_there,) = re.findall(r'name="preview" value="([0-9a-f]{32})"', (await visitor.get(arriving)).text)
    await answer(arriving, "acceptance", preview=preview_there, name=renamed)
    found = await list_all(other, f"/v1/orgs/{elsewhere['id']}/subordinates")
    assert [item["name"] for item in found] == [renamed]


async def test_active_main_admin_stops_a_recovery_and_provincial_pages_need_the_console(
    visitor: httpx.AsyncClient, people: People
) -> None:
    main, clerk = await people.register(), await people.register()
    org = await main.create_org()
    await add_admin(main, org, clerk)
    recovery = {"kind": "recovery", "main_admin_id": clerk.user_id, "reason": "联系不上"}
    get_body(await send_change_request(clerk, org, **recovery), 201)
    await sign_in_to_phone(visitor, main)
    (link,) = re.findall(r'href="(/phone/inbox/recovery/[^"]+)"', (await visitor.get("/phone/inbox")).text)
    assert f"撤回“{clerk.name}”的申请" in (await visitor.get(link)).text
    named = {"name": clerk.name}
    assert (await visitor.post(f"{link}/withdrawal", data=named, headers=ORIGIN)).status_code == 303
    assert "没有要处理的消息" in (await visitor.get("/phone/inbox")).text
    province = await main.create_org(region_code="320000")
    shown = await visitor.get(f"/phone/inbox/application/{province['id']}/{org['id']}")
    assert (shown.status_code, "请在电脑端处理" in shown.text) == (403, True)


async def test_new_org_with_the_name_of_another_one_shows_the_way_to_join(
    visitor: httpx.AsyncClient, people: People
) -> None:
    founder, person = await people.register(), await people.register()
    org = await founder.create_org()
    await sign_in_to_phone(visitor, person)
    form = {"name": org["name"], "region": "玄武区", "region_code": "320102", "kind": "party"}
    shown = await visitor.post("/phone/orgs", data=form, headers=ORIGIN)
    assert (shown.status_code, "同名学习组织" in shown.text) == (200, True)
    anyway = await visitor.post("/phone/orgs", data=form | {"anyway": org["name"]}, headers=ORIGIN)
    assert anyway.status_code == 303
    await visitor.post("/phone/orgs", data=form | {"name": fresh_org_name(), "anyway": org["name"]}, headers=ORIGIN)
    assert len(get_body(await person.get("/v1/me/orgs"))["items"]) == 2


async def read_brightness(text: str) -> tuple[bytes, dict[str, int]]:
    made = io.BytesIO()
    made.write(await draw_png(text))
    picture = Image.open(made).convert("L")
    return picture.tobytes(), {"width": picture.width, "height": picture.height}


async def test_code_in_a_picture_is_read(visitor: httpx.AsyncClient, people: People) -> None:
    points, size = await read_brightness("http://localhost:8000/phone/scan?code=WDJB-MJHT")
    unknown = await visitor.post("/phone/pictures", params=size, content=points, headers=ORIGIN)
    assert unknown.status_code == 303  # to the sign-in
    await sign_in_to_phone(visitor, await people.register())
    read = await visitor.post("/phone/pictures", params=size, content=points, headers=ORIGIN)
    assert read.json() == {"text": "http://localhost:8000/phone/scan?code=WDJB-MJHT"}
    nothing = await visitor.post("/phone/pictures", params=size, content=bytes(len(points)), headers=ORIGIN)
    assert nothing.status_code == 204
    for wrong, status in (({"width": 16, "height": 16}, 422), ({"width": 9999, "height": 1}, 422)):
        refused = await visitor.post("/phone/pictures", params=wrong, content=points, headers=ORIGIN)
        assert refused.status_code == status


async def test_pasted_link_leads_to_its_page(visitor: httpx.AsyncClient, people: People) -> None:
    main = await people.register()
    org = await main.create_org()
    link = (await invite(main, org))["link"]
    await sign_in_to_phone(visitor, await people.register())
    followed = await visitor.post("/phone/scans", data={"code": link}, headers=ORIGIN)
    assert followed.status_code == 303
    assert parse_qs(urlsplit(followed.headers["location"]).query) == parse_qs(urlsplit(link).query)
    assert org["name"] in (await visitor.get(followed.headers["location"])).text
    wrong = await visitor.post("/phone/scans", data={"code": "http://evil.example/"}, headers=ORIGIN)
    assert wrong.status_code == 404
    assert "http://evil.example/" in wrong.text


@pytest.mark.parametrize("environment", Environment)
async def test_phone_exists_in_development_only(environment: Environment, settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"env": environment}))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url=ORIGIN["Origin"]) as client,
    ):
        for link in ("/phone/", "/phone/join?invitation=kF2vG6n3QeXw0bYd8mRz1A", "/phone/scan?code=WDJB-MJHT"):
            answer = await client.get(link)
            assert answer.status_code == (200 if environment is Environment.DEVELOPMENT else 404), answer.text


async def test_redirect_after_sign_in_stays_on_the_phone(visitor: httpx.AsyncClient, people: People) -> None:
    person = await people.register()
    elsewhere = ("/phone/\r\nSet-Cookie: x=1", "//elsewhere.example/", "/phone/\\elsewhere")
    for number, back in enumerate((*elsewhere, "/phone/points")):
        sent = await visitor.post("/phone/codes", data={"phone": person.phone}, headers=ORIGIN)
        outbox = await person.api.get("/v1/simulator/sms", params={"phone": person.phone})
        form = {"phone": person.phone, "code": outbox.json()["items"][0]["code"], "back": back} | find_handles(
            sent.text
        )
        entered = await visitor.post("/phone/session", data=form, headers=ORIGIN)
        expected = "/phone/points" if number == len(elsewhere) else "/phone/"
        assert (entered.status_code, entered.headers.get("location")) == (303, expected), back


async def test_phone_is_changed_on_the_phone_with_both_codes(visitor: httpx.AsyncClient, people: People) -> None:
    person, new = await people.register(verified=False), fresh_phone()
    await sign_in_to_phone(visitor, person)
    assert "原手机号" in (await visitor.get("/phone/security/phone")).text
    sent = await visitor.post("/phone/security/phone-codes", data={"phone": new}, headers=ORIGIN)
    assert "原手机号收到的验证码" in sent.text
    form = {"phone": new} | find_handles(sent.text)
    for field, phone in (("old_phone_code", person.phone), ("code", new)):
        form[field] = (await list_messages(people.api, phone))[0]["code"]
    mistyped = form | {"old_phone_code": f"{(int(form['old_phone_code']) + 1) % 1_000_000:06d}"}
    refused = await visitor.post("/phone/security/phone", data=mistyped, headers=ORIGIN)
    assert (refused.status_code, "原手机号收到的验证码错误" in refused.text) == (403, True)
    assert find_handles(refused.text) == find_handles(sent.text)
    assert (await visitor.post("/phone/security/phone", data=form, headers=ORIGIN)).status_code == 303
    assert "获取验证码" in (await visitor.get("/phone/security")).text
    assert (await people.register(phone=new, verified=False)).user_id == person.user_id


async def test_copy_of_the_own_data_is_downloaded_on_the_phone(
    visitor: httpx.AsyncClient, people: People, worker: Callable[[], Awaitable[None]]
) -> None:
    person = await people.register(verified=False)
    await sign_in_to_phone(visitor, person)
    page = "/phone/security/data"
    assert f'href="{page}"' in (await visitor.get("/phone/security")).text
    assert (await visitor.post(page, headers=ORIGIN)).status_code == 303
    assert "正在生成" in (await visitor.get(page)).text
    await worker()
    (address,) = re.findall(rf'href="({page}/[^"]+/content)"', (await visitor.get(page)).text)
    downloaded = await visitor.get(address)
    assert (downloaded.status_code, downloaded.content[:2]) == (200, b"PK")
    assert "my-data-" in downloaded.headers["Content-Disposition"]
    await sign_in_to_phone(visitor, await people.register(verified=False))
    assert (await visitor.get(address)).status_code == 404
    await sign_in_to_phone(visitor, person)
    assert (await visitor.post(address.replace("content", "deletion"), headers=ORIGIN)).status_code == 303
    assert "下载副本" not in (await visitor.get(page)).text


async def test_link_to_the_own_row_is_requested_on_the_phone_and_its_state_shown(
    visitor: httpx.AsyncClient, people: People
) -> None:
    admin, person = await people.register(), await people.register()
    org = await admin.create_org()
    body = {"name": person.name, "phone": fresh_phone()}
    get_body(await admin.post(f"/v1/orgs/{org['id']}/members", json=body), 201)
    await sign_in_to_phone(visitor, person)
    page = "/phone/link-requests"
    assert f'href="{page}"' in (await visitor.get("/phone/")).text
    form = {"org_name": org["name"], "region_code": org["region_code"]}
    assert (await visitor.post(page, data={"org_name": org["name"]}, headers=ORIGIN)).status_code == 422
    for withdrawn in (True, False):
        assert (await visitor.post(page, data=form, headers=ORIGIN)).status_code == 303
        shown = (await visitor.get(page)).text
        assert org["name"] in shown
        assert "待处理" in shown
        (withdrawal,) = re.findall(rf'action="({page}/[^"]+/withdrawal)"', shown)
        if withdrawn:
            assert (await visitor.post(page, data=form, headers=ORIGIN)).status_code == 409
            assert (await visitor.post(withdrawal, headers=ORIGIN)).status_code == 303
            assert "已撤回" in (await visitor.get(page)).text
    (waiting,) = get_body(await admin.get(f"/v1/orgs/{org['id']}/link-requests"))["items"]
    assert (await admin.put(f"/v1/orgs/{org['id']}/link-requests/{waiting['id']}/acceptance")).status_code == 200
    assert "已同意" in (await visitor.get(page)).text
    assert org["name"] in (await visitor.get("/phone/memberships")).text


async def test_other_device_is_signed_out_and_account_closed_on_the_phone(
    visitor: httpx.AsyncClient, people: People
) -> None:
    person = await people.register(verified=False)
    await sign_in_to_phone(visitor, person)
    (path,) = re.findall(r'action="(/phone/security/sessions/[^"]+/end)"', (await visitor.get("/phone/security")).text)
    assert (await visitor.post(path, headers=ORIGIN)).status_code == 303
    assert (await person.get("/v1/me")).status_code == 401
    assert "无法恢复" in (await visitor.get("/phone/security/closure")).text
    sent = await visitor.post("/phone/security/closing-codes", headers=ORIGIN)
    form = {"code": (await list_messages(people.api, person.phone))[0]["code"]} | find_handles(sent.text)
    assert (await visitor.post("/phone/security/closure", data=form, headers=ORIGIN)).status_code == 303
    assert (await people.register(phone=person.phone, verified=False)).user_id != person.user_id


async def test_lost_phone_is_replaced_by_the_real_name(visitor: httpx.AsyncClient, people: People) -> None:
    (person, id_number), new, page = await create_verified(people), fresh_phone(), "/phone/security/recoveries"
    await sign_in_to_phone(visitor, person)
    assert f'href="{page}"' in (await visitor.get("/phone/security")).text
    sent = await visitor.post(f"{page}/codes", data={"phone": new}, headers=ORIGIN)
    code = {"phone": new, "code": (await list_messages(people.api, new))[0]["code"], **find_handles(sent.text)}
    code |= name_person(person.name, id_number)
    wrong = await visitor.post(page, data=code | {"code": change_code(code["code"])}, headers=ORIGIN)
    assert (wrong.status_code, "验证码错误" in wrong.text) == (403, True)
    at_alipay = await visitor.post(page, data=code, headers=ORIGIN)
    assert at_alipay.status_code == 303, at_alipay.text
    await consent(person, {"redirect_url": at_alipay.headers["Location"]})
    shown = (await visitor.get(page)).text
    assert "等待生效" in shown
    (stop,) = re.findall(rf'action="({page}/[^"]+/stop)"', shown)
    assert (await visitor.post(stop, headers=ORIGIN)).status_code == 303
    assert "已停止" in (await visitor.get(page)).text


async def test_silent_account_needs_its_name_or_gives_up_the_number(
    visitor: httpx.AsyncClient, people: People, db: AsyncConnection
) -> None:
    person, id_number = await create_verified(people)
    for own in (False, True):
        await age_account(db, person, SILENCE + timedelta(hours=1))
        sent = await visitor.post("/phone/codes", data={"phone": person.phone}, headers=ORIGIN)
        given = find_handles(sent.text) | {"code": (await list_messages(people.api, person.phone))[0]["code"]}
        shown_proof = await visitor.post("/phone/session", data=given | {"phone": person.phone}, headers=ORIGIN)
        assert (shown_proof.status_code, "180 天" in shown_proof.text) == (200, True)
        form = {"proof_token": re.findall(r'name="proof_token" value="([^"]+)"', shown_proof.text)[0]}
        early = await visitor.post("/phone/proved-session", data=form, headers=ORIGIN)
        assert (early.status_code, "尚未完成" in early.text) == (422, True)
        if own:
            form["new_account"] = "true"
        else:
            given = form | name_person(person.name, id_number)
            begun = await visitor.post("/phone/sign-in-proof", data=given, headers=ORIGIN)
            (address,) = re.findall(r'href="([^"]+/verify\?code=[^"]+)"', begun.text)
            await consent(person, {"redirect_url": address})
        signed_in = await visitor.post("/phone/proved-session", data=form, headers=ORIGIN)
        assert signed_in.status_code == 303, signed_in.text
        name = (await visitor.get("/phone/")).text
        assert (person.name in name) is not own
        visitor.cookies.clear()
