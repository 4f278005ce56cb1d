"""Every page that a link leads to, in a real browser: usable by all (axe), as wide as its screen, and unmoved by
hostile names wherever one is shown."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from tests.acts import add_member, add_unit, apply, certify, done, invite, invite_admin
from tests.browser import HAND, Screen
from tests.console.conftest import OpenScreen, SignIn
from tests.people import People, Person

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>\"onx=1 '<script>alert(2)"
SHORT = "<b onx=1>甲\"'"
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


async def crawl(shown: Screen, first: str) -> list[str]:
    """One address of every kind that links lead to, found as a reader would; parts are read too, and all are clean."""
    found, waiting = {}, [first]
    site = first.split("/")[1]
    while waiting:
        path = waiting.pop()
        kind = (_ID.sub("*", path.partition("?")[0]), path.startswith("part:"))
        if kind in found:
            continue
        part = path.startswith("part:")
        address = path.removeprefix("part:")
        answer = await shown.context.request.get(
            shown.watched.site + address, headers={"HX-Request": "true"} if part else {}
        )
        assert answer.status in {200, 204}, f"{address}: {answer.status}"
        kept = answer.headers.get("content-type", "").startswith("text/html")
        found[kind] = (
            None if part or not kept or "attachment" in answer.headers.get("content-disposition", "") else path
        )
        if not kept:
            continue
        text = await answer.text()
        assert not re.search(r"<(img|script|b) [^>]*(onx|onerror)=|<script>", text), address
        links = [link.replace("&amp;", "&") for link in re.findall(rf'\shref="(/{site}/[^"#]*)"', text)]
        parts = [link.replace("&amp;", "&") for link in re.findall(rf'\shx-get="(/{site}/[^"]*)"', text)]
        waiting += [link for link in links if "/assets/" not in link] + [f"part:{link}" for link in parts]
    return [path for path in found.values() if path is not None]


async def look_at(shown: Screen, path: str) -> str:
    """Open a page and wait until all of it has come."""
    await shown.go(path)
    await expect(shown.page.locator(".htmx-request, [aria-busy]")).to_have_count(0)
    width = await shown.page.evaluate("document.documentElement.scrollWidth")
    size = shown.page.viewport_size
    assert size is not None
    assert width <= size["width"], f"{path} is {width} wide at {size['width']}"
    return await shown.text()


async def axe_finds(shown: Screen) -> list[str]:
    results = await Axe().run(shown.page, options={"resultTypes": ["violations"]})
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in results.response["violations"]
        if one["impact"] in {"serious", "critical"}
    ]


@pytest.fixture
async def hostile(people: People, worker: Callable[[], Awaitable[None]]) -> Person:
    """An admin in whose orgs everything that can be named is named with hostility."""
    main = await people.register(name=SHORT)
    org = await main.create_org(name=f"{HOSTILE} 党委")
    unit = await add_unit(main, org, HOSTILE)
    await add_unit(main, org, SHORT, unit)
    for _ in range(3):
        await add_member(main, org, unit, name=SHORT)
    sheet = {"file": (f"{SHORT}.csv", f"姓名,手机号码,支部名称\n{SHORT},13800,{SHORT}\n".encode())}
    done(await main.post(f"/v1/orgs/{org['id']}/imports", files=sheet), 202)
    await worker()
    below = await people.register(name=SHORT)
    await certify(main, org, below, await below.create_org(name=f"{HOSTILE} 支部"))
    await apply(below, await below.create_org(name=f"{HOSTILE} 总支"), (await invite(main, org))["token"])
    await invite_admin(main, org, below)
    await invite_admin(below, await below.create_org(name=f"{HOSTILE} 工委"), main)
    return main


async def test_the_console(hostile: Person, open_screen: OpenScreen, signed_in: SignIn) -> None:
    async with open_screen() as desk, open_screen(HAND) as hand:
        finds = await axe_of(desk, "/console/")  # the sign-in
        await signed_in(desk, hostile)
        await hand.context.add_cookies(await cookies_of(desk))
        seen = ""
        paths = await crawl(desk, "/console/")
        assert len(paths) >= 8, paths
        for path in paths:
            seen += await look_at(desk, path)
            finds += [f"{path} {find}" for find in await axe_finds(desk)]
            await look_at(hand, path)
        assert finds == []
        assert seen.count("<img src=x onerror=alert(1)>") > 10
        assert seen.count("<b onx=1>") > 10


async def test_the_phone(hostile: Person, open_screen: OpenScreen, signed_in_phone: SignIn) -> None:
    async with open_screen(HAND) as phone:
        finds = await axe_of(phone, "/phone/")
        await signed_in_phone(phone, hostile)
        seen = ""
        for path in await crawl(phone, "/phone/"):
            seen += await look_at(phone, path)
            finds += [f"{path} {find}" for find in await axe_finds(phone)]
        assert finds == []
        assert "<img src=x onerror=alert(1)>" in seen


async def axe_of(shown: Screen, path: str) -> list[str]:
    await look_at(shown, path)
    return [f"{path} {find}" for find in await axe_finds(shown)]


async def cookies_of(shown: Screen) -> Any:
    return [
        {"name": one["name"], "value": one["value"], "url": shown.watched.site} for one in await shown.context.cookies()
    ]
