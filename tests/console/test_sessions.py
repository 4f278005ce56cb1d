"""The console's session: in a cookie that only pages read, protected against CSRF, and ended at once."""

import base64

import httpx
import pytest

from app.console.frame.page_route import HEADERS
from app.core.settings import Settings
from app.main import create_app
from tests.console.conftest import ORIGIN, sign_in_to_console
from tests.people import People


async def test_first_page_without_a_session_is_the_sign_in(visitor: httpx.AsyncClient) -> None:
    shown = await visitor.get("/console/")
    assert shown.status_code == 200
    assert "用手机扫码登录" in shown.text
    for name, value in HEADERS.items():
        assert shown.headers[name] == value
    assert "unsafe" not in shown.headers["Content-Security-Policy"]
    assert "style=" not in shown.text
    assert "<script>" not in shown.text
    (secret,) = [line for line in shown.headers.get_list("set-cookie") if line.startswith("xuezu-console-wait=")]
    assert "HttpOnly" in secret
    assert "SameSite=strict" in secret
    assert "Path=/console/sign-in/" in secret


async def test_session_cookie_authenticates_pages(visitor: httpx.AsyncClient, people: People) -> None:
    person = await people.register()
    await person.create_org(name="中共测试县直属机关委员会")
    await sign_in_to_console(visitor, person)
    shown = await visitor.get("/console/")
    assert "中共测试县直属机关委员会" in shown.text
    assert person.name in shown.text
    sessions = (await person.get("/v1/me/sessions")).json()["items"]
    assert sorted(session["client"] for session in sessions) == sorted(["学组", "学组管理后台"])


async def test_api_ignores_the_session_cookie(visitor: httpx.AsyncClient, people: People) -> None:
    await sign_in_to_console(visitor, await people.register())
    assert (await visitor.get("/v1/me")).status_code == 401


async def test_pages_ignore_access_tokens(visitor: httpx.AsyncClient, people: People) -> None:
    person = await people.register()
    shown = await visitor.get("/console/", headers=person.headers)
    assert "用手机扫码登录" in shown.text


async def test_sign_out_ends_the_session(visitor: httpx.AsyncClient, people: People) -> None:
    person = await people.register()
    await sign_in_to_console(visitor, person)
    cookie = visitor.cookies["xuezu-console"]
    left = await visitor.post("/console/sign-out", headers=ORIGIN)
    assert left.status_code == 303
    assert "xuezu-console" not in visitor.cookies
    visitor.cookies.set("xuezu-console", cookie, domain="localhost.local", path="/")
    assert "用手机扫码登录" in (await visitor.get("/console/", cookies={"xuezu-console": cookie})).text
    assert len((await person.get("/v1/me/sessions")).json()["items"]) == 1


async def test_session_ended_elsewhere_is_refused_at_once(visitor: httpx.AsyncClient, people: People) -> None:
    person = await people.register()
    await sign_in_to_console(visitor, person)
    await person.delete("/v1/me/sessions", params={"keep_current": True})
    assert "用手机扫码登录" in (await visitor.get("/console/")).text
    part = await visitor.get("/console/", headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["HX-Refresh"]) == (204, "true")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:8000"},
    ],
)
async def test_form_from_another_site_is_refused(
    visitor: httpx.AsyncClient, people: People, headers: dict[str, str]
) -> None:
    person = await people.register()
    await sign_in_to_console(visitor, person)
    assert (await visitor.post("/console/sign-out", headers=headers)).status_code == 403
    assert person.name in (await visitor.get("/console/")).text


@pytest.mark.parametrize("change", ["cut", "flip", "other", "long", "text"])
async def test_foreign_session_cookie_is_refused(visitor: httpx.AsyncClient, people: People, change: str) -> None:
    await sign_in_to_console(visitor, await people.register())
    good = visitor.cookies["xuezu-console"]
    raw = bytearray(base64.urlsafe_b64decode(good + "=" * (-len(good) % 4)))
    raw[-1] ^= 1
    wait = visitor.cookies.get("xuezu-console-wait") or "AAAA"
    forged = {
        "cut": good[:-5],
        "flip": base64.urlsafe_b64encode(bytes(raw)).decode(),
        "other": wait,
        "long": "A" * 5000,
        "text": "%00%ff",
    }[change]
    visitor.cookies.clear()
    shown = await visitor.get("/console/", headers={"Cookie": f"xuezu-console={forged}"})
    assert shown.status_code == 200
    assert "用手机扫码登录" in shown.text


async def test_code_of_another_browser_cannot_be_redeemed(visitor: httpx.AsyncClient, people: People) -> None:
    shown = await visitor.get("/console/")
    code = shown.text.partition("/console/sign-in/")[2][:9]
    visitor.cookies.clear()
    assert (await visitor.get(f"/console/sign-in/{code}")).status_code == 404
    assert (await visitor.post(f"/console/sign-in/{code}", headers=ORIGIN)).status_code == 404
    assert (await visitor.get(f"/console/sign-in/{code}/events")).status_code == 404


async def test_missing_and_forbidden_addresses_are_shown_as_pages(visitor: httpx.AsyncClient, people: People) -> None:
    main, member = await people.register(), await people.register()
    org = await main.create_org()
    added = await main.post(
        f"/v1/orgs/{org['id']}/members", json={"name": member.name, "phone": member.phone, "party": True}
    )
    assert added.status_code == 201
    await sign_in_to_console(visitor, member)
    for path, status in (
        ("/console/nowhere", 404),
        (f"/console/orgs/{org['id']}/members", 404),
        (f"/console/orgs/{org['id']}", 403),
        ("/console/orgs/none", 422),
    ):
        shown = await visitor.get(path)
        assert shown.status_code == status, path
        assert shown.headers["content-type"].startswith("text/html")
        assert "返回首页" in shown.text
    part = await visitor.get(f"/console/orgs/{org['id']}/members", headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["HX-Retarget"]) == (404, "#notices")


async def test_chosen_language_is_stored(visitor: httpx.AsyncClient) -> None:
    chosen = await visitor.post("/console/language", data={"language": "en", "back": "/console/"}, headers=ORIGIN)
    assert (chosen.status_code, chosen.headers["location"]) == (303, "/console/")
    shown = await visitor.get("/console/")
    assert 'lang="en"' in shown.text
    assert "Scan with your phone to sign in" in shown.text
    away = {"language": "zh", "back": "//evil.example/console/"}
    assert (await visitor.post("/console/language", data=away, headers=ORIGIN)).headers["location"] == "/console/"


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
        "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1)",
        "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; 360SE) like Gecko",
    ],
)
async def test_unsupported_browser_shows_a_message(visitor: httpx.AsyncClient, agent: str) -> None:
    shown = await visitor.get("/console/", headers={"User-Agent": agent})
    assert "此浏览器无法使用管理后台" in shown.text
    assert "极速模式" in shown.text
    assert 'class="qr"' not in shown.text


async def test_cookies_behind_https_are_limited_to_the_host(settings: Settings, people: People) -> None:
    person = await people.register()
    secure = create_app(settings.model_copy(update={"public_url": "https://xuezu.example"}))
    transport = httpx.ASGITransport(secure, client=("127.0.0.1", 50002))
    async with (
        secure.router.lifespan_context(secure),
        httpx.AsyncClient(transport=transport, base_url="https://xuezu.example") as visitor,
    ):
        await sign_in_to_console(visitor, person)
        (line,) = [cookie for cookie in visitor.cookies.jar if cookie.name == "__Host-xuezu-console"]
        assert (line.secure, line.path, line.domain_specified) == (True, "/", False)
        assert "xuezu-console" not in visitor.cookies
        left = await visitor.post("/console/sign-out", headers={"Origin": "https://xuezu.example"})
        assert left.status_code == 303
        assert "__Host-xuezu-console" not in visitor.cookies
