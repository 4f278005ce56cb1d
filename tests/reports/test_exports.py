"""Reports as files: the same figures as in the API, a chart in the xlsx, no suppressed figure."""

import random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.calendar import today
from tests.acts import get_body
from tests.exports.test_exports import download_export, read_csv_rows, read_xlsx_rows
from tests.members.sheets import Work, open_xlsx
from tests.people import People, Person
from tests.points.services import PointsService
from tests.reports.scene import Scene
from tests.reports.test_overview import create_admin, make_fixed_world
from tests.reports.test_rankings import create_ranked_world
from tests.reports.test_recount import read_report, send_events
from tests.reports.world import World, write_world

pytestmark = pytest.mark.usefixtures("no_stored_days")

FIGURES = ("members", "activated", "active", "points", "points_per_head", "participation")


async def export_report(person: Person, org: UUID, worker: Work, path: str, **body: Any) -> bytes:
    export = get_body(await person.post(f"/v1/orgs/{org}/{path}/exports", json=body), 202)
    await worker()
    return await download_export(person, {"id": str(org)}, export["id"])


def build_cells(figures: dict[str, Any]) -> list[Any]:
    return [*(figures[name] for name in FIGURES), "Too few people to show" if figures["withheld"] else None]


def parse_cells(row: list[str]) -> list[Any]:
    """Return the values from which the cells of a CSV row were written."""
    return [None if cell == "" else float(cell) if cell.replace(".", "").isdigit() else cell for cell in row]


async def create_world(people: People, service: PointsService, engine: AsyncEngine) -> tuple[World, Person]:
    owner = await people.register()
    chance = random.Random(3)
    world = make_fixed_world(UUID(owner.user_id), chance, [4, 5, 2, 6, 7, 3], [None, 0, 0, 0, 1, 1])
    await write_world(engine, world)
    await send_events(service, world)
    return world, owner


async def test_overview_export_equals_the_api(
    people: People, service: PointsService, engine: AsyncEngine, worker: Work
) -> None:
    world, owner = await create_world(people, service, engine)
    superior_admin = await create_admin(people, engine, world.orgs[0])
    for reader, org in ((owner, world.orgs[0]), (superior_admin, world.orgs[1])):
        order = {"sort": "points", "order": "desc"}
        seen = await read_report(reader, org, "reports/overview", period="30d", **order)
        content = await export_report(reader, org, worker, "reports/overview", period="30d", **order)
        rows = read_xlsx_rows(content)
        assert rows[0][0] == "Organisation"
        assert rows[1][3:] == build_cells(seen["org"])
        assert rows[2][3:] == build_cells(seen["subtree"])
        assert rows[3][3:] == build_cells(seen["previous"]["org"])
        assert rows[4][3:] == build_cells(seen["previous"]["subtree"])
        assert [[row[0], *row[3:]] for row in rows[5:]] == [
            [each["name"], *build_cells(each["figures"])] for each in seen["subordinates"]["items"]
        ]
        assert [str(row[1].date()) for row in rows[1:3]] == [seen["since"]] * 2
        (chart,) = open_xlsx(content).active._charts
        assert chart.tagname == "barChart"
        in_csv = read_csv_rows(
            await export_report(reader, org, worker, "reports/overview", format="csv", period="30d", **order)
        )
        assert [parse_cells(row[3:]) for row in in_csv[1:]] == [row[3:] for row in rows[1:]]
    # The org of two people and the next smallest org are suppressed in the file as in the API.
    seen = await read_report(owner, world.orgs[0], "reports/overview")
    assert sum(each["figures"]["withheld"] for each in seen["subordinates"]["items"]) == 2


async def test_trend_and_units_exports_equal_the_api(
    people: People, service: PointsService, engine: AsyncEngine, worker: Work
) -> None:
    world, owner = await create_world(people, service, engine)
    org = world.orgs[0]
    seen = await read_report(owner, org, "reports/trend", days=5)
    content = await export_report(owner, org, worker, "reports/trend", days=5)
    rows = read_xlsx_rows(content)
    assert [[str(row[0].date()), *row[2:]] for row in rows[1:6]] == [
        [point["day"], *build_cells(point["subtree"])] for point in seen["days"]
    ]
    assert [row[2:] for row in rows[6:]] == [build_cells(point["org"]) for point in seen["days"]]
    assert [chart.tagname for chart in open_xlsx(content).active._charts] == ["lineChart"]
    seen = await read_report(owner, org, "reports/units")
    rows = read_xlsx_rows(await export_report(owner, org, worker, "reports/units"))
    names = {unit["id"]: unit["name"] for unit in seen["units"]}
    assert rows[1:] == [
        [unit["name"], names.get(unit["parent_id"]), *build_cells(unit["figures"])] for unit in seen["units"]
    ]


async def test_ranking_export_equals_the_api(
    people: People, service: PointsService, engine: AsyncEngine, worker: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.reports.export.PAGE_ROWS", 4)
    world, caller = await create_ranked_world(Scene(people, service, engine, None), seed=2)
    seen = await read_report(caller, world.orgs[0], "rankings", by="total", limit=200)
    content = await export_report(caller, world.orgs[0], worker, "rankings", by="total")
    expected = [[row["rank"], row["name"], row["points"]] for row in seen["ranking"]["items"]]
    assert read_xlsx_rows(content)[1:] == expected
    assert len(open_xlsx(content).active._charts) == 1
    in_csv = read_csv_rows(await export_report(caller, world.orgs[0], worker, "rankings", by="total", format="csv"))
    assert in_csv[1:] == [[str(cell) for cell in row] for row in expected]


async def test_own_export_is_not_readable_by_a_former_admin(
    people: People, service: PointsService, engine: AsyncEngine, worker: Work, db: AsyncConnection
) -> None:
    world, _ = await create_world(people, service, engine)
    admin = await create_admin(people, engine, world.orgs[0])
    async with engine.begin() as writing:
        await writing.execute(
            text("INSERT INTO org_admins (org_id, user_id) VALUES (:org, :user)"),
            {"org": world.orgs[1], "user": UUID(admin.user_id)},
        )
    export = get_body(await admin.post(f"/v1/orgs/{world.orgs[1]}/reports/overview/exports", json={}), 202)
    await worker()
    path = f"/v1/orgs/{world.orgs[1]}/exports/{export['id']}/content"
    assert (await admin.get(path)).status_code == 200
    await db.execute(
        text("DELETE FROM org_admins WHERE org_id = :org AND user_id = :user"),
        {"org": world.orgs[1], "user": UUID(admin.user_id)},
    )
    assert (await read_report(admin, world.orgs[1], "reports/overview"))["until"] == str(today())
    assert (await admin.get(path)).status_code == 404


async def test_export_of_day_past_retention_or_unknown_unit_is_refused(people: People) -> None:
    owner = await people.register()
    org = (await owner.create_org())["id"]
    for path, body in (("reports/overview", {"day": "2001-01-01"}), ("reports/trend", {"days": 401})):
        assert (await owner.post(f"/v1/orgs/{org}/{path}/exports", json=body)).status_code == 422
    unit = {"unit_id": "00000000-0000-7000-8000-000000000000"}
    assert (await owner.post(f"/v1/orgs/{org}/rankings/exports", json=unit)).status_code == 404
