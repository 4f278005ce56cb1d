"""The benchmark measures every page."""

from collections.abc import Iterator
from dataclasses import fields

from app.console import site as console
from app.console.frame.page_route import PageRoute
from bench.page_fixtures import PageFixtures
from bench.pages import NO_PAGES, build_pages, build_parts
from devtools.phone import site as phone

_ANY = "01900000-0000-7000-8000-000000000000"


def list_get_routes() -> Iterator[PageRoute]:
    for router in (*console.routers, *phone.routers):
        yield from (route for route in router.routes if isinstance(route, PageRoute) and "GET" in (route.methods or ()))


def test_benchmark_measures_every_page() -> None:
    routes = list(list_get_routes())
    made = PageFixtures(**{field.name: _ANY for field in fields(PageFixtures)})
    pages = [page for page in (*build_pages(made).values(), *build_parts(made).values()) if page.form is None]
    addresses = [page.address.partition("?")[0] for page in pages]
    found = [next((route.path for route in routes if route.path_regex.fullmatch(address)), "") for address in addresses]
    assert {route.path for route in routes} - set(found) - NO_PAGES == set()
    assert NO_PAGES & set(found) == set()
