"""Reports over HTTP from stored totals: they have the figures of the naive count, of the instant that they state."""

import asyncio
import random
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from fastapi import FastAPI

from app.certification.previews import count_transfer_figures
from app.core.calendar import today
from app.core.services import SETTINGS
from app.core.settings import Settings
from app.database.connections import Database
from app.database.db import ENGINE
from app.reports.rollup.cycle import build_missing_days, run_cycle
from app.reports.rollup.worker import run_rollup
from app.reports.visible_reports import Requester
from tests.people import People
from tests.points.services import PointsService, event
from tests.reports.test_overview import create_admin, make_fixed_world
from tests.reports.test_recount import DAYS, check_overview, read_report, send_events
from tests.reports.world import make_world, write_world


@pytest.mark.usefixtures("unbuilt_days")
@pytest.mark.parametrize("seed", range(2))
async def test_stored_reports_equal_a_naive_count(
    stored_people: People, stored_service: PointsService, stored_app: FastAPI, rollup: asyncpg.Connection, seed: int
) -> None:
    chance = random.Random(40 + seed)
    viewer = await stored_people.register()
    world = make_world(chance, UUID(viewer.user_id), orgs=10, people=30)
    await write_world(ENGINE.get(stored_app), world)
    await send_events(stored_service, world)
    while await run_cycle(rollup):
        pass
    await build_missing_days(rollup, today(), tomorrow=True)
    stored_since = await rollup.fetchval("SELECT min(day) FROM stored_days")
    for org in world.orgs:
        for day in (today(), today() - timedelta(days=chance.randrange(1, 20))):
            await check_overview(viewer, world, org, day, chance.choice(list(DAYS)), stored_since)
    async with ENGINE.get(stored_app).connect() as db:
        for org in world.orgs:
            moving, counted = (
                await count_transfer_figures(db, Requester(org, UUID(viewer.user_id), is_own_admin=True, threshold=0)),
                world.count(world.get_subtree(org, today()), today(), 30),
            )
            assert (moving.orgs, moving.people) == (len(world.get_subtree(org, today())), counted["members"])
            assert moving.points == counted["points"]
    trend = await read_report(viewer, world.orgs[0], "reports/trend", days=30)
    assert len(trend["days"]) == 30
    for point in trend["days"][::7]:
        on = datetime.fromisoformat(point["day"]).date()
        assert point["subtree"] == world.count(world.get_subtree(world.orgs[0], on), on, 1)


async def test_as_of_of_a_report_changes_only_when_waiting_points_are_counted(
    stored_people: People, stored_service: PointsService, stored_app: FastAPI, rollup: asyncpg.Connection
) -> None:
    owner = await stored_people.register()
    world = make_fixed_world(UUID(owner.user_id), random.Random(1), [3, 3], [None, 0])
    await write_world(ENGINE.get(stored_app), world)
    while await run_cycle(rollup):
        pass
    await build_missing_days(rollup, today(), tomorrow=False)
    before = await read_report(owner, world.orgs[0], "reports/overview")
    assert await stored_service.outcomes(event(str(world.users[0]), points=7)) == ["counted"]
    waiting = await read_report(owner, world.orgs[0], "reports/overview")
    assert waiting["subtree"] == before["subtree"]
    again = await read_report(owner, world.orgs[0], "reports/overview")
    assert waiting["as_of"] == again["as_of"], "`as_of` does not change while a delta waits"
    await run_cycle(rollup)
    after = await read_report(owner, world.orgs[0], "reports/overview")
    assert after["subtree"]["points"] == 7
    assert after["as_of"] > waiting["as_of"]


@pytest.mark.usefixtures("unbuilt_days")
async def test_stored_totals_of_few_people_are_suppressed(
    stored_people: People, stored_app: FastAPI, rollup: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SETTINGS.get(stored_app), "withhold_below", 3)
    engine = ENGINE.get(stored_app)
    owner = await stored_people.register()
    world = make_fixed_world(UUID(owner.user_id), random.Random(6), [9, 2, 0, 3, 4, 9], [None, 0, 0, 2, 2, 0])
    await write_world(engine, world)
    superior_admin = await create_admin(stored_people, engine, world.orgs[0])
    while await run_cycle(rollup):
        pass
    await build_missing_days(rollup, today(), tomorrow=False)
    seen = await read_report(superior_admin, world.orgs[0], "reports/overview", sort="points", order="desc")
    assert [UUID(row["id"]) for row in seen["subordinates"]["items"] if row["figures"]["withheld"]] == sorted(
        world.orgs[1:3]
    )
    assert (await read_report(superior_admin, world.orgs[3], "reports/overview"))["subtree"]["withheld"]
    # Only the days that a trend returns are checked for suppression: a recount of the others could take minutes.
    deleted = await rollup.fetchrow("DELETE FROM stored_days WHERE day = $1 RETURNING *", today() - timedelta(days=2))
    monkeypatch.setattr("app.reports.secondary_suppression._is_suppressed_by_recount", None)
    trend = await read_report(superior_admin, world.orgs[3], "reports/trend", days=4)
    assert [point["subtree"]["withheld"] for point in trend["days"]] == [True] * 3
    await rollup.execute("INSERT INTO stored_days SELECT ($1::stored_days).*", deleted)


async def test_worker_builds_days_and_applies_events(
    stored_people: People, stored_service: PointsService, stored_settings: Settings
) -> None:
    owner = await stored_people.register()
    org = UUID((await owner.create_org())["id"])
    running = asyncio.create_task(run_rollup(Database.from_settings(stored_settings)))
    try:
        await stored_service.outcomes(event(owner.user_id, points=9))
        for _ in range(200):
            seen = await read_report(owner, org, "reports/overview", period="day")
            if seen["subtree"]["points"] == 9:
                break
            await asyncio.sleep(0.05)
        assert (seen["org"]["members"], seen["org"]["active"], seen["org"]["points"]) == (1, 1, 9)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
