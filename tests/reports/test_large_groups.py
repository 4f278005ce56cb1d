"""The scores of large groups: they are in a separate part of each day's partition, and only this part has an index in
the order of points."""

from datetime import timedelta

import asyncpg

from app.core.calendar import today
from app.database.paging import Paging
from app.reports.rankings import RankingFilter, get_ranking
from app.reports.rollup.verify import find_differences
from app.reports.schemas import RankBy
from tests.points.services import event
from tests.reports.scene import Scene
from tests.reports.test_rankings import create_ranked_world, rank_naively
from tests.reports.test_recount import send_events

LARGE = 1_000


async def test_scores_of_large_group_are_in_their_own_partition(
    stored_scene: Scene, rollup: asyncpg.Connection
) -> None:
    small, _ = await create_ranked_world(stored_scene, seed=20)
    world, _ = await create_ranked_world(stored_scene, seed=21, size=LARGE + 3)  # three are not activated
    partition = f"partitions.org_scores_{today():%Y%m%d}"
    await rollup.execute(f"DROP TABLE {partition}")
    await rollup.execute("DELETE FROM stored_days WHERE day >= $1", today())
    await stored_scene.apply_and_build()
    stored = await rollup.fetch(
        "SELECT org_id, tableoid::regclass::text, count(*) FROM org_scores WHERE day = $1 AND org_id = ANY ($2) "
        "GROUP BY org_id, tableoid",
        today(),
        [world.orgs[0], small.orgs[0]],
    )
    assert set(map(tuple, stored)) == {
        (world.orgs[0], f"{partition}_large", LARGE),
        (small.orgs[0], f"{partition}_rest", 22),
    }
    indexed = await rollup.fetch(
        "SELECT tablename, count(*) FROM pg_indexes WHERE starts_with(tablename, $1) GROUP BY tablename",
        partition.partition(".")[2] + "_",
    )
    assert {name.rpartition("_")[2]: count for name, count in indexed} == {"large": 3, "rest": 1}

    # More events arrive in both groups.
    await stored_scene.service.outcomes(event(str(small.users[2]), points=40))
    late = [(user, today() - timedelta(days=back), 30 + back) for back, user in enumerate(world.users[:9])]
    world.events, earlier = late, world.events
    await send_events(stored_scene.service, world)
    world.events = earlier + late
    await stored_scene.apply_and_build()
    assert [found async for found in find_differences(rollup)] == []
    async with stored_scene.engine.connect() as db:
        for by, days in ((RankBy.LAST_7_DAYS, 7), (RankBy.TOTAL, None)):
            found = await get_ranking(db, RankingFilter(world.orgs[0], by), world.users[3], Paging(40, None))
            shown = [(row.rank, str(row.member_id), row.points) for row in found.page]
            assert shown == rank_naively(world, days)[:41]
