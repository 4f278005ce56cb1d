"""The catalogue of problems: the address of each `type`, for programs and for browsers."""

import re

import httpx
import pytest
from fastapi import FastAPI

from app.api_docs.problem_schemas import list_problems
from tests.acts import get_body, get_refusal
from tests.inlining import inline_shared_parts
from tests.people import People

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def test_problem_pages_explain_every_problem_of_the_api_in_both_languages(
    app: FastAPI, api: httpx.AsyncClient
) -> None:
    kinds = {kind["type"]: kind for kind in get_body(await api.get("/problems"))["items"]}
    for methods in inline_shared_parts(app.openapi())["paths"].values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                slugs = answer.get("content", {}).get("application/problem+json", {}).get("examples", {})
                assert {f"/problems/{slug}" for slug in slugs} <= kinds.keys()
    for kind in kinds.values():
        for text in (kind["title"], kind["advice"]):
            assert re.search("[\u4e00-\u9fff]", text["zh"]), kind
            assert text["en"], kind
        assert all(member["description"] for member in kind["members"]), kind


async def test_type_of_a_problem_resolves_to_its_explanation(api: httpx.AsyncClient, people: People) -> None:
    person = await people.register(verified=False)
    refused = await person.post("/v1/orgs", json={})
    assert get_refusal(refused) == (422, "invalid")
    kind = get_body(await api.get(str(refused.url.join(refused.json()["type"]))))
    assert (kind["title"]["en"], kind["advice"]["en"]) == (refused.json()["title"], refused.json()["detail"])
    assert [member["name"] for member in kind["members"]] == ["errors"]


async def test_browser_gets_the_explanation_of_a_problem_as_a_page(api: httpx.AsyncClient) -> None:
    page = await api.get("/problems/phone-exists", headers=BROWSER)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "accept" in page.headers["vary"].lower().split(", ")
    for shown in ("该手机号码已经存在", "/problems/phone-exists", "<code>copy</code>"):
        assert shown in page.text
    assert page.text.count("<section>") == 1
    every = await api.get("/problems", headers=BROWSER)
    assert every.text.count("<section>") == len({kind.slug for kind in list_problems()})
    assert "http" not in every.text, "it asks no other host"


@pytest.mark.parametrize("slug", ["no-such-problem", "%2e%2e", "<b>"])
async def test_unknown_problem_is_404(api: httpx.AsyncClient, slug: str) -> None:
    assert get_refusal(await api.get(f"/problems/{slug}", headers=BROWSER)) == (404, "not-found")
