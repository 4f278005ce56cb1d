"""Reports as files: the very numbers that the API answers with, a chart in the xlsx, nothing that is withheld."""

import random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.calendar import today
from tests.acts import done
from tests.exports.test_exports import download_export, read_csv_rows, read_xlsx_rows
from tests.members.sheets import Work, open_xlsx
from tests.people import People, Person
from tests.points.services import PointsService
from tests.reports.scene import Scene
from tests.reports.test_overview import admin_of, settled_world
from tests.reports.test_rankings import ranked_world
from tests.reports.test_recount import report, send_events
from tests.reports.world import World, write_world

pytestmark = pytest.mark.usefixtures("nothing_kept")

FIGURES = ("members", "activated", "active", "points", "points_per_head", "participation")


async def exported(person: Person, org: UUID, worker: Work, path: str, **body: Any) -> bytes:
    asked = done(await person.post(f"/v1/orgs/{org}/{path}/exports", json=body), 202)
    await worker()
    return await download_export(person, {"id": str(org)}, asked["id"])


def told(figures: dict[str, Any]) -> list[Any]:
    return [*(figures[name] for name in FIGURES), "Too few people to show" if figures["withheld"] else None]


def numbers(row: list[str]) -> list[Any]:
    """Cells of a csv as what they were written from."""
    return [None if cell == "" else float(cell) if cell.replace(".", "").isdigit() else cell for cell in row]


async def world_of(people: People, service: PointsService, engine: AsyncEngine) -> tuple[World, Person]:
    owner = await people.register()
    chance = random.Random(3)
    world = settled_world(UUID(owner.user_id), chance, [4, 5, 2, 6, 7, 3], [None, 0, 0, 0, 1, 1])
    await write_world(engine, world)
    await send_events(service, world)
    return world, owner


async def test_an_overview_as_a_file_says_what_the_api_says(
    people: People, service: PointsService, engine: AsyncEngine, worker: Work
) -> None:
    world, owner = await world_of(people, service, engine)
    above = await admin_of(people, engine, world.orgs[0])
    for reader, org in ((owner, world.orgs[0]), (above, world.orgs[1])):
        order = {"sort": "points", "order": "desc"}
        seen = await report(reader, org, "reports/overview", period="30d", **order)
        content = await exported(reader, org, worker, "reports/overview", period="30d", **order)
        rows = read_xlsx_rows(content)
        assert rows[0][0] == "Organisation"
        assert rows[1][3:] == told(seen["org"])
        assert rows[2][3:] == told(seen["subtree"])
        assert rows[3][3:] == told(seen["previous"]["org"])
        assert rows[4][3:] == told(seen["previous"]["subtree"])
        assert [[row[0], *row[3:]] for row in rows[5:]] == [
            [each["name"], *told(each["figures"])] for each in seen["subordinates"]["items"]
        ]
        assert [str(row[1].date()) for row in rows[1:3]] == [seen["since"]] * 2
        (chart,) = open_xlsx(content).active._charts
        assert chart.tagname == "barChart"
        in_csv = read_csv_rows(
            await exported(reader, org, worker, "reports/overview", format="csv", period="30d", **order)
        )
        assert [numbers(row[3:]) for row in in_csv[1:]] == [row[3:] for row in rows[1:]]
    # The org of two people and the next smallest are withheld from the file as from the screen.
    seen = await report(owner, world.orgs[0], "reports/overview")
    assert sum(each["figures"]["withheld"] for each in seen["subordinates"]["items"]) == 2


async def test_a_trend_and_units_as_files_say_what_the_api_says(
    people: People, service: PointsService, engine: AsyncEngine, worker: Work
) -> None:
    world, owner = await world_of(people, service, engine)
    org = world.orgs[0]
    seen = await report(owner, org, "reports/trend", days=5)
    content = await exported(owner, org, worker, "reports/trend", days=5)
    rows = read_xlsx_rows(content)
    assert [[str(row[0].date()), *row[2:]] for row in rows[1:6]] == [
        [point["day"], *told(point["subtree"])] for point in seen["days"]
    ]
    assert [row[2:] for row in rows[6:]] == [told(point["org"]) for point in seen["days"]]
    assert [chart.tagname for chart in open_xlsx(content).active._charts] == ["lineChart"]
    seen = await report(owner, org, "reports/units")
    rows = read_xlsx_rows(await exported(owner, org, worker, "reports/units"))
    names = {unit["id"]: unit["name"] for unit in seen["units"]}
    assert rows[1:] == [[unit["name"], names.get(unit["parent_id"]), *told(unit["figures"])] for unit in seen["units"]]


async def test_a_ranking_as_a_file_says_what_the_api_says(
    people: People, service: PointsService, engine: AsyncEngine, worker: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.reports.export.PAGE_ROWS", 4)
    world, caller = await ranked_world(Scene(people, service, engine, None), seed=2)
    seen = await report(caller, world.orgs[0], "rankings", by="total", limit=200)
    content = await exported(caller, world.orgs[0], worker, "rankings", by="total")
    expected = [[row["rank"], row["name"], row["points"]] for row in seen["ranking"]["items"]]
    assert read_xlsx_rows(content)[1:] == expected
    assert len(open_xlsx(content).active._charts) == 1
    in_csv = read_csv_rows(await exported(caller, world.orgs[0], worker, "rankings", by="total", format="csv"))
    assert in_csv[1:] == [[str(cell) for cell in row] for row in expected]


async def test_who_no_longer_administers_the_org_cannot_read_the_file_made_as_its_admin(
    people: People, service: PointsService, engine: AsyncEngine, worker: Work, db: AsyncConnection
) -> None:
    world, _ = await world_of(people, service, engine)
    admin = await admin_of(people, engine, world.orgs[0])
    async with engine.begin() as writing:
        await writing.execute(
            text("INSERT INTO org_admins (org_id, user_id) VALUES (:org, :user)"),
            {"org": world.orgs[1], "user": UUID(admin.user_id)},
        )
    asked = done(await admin.post(f"/v1/orgs/{world.orgs[1]}/reports/overview/exports", json={}), 202)
    await worker()
    path = f"/v1/orgs/{world.orgs[1]}/exports/{asked['id']}/content"
    assert (await admin.get(path)).status_code == 200
    await db.execute(
        text("DELETE FROM org_admins WHERE org_id = :org AND user_id = :user"),
        {"org": world.orgs[1], "user": UUID(admin.user_id)},
    )
    assert (await report(admin, world.orgs[1], "reports/overview"))["until"] == str(today())
    assert (await admin.get(path)).status_code == 404


async def test_a_day_that_is_not_kept_or_a_unit_that_is_not_there_is_refused(people: People) -> None:
    owner = await people.register()
    org = (await owner.create_org())["id"]
    for path, body in (("reports/overview", {"day": "2001-01-01"}), ("reports/trend", {"days": 401})):
        assert (await owner.post(f"/v1/orgs/{org}/{path}/exports", json=body)).status_code == 422
    unit = {"unit_id": "00000000-0000-7000-8000-000000000000"}
    assert (await owner.post(f"/v1/orgs/{org}/rankings/exports", json=unit)).status_code == 404
