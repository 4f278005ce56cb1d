"""Requests and links to join, and messages, on the console and on the phone."""

import re

import httpx
from fastapi import FastAPI

from tests.acts import add_member, add_unit, get_body
from tests.console.conftest import ORIGIN, sign_in_to_phone
from tests.console.desk import HOSTILE, OpenDesk
from tests.people import People


async def test_join_request_accepted_on_the_console_adds_the_person_to_the_chosen_units(
    people: People, open_desk: OpenDesk
) -> None:
    admin, learner = await people.register(), await people.register(name="欧阳修")
    org = await admin.create_org()
    unit = await add_unit(admin, org, HOSTILE.replace("/", "／"))
    request = get_body(await learner.post("/v1/me/join-requests", json={"org_id": org["id"]}), 201)
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}/join-requests"
    assert f'href="{at}"' in await desk.page("/console/")
    shown = await desk.page(at)
    assert "欧阳修 申请加入" in shown
    assert learner.phone not in shown
    acceptance = f"{at}/{request['id']}/acceptance"
    assert unit["id"] in await desk.part(acceptance)
    assert "已同意" in await desk.send(acceptance, unit_id=unit["id"])
    assert "没有等待处理的加入申请" in await desk.page(at)
    assert "已同意" in await desk.send(acceptance)
    assert "加入申请" in await desk.page(f"/console/orgs/{org['id']}/audit")
    own = await open_desk(learner)
    assert "您提出的“加入申请”已获同意。" in await own.page("/console/messages")


async def test_join_request_refused_on_the_console_notifies_the_requester(people: People, open_desk: OpenDesk) -> None:
    admin, learner = await people.register(), await people.register(verified=False)
    org = await admin.create_org()
    body = {"org_id": org["id"], "name": "王安石"}
    request = get_body(await learner.post("/v1/me/join-requests", json=body), 201)
    desk = await open_desk(admin)
    path = f"/console/orgs/{org['id']}/join-requests"
    assert "未经实名认证" in await desk.page(path)
    refusal = f"{path}/{request['id']}/refusal"
    assert "请填写 1 至 200 个字符" in await desk.send(refusal, 422, reason="")
    assert "已拒绝" in await desk.send(refusal, name="王安石", reason=HOSTILE)
    own = await open_desk(learner)
    assert "您提出的“加入申请”未获同意。" in await own.page("/console/messages")


async def test_join_link_is_created_shown_and_revoked_on_the_console(people: People, open_desk: OpenDesk) -> None:
    admin = await people.register()
    org = await admin.create_org()
    unit = await add_unit(admin, org, "第一党支部")
    desk = await open_desk(admin)
    at = f"/console/orgs/{org['id']}/join-links"
    assert "还没有加入链接" in await desk.page(at)
    assert "第一党支部" in await desk.part(f"{at}/new")
    form = {"unit_id": unit["id"], "expires_in_hours": "720", "max_uses": "0"}
    assert "请填写 1 至 10000 的整数" in await desk.send(at, 422, **form)
    created = await desk.visitor.post(at, data=form | {"max_uses": "5"}, headers=ORIGIN | {"HX-Request": "true"})
    page = created.headers["HX-Redirect"]
    shown = await desk.page(page)
    assert "第一党支部" in shown
    assert "/open/join-org?link=" in shown
    picture = await desk.visitor.get(f"{page}/qr.png")
    assert picture.content.startswith(b"\x89PNG")
    assert "加入链接已撤销" in await desk.send(f"{page}/revocation", name=org["name"])
    assert "此链接和二维码已不能用于申请加入" in await desk.page(page)
    assert "已撤销" in await desk.page(at)


async def test_messages_are_counted_in_the_frame_and_marked_as_read(people: People, open_desk: OpenDesk) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    await add_member(admin, org, name=learner.name, phone=learner.phone)
    get_body(await admin.post(f"/v1/orgs/{org['id']}/admin-invitations", json={"phone": learner.phone}), 201)
    desk = await open_desk(learner)
    assert 'hx-get="/console/badges"' in await desk.page("/console/")
    badges = await desk.part("/console/badges")
    assert "2 条未读" in badges  # the second message tells of the sign-in on this device
    assert "1 项待处理" in badges
    shown = await desk.page("/console/messages")
    assert f"您已列入“{org['name']}”的通讯录。" in shown
    (newest,) = re.findall(r'name="newest_id" value="([^"]+)"', shown)
    marked = await desk.visitor.post("/console/messages", data={"newest_id": newest}, headers=ORIGIN)
    assert (marked.status_code, marked.headers["location"]) == (303, "/console/messages")
    assert "条未读" not in await desk.part("/console/badges")
    assert "newest_id" not in await desk.page("/console/messages")


async def test_join_requests_by_link_and_by_name_are_sent_on_the_phone(
    app: FastAPI, visitor: httpx.AsyncClient, people: People
) -> None:
    admin, learner = await people.register(), await people.register(verified=False)
    org, other = await admin.create_org(), await admin.create_org()
    link = get_body(await admin.post(f"/v1/orgs/{org['id']}/join-links", json={}), 201)
    await sign_in_to_phone(visitor, learner)
    scanned = await visitor.post("/phone/scans", data={"code": link["link"]}, headers=ORIGIN)
    assert scanned.headers["location"] == f"/phone/join-org?link={link['token']}"
    assert org["name"] in (await visitor.get(scanned.headers["location"])).text
    form = {"link_token": link["token"]}
    refused = await visitor.post("/phone/join-org", data=form, headers=ORIGIN)
    assert (refused.status_code, "请填写姓名" in refused.text) == (422, True)
    answer = await visitor.post("/phone/join-org", data=form | {"name": "王小明"}, headers=ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/phone/join-requests")
    named = {"org_name": other["name"], "region_code": other["region_code"], "name": "王小明"}
    assert (await visitor.post("/phone/join-org", data=named, headers=ORIGIN)).status_code == 303
    again = await visitor.post("/phone/join-org", data=named, headers=ORIGIN)
    assert (again.status_code, "您已申请加入该组织" in again.text) == (409, True)
    unknown = await visitor.post("/phone/join-org", data=named | {"org_name": HOSTILE}, headers=ORIGIN)
    assert (unknown.status_code, "<script>alert" in unknown.text) == (422, False)
    shown = (await visitor.get("/phone/join-requests")).text
    withdrawals = re.findall(r'action="(/phone/join-requests/[^"]+/withdrawal)"', shown)
    assert len(withdrawals) == 2
    for status in (303, 409):
        assert (await visitor.post(withdrawals[0], headers=ORIGIN)).status_code == status
    (waiting,) = get_body(await admin.get("/v1/inbox"))["items"]
    get_body(await admin.put(waiting["actions"]["acceptance"]["href"]))
    messages = (await visitor.get("/phone/messages")).text
    assert "您提出的“加入申请”已获同意。" in messages
    assert re.search(r"通知\s+<span", (await visitor.get("/phone/")).text)
    gone = (await visitor.get("/phone/join-org?link=no-such-token")).text
    assert "加入链接不存在或已撤销" in gone


async def test_join_request_accepted_on_the_phone_adds_the_person(visitor: httpx.AsyncClient, people: People) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    get_body(await learner.post("/v1/me/join-requests", json={"org_id": org["id"]}), 201)
    await sign_in_to_phone(visitor, admin)
    (decision,) = re.findall(r'href="(/phone/inbox/join-request/[^"]+)"', (await visitor.get("/phone/inbox")).text)
    assert learner.name in (await visitor.get(decision)).text
    assert (await visitor.post(f"{decision}/acceptance", headers=ORIGIN)).status_code == 303
    (mine,) = get_body(await learner.get("/v1/me/join-requests"))["items"]
    assert mine["state"] == "accepted"


async def test_person_outside_the_party_reads_where_to_declare_membership(
    people: People, visitor: httpx.AsyncClient
) -> None:
    admin, learner = await people.register(), await people.register(party=False)
    org = await admin.create_org()
    await sign_in_to_phone(visitor, learner)
    form = {"org_name": org["name"], "region_code": org["region_code"]}
    refused = await visitor.post("/phone/join-org", data=form, headers=ORIGIN)
    assert refused.status_code == 409
    assert "声明为党员，再申请加入" in refused.text
    assert (
        await visitor.post("/phone/party-membership", data={"party_member": "yes"}, headers=ORIGIN)
    ).status_code == 303
    assert (await visitor.post("/phone/join-org", data=form, headers=ORIGIN)).status_code == 303
