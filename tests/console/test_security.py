"""The page of sessions and security keys, and the key that a province's pages require (S16)."""

import json
import re
from html import unescape

import httpx

from tests.auth.authenticator import SoftKey
from tests.console.conftest import ORIGIN, sign_in_to_console
from tests.console.desk import TO_TYPE, answer_challenge
from tests.people import People

PAGE = "/console/security"
PART = {"HX-Request": "true"}


async def test_devices_are_signed_out_singly_or_all_together(visitor: httpx.AsyncClient, people: People) -> None:
    person = await people.register()
    await sign_in_to_console(visitor, person)
    shown = (await visitor.get(PAGE)).text
    assert shown.count("/end") == 3  # the app, the console, and all others
    assert shown.count("当前设备") == 1
    app = re.findall(rf"{PAGE}/sessions/([0-9a-f-]+)/end", shown.partition("当前设备")[2])[-1]
    response = await visitor.get(f"{PAGE}/sessions/{app}/end", headers=PART)
    assert "该设备上的登录立即失效" in response.text
    assert (await person.get("/v1/me")).status_code == 200
    (named,) = TO_TYPE.findall(unescape(response.text))
    unnamed = await visitor.post(f"{PAGE}/sessions/{app}/end", headers=ORIGIN)
    assert (unnamed.status_code, "与名称不一致" in unnamed.text) == (422, True)
    assert (await person.get("/v1/me")).status_code == 200
    named = named.replace(" · ", "").upper()  # as a user may type it
    assert (await visitor.post(f"{PAGE}/sessions/{app}/end", data={"name": named}, headers=ORIGIN)).status_code == 200
    assert (await person.get("/v1/me")).status_code == 401
    assert (await visitor.post(f"{PAGE}/sessions/{app}/end", headers=ORIGIN)).status_code == 404
    left = await visitor.get(PAGE)
    assert "end-others" not in left.text
    (mine,) = re.findall(rf"{PAGE}/sessions/([0-9a-f-]+)/end", left.text)
    response = await visitor.get(f"{PAGE}/sessions/{mine}/end", headers=PART)
    assert "您正在使用的设备" in response.text
    (name,) = TO_TYPE.findall(unescape(response.text))
    ended = await visitor.post(f"{PAGE}/sessions/{mine}/end", data={"name": name}, headers=ORIGIN)
    assert ended.headers["HX-Redirect"] == "/console/"
    assert "用手机扫码登录" in (await visitor.get(PAGE)).text


async def test_ending_other_sessions_spares_other_users(visitor: httpx.AsyncClient, people: People) -> None:
    person, other = await people.register(), await people.register()
    await sign_in_to_console(visitor, person)
    theirs = (await other.get("/v1/me/sessions")).json()["items"][0]["id"]
    assert (await visitor.post(f"{PAGE}/sessions/{theirs}/end", headers=ORIGIN)).status_code == 404
    assert "都立即失效" in (await visitor.get(f"{PAGE}/sessions/end-others", headers=PART)).text
    assert (await person.get("/v1/me")).status_code == 200
    await visitor.post(f"{PAGE}/sessions/end-others", data={"name": "别人"}, headers=ORIGIN)
    assert (await person.get("/v1/me")).status_code == 200
    await visitor.post(f"{PAGE}/sessions/end-others", data={"name": person.name}, headers=ORIGIN)
    assert (await person.get("/v1/me")).status_code == 401
    assert (await other.get("/v1/me")).status_code == 200
    assert "当前设备" in (await visitor.get(PAGE)).text


async def test_provincial_page_requires_the_key_and_then_continues(visitor: httpx.AsyncClient, people: People) -> None:
    person = await people.register()
    org = await person.create_org(region_code="320000")
    await sign_in_to_console(visitor, person)
    wanted = f"/console/orgs/{org['id']}/members?q=a"
    response = await visitor.get(wanted)
    assert (response.status_code, "使用安全密钥" in response.text) == (403, True)
    assert f'href="{wanted}" data-continues' in response.text
    part = await visitor.get(wanted, headers=PART)
    assert (part.status_code, part.headers["HX-Retarget"], "使用安全密钥" in part.text) == (403, "#key-body", True)

    key = SoftKey()
    registration = await answer_challenge(visitor, key, "registration")
    named = {"name": "办公室的钥匙"}
    for broken in ({"credential": "{"}, {"challenge_id": "01900000-0000-7000-8000-000000000000"}):
        wrong = await visitor.post(f"{PAGE}/keys", data=registration | named | broken, headers=ORIGIN)
        assert wrong.status_code in {403, 409, 422}, wrong.text
        assert 'value="办公室的钥匙"' in wrong.text
    added = await visitor.post(f"{PAGE}/keys", data=registration | named, headers=ORIGIN)
    assert added.status_code == 303, added.text
    assert "办公室的钥匙" in (await visitor.get(PAGE)).text

    stranger = await answer_challenge(visitor, key, "check")
    foreign = SoftKey(credential_id=key.credential_id)
    stranger["credential"] = json.dumps(foreign.get({"rpId": "localhost", "challenge": "AAAA"}))
    refused = await visitor.post(f"{PAGE}/check", data=stranger, headers=ORIGIN | PART)
    assert (refused.status_code, "安全密钥验证未通过" in refused.text) == (403, True)
    assert 'data-key="check"' in refused.text
    assert (await visitor.get(wanted)).status_code == 403

    proof = await answer_challenge(visitor, key, "check")
    proved = await visitor.post(f"{PAGE}/check", data=proof, headers=ORIGIN | PART)
    assert (proved.status_code, proved.headers["HX-Trigger"]) == (204, "key-proved")
    assert (await visitor.get(wanted)).status_code == 200

    (at,) = re.findall(rf"{PAGE}/keys/[0-9a-f-]+/removal", (await visitor.get(PAGE)).text)
    await visitor.post(at.replace("removal", "name"), data={"name": "备用钥匙"}, headers=ORIGIN)
    assert "备用钥匙" in (await visitor.get(PAGE)).text
    misnamed = await visitor.post(at, data=named, headers=ORIGIN)
    assert (misnamed.status_code, "与名称不一致" in misnamed.text) == (422, True)
    assert (await visitor.post(at, headers=ORIGIN)).status_code == 422
    assert (await visitor.post(at, data={"name": "备用钥匙"}, headers=ORIGIN)).status_code == 303
    assert "还没有安全密钥" in (await visitor.get(PAGE)).text


async def test_key_removal_requires_a_key_check(visitor: httpx.AsyncClient, people: People) -> None:
    person = await people.register()
    await sign_in_to_console(visitor, person)
    registration = await answer_challenge(visitor, SoftKey(), "registration") | {"name": "钥匙"}
    await visitor.post(f"{PAGE}/keys", data=registration, headers=ORIGIN)
    (at,) = re.findall(rf"{PAGE}/keys/[0-9a-f-]+/removal", (await visitor.get(PAGE)).text)
    response = await visitor.post(at, data={"name": "钥匙"}, headers=ORIGIN)
    assert (response.status_code, f'action="{at}" data-continues' in response.text) == (403, True)
    assert '<input type="hidden" name="name" value="钥匙">' in response.text
    assert "钥匙" in (await visitor.get(PAGE)).text


async def test_second_key_is_registered_with_the_form_that_was_sent_before_the_proof(
    visitor: httpx.AsyncClient, people: People
) -> None:
    """The page that requests the proof sends the same fields again, and their challenge is still valid."""
    person = await people.register()
    await sign_in_to_console(visitor, person)
    first = SoftKey()
    await visitor.post(
        f"{PAGE}/keys", data=await answer_challenge(visitor, first, "registration") | {"name": "一"}, headers=ORIGIN
    )
    second = await answer_challenge(visitor, SoftKey(), "registration") | {"name": "<二>"}
    shown = await visitor.post(f"{PAGE}/keys", data=second, headers=ORIGIN)
    assert (shown.status_code, f'action="{PAGE}/keys" data-continues' in shown.text) == (403, True)
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]+)">', shown.text)
    assert {name: unescape(value) for name, value in fields if name != "back"} == second  # `back`: the language
    await visitor.post(f"{PAGE}/check", data=await answer_challenge(visitor, first, "check"), headers=ORIGIN | PART)
    assert (await visitor.post(f"{PAGE}/keys", data=second, headers=ORIGIN)).status_code == 303
    assert "&lt;二&gt;" in (await visitor.get(PAGE)).text
