"""A real browser for the tests: Chromium, with a watch on console errors and on requests to other hosts."""

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright

ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Fewer processes: the tests of the pages need about an eighth less processor time.
    "--in-process-gpu",
    "--renderer-process-limit=1",
    "--disable-features=SpareRendererForSitePerProcess",
)
DESK = {"width": 1280, "height": 800}
HAND = {"width": 390, "height": 844}
PATIENCE = 30_000


def find_chromium() -> str:
    """Return the path of Chromium. Without one the test is skipped, or fails where a browser is required."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        if os.environ.get("XUEZU_REQUIRE_BROWSER") == "1":
            pytest.fail("XUEZU_REQUIRE_BROWSER=1, and there is no Chromium here")
        pytest.skip("no Chromium here: install it to run the browser tests")
    return found


@asynccontextmanager
async def chromium(*arguments: str) -> AsyncIterator[Browser]:
    path = find_chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS, *arguments])
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Watched:
    """The forbidden actions that a browser took on our pages."""

    site: str
    wrongs: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)

    def expect(self, status: int) -> None:
        """Expect a refused request, which the browser reports in its console."""
        self.expected.append(f"the server responded with a status of {status}")

    def of(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.wrongs.append(f"script error: {error}"))
        page.on("request", self._on_request)
        page.on("dialog", lambda dialog: self.wrongs.append(f"a script's dialog: {dialog.message}"))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not any(part in message.text for part in self.expected):
            self.wrongs.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def _on_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in {"http", "https", "ws", "wss"} and not request.url.startswith(f"{self.site}/"):
            self.wrongs.append(f"a request to another host: {request.url}")


@dataclass
class Screen:
    """A page in a browser of its own."""

    page: Page
    context: BrowserContext
    watched: Watched

    async def go(self, path: str) -> int:
        answer = await self.page.goto(self.watched.site + path)
        assert answer is not None
        return answer.status

    async def text(self, selector: str = "body") -> str:
        return re.sub(r"\s+", " ", await self.page.inner_text(selector))


@asynccontextmanager
async def screen(
    browser: Browser, site: str, size: dict[str, int] = DESK, zone: str = "Asia/Shanghai"
) -> AsyncIterator[Screen]:
    """Return a page in a new browser context with a size and a time zone. Forbidden actions fail the test at the
    end."""
    context = await browser.new_context(
        viewport={"width": size["width"], "height": size["height"]},
        locale="zh-CN",
        timezone_id=zone,
        reduced_motion="reduce",
        base_url=site,
    )
    context.set_default_timeout(PATIENCE)
    watched = Watched(site)
    context.on("page", watched.of)
    page = await context.new_page()
    try:
        yield Screen(page, context, watched)
        assert watched.wrongs == [], watched.wrongs
    finally:
        await context.close()
