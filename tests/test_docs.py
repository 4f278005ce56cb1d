"""The docs explorer in a real browser: offline, grouped, and usable with a token pasted under Authorize."""

import re

import httpx
from fastapi import FastAPI
from playwright.async_api import Browser

from app.api_docs.introductions import TAGS
from app.core.settings import Settings
from app.main import create_app
from devtools.demo.people import Person, fresh_name, fresh_phone
from tests.browser import screen
from tests.inlining import inline_shared_parts


async def test_swagger_signs_in_with_a_pasted_token_and_runs_an_example(browser: Browser, live: str) -> None:
    with httpx.Client(base_url=live) as client:
        person = Person(client, fresh_phone(), fresh_name())
        person.register()
    async with screen(browser, live) as shown:
        await shown.go("/docs")
        page = shown.page
        for tag, _ in TAGS:
            await page.wait_for_selector(f"#operations-tag-{tag}")
        await page.click(".auth-wrapper .authorize")
        await page.fill(".modal-ux input", person.token)
        await page.click(".modal-ux .modal-btn.authorize")
        await page.click(".modal-ux .btn-done")
        await page.click("#operations-tag-me .expand-operation")
        await page.click("#operations-me-read_me .opblock-summary-control")
        await page.click("#operations-me-read_me .execute")
        answered = page.locator("#operations-me-read_me .live-responses-table .response-col_status")
        await answered.filter(has_text="200").wait_for()
        assert re.search("Xuezu", await page.title())


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
