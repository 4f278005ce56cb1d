"""Every page that a link leads to and every dialog that a button opens, in a real browser and in both languages: usable
by all (axe), as wide as its screen, nothing cut off, nothing that jumps while it loads, unmoved by hostile names
wherever one is shown, and in English nothing in Chinese but names."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Route, expect
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor
from app.auth.clients import create_client
from app.console.frame.formats import LANGUAGE
from tests.auth.consoles import Console
from tests.browser import DESK, HAND, Screen
from tests.console.conftest import OpenScreen, SignIn
from tests.console.hostile import PROGRAM, name_all
from tests.people import People, Person

pytestmark = pytest.mark.browser

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
_CHINESE = re.compile("[\u3001-\u9fff\uff00-\uffef]+")
# What is Chinese in English too: names (of these orgs and people, of regions, of the program), the suffix that no name
# may have (S3), the button to the other language.
_DATA = re.compile("甲|党委|支部|总支|分会|工会|工委|江苏省南京市(玄武区)?|玄武区|学组(管理后台)?|学习管理组|中文")
_CUT = """() => [...document.querySelectorAll("input, select, textarea, button, a, h1, h2")].filter((one) => {
  const box = one.getBoundingClientRect();
  const scrolls = one.closest(".table, .tabs, .skip, .hidden-text");
  const edge = Math.min(innerWidth, one.closest(".card")?.getBoundingClientRect().right ?? innerWidth);
  const column = one.matches("td .small") && box.height > 2 * box.width;
  return !scrolls && box.width > 1 && (box.right > edge + 1 || box.x < -1) || column;
}).map((one) => one.outerHTML.slice(0, 150))"""
_WATCH = """
window.jumps = [];
new PerformanceObserver((list) => {
  for (const one of list.getEntries()) {
    const moved = one.sources.map((source) => source.node?.outerHTML?.slice(0, 150));
    if (!one.hadRecentInput) window.jumps.push([one.value, moved]);
  }
}).observe({ type: "layout-shift", buffered: true });
"""
_AXE = """async ([within, colours]) => {
  const rules = { "color-contrast": { enabled: colours } };
  const options = { resultTypes: ["violations"], iframes: false, preload: false, rules };
  const { violations } = await axe.run(within ?? document, options);
  return violations.map((one) => [one.id, one.impact, one.nodes[0].html]);
}"""
# The page that is shown, read anew in the language that is chosen now, in place: nothing but its words is different.
_ANEW = """async () => {
  const asked = await fetch(location.href);
  const { documentElement, body } = new DOMParser().parseFromString(await asked.text(), "text/html");
  document.documentElement.lang = documentElement.lang;
  document.body.innerHTML = body.innerHTML;
  htmx.process(document.body);
}"""
_PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
_LOADS = re.compile(r'hx-get="([^"?]+)[^"]*" hx-trigger="load"')


class Found:
    """What links and buttons lead to: an address of every kind of page and of every kind of dialog."""

    def __init__(self) -> None:
        self.pages: list[str] = []
        self.dialogs: list[str] = []
        self.loading: set[str] = set()
        """The pages that load parts of themselves."""


async def crawl(shown: Screen, first: str) -> Found:
    """One address of every kind that links lead to, found as a reader would; parts are read too, and all are clean:
    no markup out of a name, and in English no other word than names."""
    english = any(kept["name"] == LANGUAGE and kept["value"] == "en" for kept in await shown.context.cookies())
    found, seen, waiting = Found(), set(), [first]
    site = first.split("/")[1]
    while waiting:
        path = waiting.pop()
        part = path.startswith("part:")
        address = path.removeprefix("part:")
        kind = (_ID.sub("*", address.partition("?")[0]), part)
        if kind in seen:
            continue
        seen.add(kind)
        answer = await shown.context.request.get(
            shown.watched.site + address, headers={"HX-Request": "true"} if part else {}
        )
        assert answer.status in {200, 204}, f"{address}: {answer.status}"
        if not answer.headers.get("content-type", "").startswith("text/html"):
            continue
        content = await answer.text()
        assert not re.search(r"<(img|script|b) [^>]*(onx|onerror)=|<script>", content), address
        assert not (english and _CHINESE.search(_DATA.sub("", content))), f"{address}: {_CHINESE.findall(content)}"
        if part and "data-title" in content:
            found.dialogs.append(address)
        if not part and "attachment" not in answer.headers.get("content-disposition", ""):
            found.pages.append(address)
            if _LOADS.search(content):
                found.loading.add(address)
        links = [link.replace("&amp;", "&") for link in re.findall(rf'\shref="(/{site}/[^"#]*)"', content)]
        parts = [link.replace("&amp;", "&") for link in re.findall(rf'\shx-get="(/{site}/[^"]*)"', content)]
        waiting += [link for link in links if "/assets/" not in link] + [f"part:{link}" for link in parts]
    return found


async def hold_parts(shown: Screen) -> None:
    """What a page loads by itself comes only once the page has been painted without it: a jump would be seen."""
    await shown.page.add_init_script(_WATCH)

    async def hold(route: Route) -> None:
        await shown.page.evaluate(_PAINTED)
        await route.continue_()

    await shown.page.route(re.compile(r"/(glance|trend|rows|reports/units)(\?|$)"), hold)


async def look_at(shown: Screen, path: str) -> list[str]:
    """Open a page and wait until all of it has come: what jumped meanwhile, what is cut off."""
    await shown.go(path)
    await expect(shown.page.locator(".htmx-request, [aria-busy]")).to_have_count(0)
    await shown.page.evaluate(_PAINTED)
    jumps = [jump for jump in await shown.page.evaluate("window.jumps ?? []") if jump[0] > 0.001]
    return [f"{path} jumps while it loads: {jump}" for jump in jumps] + await fits(shown, path)


async def fits(shown: Screen, path: str) -> list[str]:
    """What is wider than the screen, or cut off by its edge."""
    size = shown.page.viewport_size
    assert size is not None
    width = await shown.page.evaluate("document.documentElement.scrollWidth")
    finds = [f"{path} is {width} wide at {size['width']}"] if width > size["width"] else []
    return finds + [f"{path} is cut off at {size['width']}: {one}" for one in await shown.page.evaluate(_CUT)]


async def axe_finds(shown: Screen, path: str, within: str | None = None, *, colours: bool = True) -> list[str]:
    """What axe finds; `colours`, which take it longest, are the same in both languages."""
    if not await shown.page.evaluate("'axe' in window"):
        await shown.page.evaluate(Axe().axe_script)
    violations = await shown.page.evaluate(_AXE, [within, colours])
    return [f"{path} {rule}: {html[:200]}" for rule, impact, html in violations if impact in {"serious", "critical"}]


async def speak(shown: Screen, language: str) -> None:
    await shown.context.add_cookies([{"name": LANGUAGE, "value": language, "url": shown.watched.site}])


async def in_english(shown: Screen, path: str) -> list[str]:
    """The page that is shown, in English: what axe finds in it, whether it fits."""
    await speak(shown, "en")
    await shown.page.evaluate(_ANEW)
    await expect(shown.page.locator(".htmx-request, [aria-busy]")).to_have_count(0)
    assert await shown.page.evaluate("document.documentElement.lang") == "en", path
    await speak(shown, "zh")
    path = f"{path} in English"
    return await fits(shown, path) + await axe_finds(shown, path, colours=False)


async def open_dialog(shown: Screen, address: str, values: dict[str, Any] | None = None) -> None:
    """As its button does it."""
    asked = ["GET" if values is None else "POST", address, {"target": "#dialog-body", "values": values or {}}]
    await shown.page.evaluate("(asked) => htmx.ajax(...asked)", asked)
    await shown.page.wait_for_selector("#dialog[open] [data-title]")


async def look_into(
    shown: Screen, address: str, values: dict[str, Any] | None = None, *, colours: bool = True
) -> list[str]:
    """A dialog on the page that is shown: what axe finds in it; it fits, at the desk and in the hand."""
    await open_dialog(shown, address, values)
    assert await shown.page.evaluate("document.activeElement.closest('dialog') !== null"), address
    finds = await axe_finds(shown, address, "#dialog", colours=colours)
    for size in (HAND, DESK):
        await resize(shown, size)
        finds += await fits(shown, address)
        wide = await shown.page.evaluate("(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(dialog)")
        finds += [f"{address} is {wide} wider than its dialog"] if wide > 0 else []
    await shown.page.keyboard.press("Escape")
    await shown.page.wait_for_selector("#dialog:not([open])", state="attached")
    return finds


async def resize(shown: Screen, size: dict[str, int]) -> None:
    await shown.page.set_viewport_size({"width": size["width"], "height": size["height"]})


@pytest.fixture
async def program(db: AsyncConnection) -> str:
    """The id of a client that people sign in to by scan; nothing limits what an operator names it."""
    return (await create_client(db, Actor(), name=PROGRAM, kind="device")).client_id


@pytest.fixture
async def hostile(people: People, worker: Callable[[], Awaitable[None]], db: AsyncConnection, program: str) -> Person:
    return await name_all(people, worker, db, program)


@pytest.mark.long
async def test_the_pages_of_the_console(hostile: Person, open_screen: OpenScreen, signed_in: SignIn) -> None:
    async with open_screen() as desk:
        await hold_parts(desk)
        finds = await look_at(desk, "/console/") + await axe_finds(desk, "sign-in") + await in_english(desk, "sign-in")
        await signed_in(desk, hostile)
        seen = ""
        found = await crawl(desk, "/console/")
        assert len(found.pages) >= 24, found.pages
        assert len(found.loading) >= 3, found.loading
        for path in found.pages:
            finds += await look_at(desk, path) + await axe_finds(desk, path)
            seen += await desk.text()
            await resize(desk, HAND)
            finds += await (look_at(desk, path) if path in found.loading else fits(desk, path))
            finds += await in_english(desk, path)
            await resize(desk, DESK)
            finds += await fits(desk, f"{path} in English")
        assert not finds, "\n".join(finds)
        assert seen.count("<img src=x onerror=alert(1)>") > 10
        assert seen.count("<b onx=1>") > 10
        assert PROGRAM in seen


@pytest.mark.long
async def test_the_dialogs_of_the_console(hostile: Person, open_screen: OpenScreen, signed_in: SignIn) -> None:
    async with open_screen() as desk:
        await signed_in(desk, hostile)
        await speak(desk, "en")
        found = await crawl(desk, "/console/")
        assert len(found.dialogs) >= 25, found.dialogs
        people = next(path for path in found.pages if "/members" in path).partition("?")[0]
        await desk.go(people)
        ticks = await desk.page.eval_on_selector_all("[name=member_id]", "all => all.map((one) => one.value)")
        finds = []
        for language, colours in (("en", False), ("zh", True)):
            await speak(desk, language)
            for address in found.dialogs:
                finds += await look_into(desk, address, colours=colours)
            for act in ("move", "copy", "units", "removal"):
                ticked = {"act": act, "member_id": ticks}
                finds += await look_into(desk, people.replace("members", "selection"), ticked, colours=colours)
        assert not finds, "\n".join(finds)


@pytest.mark.long
async def test_the_phone(hostile: Person, program: str, open_screen: OpenScreen, signed_in_phone: SignIn) -> None:
    asked = await Console.request(hostile.api, program)
    async with open_screen(HAND) as phone:
        finds = await look_at(phone, "/phone/") + await axe_finds(phone, "sign-in") + await in_english(phone, "sign-in")
        await signed_in_phone(phone, hostile)
        site = phone.watched.site
        waits = await phone.context.request.post(
            f"{site}/phone/scans", form={"code": asked.user_code}, headers={"Origin": site}
        )
        seen = ""
        await speak(phone, "en")
        found = await crawl(phone, "/phone/")
        await speak(phone, "zh")
        for path in [*found.pages, waits.url.removeprefix(site)]:
            finds += await look_at(phone, path) + await axe_finds(phone, path)
            seen += await phone.text()
            finds += await in_english(phone, path)
        assert not finds, "\n".join(finds)
        assert PROGRAM in seen
