"""The public pages behind links and QR codes: they exist in production too, and open the app."""

import re
from collections.abc import AsyncIterator
from html import unescape
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import pytest

from app.core.settings import ConfigurationError, Environment, Settings
from app.main import create_app
from tests.acts import get_body, invite
from tests.auth.consoles import Console
from tests.console.conftest import ORIGIN, sign_in_to_phone
from tests.people import People

APP = "https://app.example/get?from={link}"
HOSTILE = '"><script>alert`1`</script>'


def find_button(page: str) -> str | None:
    """Return the address of the button that opens the app."""
    found = re.search(r'<a class="button primary" href="([^"]+)"', page)
    return found and unescape(found[1])


@pytest.fixture
async def production(settings: Settings, request: pytest.FixtureRequest) -> AsyncIterator[httpx.AsyncClient]:
    """Yield calls of a service as in production, with the app's link that the test's parameter names."""
    update = {"env": Environment.PRODUCTION, "public_url": "https://xuezu.example", "app_link": request.param}
    app = create_app(settings.model_copy(update=update))
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 50011))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://xuezu.example") as client,
    ):
        yield client


@pytest.mark.parametrize("production", [APP, None], indirect=True)
@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/open/scan", "扫码登录"),
        ("/open/scan?code=kF2vG6n3QeXw0bYd", "扫码登录"),
        ("/open/join?invitation=kF2vG6n3QeXw0bYd8mRz1A", "认证邀请"),
        ("/open/join-org?link=kF2vG6n3QeXw0bYd8mRz1A", "加入组织"),
    ],
)
async def test_links_open_a_page_in_production(production: httpx.AsyncClient, path: str, title: str) -> None:
    shown = await production.get(path)
    assert (shown.status_code, title in shown.text) == (200, True)
    assert shown.headers["cache-control"] == "no-store"
    assert shown.headers["referrer-policy"] == "same-origin", "the token in the address goes to no other site"
    expected = f"https://app.example/get?from={quote(f'https://xuezu.example{path}', safe='')}"
    assert find_button(shown.text) == (expected if "在学组中打开" in shown.text else None)


@pytest.mark.parametrize("production", [APP], indirect=True)
async def test_address_of_the_device_flow_and_of_invitations_is_such_a_page(
    production: httpx.AsyncClient, people: People
) -> None:
    console = await Console.request(people.api)
    main = await people.register()
    org = await main.create_org()
    join = get_body(await main.post(f"/v1/orgs/{org['id']}/join-links", json={}), 201)
    links = [console.given["verification_uri"], console.given["verification_uri_complete"], join["link"]]
    for link in [*links, (await invite(main, org))["link"]]:
        parts = urlsplit(link)
        assert (await production.get(f"{parts.path}?{parts.query}")).status_code == 200, link


async def test_hostile_query_stays_a_text(visitor: httpx.AsyncClient) -> None:
    shown = await visitor.get("/open/join", params={"invitation": HOSTILE, "link": "javascript:alert(1)"})
    assert "<script>alert" not in shown.text
    button = find_button(shown.text)
    assert button is not None
    assert button.startswith("http://localhost:8000/phone/open?link=http%3A%2F%2F")


async def test_page_opens_the_link_in_the_simulator(visitor: httpx.AsyncClient, people: People) -> None:
    main = await people.register()
    link = (await invite(main, await main.create_org()))["link"]
    button = find_button((await visitor.get(link)).text)
    assert button is not None
    await sign_in_to_phone(visitor, await people.register())
    opened = await visitor.get(button)
    assert (opened.status_code, urlsplit(opened.headers["location"]).path) == (303, "/phone/join")
    assert parse_qs(urlsplit(opened.headers["location"]).query) == parse_qs(urlsplit(link).query)


@pytest.mark.parametrize(
    "link", ["https://evil.example/", "//evil.example/open/joined", "http://[", "", "/open/join?a=\r\nb"]
)
async def test_simulator_opens_only_links_of_the_app(visitor: httpx.AsyncClient, people: People, link: str) -> None:
    await sign_in_to_phone(visitor, await people.register())
    opened = await visitor.get("/phone/open", params={"link": link})
    assert opened.status_code == 303
    assert opened.headers["location"].startswith("/phone/")
    assert "evil" not in opened.headers["location"]


async def test_language_is_chosen_on_the_page(visitor: httpx.AsyncClient) -> None:
    form = {"language": "en", "back": "/open/scan?code=kF2vG6n3QeXw0bYd"}
    chosen = await visitor.post("/console/language", data=form, headers=ORIGIN)
    assert chosen.headers["location"] == form["back"]
    assert "Open Xuezu on the phone" in (await visitor.get(form["back"])).text


@pytest.mark.parametrize("link", ["javascript://%0aalert(1)", "data://x", "vbscript://x"])
def test_link_of_the_app_is_no_script(link: str) -> None:
    with pytest.raises(ConfigurationError):
        Settings(app_link=link)
