"""S16 Browsers and security keys · 浏览器与安全密钥"""

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.acts import add_member, certify, get_body, get_refusal, list_all
from tests.auth.authenticator import forget_key_proof, prove_key
from tests.people import People


async def test_sign_in_page_names_the_browsers_in_which_the_console_works(api: httpx.AsyncClient) -> None:
    """The console works in current mainstream browsers and says so in others."""
    # A browser that runs no module of today shows this notice; tests/console opens the pages in Chromium.
    page = await api.get("/console/", headers={"Accept-Language": "zh", "Accept": "text/html"}, follow_redirects=True)
    assert page.status_code == 200
    for text in (
        "此浏览器无法使用管理后台",
        "请使用新版 Edge、Chrome、火狐或 Safari",
        "360、QQ 等浏览器请切换到极速模式",
    ):
        assert text in page.text


@pytest.mark.parametrize("region", ["320000", "000000"], ids=["province", "nation"])
async def test_admin_of_a_province_or_the_nation_needs_a_security_key(people: People, region: str) -> None:
    """Admins of an org whose region is a whole province or the nation need a security key besides the scan (WebAuthn;
    step-up by RFC 9470, 401 `security-key-needed`).
    """
    admin = await people.register()
    path = f"/v1/orgs/{(await admin.create_org(region_code=region))['id']}/units"
    refused = await admin.get(path)
    assert get_refusal(refused) == (401, "security-key-needed")
    assert 'error="insufficient_user_authentication"' in refused.headers["WWW-Authenticate"]
    await prove_key(admin)
    get_body(await admin.get(path))
    get_body(await admin.get(f"/v1/orgs/{(await admin.create_org(region_code='320100'))['id']}/units"))


async def test_session_without_a_proved_key_shows_nothing_below_a_province(people: People, db: AsyncConnection) -> None:
    """Until a session has proved a key, it shows nothing below such an org: the search has no subordinate of it, the
    inbox only the first character of a name, and a message no name.
    """
    admin, clerk = await people.register(), await people.register()
    province, city = await admin.create_org(region_code="320000"), await clerk.create_org(region_code="320100")
    closing, key = await clerk.create_org(), await prove_key(admin)
    for org in (city, closing):
        await certify(admin, province, clerk, org)
    member = await add_member(clerk, city, name="王安石")
    path = f"/v1/orgs/{city['id']}/members/{member['id']}/transfers"
    get_body(await clerk.post(path, json={"org_id": province["id"]}), 201)
    get_body(await clerk.put(f"/v1/orgs/{closing['id']}/closure"))

    async def read() -> tuple[bool, str, str | None]:
        found = {org["id"] for org in await list_all(admin, "/v1/orgs")}
        (entry,) = get_body(await admin.get("/v1/inbox"))["items"]
        message = get_body(await admin.get("/v1/messages"))["items"][0]
        return city["id"] in found, entry["detail"], message["org_name"]

    await forget_key_proof(db, admin)
    assert await read() == (False, "王**", None)
    await prove_key(admin, key)
    in_search, in_inbox, _ = await read()
    assert (in_search, in_inbox) == (True, "王安石")
