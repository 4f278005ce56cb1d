"""Reports over HTTP where totals are kept: the same figures as the naive count, of the instant they state."""

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
from app.database.db import ENGINE
from app.reports.rollup.cycle import build_missing_days, run_cycle
from app.reports.rollup.worker import run_rollup
from tests.people import People
from tests.points.services import PointsService, event
from tests.reports.test_overview import admin_of, settled_world
from tests.reports.test_recount import DAYS, check_overview, report, send_events
from tests.reports.world import make_world, write_world


@pytest.mark.parametrize("seed", range(2))
async def test_kept_reports_equal_a_naive_count(
    kept_people: People, kept_service: PointsService, kept_app: FastAPI, rollup: asyncpg.Connection, seed: int
) -> None:
    chance = random.Random(40 + seed)
    viewer = await kept_people.register()
    world = make_world(chance, UUID(viewer.user_id), orgs=10, people=30)
    await write_world(ENGINE.of(kept_app), world)
    await send_events(kept_service, world)
    while await run_cycle(rollup):
        pass
    await build_missing_days(rollup, today(), tomorrow=True)
    stored_since = await rollup.fetchval("SELECT min(day) FROM stored_days")
    for org in world.orgs:
        for day in (today(), today() - timedelta(days=chance.randrange(1, 20))):
            await check_overview(viewer, world, org, day, chance.choice(list(DAYS)), stored_since)
    async with ENGINE.of(kept_app).connect() as db:
        for org in world.orgs:
            moving, counted = await count_transfer_figures(db, org), world.count(world.below(org, today()), today(), 30)
            assert (moving.orgs, moving.people) == (len(world.below(org, today())), counted["members"])
            assert moving.points == counted["points"]
    trend = await report(viewer, world.orgs[0], "reports/trend", days=30)
    assert len(trend["days"]) == 30
    for point in trend["days"][::7]:
        on = datetime.fromisoformat(point["day"]).date()
        assert point["subtree"] == world.count(world.below(world.orgs[0], on), on, 1)


async def test_a_report_says_what_instant_it_is_of(
    kept_people: People, kept_service: PointsService, kept_app: FastAPI, rollup: asyncpg.Connection
) -> None:
    owner = await kept_people.register()
    world = settled_world(UUID(owner.user_id), random.Random(1), [3, 3], [None, 0])
    await write_world(ENGINE.of(kept_app), world)
    while await run_cycle(rollup):
        pass
    await build_missing_days(rollup, today(), tomorrow=False)
    before = await report(owner, world.orgs[0], "reports/overview")
    assert await kept_service.outcomes(event(str(world.users[0]), points=7)) == ["counted"]
    waiting = await report(owner, world.orgs[0], "reports/overview")
    assert waiting["subtree"] == before["subtree"]
    again = await report(owner, world.orgs[0], "reports/overview")
    assert waiting["as_of"] == again["as_of"], "it stands still while something waits"
    await run_cycle(rollup)
    after = await report(owner, world.orgs[0], "reports/overview")
    assert after["subtree"]["points"] == 7
    assert after["as_of"] > waiting["as_of"]


async def test_kept_totals_of_too_few_are_withheld(
    kept_people: People, kept_app: FastAPI, rollup: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SETTINGS.of(kept_app), "withhold_below", 3)
    engine = ENGINE.of(kept_app)
    owner = await kept_people.register()
    world = settled_world(UUID(owner.user_id), random.Random(6), [9, 2, 0, 3, 4, 9], [None, 0, 0, 2, 2, 0])
    await write_world(engine, world)
    above = await admin_of(kept_people, engine, world.orgs[0])
    while await run_cycle(rollup):
        pass
    await build_missing_days(rollup, today(), tomorrow=False)
    seen = await report(above, world.orgs[0], "reports/overview", sort="points", order="desc")
    assert [UUID(row["id"]) for row in seen["subordinates"]["items"] if row["figures"]["withheld"]] == sorted(
        world.orgs[1:3]
    )
    assert (await report(above, world.orgs[3], "reports/overview"))["subtree"]["withheld"]
    # Of a trend only the days that are told are looked at from above: counting the others could take minutes.
    gone = await rollup.fetchrow("DELETE FROM stored_days WHERE day = $1 RETURNING *", today() - timedelta(days=2))
    monkeypatch.setattr("app.reports.secondary_suppression._is_suppressed_by_recount", None)
    trend = await report(above, world.orgs[3], "reports/trend", days=4)
    assert [point["subtree"]["withheld"] for point in trend["days"]] == [True] * 3
    await rollup.execute("INSERT INTO stored_days SELECT ($1::stored_days).*", gone)


async def test_the_worker_builds_the_days_and_applies_what_comes(
    kept_people: People, kept_service: PointsService, kept_settings: Settings
) -> None:
    owner = await kept_people.register()
    org = UUID((await owner.create_org())["id"])
    running = asyncio.create_task(run_rollup(kept_settings))
    try:
        await kept_service.outcomes(event(owner.user_id, points=9))
        for _ in range(200):
            seen = await report(owner, org, "reports/overview", period="day")
            if seen["subtree"]["points"] == 9:
                break
            await asyncio.sleep(0.05)
        assert (seen["org"]["members"], seen["org"]["active"], seen["org"]["points"]) == (1, 1, 9)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
