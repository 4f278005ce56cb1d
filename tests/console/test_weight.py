"""The weight of the first page, and properties of all pages, without a browser."""

import re

import httpx
from fastapi import FastAPI

from app.console import site as console
from devtools.phone import site as phone
from tests.console.conftest import sign_in_to_console
from tests.people import People

_LIMIT = 100_000


async def weight(visitor: httpx.AsyncClient, path: str) -> int:
    """Return the transferred bytes of a page and of all its assets. The page must not redirect."""
    shown = await visitor.get(path)
    assert shown.status_code == 200, f"{path} is answered in one round trip"
    assets = set(re.findall(r'(?:src|href)="(/console/assets/[^"]+)"', shown.text))
    assert len(assets) >= 4
    total = 0
    for address in (path, *assets):
        async with visitor.stream("GET", address, headers={"Accept-Encoding": "gzip"}) as answer:
            assert answer.status_code == 200
            total += sum([len(chunk) async for chunk in answer.aiter_raw()])
            total += sum(len(name) + len(value) + 4 for name, value in answer.headers.raw)
    return total


async def test_first_pages_weigh_less_than_100_kb(visitor: httpx.AsyncClient, people: People) -> None:
    person = await people.register()
    for _ in range(12):
        org = await person.create_org()
    assert await weight(visitor, "/console/") < _LIMIT
    await sign_in_to_console(visitor, person)
    for path in ("/console/", f"/console/orgs/{org['id']}", f"/console/orgs/{org['id']}/members"):
        assert await weight(visitor, path) < _LIMIT, path


async def test_pages_contain_no_inline_script_or_style(app: FastAPI) -> None:
    """The content security policy forbids them, so a template that has one would break silently."""
    from app.console.frame.page_route import HEADERS
    from app.console.frame.templates import _environment

    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "http" not in policy
    assert policy.startswith("default-src 'none'")
    loader = _environment.loader
    assert loader is not None
    for name in loader.list_templates():
        source = loader.get_source(_environment, name)[0]
        assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|hx-on|javascript:", source), name
        assert not re.search(r"""(?:src|href|action)=["']?(?:https?:)?//""", source), name


async def test_page_routes_use_the_route_class_of_their_site() -> None:
    """Every added page must use the sites' route class, which provides session, policy and error pages."""
    from app.console.frame.page_route import PageRoute

    for router in (*console.routers, *phone.routers):
        for route in router.routes:
            path = route.path  # type: ignore[attr-defined]  # every route of the console has a path
            assert isinstance(route, PageRoute) or path.startswith("/console/assets/"), path
