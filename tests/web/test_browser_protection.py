"""What keeps other sites' pages away: origins, transport, frames, and addresses that a form sends."""

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from app.core.settings import Settings
from app.main import create_app
from tests.acts import get_refusal
from tests.console.conftest import ORIGIN, sign_in_to_phone
from tests.people import People, Person

CODE = {"code": "BCDF-GHJK"}


@pytest.fixture
async def person(people: People) -> Person:
    return await people.register(verified=False, party=False)


@pytest.fixture(scope="module")
async def https(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Calls of a service whose public address is https, as a proxy forwards them."""
    app = create_app(settings.model_copy(update={"public_url": "https://xuezu.example"}))
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 50009))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://xuezu.example") as client,
    ):
        yield client


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://localhost:8000", "localhost:8000"),  # another scheme
        ("http://localhost:8001", "localhost:8000"),
        ("http://localhost", "localhost:8000"),
        ("http://user@localhost:8000", "localhost:8000"),
        ("localhost:8000", "localhost:8000"),
        ("null", "localhost:8000"),
        ("http://rebound.example", "rebound.example"),  # a domain that was pointed to this service
        ("http://rebound.example:8000", "rebound.example:8000"),
        ("http://[::1", "[::1"),
    ],
)
async def test_origin_that_is_not_wholly_ours_is_refused(person: Person, origin: str, host: str) -> None:
    answer = await person.post("/v1/scans", json=CODE, headers={"Origin": origin, "Host": host})
    assert get_refusal(answer) == (403, "foreign-origin")
    page = await person.api.post(
        "/console/language", headers={"Origin": origin, "Host": host}, data={"back": "/console/"}
    )
    assert page.status_code == 403


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://localhost:8000", "elsewhere.example"),  # a proxy that changes the host
        ("http://127.0.0.1:9000", "127.0.0.1:9000"),
        ("http://[::1]:9000", "[::1]:9000"),
        ("http://192.168.1.5:8000", "192.168.1.5:8000"),
    ],
)
async def test_own_origin_is_accepted(person: Person, origin: str, host: str) -> None:
    answer = await person.post("/v1/scans", json=CODE, headers={"Origin": origin, "Host": host})
    assert get_refusal(answer) == (404, "not-found")


async def test_own_origin_under_https_has_the_scheme(https: httpx.AsyncClient) -> None:
    form = {"back": "/console/", "language": "en"}
    for origin, status in (("https://xuezu.example", 303), ("http://xuezu.example", 403)):
        answer = await https.post("/console/language", data=form, headers={"Origin": origin})
        assert answer.status_code == status


@pytest.mark.parametrize(
    "path", ["/livez", "/v1/me", "/v1/inbox", "/console/", "/docs", "/openapi.json", "/no/such/page"]
)
async def test_every_answer_under_https_is_for_https_alone(
    https: httpx.AsyncClient, api: httpx.AsyncClient, path: str
) -> None:
    answer = await https.get(path)
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "strict-transport-security" not in (await api.get(path)).headers


async def test_cookie_of_the_wait_is_deleted_with_secure(https: httpx.AsyncClient) -> None:
    shown = await https.get("/console/")
    code = re.search(r"/console/sign-in/([A-Z-]+)/events", shown.text)
    assert code is not None
    person = await People(https).register_over_http(verified=False, party=False)
    scanned = (await person.post("/v1/scans", json={"code": code[1]})).json()
    (wait,) = re.findall(r"(__Secure-xuezu-console-wait=[^;]+)", shown.headers["set-cookie"])
    card = await https.get(f"/console/sign-in/{code[1]}", headers={"Cookie": wait})
    number = re.search(r'class="match">(\d\d)<', card.text)
    assert number is not None
    await person.put(f"/v1/scans/{scanned['id']}/approval", json={"number": int(number[1])})
    headers = {"Cookie": wait, "Origin": "https://xuezu.example"}
    entered = await https.post(f"/console/sign-in/{code[1]}", headers=headers)
    (deleted,) = [line for line in entered.headers.get_list("set-cookie") if "console-wait=" in line]
    assert "Max-Age=0" in deleted
    assert "Secure" in deleted, "browsers ignore a cookie named __Secure- without it"


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_explorer_is_shown_in_no_frame_and_runs_only_its_own_scripts(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(path)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["frame-ancestors"] == "'none'"
    assert policy["default-src"] == "'none'"
    assert "unsafe" not in policy["script-src"]
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "back",
    [
        "/console/\n",
        "/console/\r\nSet-Cookie: a=b",
        "//evil.example/console/",
        "/console/\\evil",
        "/console/\x7f",
    ],
)
async def test_address_to_go_back_to_is_one_line(visitor_of_pages: httpx.AsyncClient, back: str) -> None:
    answer = await visitor_of_pages.post("/console/language", data={"language": "en", "back": back}, headers=ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/")
    assert len(answer.headers.get_list("set-cookie")) == 1


@pytest.fixture
async def visitor_of_pages(api: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a browser without scripts: it stores cookies and follows no redirect."""
    async with httpx.AsyncClient(transport=api._transport, base_url="http://localhost:8000") as client:
        yield client


@pytest.mark.parametrize(
    "code", ["http://[", "http://[::1", "https://xuezu.example:port/open/scan?code=A", "://", "http://]/?code=%"]
)
async def test_broken_link_is_no_code(visitor_of_pages: httpx.AsyncClient, person: Person, code: str) -> None:
    await sign_in_to_phone(visitor_of_pages, person)
    answer = await visitor_of_pages.post("/phone/scans", data={"code": code}, headers=ORIGIN)
    assert 400 <= answer.status_code < 500, answer.text
    shown = await visitor_of_pages.get("/phone/scan", params={"code": code})
    assert shown.status_code == 200
