"""Midnight in Shanghai, by a clock of the test's: every window moves at once, and nothing waits for it."""

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
from tests.reports.test_rankings import naive_ranking, pages, ranked_world
from tests.reports.test_recount import report
from tests.reports.test_rollup import earn


def set_clock(monkeypatch: pytest.MonkeyPatch, at: datetime) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return at.astimezone(tz)

    monkeypatch.setattr(days, "datetime", Clock)


async def test_at_midnight_every_window_moves_at_once(
    kept_scene: Scene, rollup: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, caller = await ranked_world(kept_scene, seed=5)
    (org,), eve = world.orgs, today()
    morning = eve + timedelta(days=1)
    # Tomorrow is prepared; what comes before midnight feeds both days.
    await kept_scene.service.outcomes(event(str(world.users[3]), points=90))
    world.events.append((world.users[3], eve, 90))
    await kept_scene.settle()

    async def seen(day: date) -> None:
        shown = await pages(caller, org)
        assert [(row["rank"], row["member_id"], row["points"]) for row in shown] == naive_ranking(world, 7)
        for period, width in (("day", 1), ("7d", 7), ("30d", 30)):
            overview = await report(caller, org, "reports/overview", period=period)
            assert overview["until"] == str(day)
            assert overview["subtree"] == world.count({org}, day, width)
            assert overview["previous"] is None or overview["previous"]["until"] == str(day - timedelta(days=width))

    midnight = datetime.combine(morning, time(), SHANGHAI)
    try:
        set_clock(monkeypatch, midnight - timedelta(microseconds=1))
        await seen(eve)
        set_clock(monkeypatch, midnight)
        await seen(morning)
        await create_future_partitions(rollup, morning)
        assert await rollup.fetchval("SELECT to_regclass($1)", f"partitions.point_events_{morning:%Y%m%d}")
        async with kept_scene.engine.begin() as db:
            await earn(db, world, late := [(world.users[5], morning, 40), (world.users[6], eve, 30)])
        # In the ledger too: the recount of other tests looks there.
        await rollup.executemany(
            "INSERT INTO point_events (user_id, day, source, event_id, points, kind, occurred_at) "
            "VALUES ($1, $2, 'midnight', uuidv7()::text, $3, 'article', now())",
            [(user, day, points) for user, day, points in late],
        )
        while await run_cycle(rollup):
            pass
        await seen(morning)
        # Only now the rollup notices: it keeps the new day alone, and the scores of days before yesterday go.
        await rollup.execute("SELECT make_partition('org_scores', $1, $1::date + 1)", eve - timedelta(days=1))
        await build_missing_days(rollup, morning, tomorrow=False)
        async with kept_scene.engine.begin() as db:
            assert await drop_scores(db, 10) == 1
        assert await rollup.fetchval("SELECT count(*) FROM org_scores WHERE day = $1", eve) > 0
        await seen(morning)
    finally:
        await rollup.execute("UPDATE stored_days SET scored = true WHERE day >= $1", eve)
