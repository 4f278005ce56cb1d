"""Stored totals equal the naive count for every org and stored day, after random changes and cycles.

With XUEZU_PROOF=1 there are ten times as many histories, and each is checked on every day.
"""

import os
import random
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.core.calendar import SHANGHAI, today
from app.reports.rollup.cycle import build_missing_days, run_cycle
from app.schema.auth import User
from app.schema.certification import Certification
from app.schema.members import Activation, UnitMembership
from tests.conftest import migrated_database
from tests.databases import create_test_engine
from tests.reports.world import MemberRow, Range, World, make_world, write_row, write_world

PROOF = os.environ.get("XUEZU_PROOF") == "1"


@pytest.fixture(scope="module")
def rollup_url(server_url: str, worker_id: str) -> str:
    """Return the URL of a separate database for this module. Where days are stored, reports show new events only after
    a cycle."""
    return migrated_database(server_url, f"xuezu_{worker_id}_rollup")


@pytest.fixture(scope="module")
async def own_engine(rollup_url: str) -> AsyncIterator[AsyncEngine]:
    engine = create_test_engine(rollup_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def rollup(rollup_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(rollup_url)
    yield connection
    await connection.close()


async def create_viewer(engine: AsyncEngine) -> UUID:
    viewer = uuid4()
    verified = {"verified_name": "王伟", "verified_at": datetime.now(SHANGHAI), "verification_method": "alipay"}
    async with engine.begin() as db:
        await db.execute(insert(User).values(id=viewer, phone_cipher=b"-", phone_index=viewer.bytes, **verified))
    return viewer


_RECORD = text("""
INSERT INTO point_deltas (user_ids, days, points)
VALUES (CAST(:users AS uuid[]), CAST(:days AS date[]), CAST(:points AS int[]))
""")


async def earn(db: AsyncConnection, world: World, events: list[tuple[UUID, date, int]]) -> None:
    """Add the events to the world, and write the delta row that a batch with these events leaves."""
    world.events += events
    users, days, points = zip(*events, strict=True)
    await db.execute(_RECORD, {"users": list(users), "days": list(days), "points": list(points)})


async def check_totals(rollup: asyncpg.Connection, world: World, days: list[date]) -> None:
    """Assert that the stored totals of every org on these days equal the naive count."""
    columns = [f"{name}_{span}" for name in ("active", "points") for span in (1, 7, 30)]
    for day in days:
        rows = {row["org_id"]: row for row in await rollup.fetch("SELECT * FROM org_totals WHERE day = $1", day)}
        for org in world.orgs:
            stored: Any = rows.get(org)
            for prefix, orgs in (("own_", {org}), ("", world.get_subtree(org, day))):
                expected: dict[str, Any] = {}
                for span in (1, 7, 30):
                    counted = world.count(orgs, day, span)
                    expected |= {"members": counted["members"], "activated": counted["activated"]}
                    expected |= {f"active_{span}": counted["active"], f"points_{span}": counted["points"]}
                found = {
                    name: stored[f"{prefix}{name}"] if stored else 0 for name in ("members", "activated", *columns)
                }
                assert found == {name: expected[name] for name in found}, (day, prefix)


async def check_scores(rollup: asyncpg.Connection, world: World, day: date) -> None:
    """Assert that the stored scores of the day equal the points of the activated members."""
    rows = await rollup.fetch(
        "SELECT org_id, member_id, user_id, last_7, total FROM org_scores WHERE day = $1 AND org_id = ANY ($2)",
        day,
        world.orgs,
    )
    expected = set()
    for row in world.rows:
        user = row.find_user(day)
        if user is not None and row.is_member_on(day):
            week = sum(
                points for who, on, points in world.events if who == user and day - timedelta(days=7) < on <= day
            )
            total = sum(points for who, on, points in world.events if who == user and on <= day)
            expected.add((row.org, row.id, user, week, total))
    assert {tuple(row) for row in rows} == expected


async def apply_all_deltas(rollup: asyncpg.Connection) -> None:
    """Run cycles until no delta waits."""
    while await run_cycle(rollup):
        pass


@pytest.mark.parametrize("seed", range(30 if PROOF else 3))
async def test_days_built_together_equal_a_naive_count(
    rollup: asyncpg.Connection, own_engine: AsyncEngine, seed: int
) -> None:
    world = make_world(random.Random(seed), await create_viewer(own_engine), orgs=14, people=50)
    events, world.events = world.events, []
    await write_world(own_engine, world)
    async with own_engine.begin() as db:
        await earn(db, world, events)
    await apply_all_deltas(rollup)
    await rollup.execute("DELETE FROM stored_days; DELETE FROM org_totals; DELETE FROM org_scores")
    await build_missing_days(rollup, today(), tomorrow=True)
    stored = [row["day"] for row in await rollup.fetch("SELECT day FROM stored_days ORDER BY day")]
    assert stored[-1] == today() + timedelta(days=1)
    assert len(stored) > 30
    # One world is checked on every day, the others on some days; with XUEZU_PROOF=1 all of them on every day.
    await check_totals(
        rollup, world, stored if PROOF or seed == 0 else random.Random(seed).sample(stored, 8) + stored[-2:]
    )
    for day in stored[-2:]:
        await check_scores(rollup, world, day)


class History:
    """A world that changes. Each step makes one random change in the world and in the database, mostly with the present
    time and sometimes with a past one."""

    def __init__(self, chance: random.Random, world: World) -> None:
        self.chance = chance
        self.world = world

    def choose_moment(self) -> datetime:
        now = datetime.now(SHANGHAI)
        return now if self.chance.random() < 0.6 else now - timedelta(hours=self.chance.randrange(1, 24 * 9))

    async def write_change(self, db: AsyncConnection) -> None:
        steps = [
            self.add_person,
            self.end_unit_membership,
            self.change_activation,
            self.end_certification,
            self.certify_org,
            self.earn,
            self.earn,
            self.add_unit_membership,
        ]
        people = [self.change_phone, self.change_phone, self.edit_phone]
        await self.chance.choice(steps + people)(db)

    async def change_phone(self, db: AsyncConnection) -> None:
        """Give a user another phone that no user has: the phone of a member row, or a new one."""
        world, now = self.world, datetime.now(SHANGHAI)
        user = self.chance.choice(world.users)
        phone = self.chance.choice([self.chance.choice(world.rows).phone, uuid4().bytes])
        if not world.is_unused(phone):
            return
        world.phones = [
            (who, had, Range(when.since, now) if who == user and when.until is None else when)
            for who, had, when in world.phones
        ]
        world.phones.append((user, phone, Range(now, None)))
        await db.execute(text("UPDATE users SET phone_index = :phone WHERE id = :id"), {"phone": phone, "id": user})

    async def edit_phone(self, db: AsyncConnection) -> None:
        """Give a member row another phone: that of a user or of a row of another org, or a new one."""
        world = self.world
        row = self.chance.choice(world.rows)
        phone = self.chance.choice([self.chance.choice(world.rows).phone, uuid4().bytes])
        if any(other.org == row.org and phone == other.phone for other in world.rows):
            return
        row.former_phones.append((datetime.now(SHANGHAI), row.phone))
        row.phone = phone
        values = {"phone": phone, "org": row.org, "id": row.id}
        await db.execute(text("UPDATE members SET phone_index = :phone WHERE org_id = :org AND id = :id"), values)

    async def add_person(self, db: AsyncConnection) -> None:
        """Add a person, who may be a member of another org, to an org."""
        world, chance = self.world, self.chance
        known = chance.choice(world.rows)
        org = chance.choice(world.orgs)
        if any(row.org == org and row.phone == known.phone for row in world.rows):
            return
        user = known.find_user(today())
        since = self.choose_moment()
        unit = chance.choice([None, *(unit for unit, _ in world.units[org])])
        taken = user is None or any(row.org == org and row.find_user(today()) == user for row in world.rows)
        activations = [] if taken or user is None else [(user, Range(since, None))]
        row = MemberRow(org, uuid4(), known.phone, [(unit, Range(since, None))], activations)
        world.rows.append(row)
        await write_row(db, row)

    async def end_unit_membership(self, db: AsyncConnection) -> None:
        """End one unit membership of a member."""
        row = self.chance.choice(self.world.rows)
        until = self.choose_moment()
        for index, (unit, when) in enumerate(row.unit_memberships):
            if when.until is None and when.since <= until:
                row.unit_memberships[index] = (unit, Range(when.since, until))
                await db.execute(
                    text(
                        "UPDATE unit_memberships SET until = :until "
                        "WHERE org_id = :org AND member_id = :id AND until IS NULL "
                        "AND unit_id IS NOT DISTINCT FROM CAST(:unit AS uuid)"
                    ),
                    {"until": until, "org": row.org, "id": row.id, "unit": unit},
                )
                return

    async def change_activation(self, db: AsyncConnection) -> None:
        """End the activation of a member row, or link an inactive row to a user."""
        row = self.chance.choice(self.world.rows)
        at = self.choose_moment()
        last = row.activations[-1] if row.activations else None
        if last is not None and last[1].until is None:
            if last[1].since <= at:
                row.activations[-1] = (last[0], Range(last[1].since, at))
                await db.execute(
                    text(
                        "UPDATE activations SET until = :at WHERE org_id = :org AND member_id = :id AND until IS NULL"
                    ),
                    {"at": at, "org": row.org, "id": row.id},
                )
            return
        if last is not None and last[1].until is not None and last[1].until > at:
            return
        user = self.chance.choice(self.world.users)
        if any(
            other.org == row.org and other.find_user(day) == user
            for other in self.world.rows
            for day in self.list_days()
        ):
            return
        row.activations.append((user, Range(at, None)))
        values = {"org_id": row.org, "member_id": row.id, "user_id": user, "since": at}
        await db.execute(insert(Activation).values(values))

    def list_days(self) -> list[date]:
        """Return tomorrow, today and the eleven days before it."""
        return [today() - timedelta(days=ago) for ago in range(-1, 12)]

    async def end_certification(self, db: AsyncConnection) -> None:
        """End the certification of an org."""
        at = self.choose_moment()
        index = self.chance.randrange(len(self.world.edges))
        superior, subordinate, when = self.world.edges[index]
        if when.until is None and when.since <= at:
            self.world.edges[index] = (superior, subordinate, Range(when.since, at))
            await db.execute(
                text(
                    "UPDATE certifications SET state = 'ended', ended_at = :at, subordinate_name = NULL "
                    "WHERE subordinate_id = :org AND state = 'live'"
                ),
                {"at": at, "org": subordinate},
            )

    async def certify_org(self, db: AsyncConnection) -> None:
        """Certify an org that has no superior at this moment under another org."""
        world = self.world
        index = self.chance.randrange(1, len(world.orgs))
        org, superior = world.orgs[index], world.orgs[self.chance.randrange(index)]
        at = self.choose_moment()
        if any(child == org and (when.until is None or when.until > at) for _, child, when in world.edges):
            return
        world.edges.append((superior, org, Range(at, None)))
        await db.execute(
            insert(Certification).values(
                superior_id=superior,
                subordinate_id=org,
                subordinate_name=world.names[org],
                state="live",
                requested_by=world.viewer,
                certified_at=at,
            )
        )

    async def earn(self, db: AsyncConnection) -> None:
        """Write the delta of a batch of events, some of which belong to past days."""
        days = [today() - timedelta(days=self.chance.choice([0, 0, 0, 1, 5, 8, 29, 30])) for _ in range(4)]
        events = [(self.chance.choice(self.world.users), day, self.chance.choice([-3, 1, 2, 6])) for day in days]
        await earn(db, self.world, events)

    async def add_unit_membership(self, db: AsyncConnection) -> None:
        """Add a member to one more unit of the same org. This does not change the totals of the org."""
        row = self.chance.choice(self.world.rows)
        unit = self.world.units[row.org][2][0]
        if any(when.until is None for _, when in row.unit_memberships) and all(
            place != unit for place, _ in row.unit_memberships
        ):
            now = datetime.now(SHANGHAI)
            row.unit_memberships.append((unit, Range(now, None)))
            values = {"org_id": row.org, "member_id": row.id, "unit_id": unit, "since": now}
            await db.execute(insert(UnitMembership).values(values))


@pytest.mark.parametrize("seed", range(60 if PROOF else 6))
async def test_totals_rolled_up_step_by_step_equal_a_naive_count(
    rollup: asyncpg.Connection, own_engine: AsyncEngine, seed: int
) -> None:
    chance = random.Random(100 + seed)
    world = make_world(chance, await create_viewer(own_engine), orgs=14, people=30)
    world.events = []
    await write_world(own_engine, world)
    await apply_all_deltas(rollup)
    await build_missing_days(rollup, today(), tomorrow=bool(seed % 2))
    history = History(chance, world)
    for _ in range(12):
        for _ in range(chance.randrange(1, 12)):
            async with own_engine.begin() as db:
                await history.write_change(db)
        await run_cycle(rollup)
    await apply_all_deltas(rollup)
    stored = [row["day"] for row in await rollup.fetch("SELECT day FROM stored_days ORDER BY day")]
    await check_totals(
        rollup, world, stored if PROOF or seed == 0 else [*stored[-12:], stored[max(0, len(stored) - 31)]]
    )
    for row in await rollup.fetch("SELECT day FROM stored_days WHERE scored"):
        await check_scores(rollup, world, row["day"])
