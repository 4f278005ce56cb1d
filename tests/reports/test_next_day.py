"""The next day is prepared in slices while changes arrive. After the last slice, its totals equal a naive count."""

import random
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.calendar import SHANGHAI, today
from app.reports.rollup import cycle, next_day, score_steps
from app.reports.rollup.cycle import build_missing_days, run_cycle
from app.reports.rollup.verify import find_differences
from tests.conftest import migrated_database
from tests.databases import create_test_engine
from tests.reports.test_rollup import History, apply_all_deltas, check_scores, check_totals, create_viewer, earn
from tests.reports.world import MemberRow, Range, World, get_history_start, make_world, write_world

TOMORROW_TOO = 2
"""With this seed some changes are of tomorrow already, as if the preparation ended after midnight."""


@pytest.fixture(scope="module")
def next_day_url(server_url: str, worker_id: str) -> str:
    return migrated_database(server_url, f"xuezu_{worker_id}_next_day")


@pytest.fixture
async def own_engine(next_day_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_test_engine(next_day_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def rollup(next_day_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(next_day_url)
    yield connection
    await connection.close()


class Moves(History):
    """A History in which orgs often get another superior."""

    async def write_change(self, db: AsyncConnection) -> None:
        await self.chance.choice([self.end_certification, self.certify_org, super().write_change])(db)


class Eve(Moves):
    """A Moves that also writes changes of tomorrow."""

    def choose_moment(self) -> datetime:
        return datetime.now(SHANGHAI) + timedelta(days=1) if self.chance.random() < 0.3 else super().choose_moment()

    async def earn(self, db: AsyncConnection) -> None:
        await super().earn(db)
        await earn(db, self.world, [(self.chance.choice(self.world.users), today() + timedelta(days=1), 7)])


def stay_in_several_orgs(world: World, chance: random.Random) -> None:
    """Add people who are members of two orgs all the time, so that some people of a moved subtree are also in other
    orgs."""
    always = Range(get_history_start(), None)
    for user in (uuid4() for _ in range(8)):
        world.users.append(user)
        phone = chance.randbytes(16)
        for org in chance.sample(world.orgs, 2):
            world.rows.append(MemberRow(org, uuid4(), phone, [(None, always)], [(user, always)]))


@pytest.mark.parametrize("seed", range(3))
async def test_prepared_day_with_changes_between_slices_equals_a_naive_count(
    rollup: asyncpg.Connection, own_engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    sizes = (
        (next_day, "PEOPLE_PER_SLICE", 6),
        (next_day, "SCORES_PER_SLICE", 8),
        (score_steps, "LARGE_GROUP", 3),
        (cycle, "SMALL_INSTALLATION", 0),
    )
    for module, name, size in sizes:
        monkeypatch.setattr(module, name, size)
    chance = random.Random(200 + seed)
    world = make_world(chance, await create_viewer(own_engine), orgs=12, people=24)
    stay_in_several_orgs(world, chance)
    events, world.events = world.events, []
    await write_world(own_engine, world)
    history = (Eve if seed == TOMORROW_TOO else Moves)(chance, world)
    async with own_engine.begin() as db:
        # There are events on every day that leaves a window, and on the days next to it.
        days = [today() - timedelta(days=ago) for ago in (5, 6, 7, 28, 29, 30)]
        await earn(db, world, events + [(user, chance.choice(days), 3) for user in world.users for _ in range(2)])
    await apply_all_deltas(rollup)
    await build_missing_days(rollup, today(), tomorrow=False)
    await rollup.execute("DELETE FROM stored_days WHERE day > $1", today())
    slices = 0

    async def change_world() -> None:
        nonlocal slices
        slices += 1
        for _ in range(chance.randrange(4)):
            async with own_engine.begin() as db:
                await history.write_change(db)
        if chance.random() < 0.8:
            await run_cycle(rollup)

    await build_missing_days(rollup, today(), tomorrow=True, after_each=change_world)
    assert slices > 12, "the day was built in slices"
    await apply_all_deltas(rollup)
    days = [today(), today() + timedelta(days=1)]
    await check_totals(rollup, world, days)
    for day in days:
        await check_scores(rollup, world, day)
    assert [found async for found in find_differences(rollup, today())] == []
