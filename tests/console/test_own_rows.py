"""A user's own rows on the console and on the phone: where they are, and asking to be removed."""

import re

import httpx

from tests.acts import add_member, add_unit, get_body, list_all
from tests.console.conftest import ORIGIN, sign_in_to_phone
from tests.console.desk import HOSTILE, OpenDesk
from tests.people import People


async def test_user_sees_their_orgs_and_units_on_console_and_phone(
    people: People, open_desk: OpenDesk, visitor: httpx.AsyncClient
) -> None:
    admin, learner = await people.register(), await people.register(name="欧阳修")
    org = await admin.create_org()
    general = await add_unit(admin, org, "机关党总支", kind="general-branch")
    branch = await add_unit(admin, org, HOSTILE.replace("/", "／"), general)
    await add_member(admin, org, branch, name=learner.name, phone=learner.phone, post="组织委员")
    desk = await open_desk(learner)
    assert 'href="/console/memberships"' in await desk.page("/console/")
    shown = await desk.page("/console/memberships")
    for text in (org["name"], "机关党总支/", "组织委员", "登记的姓名：欧阳修"):
        assert text in shown
    await sign_in_to_phone(visitor, learner)
    assert 'href="/phone/memberships"' in (await visitor.get("/phone/")).text
    assert "机关党总支/" in (await visitor.get("/phone/memberships")).text


async def test_user_in_no_directory_reads_how_to_join(people: People, open_desk: OpenDesk) -> None:
    desk = await open_desk(await people.register())
    assert "您还不在任何学习组织中" in await desk.page("/console/memberships")


async def test_person_asks_to_be_removed_and_the_admin_decides_on_the_console(
    people: People, open_desk: OpenDesk
) -> None:
    admin, learner = await people.register(), await people.register(name="欧阳修")
    org = await admin.create_org()
    await add_member(admin, org, name=learner.name, phone=learner.phone)
    own, desk = await open_desk(learner), await open_desk(admin)
    at, received = f"/console/memberships/{org['id']}/removal-request", f"/console/orgs/{org['id']}/removal-requests"
    assert "请先辞去管理员" in await desk.page("/console/memberships")
    assert "没有等待处理的移出申请" in await desk.page(received)
    for answer, form in (("refusal", {"reason": HOSTILE}), ("acceptance", {})):
        assert "申请移出" in await own.part(at)
        assert "已提出申请" in await own.send(at)
        assert "已申请移出" in await own.page("/console/memberships")
        assert "欧阳修 申请从本组织移出" in await desk.page(received)
        (request,) = await list_all(admin, f"/v1/orgs/{org['id']}/removal-requests")
        path = f"{received}/{request['id']}/{answer}"
        assert "欧阳修" in await desk.part(path)
        assert "已" in await desk.send(path, name="欧阳修", **form)
    assert "您还不在任何学习组织中" in await own.page("/console/memberships")
    assert "您提出的“移出申请”已获同意。" in await own.page("/console/messages")
    assert "同意移出申请" in await desk.page(f"/console/orgs/{org['id']}/audit")


async def test_person_asks_and_withdraws_on_the_phone(visitor: httpx.AsyncClient, people: People) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    await add_member(admin, org, name=learner.name, phone=learner.phone)
    await sign_in_to_phone(visitor, learner)
    at = f"/phone/memberships/{org['id']}/removal-request"
    assert (await visitor.post(at, headers=ORIGIN)).status_code == 303
    assert (await visitor.post(at, headers=ORIGIN)).status_code == 409
    assert "已申请移出" in (await visitor.get("/phone/memberships")).text
    assert (await visitor.post(f"{at}/withdrawal", headers=ORIGIN)).status_code == 303
    assert (await visitor.post(f"{at}/withdrawal", headers=ORIGIN)).status_code == 404


async def test_request_to_be_removed_is_decided_on_the_phone(visitor: httpx.AsyncClient, people: People) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    await add_member(admin, org, name=learner.name, phone=learner.phone)
    get_body(await learner.post("/v1/me/removal-requests", json={"org_id": org["id"]}), 201)
    await sign_in_to_phone(visitor, admin)
    (decision,) = re.findall(r'href="(/phone/inbox/removal-request/[^"]+)"', (await visitor.get("/phone/inbox")).text)
    assert learner.name in (await visitor.get(decision)).text
    accepted = await visitor.post(f"{decision}/acceptance", data={"name": learner.name}, headers=ORIGIN)
    assert accepted.status_code == 303
    assert await list_all(learner, "/v1/me/memberships") == []


async def test_org_is_blocked_on_the_console_and_unblocked_on_the_phone(
    people: People, open_desk: OpenDesk, visitor: httpx.AsyncClient
) -> None:
    admin, learner = await people.register(), await people.register()
    org = await admin.create_org()
    member = await add_member(admin, org, name=learner.name, phone=learner.phone)
    desk, own = await open_desk(admin), await open_desk(learner)
    at = f"/console/memberships/{org['id']}/block"
    assert "不接受" in await own.part(at)
    assert "已设置" in await own.send(at)
    assert "不接受关联的组织" in await own.page("/console/memberships")
    assert "本人不接受本组织的关联" in await desk.part(f"/console/orgs/{org['id']}/members/{member['id']}")
    assert "重新接受" in await own.part(f"{at}/removal")
    assert "已取消" in await own.send(f"{at}/removal")
    assert org["name"] in await own.page("/console/memberships")
    await sign_in_to_phone(visitor, learner)
    path = f"/phone/memberships/{org['id']}/block"
    assert (await visitor.post(path, headers=ORIGIN)).status_code == 303
    assert "您不接受" in (await visitor.get("/phone/memberships")).text
    assert (await visitor.post(f"{path}/removal", headers=ORIGIN)).status_code == 303
