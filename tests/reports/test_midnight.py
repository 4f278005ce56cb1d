"""Midnight in Shanghai, with a clock of the test: every window moves at once, and no report waits."""

from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

import asyncpg
import pytest

from app.core import calendar as days
from app.core.calendar import SHANGHAI, today
from app.reports.rollup.cycle import build_missing_days, run_cycle
from app.reports.rollup.partitions import create_future_partitions
from app.reports.rollup.retention import drop_scores
from tests.points.services import event
from tests.reports.scene import Scene
from tests.reports.test_rankings import create_ranked_world, rank_naively, read_all_pages
from tests.reports.test_recount import read_report
from tests.reports.test_rollup import earn


def set_clock(monkeypatch: pytest.MonkeyPatch, at: datetime) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return at.astimezone(tz)

    monkeypatch.setattr(days, "datetime", Clock)


async def test_every_window_moves_at_midnight(
    stored_scene: Scene, rollup: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, caller = await create_ranked_world(stored_scene, seed=5)
    (org,), eve = world.orgs, today()
    morning = eve + timedelta(days=1)
    # Tomorrow is prepared; an event before midnight changes both days.
    await stored_scene.service.outcomes(event(str(world.users[3]), points=90))
    world.events.append((world.users[3], eve, 90))
    await stored_scene.apply_and_build()

    async def check_day(day: date) -> None:
        shown = await read_all_pages(caller, org)
        assert [(row["rank"], row["member_id"], row["points"]) for row in shown] == rank_naively(world, 7)
        for period, width in (("day", 1), ("7d", 7), ("30d", 30)):
            overview = await read_report(caller, org, "reports/overview", period=period)
            assert overview["until"] == str(day)
            assert overview["subtree"] == world.count({org}, day, width)
            assert overview["previous"] is None or overview["previous"]["until"] == str(day - timedelta(days=width))

    midnight = datetime.combine(morning, time(), SHANGHAI)
    try:
        set_clock(monkeypatch, midnight - timedelta(microseconds=1))
        await check_day(eve)
        set_clock(monkeypatch, midnight)
        await check_day(morning)
        await create_future_partitions(rollup, morning)
        assert await rollup.fetchval("SELECT to_regclass($1)", f"partitions.point_events_{morning:%Y%m%d}")
        async with stored_scene.engine.begin() as db:
            await earn(db, world, late := [(world.users[5], morning, 40), (world.users[6], eve, 30)])
        # The events are also written to the ledger, because the recount of other tests reads it.
        await rollup.executemany(
            "INSERT INTO point_events (user_id, day, source, event_id, points, kind, occurred_at) "
            "VALUES ($1, $2, 'midnight', uuidv7()::text, $3, 'article', now())",
            [(user, day, points) for user, day, points in late],
        )
        while await run_cycle(rollup):
            pass
        await check_day(morning)
        # Now the rollup builds the new day only, and the scores of days before yesterday are dropped.
        await rollup.execute("SELECT make_partition('org_scores', $1, $1::date + 1)", eve - timedelta(days=1))
        await build_missing_days(rollup, morning, tomorrow=False)
        async with stored_scene.engine.begin() as db:
            assert await drop_scores(db, 10) == 1
        assert await rollup.fetchval("SELECT count(*) FROM org_scores WHERE day = $1", eve) > 0
        await check_day(morning)
    finally:
        await rollup.execute("UPDATE stored_days SET scored = true WHERE day >= $1", eve)
