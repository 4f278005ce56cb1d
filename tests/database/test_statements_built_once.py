"""A statement is built once: a repeated call builds and compiles no part of a SQLAlchemy statement."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import (
    BinaryExpression,
    BindParameter,
    CompoundSelect,
    Delete,
    Exists,
    Insert,
    Select,
    TextClause,
    Update,
)

from app.api_docs.document import list_api_routes
from tests.acts import Json, add_member, add_unit, get_body
from tests.people import People, Person, fresh_phone

PARTS = (BinaryExpression, BindParameter, CompoundSelect, Delete, Exists, Insert, Select, TextClause, Update)
_built: ContextVar[list[str] | None] = ContextVar("built", default=None)


@dataclass
class Scene:
    """An org with a unit and two people."""

    admin: Person
    org: Json
    unit: Json
    other_unit: Json
    member: Json

    @property
    def ids(self) -> dict[str, str]:
        return {"org_id": self.org["id"], "unit_id": self.unit["id"], "member_id": self.member["id"]}

    @property
    def path(self) -> str:
        return f"/v1/orgs/{self.org['id']}"


@pytest.fixture(scope="module", autouse=True)
def _patch_statement_parts() -> Iterator[None]:
    """Record every statement part that is built within `_record_built_parts`, and none of other tasks."""
    with pytest.MonkeyPatch.context() as patch:
        for part in PARTS:
            patch.setattr(part, "__init__", _record_call(part.__init__))
        yield


def _record_call(original: Callable[..., None]) -> Callable[..., None]:
    def init(self: object, *arguments: Any, **options: Any) -> None:
        built = _built.get()
        if built is not None:
            built.append(type(self).__name__)
        original(self, *arguments, **options)

    return init


@contextmanager
def _record_built_parts() -> Iterator[list[str]]:
    """Return a list that receives the class of each statement part that is built in the block."""
    built: list[str] = []
    token = _built.set(built)
    try:
        yield built
    finally:
        _built.reset(token)


@pytest.fixture(scope="module")
async def scene(people: People) -> Scene:
    admin = await people.register()
    org = await admin.create_org()
    unit, other_unit = await add_unit(admin, org, "一支部"), await add_unit(admin, org, "二支部")
    member = await add_member(admin, org, unit)
    await add_member(admin, org)
    return Scene(admin, org, unit, other_unit, member)


async def _list_built_parts(call: Callable[[], Awaitable[httpx.Response]]) -> list[str]:
    """Return the parts that the call builds after a first call, which takes every code path once."""
    for _ in range(2):
        first = await call()
        assert first.status_code < 300, first.text
    with _record_built_parts() as built:
        again = await call()
    assert again.status_code < 300, again.text
    return built


COUNTED = {
    f"/v1/orgs/{{org_id}}/{read}" for read in ("reports/overview", "reports/subordinates", "reports/trend", "rankings")
}
"""No worker runs here, so these totals are counted from the sources. That costs far more than building a statement."""


def _list_reads(app: FastAPI) -> list[str]:
    """Return the paths of the reads that need only an org, a unit or a member."""
    known = {"org_id", "unit_id", "member_id"}
    return [
        path
        for path, route in list_api_routes(app)
        if "GET" in (route.methods or ())
        and path.startswith("/v1/")
        and path not in COUNTED
        and {part[1:-1] for part in path.split("/") if part.startswith("{")} <= known
    ]


async def test_read_builds_no_statement(app: FastAPI, scene: Scene) -> None:
    built: dict[str, list[str]] = {}
    for path in _list_reads(app):
        found = await scene.admin.get(path.format(**scene.ids))
        if found.status_code == 200:
            built[path] = await _list_built_parts(lambda path=path: scene.admin.get(path.format(**scene.ids)))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    assert len(built) > 30
    assert {path: parts for path, parts in built.items() if parts} == {}


async def test_filter_and_cursor_build_no_statement(scene: Scene) -> None:
    page = get_body(await scene.admin.get(f"{scene.path}/members", params={"limit": 1}))
    reads: list[tuple[str, dict[str, Any]]] = [
        (f"{scene.path}/members", {"limit": 1, "cursor": page["next_cursor"]}),
        (f"{scene.path}/members", {"q": "王"}),
        (f"{scene.path}/members", {"q": "wang"}),
        (f"{scene.path}/members", {"q": "王小明"}),
        (f"{scene.path}/members", {"q": scene.member["phone"][-4:]}),
        (f"{scene.path}/members", {"active": True, "party": True, "verified": False, "at_org": False}),
        (f"{scene.path}/members", {"unit_id": scene.unit["id"]}),
        (f"{scene.path}/members", {"unit_id": scene.unit["id"], "units_below": True}),
        (f"{scene.path}/members", {"unit_id": scene.unit["id"], "units_below": True, "active": False}),
        (f"{scene.path}/members", {"order": "name", "limit": 1}),
        (f"{scene.path}/members", {"order": "position", "unit_id": scene.unit["id"], "verified": True}),
        (f"{scene.path}/subordinates", {"limit": 1}),
        (f"{scene.path}/applications", {"state": "pending"}),
        (f"{scene.path}/audit", {"action": "member.added", "since": "2026-01-01T00:00:00Z"}),
        ("/v1/orgs", {"q": "测试", "kind": "party", "region_code": "320000", "status": "live"}),
    ]
    for path, params in reads:
        built = await _list_built_parts(lambda path=path, params=params: scene.admin.get(path, params=params))  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        assert built == [], params


async def test_member_or_unit_write_builds_no_statement(scene: Scene) -> None:
    admin, member = scene.admin, f"{scene.path}/members/{scene.member['id']}"
    number = count()
    units = (scene.unit["id"], scene.other_unit["id"])

    async def add() -> httpx.Response:
        body = {"name": "李小红", "phone": fresh_phone(), "unit_ids": [units[0]]}
        headers = {"Idempotency-Key": f"built-{next(number)}"}
        return await admin.post(f"{scene.path}/members", json=body, headers=headers)

    writes = {
        "add": add,
        "rename": lambda: admin.patch(member, json={"name": f"王{'一二三四五六'[next(number) % 6]}"}),
        "change phone": lambda: admin.patch(member, json={"phone": fresh_phone()}),
        "place": lambda: admin.put(f"{member}/units", json={"unit_ids": [units[next(number) % 2]]}),
        "copy": lambda: admin.post(f"{member}/copies", json={"unit_id": units[next(number) % 2]}),
        "disclose phone": lambda: admin.post(f"{member}/phone-disclosures"),
        "add unit": lambda: admin.post(
            f"{scene.path}/units", json={"name": f"新{next(number)}", "parent_id": units[0]}
        ),
    }
    assert {name: parts for name, write in writes.items() if (parts := await _list_built_parts(write))} == {}


async def test_token_refresh_builds_no_statement(scene: Scene) -> None:
    await scene.admin.refresh()
    await scene.admin.refresh()
    with _record_built_parts() as built:
        await scene.admin.refresh()
    assert built == []
