"""Sessions and security keys on their page, and the key that a province's pages ask for (S16)."""

import json
import re
from html import unescape

import httpx

from tests.auth.authenticator import SoftKey
from tests.console.conftest import ORIGIN, let_in
from tests.console.desk import TO_TYPE
from tests.people import People

PAGE = "/console/security"
PART = {"HX-Request": "true"}


async def challenged(visitor: httpx.AsyncClient, key: SoftKey, purpose: str) -> dict[str, str]:
    """The fields that the page's script fills in."""
    asked = await visitor.post(f"{PAGE}/challenges", data={"purpose": purpose}, headers=ORIGIN)
    assert asked.status_code == 200, asked.text
    answer = (key.create if purpose == "registration" else key.get)(asked.json()["options"])
    return {"challenge_id": asked.json()["id"], "credential": json.dumps(answer)}


async def test_devices_are_signed_out_one_by_one_or_all(visitor: httpx.AsyncClient, people: People) -> None:
    person = await people.register()
    await let_in(visitor, person)
    shown = (await visitor.get(PAGE)).text
    assert shown.count("/end") == 3  # the app, the console, and all others
    assert shown.count("当前设备") == 1
    app = re.findall(rf"{PAGE}/sessions/([0-9a-f-]+)/end", shown.partition("当前设备")[2])[-1]
    asked = await visitor.get(f"{PAGE}/sessions/{app}/end", headers=PART)
    assert "该设备上的登录立即失效" in asked.text
    assert (await person.get("/v1/me")).status_code == 200
    (named,) = TO_TYPE.findall(unescape(asked.text))
    unnamed = await visitor.post(f"{PAGE}/sessions/{app}/end", headers=ORIGIN)
    assert (unnamed.status_code, "与名称不一致" in unnamed.text) == (422, True)
    assert (await person.get("/v1/me")).status_code == 200
    named = named.replace(" · ", "").upper()  # as a keyboard has it
    assert (await visitor.post(f"{PAGE}/sessions/{app}/end", data={"name": named}, headers=ORIGIN)).status_code == 200
    assert (await person.get("/v1/me")).status_code == 401
    assert (await visitor.post(f"{PAGE}/sessions/{app}/end", headers=ORIGIN)).status_code == 404
    left = await visitor.get(PAGE)
    assert "end-others" not in left.text
    (mine,) = re.findall(rf"{PAGE}/sessions/([0-9a-f-]+)/end", left.text)
    asked = await visitor.get(f"{PAGE}/sessions/{mine}/end", headers=PART)
    assert "您正在使用的设备" in asked.text
    (name,) = TO_TYPE.findall(unescape(asked.text))
    ended = await visitor.post(f"{PAGE}/sessions/{mine}/end", data={"name": name}, headers=ORIGIN)
    assert ended.headers["HX-Redirect"] == "/console/"
    assert "用手机扫码登录" in (await visitor.get(PAGE)).text


async def test_all_other_devices_at_once_and_never_another_persons(visitor: httpx.AsyncClient, people: People) -> None:
    person, other = await people.register(), await people.register()
    await let_in(visitor, person)
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


async def test_a_province_is_opened_by_the_key_and_goes_on_where_it_was_asked(
    visitor: httpx.AsyncClient, people: People
) -> None:
    person = await people.register()
    org = await person.create_org(region_code="320000")
    await let_in(visitor, person)
    wanted = f"/console/orgs/{org['id']}/members?q=a"
    asked = await visitor.get(wanted)
    assert (asked.status_code, "使用安全密钥" in asked.text) == (403, True)
    assert f'value="{wanted}"' in asked.text
    part = await visitor.get(wanted, headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["HX-Refresh"]) == (204, "true")

    key = SoftKey()
    registration = await challenged(visitor, key, "registration")
    named = {"name": "办公室的钥匙"}
    for broken in ({"credential": "{"}, {"challenge_id": "01900000-0000-7000-8000-000000000000"}):
        wrong = await visitor.post(f"{PAGE}/keys", data=registration | named | broken, headers=ORIGIN)
        assert wrong.status_code in {403, 409, 422}, wrong.text
        assert 'value="办公室的钥匙"' in wrong.text
    added = await visitor.post(f"{PAGE}/keys", data=registration | named, headers=ORIGIN)
    assert added.status_code == 303, added.text
    assert "办公室的钥匙" in (await visitor.get(PAGE)).text

    stranger = await challenged(visitor, key, "check") | {"back": wanted}
    foreign = SoftKey(credential_id=key.credential_id)
    stranger["credential"] = json.dumps(foreign.get({"rpId": "localhost", "challenge": "AAAA"}))
    refused = await visitor.post(f"{PAGE}/check", data=stranger, headers=ORIGIN)
    assert (refused.status_code, "安全密钥验证未通过" in refused.text) == (403, True)

    proof = await challenged(visitor, key, "check") | {"back": wanted}
    proved = await visitor.post(f"{PAGE}/check", data=proof, headers=ORIGIN)
    assert (proved.status_code, proved.headers["location"]) == (303, wanted)
    assert (await visitor.get(wanted)).status_code == 200
    away = await challenged(visitor, key, "check") | {"back": "//evil.example/console/"}
    assert (await visitor.post(f"{PAGE}/check", data=away, headers=ORIGIN)).headers["location"] == PAGE

    (at,) = re.findall(rf"{PAGE}/keys/[0-9a-f-]+/removal", (await visitor.get(PAGE)).text)
    await visitor.post(at.replace("removal", "name"), data={"name": "备用钥匙"}, headers=ORIGIN)
    assert "备用钥匙" in (await visitor.get(PAGE)).text
    misnamed = await visitor.post(at, data=named, headers=ORIGIN)
    assert (misnamed.status_code, "与名称不一致" in misnamed.text) == (422, True)
    assert (await visitor.post(at, headers=ORIGIN)).status_code == 422
    assert (await visitor.post(at, data={"name": "备用钥匙"}, headers=ORIGIN)).status_code == 303
    assert "还没有安全密钥" in (await visitor.get(PAGE)).text


async def test_removing_a_key_asks_for_one(visitor: httpx.AsyncClient, people: People) -> None:
    person = await people.register()
    await let_in(visitor, person)
    registration = await challenged(visitor, SoftKey(), "registration") | {"name": "钥匙"}
    await visitor.post(f"{PAGE}/keys", data=registration, headers=ORIGIN)
    (at,) = re.findall(rf"{PAGE}/keys/[0-9a-f-]+/removal", (await visitor.get(PAGE)).text)
    asked = await visitor.post(at, data={"name": "钥匙"}, headers=ORIGIN)
    assert (asked.status_code, f'value="{PAGE}"' in asked.text) == (403, True)
    assert "钥匙" in (await visitor.get(PAGE)).text
