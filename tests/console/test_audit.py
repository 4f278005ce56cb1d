"""The audit page: actions in words, actors, changes and filters; and the API's filters behind it."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import httpx
import pytest

from app.console.audit.entry_texts import _ACTIONS, _KINDS, format_value
from tests.acts import add_admin, add_member, add_unit, get_body
from tests.console.conftest import sign_in_to_console
from tests.people import People

PART = {"HX-Request": "true"}


def list_org_actions() -> Iterator[str]:
    """Yield each action that a statement of the service records in an org's audit."""
    for source in Path(str(files("app"))).rglob("*.py"):
        for call in ast.walk(ast.parse(source.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "record":
                action = call.args[2]
                if any(keyword.arg == "org_id" for keyword in call.keywords) and isinstance(action, ast.Constant):
                    yield str(action.value)


def test_audit_actions_have_texts_and_kinds() -> None:
    acts = set(list_org_actions())
    assert len(acts) >= 40
    assert acts - _ACTIONS.keys() == set()
    assert {act.partition(".")[0] for act in acts} - _KINDS.keys() == set()


async def test_audit_page_shows_actions_in_words_and_filters_them(visitor: httpx.AsyncClient, people: People) -> None:
    main, other = await people.register(name="钱主任"), await people.register(name="孙干事")
    org = await main.create_org()
    await add_admin(main, org, other)
    unit, second = await add_unit(main, org, "第一党支部"), await add_unit(main, org, "第二党支部")
    member = await add_member(other, org, unit, name="李学员")
    places = {"unit_ids": [unit["id"], second["id"]]}
    get_body(await other.put(f"/v1/orgs/{org['id']}/members/{member['id']}/units", json=places))
    edited = {"name": "unit.updated", "kind": "department"}
    get_body(await main.patch(f"/v1/orgs/{org['id']}/units/{second['id']}", json=edited))
    get_body(await other.delete(f"/v1/orgs/{org['id']}/members/{member['id']}"), 204)
    await sign_in_to_console(visitor, main)

    async def rows(query: str = "") -> list[str]:
        shown = await visitor.get(f"/console/orgs/{org['id']}/audit?{query}", headers=PART)
        assert shown.status_code == 200, shown.text
        text = re.sub(r"<[^>]+>|\s+", " ", shown.text.partition("<tbody>")[2])
        return [re.sub(r" +", " ", row) for row in re.findall(r"\d+年.*?(?=\d+年|$)", text)]

    everything = await rows()
    assert "孙干事 127.0.0.1 移除人员 李学员" in everything[0]
    assert "修改支部 unit.updated 名称 第二党支部 → unit.updated 类型 党支部 → 部门" in everything[1]
    assert "所在组织 第一党支部 → 第一党支部、unit.updated" in everything[2]
    assert "创建组织" in everything[-1]
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", " ".join(everything))
    assert other.phone not in " ".join(everything)
    mine = await rows(f"who={other.user_id}")
    assert mine
    assert all("孙干事" in row for row in mine)
    assert ["添加支部" in row or "修改支部" in row for row in await rows("kind=unit")] == [True] * 3
    today = datetime.now(UTC) + timedelta(hours=8)
    assert len(await rows(f"since={today:%Y-%m-%d}&until={today:%Y-%m-%d}&kind=member")) == 3
    for query in ("since=2999-12-31", "until=2001-01-01", "kind=nothing"):
        empty = await visitor.get(f"/console/orgs/{org['id']}/audit?{query}")
        assert "没有符合条件的记录" in empty.text, query
    page = await visitor.get(f"/console/orgs/{org['id']}/audit?limit=2")
    more = re.search(r'hx-get="([^"]+cursor=[^"]+)"', page.text)
    assert more is not None
    rest = await visitor.get(more[1].replace("&amp;", "&"), headers=PART)
    assert "<table" not in rest.text
    assert rest.text.count('class="when"') == len(everything) - 2


async def test_audit_api_filters_like_the_page(people: People) -> None:
    main = await people.register()
    org = await main.create_org()
    before = datetime.now(UTC)
    await add_unit(main, org, "第一党支部")
    path = f"/v1/orgs/{org['id']}/audit"

    async def actions(**filters: str) -> list[str]:
        return [entry["action"] for entry in get_body(await main.get(path, params=filters))["items"]]

    assert await actions(subject_type="unit") == ["unit.created"]
    assert await actions(since=before.isoformat()) == ["unit.created"]
    assert "unit.created" not in await actions(until=before.isoformat())
    assert await actions(user_id=str(org["id"])) == []
    for wrong in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-11-26", "x"):
        assert (await main.get(path, params={"since": wrong})).status_code == 422, wrong


@pytest.mark.parametrize("kind", ["temporary-branch", "temporary_branch"])
def test_kind_of_an_entry_is_a_text_in_its_present_and_its_former_spelling(kind: str) -> None:
    assert format_value("kind", kind, {}) == "临时党支部"
