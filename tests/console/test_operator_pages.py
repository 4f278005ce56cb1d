"""Pages of the platform operators: who sees them, ID cards, recoveries, accounts, returned phones, clients."""

import re
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.console import site as console
from app.console.frame.page_route import PageRoute
from app.core.phones import mask
from tests.acts import add_admin, get_body, send_change_request
from tests.auth.authenticator import SoftKey, register_key
from tests.auth.operator_accounts import add_operator_account
from tests.auth.test_accounts import list_messages, request_phone_change
from tests.console.conftest import ORIGIN
from tests.console.desk import HOSTILE, Desk, OpenDesk, answer_challenge
from tests.people import People, Person, fresh_id_card_number, fresh_name, fresh_phone, name_person

HOME = "/console/operators"
CARDS, ACCOUNTS, CLIENTS = f"{HOME}/verifications", f"{HOME}/accounts", f"{HOME}/clients"
_ANY = "01900000-0000-7000-8000-000000000000"
_PART = {"HX-Request": "true"}


async def create_operator_with_key(app: FastAPI, people: People) -> tuple[Person, SoftKey]:
    """Return an operator and the operator's key, which is proved in no session."""
    phone = fresh_phone()
    code = await add_operator_account(app, phone)
    person = await people.register(phone=phone, verified=False, party=False)
    return person, await register_key(person, enrolment_code=code)


@pytest.fixture
async def office(app: FastAPI, people: People, open_desk: OpenDesk) -> Desk:
    """The desk of an operator who has proved the key."""
    person, key = await create_operator_with_key(app, people)
    desk = await open_desk(person)
    await desk.prove_key(key)
    return desk


async def submit_card(people: People, name: str = "") -> tuple[Person, str, str]:
    """Return an applicant, the ID number and the id of the verification that waits."""
    applicant, number = await people.register(verified=False, party=False, name=name or fresh_name()), ""
    number = fresh_id_card_number()
    body = name_person(applicant.name, number, "id-card")
    return applicant, number, get_body(await applicant.post("/v1/me/verifications", json=body), 201)["id"]


async def open_card(office: Desk, number: str) -> str:
    """Open one ID card after the other until the one with this number is open. Return its part."""
    shown = group(number)
    for _ in range(50):
        card = await office.next(f"{CARDS}/next")
        if shown in card:
            return card
    raise AssertionError("the card is not in the queue")


async def test_pictures_stand_side_by_side_and_are_the_reviewers(
    people: People, office: Desk, db: AsyncConnection
) -> None:
    _, number, verification = await submit_card(people)
    card = await open_card(office, number)
    sources = re.findall(r'<img src="([^"]+)" alt="([^"]+)"', card)
    at = f"{CARDS}/{verification}/pictures"
    assert sources == [(f"{at}/front", "身份证人像面"), (f"{at}/back", "身份证国徽面")]
    shown = await office.visitor.get(f"{at}/front")
    assert (shown.status_code, shown.headers["content-type"], shown.headers["cache-control"]) == (
        200,
        "image/jpeg",
        "no-store",
    )
    assert "verification.picture_shown" in await list_audit(db, office.person)


def group(number: str) -> str:
    return f"{number[:6]} {number[6:14]} {number[14:]}"


async def list_audit(db: AsyncConnection, person: Person) -> list[str]:
    rows = await db.execute(
        text("SELECT action FROM audit_entries WHERE user_id = :id ORDER BY id"), {"id": person.user_id}
    )
    return [str(action) for action in rows.scalars()]


async def test_pages_are_404_for_other_users_and_require_the_key_of_an_operator(
    app: FastAPI, people: People, open_desk: OpenDesk, visitor: httpx.AsyncClient
) -> None:
    operator, _ = await create_operator_with_key(app, people)
    stranger, keyless = await open_desk(await people.register()), await open_desk(operator)
    routes = [
        (method, re.sub(r"\{\w+\}", _ANY, route.path))
        for router in console.routers
        for route in router.routes
        if isinstance(route, PageRoute) and route.path.startswith(HOME)
        for method in route.methods or ()
    ]
    assert len(routes) > 25
    wrong: list[object] = []
    for method, path in routes:
        for part in ({}, _PART):
            found = await stranger.visitor.request(method, path, headers=ORIGIN | part)
            needs_key = await keyless.visitor.request(method, path, headers=ORIGIN | part)
            answers = (found.status_code, needs_key.status_code, 'data-key="check"' in needs_key.text)
            if answers != (404, 403, True):
                wrong.append((method, path, part, answers))
        anonymous = await visitor.request(method, path, headers=ORIGIN)
        if "用手机扫码登录" not in anonymous.text and anonymous.headers.get("location") != "/console/":
            wrong.append((method, path, "anonymous", anonymous.status_code))
    assert wrong == []
    assert HOME not in await stranger.page("/console/")
    assert f'href="{HOME}"' in await keyless.page("/console/")


async def test_first_key_of_an_operator_is_registered_on_the_page_with_the_enrolment_code(
    app: FastAPI, people: People, open_desk: OpenDesk
) -> None:
    phone = fresh_phone()
    code = await add_operator_account(app, phone)
    desk = await open_desk(await people.register(phone=phone, verified=False, party=False))
    assert 'name="enrolment_code"' in await desk.page("/console/security")
    key = SoftKey()
    for typed, status in (("wrong-code", 403), (code, 303)):
        form = await answer_challenge(desk.visitor, key, "registration") | {"name": "钥匙", "enrolment_code": typed}
        sent = await desk.post("/console/security/keys", **form)
        assert sent.status_code == status, sent.text
        assert status == 303 or all(part in sent.text for part in ("首把密钥需要登记码", 'value="钥匙"'))
        assert typed not in sent.text
    assert 'name="enrolment_code"' not in await desk.page("/console/security")
    await desk.page(HOME, 403)
    await desk.prove_key(key)
    assert "身份证审核" in await desk.page(HOME)


async def test_id_card_is_opened_compared_and_decided_one_after_the_other(
    app: FastAPI, people: People, open_desk: OpenDesk, db: AsyncConnection, office: Desk
) -> None:
    applicant, number, verification_id = await submit_card(people)
    bad, bad_number, bad_id = await submit_card(people, name=HOSTILE)
    queue = await office.page(CARDS)
    assert "审核下一张" in queue
    assert all(hidden not in queue for hidden in (number, group(number), applicant.name))
    assert "等待处理" in await office.page(HOME)

    headers = ORIGIN | _PART | {"Idempotency-Key": "one-key"}
    for _ in range(2):  # the answer is not stored: the second call opens the card anew
        card = await office.visitor.post(f"{CARDS}/{verification_id}/review", headers=headers)
        assert card.status_code == 200, card.text
        assert all(part in card.text for part in (group(number), applicant.name, "出生日期", number[6:10]))
    assert (await list_audit(db, office.person)).count("verification.review_begun") == 2
    await open_card(office, bad_number)

    second, key = await create_operator_with_key(app, people)
    other = await open_desk(second)
    await other.prove_key(key)
    assert "请重新打开" in await other.send(f"{CARDS}/{verification_id}/approval", 409)
    assert "已通过" in await office.send(f"{CARDS}/{verification_id}/approval")
    assert get_body(await applicant.get("/v1/me"))["verified_name"] == applicant.name

    await office.send(f"{CARDS}/{bad_id}/rejection", 422, reason="free text")
    assert "已驳回" in await office.send(f"{CARDS}/{bad_id}/rejection", reason="unreadable")
    rejected = get_body(await bad.get(f"/v1/me/verifications/{bad_id}"))
    assert (rejected["state"], rejected["reason"]) == ("rejected", "unreadable")


async def test_next_id_card_is_never_the_operators_own(office: Desk, people: People, db: AsyncConnection) -> None:
    await db.execute(text("UPDATE verifications SET state = 'rejected' WHERE state = 'submitted'"))
    await db.commit()
    body = name_person(office.person.name, method="id-card")
    get_body(await office.person.post("/v1/me/verifications", json=body), 201)
    assert "没有等待您审核的身份证" in await office.send(f"{CARDS}/next")
    applicant, number, _ = await submit_card(people)
    assert applicant.name in await open_card(office, number)


async def test_recovery_of_an_org_without_a_superior_is_decided_on_its_page(office: Desk, people: People) -> None:
    founder, second = await people.register(), await people.register()
    for act in ("approval", "refusal"):
        org = await founder.create_org()
        await add_admin(founder, org, second)
        requested = get_body(await send_change_request(second, org, kind="recovery", reason=HOSTILE[:90]), 201)
        shown = await office.page(f"{HOME}/recoveries?limit=200")
        assert all(part in shown for part in (org["name"], founder.name, second.name))
        reason = {"reason": "仍在任"} if act == "refusal" else {}
        await office.confirm(f"{HOME}/recoveries/{requested['id']}/{act}", **reason)
        admins = get_body(await second.get(f"/v1/orgs/{org['id']}/admins"))["items"]
        main = next(admin["name"] for admin in admins if admin["main"])
        assert main == (second.name if act == "approval" else founder.name)
        assert requested["id"] not in await office.page(f"{HOME}/recoveries?limit=200")


async def test_person_is_offered_the_office_of_main_admin_of_an_org_without_admins(
    office: Desk, people: People
) -> None:
    founder, successor, at = await people.register(), await people.register(), f"{HOME}/recovery-offers"
    org = await founder.create_org()
    typed = {"region_code": org["region_code"], "phone": successor.phone, "reason": "离任"}
    assert "提名" in await office.part(f"{at}/new")
    assert "玄武" in await office.part(f"{at}/regions?region=玄武")
    assert "核对组织全称" in await office.send(at, 422, **typed, org_name="中共没有这个组织委员会")
    await office.send(at, 422, org_name=org["name"])
    withdrawn = ""
    for _ in range(2):
        assert "已提名" in await office.send(at, **typed, org_name=org["name"])
        shown = await office.page(at)
        assert all(part in shown for part in (org["name"], mask(successor.phone), "等待答复"))
        if not withdrawn:
            (withdrawn,) = re.findall(rf"{at}/[0-9a-f-]+/withdrawal", shown)
            await office.confirm(withdrawn)
            assert "已撤回" in await office.page(at)
    await office.confirm(withdrawn, 409)
    (offer,) = get_body(await successor.get("/v1/inbox"))["items"]
    get_body(await successor.put(f"/v1/me/admin-invitations/{offer['id']}/acceptance"))
    admins = get_body(await successor.get(f"/v1/orgs/{org['id']}/admins"))["items"]
    assert next(admin["name"] for admin in admins if admin["main"]) == successor.name


async def test_account_is_found_suspended_let_in_again_and_freed_of_its_keys(
    office: Desk, people: People, db: AsyncConnection
) -> None:
    person = await people.register()
    await register_key(person)
    missing = await office.post(ACCOUNTS, phone=fresh_phone())
    assert (missing.status_code, "没有账号使用此号码" in missing.text) == (200, True)
    found = await office.post(ACCOUNTS, phone=person.phone)
    at = found.headers["location"]
    assert (found.status_code, at) == (303, f"{ACCOUNTS}/{person.user_id}")
    assert (await list_audit(db, office.person)).count("user.searched_by_phone") == 2
    shown = await office.page(at)
    assert all(part in shown for part in (mask(person.phone), person.name[0] + "*", "使用中"))
    assert person.phone not in shown
    assert person.name not in shown

    dialog = await office.part(f"{at}/suspension")
    assert all(part in dialog for part in ("所有设备退出登录", "违规使用"))
    assert "请选择一项" in await office.send(f"{at}/suspension", 422, reason="because")
    assert "恢复使用" in await office.send(f"{at}/suspension", reason="security")
    assert (await person.get("/v1/me")).status_code == 401
    assert "已停用" in await office.page(at)
    await office.send(f"{at}/restoration")
    person = await people.register(phone=person.phone, verified=False, party=False)

    assert "已移除" in await office.confirm(f"{at}/key-recovery", reason="lost")
    assert get_body(await people.api.get("/v1/simulator/sms", params={"phone": person.phone}))["items"]
    assert (await person.get("/v1/me")).status_code == 401
    assert "没有登记" in await office.page(at)

    own = (await office.post(ACCOUNTS, phone=office.person.phone)).headers["location"]
    assert "xuezu operators" in await office.page(own)
    assert "平台管理员" in await office.send(f"{own}/suspension", 409, reason="abuse")


async def test_former_phone_is_returned_with_the_code_that_it_received(office: Desk, people: People) -> None:
    person, new = await people.register(verified=False), fresh_phone()
    unknown = await office.post(f"{HOME}/phone-returns/codes", phone=person.phone)
    assert "没有可以退回的账号" in unknown.text
    get_body(await person.put("/v1/me/phone", json=await request_phone_change(person, new)), 204)
    step = await office.post(f"{HOME}/phone-returns/codes", phone=person.phone)
    assert mask(person.phone) in step.text
    code = (await list_messages(people.api, person.phone))[0]["code"]
    given = {"phone": person.phone, "handle": re.findall(r'name="handle" value="([^"]+)"', step.text)[0]}
    wrong = await office.post(f"{HOME}/phone-returns", **given, code=f"{(int(code) + 1) % 1_000_000:06d}")
    assert (wrong.status_code, 'name="code"' in wrong.text) == (403, True)
    assert given["handle"] in wrong.text
    done = await office.post(f"{HOME}/phone-returns", **given, code=code)
    assert (done.status_code, "已退回到" in done.text) == (200, True), done.text
    again = await people.register(phone=person.phone, verified=False, party=False)
    assert again.user_id == person.user_id


async def test_client_is_registered_revoked_and_restored_and_its_secret_is_shown_once(
    app: FastAPI, office: Desk, api: httpx.AsyncClient
) -> None:
    async def request_token(client_id: str, secret: str) -> int:
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
        return (await api.post("/oauth/token", data=form)).status_code

    name = f"{HOSTILE}{fresh_phone()}"
    assert "积分" in await office.part(f"{CLIENTS}/new")
    unusable = await office.send(CLIENTS, 422, name=name, kind="device", scopes="point-events:write")
    assert "不能登记这些权限范围" in unusable
    assert "名称为 1 至 100 个字符" in await office.send(CLIENTS, 422, name="", kind="service")

    headers = ORIGIN | _PART | {"Idempotency-Key": "two-key"}
    form: dict[str, Any] = {"name": name, "kind": "service", "scopes": ["point-events:write"]}
    made = await office.visitor.post(CLIENTS, data=form, headers=headers)
    client_id, secret = re.findall(r'value="([^"]+)" readonly', made.text)
    assert await request_token(client_id, secret) == 200
    assert (await office.visitor.post(CLIENTS, data=form, headers=headers)).status_code == 409
    listed = await office.page(CLIENTS)
    assert name in listed
    assert secret not in listed
    assert "内置，不能停用" in listed

    at = f"{CLIENTS}/{client_id}"
    assert "立即失效" in await office.part(f"{at}/secrets/new")
    assert "请选择一项" in await office.send(f"{at}/secrets", 422, overlap_hours="-1")
    rotated = await office.next(f"{at}/secrets", overlap_hours="0")
    _, new = re.findall(r'value="([^"]+)" readonly', rotated)
    assert (await request_token(client_id, secret), await request_token(client_id, new)) == (401, 200)

    await office.confirm(f"{at}/revocation")
    assert await request_token(client_id, new) == 401
    await office.part(f"{at}/revocation", 404)
    await office.send(f"{at}/restoration")
    assert await request_token(client_id, new) == 200
    assert "不能停用" in await office.confirm(f"{CLIENTS}/xuezu-app/revocation", 409)
