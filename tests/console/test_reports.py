"""The report pages: figures and trend, level by level, sorted, without names of the subtree's people."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date

import httpx
import pytest

from app.console.frame.charts import draw_chart
from tests.acts import Json, add_member, add_unit, certify
from tests.console.conftest import ORIGIN, sign_in_to_console
from tests.people import People, Person

PART = {"HX-Request": "true"}


@dataclass
class Scene:
    """`top` has a unit and two subordinates. `bottom` is under `middle`; its admin administers no superior."""

    visitor: httpx.AsyncClient
    top: Json
    middle: Json
    bottom: Json
    lone: Json
    subordinate_admin: Person


@pytest.fixture
async def scene(visitor: httpx.AsyncClient, people: People) -> Scene:
    main, subordinate_admin = await people.register(), await people.register()
    top, middle, lone = (
        await main.create_org(),
        await subordinate_admin.create_org(),
        await subordinate_admin.create_org(),
    )
    bottom = await subordinate_admin.create_org()
    unit = await add_unit(main, top, "机关第一党支部")
    for name in ("甲", "乙", "丙"):
        await add_member(main, top, unit, name=f"上级{name}")
        await add_member(subordinate_admin, middle, name=f"中级{name}")
        await add_member(subordinate_admin, bottom, name=f"下级{name}")
    await certify(main, top, subordinate_admin, middle)
    await certify(subordinate_admin, middle, subordinate_admin, bottom)
    await certify(main, top, subordinate_admin, lone)
    await sign_in_to_console(visitor, main)
    return Scene(visitor, top, middle, bottom, lone, subordinate_admin)


async def read(scene: Scene, org: Json, path: str = "", *, headers: dict[str, str] | None = None) -> str:
    shown = await scene.visitor.get(f"/console/orgs/{org['id']}/reports{path}", headers=headers)
    assert shown.status_code == 200, shown.text
    return re.sub(r"\s+", " ", shown.text)


@pytest.mark.usefixtures("no_stored_days")
async def test_figures_are_shown_by_level_without_names(scene: Scene) -> None:
    text = await read(scene, scene.top, "?period=30d")
    assert text.index("本组织及全部下级") < text.index("<dd>11")
    assert scene.middle["name"] in text
    assert scene.bottom["name"] not in text
    # `lone` has one person. The other subordinate is suppressed too, because subtraction would reveal the first.
    assert text.count("人数过少，不显示") == 2
    assert "不足 3 人的组织" in text
    lower = await read(scene, scene.middle)
    assert scene.bottom["name"] in lower
    for part in (lower, await read(scene, scene.bottom), await read(scene, scene.middle, "/trend", headers=PART)):
        assert not re.search("中级|下级[甲乙丙]", part)
        assert scene.subordinate_admin.name not in part
    # The path back leads to the caller's own org, whose name stays in the frame.
    assert f'<li><a href="/console/orgs/{scene.top["id"]}/reports' in lower
    assert f"<strong>{scene.top['name']}</strong>" in lower


async def test_columns_sort_both_ways_across_pages(scene: Scene) -> None:
    for column in ("name", "members", "activated", "active", "participation", "points", "points-per-head"):
        text = await read(scene, scene.middle, f"?sort={column}&order=desc")
        assert re.search(
            rf'aria-sort="descending">\s*<a class="sort" href="[^"]*(?:sort={column}&amp;)?order=asc', text
        )
    part = await read(scene, scene.top, "?limit=1&sort=members&order=desc", headers=PART)
    assert part.lstrip().startswith('<div id="report-table">')
    more = re.search(r'hx-get="/console/orgs/[^"]+reports\?([^"]+cursor=[^"]+)"', part)
    assert more is not None
    rest = await read(scene, scene.top, f"?{more[1].replace('&amp;', '&')}&limit=1", headers=PART)
    assert "<table" not in rest
    assert re.search(r"<tr>\s*<th", rest)


async def test_charts_have_text_alternatives(scene: Scene) -> None:
    text = await read(scene, scene.top, "/trend?days=7", headers=PART)
    assert text.count('role="img"') == text.count("<title id=") == text.count("<desc id=") == 4
    assert "style=" not in text
    (table,) = re.findall(r"<table>.*</table>", text)
    assert table.count("<tr>") == 8
    assert (await scene.visitor.get(f"/console/orgs/{scene.top['id']}/reports/trend")).status_code == 404


async def test_org_is_shown_alone_when_its_subtree_is_suppressed(visitor: httpx.AsyncClient, people: People) -> None:
    main, subordinate_admin = await people.register(), await people.register()
    top, lone = await main.create_org(), await subordinate_admin.create_org()
    for name in ("甲", "乙", "丙"):
        await add_member(main, top, name=name)
    await sign_in_to_console(visitor, main)
    for part, whole, alone in (("glance", "学员总数", "本组织学员"), ("reports/trend?days=7", "", "仅本组织")):
        address = f"/console/orgs/{top['id']}/{part}"
        if part == "glance":
            assert whole in (await visitor.get(address, headers=PART)).text
            await certify(main, top, subordinate_admin, lone)
        shown = (await visitor.get(address, headers=PART)).text
        assert alone in shown
        assert re.search(r">4<", shown), shown  # the three and their admin


def test_scale_of_people_has_whole_numbers() -> None:
    def scale(most: float) -> list[str]:
        days = [(date(2026, 1, day), most) for day in (1, 2)]
        return [tick.label for tick in draw_chart("active", "", days, lambda value: f"{value:g}", least=2).ticks]

    assert [scale(most) for most in (0, 1, 3, 8)] == [
        ["0", "1", "2"],
        ["0", "1", "2"],
        ["0", "2", "4"],
        ["0", "4", "8"],
    ]


async def test_unit_figures_are_visible_to_own_admins_only(scene: Scene) -> None:
    assert "机关第一党支部" in await read(scene, scene.top, "/units", headers=PART)
    assert "reports/units" not in await read(scene, scene.middle)
    refused = await scene.visitor.get(f"/console/orgs/{scene.middle['id']}/reports/units", headers=PART)
    assert refused.status_code == 404


async def test_day_out_of_storage_is_refused_with_a_page(scene: Scene) -> None:
    for day in ("1999-01-01", "2999-01-01", "x"):
        shown = await scene.visitor.get(f"/console/orgs/{scene.top['id']}/reports?day={day}")
        assert (shown.status_code, "返回首页" in shown.text) == (422, True)


async def test_report_is_exported_as_a_file(scene: Scene, worker: Callable[[], Awaitable[None]]) -> None:
    at = f"/console/orgs/{scene.top['id']}"
    dialog = await read(scene, scene.top, "/exports/new?period=30d&sort=points&order=desc", headers=PART)
    hidden_fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', dialog))
    assert (hidden_fields["period"], hidden_fields["sort"], hidden_fields["order"]) == ("30d", "points", "desc")
    for what in ("overview", "units", "trend"):
        form = hidden_fields | {"what": what, "format": "csv"}
        made = await scene.visitor.post(f"{at}/reports/exports", data=form, headers=PART | ORIGIN)
        assert (made.status_code, made.headers.get("HX-Redirect")) == (204, f"{at}/exports"), made.text
    await worker()
    files = re.findall(rf'href="({at}/exports/[^"]+/content)"', (await scene.visitor.get(f"{at}/exports")).text)
    assert len(files) == 3
    contents = [(await scene.visitor.get(file)).text for file in files]
    assert any(scene.middle["name"] in content for content in contents)
    wrong = await scene.visitor.post(
        f"{at}/reports/exports", data=hidden_fields | {"day": "1999-01-01"}, headers=PART | ORIGIN
    )
    assert wrong.status_code == 422

    # A subordinate's totals can be exported, its units cannot.
    subordinate_admin = f"/console/orgs/{scene.middle['id']}"
    dialog = await read(scene, scene.middle, "/exports/new", headers=PART)
    assert ('value="overview"' in dialog, 'value="units"' in dialog) == (True, False)
    refused = await scene.visitor.post(
        f"{subordinate_admin}/reports/exports", data=hidden_fields | {"what": "units"}, headers=PART | ORIGIN
    )
    assert refused.status_code == 404
    made = await scene.visitor.post(f"{subordinate_admin}/reports/exports", data=hidden_fields, headers=PART | ORIGIN)
    assert made.headers.get("HX-Redirect") == f"{subordinate_admin}/exports", made.text
    await worker()
    (file,) = re.findall(
        rf'href="({subordinate_admin}/exports/[^"]+/content)"',
        (await scene.visitor.get(f"{subordinate_admin}/exports")).text,
    )
    assert (await scene.visitor.get(file)).status_code == 200


async def test_first_page_shows_each_orgs_week_or_the_need_for_a_key(scene: Scene, people: People) -> None:
    home = (await scene.visitor.get("/console/")).text
    (at,) = re.findall(r'hx-get="(/console/orgs/[^"]+/glance)"', home)
    assert scene.top["id"] in at
    glance = await scene.visitor.get(at, headers=PART)
    assert (glance.status_code, "人均积分" in glance.text) == (200, True)
    assert (await scene.visitor.get(at)).status_code == 404
    await scene.visitor.post("/console/sign-out", headers=ORIGIN)
    person = await people.register()
    await person.create_org(region_code="320000")
    await sign_in_to_console(scene.visitor, person)
    (at,) = re.findall(r'hx-get="(/console/orgs/[^"]+/glance)"', (await scene.visitor.get("/console/")).text)
    locked = await scene.visitor.get(at, headers=PART)
    assert (locked.status_code, "HX-Refresh" in locked.headers) == (200, False)
    assert "安全密钥" in locked.text
