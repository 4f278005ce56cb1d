"""The docs explorer in a real browser: offline, grouped, and usable with its sign-in form or a pasted token."""

import asyncio
import re

import httpx
import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, Page
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api_docs.introductions import TAGS
from app.core.settings import Settings
from app.main import create_app
from devtools.demo.play import Play
from tests.browser import screen
from tests.inlining import inline_shared_parts
from tests.people import People


@pytest.fixture
async def demo(live: str) -> Play:
    """A demo as far as the certification of its first subordinate."""

    def run() -> Play:
        with httpx.Client(base_url=live, timeout=30) as client:
            play = Play(client, sheet=None)
            play.register_and_verify()
            play.create_org()
            play.certify()
        return play

    return await asyncio.to_thread(run)


async def execute(page: Page, operation: str) -> str:
    """Send the example of an operation as it is, and return the status of the answer."""
    block = page.locator(f"#operations-{operation}")
    if not await block.locator(".execute").count():
        await block.locator(".opblock-summary-control").click()
    await block.locator(".execute").click()
    status = await block.locator(".live-responses-table .response .response-col_status").inner_text()
    return status.split()[0]


async def test_explorer_signs_in_untouched_renews_itself_and_takes_a_pasted_token(
    browser: Browser, live: str, demo: Play, people: People, db: AsyncConnection
) -> None:
    # An import of another org after the demo changes no example.
    other = await (await people.register()).create_org()
    await db.execute(
        text(
            "INSERT INTO imports (org_id, state, mode, unknown_units, format, file_name, created_by) "
            "SELECT id, 'done', 'add-and-update', 'refuse', 'xlsx', 'x.xlsx', main_admin_id FROM orgs WHERE id = :id"
        ),
        {"id": other["id"]},
    )
    async with screen(browser, live) as shown:
        page = shown.page
        await page.clock.install()
        await shown.go("/docs")
        await page.locator(".opblock-tag").last.wait_for()
        assert {f"operations-tag-{tag}" for tag, _ in TAGS} == set(
            await page.locator(".opblock-tag").evaluate_all("found => found.map(each => each.id)")
        )
        units = f"/v1/orgs/{demo.org['id']}/units"
        for tag in ("units", "points"):
            await page.click(f"#operations-tag-{tag} .expand-operation")
        await page.click("#sign-in [type=submit]")
        await page.get_by_text(f"Signed in as {demo.first.phone}").wait_for()
        async with page.expect_request(re.compile(units)):
            assert await execute(page, "units-list_units") == "200"
        assert await execute(page, "points-record_point_events") == "200"

        async with page.expect_response(lambda answer: "/oauth/token" in answer.url) as renewed:
            await page.clock.fast_forward("09:00")
        assert "grant_type=refresh_token" in ((await renewed.value).request.post_data or "")
        async with page.expect_request(re.compile(units)) as sent:
            assert await execute(page, "units-list_units") == "200"
        token = (await (await renewed.value).json())["access_token"]
        assert (await sent.value).headers["authorization"] == f"Bearer {token}"

        await shown.go("/docs")
        await page.get_by_text(f"Signed in as {demo.first.phone}").wait_for()
        await page.click("#sign-in [name=leave]")
        await page.get_by_text("Signed out").wait_for()
        await page.click(".auth-wrapper .authorize")
        await page.fill(".modal-ux [aria-label=auth-bearer-value]", demo.first.token)
        await page.click(".modal-ux .auth-container:has([aria-label=auth-bearer-value]) .authorize")
        await page.click(".modal-ux .auth-container:has-text('bearer') .btn-done")
        await page.click("#operations-tag-units .expand-operation")
        assert await execute(page, "units-list_units") == "200"


async def test_redoc_shows_the_manual_without_other_hosts(browser: Browser, live: str) -> None:
    async with screen(browser, live) as shown:
        await shown.go("/redoc")
        await shown.page.get_by_text("Errors are RFC 9457 problems").wait_for()
        await shown.page.get_by_text("API docs by Redocly").wait_for()
        await shown.page.wait_for_load_state("networkidle")


def test_manual_is_complete(app: FastAPI) -> None:
    missing = []
    for path, methods in inline_shared_parts(app.openapi())["paths"].items():
        for method, operation in methods.items():
            call = f"{method.upper()} {path}"
            missing += [
                f"{call}: {parameter['name']} is not described"
                for parameter in operation.get("parameters", ())
                if not parameter.get("description")
            ]
            missing += [
                f"{call}: no example of its body"
                for shown in operation.get("requestBody", {}).get("content", {}).values()
                if "example" not in shown
            ]
            if "200" in operation["responses"]:
                content = operation["responses"]["200"].get("content", {})
                if not content or not all("schema" in shown for shown in content.values()):
                    missing.append(f"{call}: its answer has no schema")
            if re.search("[a-z] [A-Z][a-z]+$", operation["summary"]) and operation["summary"].istitle():
                missing.append(f"{call}: {operation['summary']} is a function's name")
    assert not missing, "\n".join(missing)


async def test_production_document_is_the_snapshot(settings: Settings) -> None:
    production = settings.model_copy(update={"env": "production"})
    assert not production.development
    app = create_app(production)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:8000") as client:
        assert (await client.get("/openapi.json")).json() == app.openapi()
