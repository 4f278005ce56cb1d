"""Every page that a link leads to and every dialog that a button opens, in a real browser and in both languages.

Each passes axe, fits its screen, does not shift while it loads and is not broken by hostile names. In English only
names are Chinese.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Route, expect
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.audit_log.entries import Actor
from app.auth.clients import create_client
from app.authz.scopes import DEVICE_SCOPES
from app.console.frame.formats import LANGUAGE
from tests.auth.consoles import Console
from tests.browser import DESK, HAND, Screen
from tests.console.conftest import OpenScreen, SignIn
from tests.console.hostile import PROGRAM, create_hostile_org
from tests.people import People, Person

pytestmark = pytest.mark.browser

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
_CHINESE = re.compile("[\u3001-\u9fff\uff00-\uffef]+")
# Chinese in English pages: names (of these orgs and people, regions, the program), the brackets of names (S3), the
# suffix that no name may have (S3), the headings of a sheet, and the button to the other language.
_DATA = re.compile(
    "[（）]|甲|党委|支部(名称)?|总支|分会|工会|工委|江苏省南京市(玄武区)?|玄武区|学组(管理后台)?|学习管理组|中文"
    "|姓名|手机号码"
    '|<bdi>[^<]*</bdi>|<span class="hidden-text"> [^<]*</span>'
)
# Pages that show names of all orgs of the service, also those of other tests.
_OF_ALL_ORGS = ("/console/operators/recoveries", "/console/operators/clients/")
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
# Load the current page again in the current language, in place: only its words change.
_ANEW = """async () => {
  const response = await fetch(location.href);
  const { documentElement, body } = new DOMParser().parseFromString(await response.text(), "text/html");
  document.documentElement.lang = documentElement.lang;
  document.body.innerHTML = body.innerHTML;
  htmx.process(document.body);
}"""
_OPERATE = text("INSERT INTO operators (user_id, name) VALUES (:id, '平台')")  # `add_operator` would end the sessions
_PROVE = text("UPDATE sessions SET key_checked_at = now() WHERE user_id = :id")
_PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
_LOADS = re.compile(r'hx-get="([^"?]+)[^"]*"\s+(?:[\w-]+="[^"]*"\s+)*hx-trigger="load"')


class FoundAddresses:
    """The addresses that links and buttons lead to: one of each kind of page and of each kind of dialog."""

    def __init__(self) -> None:
        self.pages: list[str] = []
        self.dialogs: list[str] = []
        self.loading: set[str] = set()
        """The pages that load parts of themselves."""


async def find_addresses(shown: Screen, first: str) -> FoundAddresses:
    """Return one address of every kind that links lead to. Parts are read too.

    All pages contain no markup from names, and in English no Chinese except names.
    """
    english = any(cookie["name"] == LANGUAGE and cookie["value"] == "en" for cookie in await shown.context.cookies())
    found, seen, waiting = FoundAddresses(), set(), [first]
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
        is_checked = english and not address.startswith(_OF_ALL_ORGS)
        assert not (is_checked and _CHINESE.search(_DATA.sub("", content))), f"{address}: {_CHINESE.findall(content)}"
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


async def delay_parts(shown: Screen) -> None:
    """Delay the parts that a page loads until the page has been painted without them, to make layout shifts visible."""
    await shown.page.add_init_script(_WATCH)

    async def delay(route: Route) -> None:
        await shown.page.evaluate(_PAINTED)
        await route.continue_()

    await shown.page.route(re.compile(r"/(glance|trend|rows|reports/units)(\?|$)"), delay)


async def check_page(shown: Screen, path: str) -> list[str]:
    """Open a page, wait until it is complete, and return its layout shifts and cut-off elements."""
    await shown.go(path)
    await expect(shown.page.locator(".htmx-request, [aria-busy]")).to_have_count(0)
    await shown.page.evaluate(_PAINTED)
    jumps = [jump for jump in await shown.page.evaluate("window.jumps ?? []") if jump[0] > 0.001]
    return [f"{path} jumps while it loads: {jump}" for jump in jumps] + await list_overflows(shown, path)


async def list_overflows(shown: Screen, path: str) -> list[str]:
    """Return what is wider than the screen or cut off by its edge."""
    size = shown.page.viewport_size
    assert size is not None
    width = await shown.page.evaluate("document.documentElement.scrollWidth")
    finds = [f"{path} is {width} wide at {size['width']}"] if width > size["width"] else []
    return finds + [f"{path} is cut off at {size['width']}: {part}" for part in await shown.page.evaluate(_CUT)]


async def list_axe_violations(
    shown: Screen, path: str, within: str | None = None, *, colours: bool = True
) -> list[str]:
    """Return the violations that axe finds. `colours` take the longest and are the same in both languages."""
    if not await shown.page.evaluate("'axe' in window"):
        await shown.page.evaluate(Axe().axe_script)
    violations = await shown.page.evaluate(_AXE, [within, colours])
    return [f"{path} {rule}: {html[:200]}" for rule, impact, html in violations if impact in {"serious", "critical"}]


async def set_language(shown: Screen, language: str) -> None:
    await shown.context.add_cookies([{"name": LANGUAGE, "value": language, "url": shown.watched.site}])


async def check_in_english(shown: Screen, path: str) -> list[str]:
    """Show the current page in English; return the violations of axe and what does not fit."""
    await set_language(shown, "en")
    await shown.page.evaluate(_ANEW)
    await expect(shown.page.locator(".htmx-request, [aria-busy]")).to_have_count(0)
    assert await shown.page.evaluate("document.documentElement.lang") == "en", path
    await set_language(shown, "zh")
    path = f"{path} in English"
    return await list_overflows(shown, path) + await list_axe_violations(shown, path, colours=False)


async def open_dialog(shown: Screen, address: str, values: dict[str, Any] | None = None) -> None:
    """Open a dialog as its button does."""
    arguments = ["GET" if values is None else "POST", address, {"target": "#dialog-body", "values": values or {}}]
    await shown.page.evaluate("(given) => htmx.ajax(...given)", arguments)
    await shown.page.wait_for_selector("#dialog[open] [data-title]")


async def check_dialog(
    shown: Screen, address: str, values: dict[str, Any] | None = None, *, colours: bool = True
) -> list[str]:
    """Open a dialog on the current page; return the violations of axe and what does not fit, at both sizes."""
    await open_dialog(shown, address, values)
    # The focus follows when the content has settled, a moment after it is shown.
    await shown.page.wait_for_function("document.activeElement.closest('dialog') !== null")
    finds = await list_axe_violations(shown, address, "#dialog", colours=colours)
    for size in (HAND, DESK):
        await resize(shown, size)
        finds += await list_overflows(shown, address)
        wide = await shown.page.evaluate("(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(dialog)")
        finds += [f"{address} is {wide} wider than its dialog"] if wide > 0 else []
    await shown.page.keyboard.press("Escape")
    await shown.page.wait_for_selector("#dialog:not([open])", state="attached")
    return finds


async def resize(shown: Screen, size: dict[str, int]) -> None:
    await shown.page.set_viewport_size({"width": size["width"], "height": size["height"]})


@pytest.fixture
async def program(db: AsyncConnection) -> str:
    """Return the id of a device client. Nothing limits the name that an operator gives it."""
    return (await create_client(db, Actor(), name=PROGRAM, kind="device", scopes=sorted(DEVICE_SCOPES))).client_id


@pytest.fixture
async def hostile(people: People, worker: Callable[[], Awaitable[None]], db: AsyncConnection, program: str) -> Person:
    """Return an admin with hostile names, who is a platform operator too."""
    main = await create_hostile_org(people, worker, db, program)
    await db.execute(_OPERATE, {"id": main.user_id})
    await db.commit()
    return main


async def enter_console(shown: Screen, signed_in: SignIn, db: AsyncConnection, person: Person) -> None:
    """Sign the person in, with a proof of a security key in the session."""
    await signed_in(shown, person)
    await db.execute(_PROVE, {"id": person.user_id})
    await db.commit()


@pytest.mark.long
async def test_console_pages_are_accessible_and_fit(
    hostile: Person, open_screen: OpenScreen, signed_in: SignIn, db: AsyncConnection
) -> None:
    async with open_screen() as desk:
        await delay_parts(desk)
        finds = (
            await check_page(desk, "/console/")
            + await list_axe_violations(desk, "sign-in")
            + await check_in_english(desk, "sign-in")
        )
        await enter_console(desk, signed_in, db, hostile)
        seen = ""
        found = await find_addresses(desk, "/console/")
        assert len(found.pages) >= 30, found.pages
        assert len(found.loading) >= 3, found.loading
        for path in found.pages:
            finds += await check_page(desk, path) + await list_axe_violations(desk, path)
            seen += await desk.text()
            await resize(desk, HAND)
            finds += await (check_page(desk, path) if path in found.loading else list_overflows(desk, path))
            finds += await check_in_english(desk, path)
            await resize(desk, DESK)
            finds += await list_overflows(desk, f"{path} in English")
        assert not finds, "\n".join(finds)
        assert seen.count("<img src=x onerror=alert`1`>") > 10
        assert seen.count("<b onx=1>") > 10
        assert PROGRAM in seen


@pytest.mark.long
async def test_console_dialogs_are_accessible_and_fit(
    hostile: Person, open_screen: OpenScreen, signed_in: SignIn, db: AsyncConnection
) -> None:
    async with open_screen() as desk:
        await enter_console(desk, signed_in, db, hostile)
        await set_language(desk, "en")
        found = await find_addresses(desk, "/console/")
        assert len(found.dialogs) >= 29, found.dialogs
        people = next(path for path in found.pages if "/members" in path).partition("?")[0]
        await desk.go(people)
        ticks = await desk.page.eval_on_selector_all("[name=member_id]", "all => all.map((one) => one.value)")
        finds = []
        for language, colours in (("en", False), ("zh", True)):
            await set_language(desk, language)
            for address in found.dialogs:
                finds += await check_dialog(desk, address, colours=colours)
            for act in ("move", "copy", "units", "removal"):
                ticked = {"act": act, "member_id": ticks}
                finds += await check_dialog(desk, people.replace("members", "selection"), ticked, colours=colours)
        assert not finds, "\n".join(finds)


@pytest.mark.long
async def test_phone_pages_are_accessible_and_fit(
    hostile: Person, program: str, open_screen: OpenScreen, signed_in_phone: SignIn
) -> None:
    authorization = await Console.request(hostile.api, program)
    async with open_screen(HAND) as phone:
        finds = (
            await check_page(phone, "/phone/")
            + await list_axe_violations(phone, "sign-in")
            + await check_in_english(phone, "sign-in")
        )
        await signed_in_phone(phone, hostile)
        site = phone.watched.site
        waits = await phone.context.request.post(
            f"{site}/phone/scans", form={"code": authorization.user_code}, headers={"Origin": site}
        )
        seen = ""
        await set_language(phone, "en")
        found = await find_addresses(phone, "/phone/")
        await set_language(phone, "zh")
        for path in [*found.pages, waits.url.removeprefix(site)]:
            finds += await check_page(phone, path) + await list_axe_violations(phone, path)
            seen += await phone.text()
            finds += await check_in_english(phone, path)
        assert not finds, "\n".join(finds)
        assert PROGRAM in seen
